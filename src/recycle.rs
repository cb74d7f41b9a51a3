//! Vectors used again: touching fresh memory takes longer than what is computed into it.

use parking_lot::Mutex;

/// Vectors of fewer bytes come from the allocator, which keeps memory of that size itself.
const LARGE: usize = 1 << 16;
/// How many bytes of one element type are kept at most.
const KEPT: usize = 1 << 28;

/// Vectors that nobody needs any more, in the order they were given back.
pub(crate) struct Spare<T>(Mutex<Vec<Vec<T>>>);

impl<T: Clone + Default> Spare<T> {
    pub const fn new() -> Spare<T> {
        Spare(Mutex::new(Vec::new()))
    }

    /// `n` elements of whatever value.
    pub fn take(&self, n: usize) -> Vec<T> {
        let found = (n * size_of::<T>() >= LARGE).then(|| {
            let mut spare = self.0.lock();
            let fitting = spare.iter().enumerate().filter(|(_, v)| (n..=2 * n).contains(&v.capacity()));
            let closest = fitting.min_by_key(|(_, v)| v.capacity()).map(|(i, _)| i);
            closest.map(|i| spare.remove(i))
        });
        let mut y = found.flatten().unwrap_or_else(|| vec![T::default(); n]);
        y.resize(n, T::default());
        y
    }

    /// Keeps a vector for later; the oldest ones make room.
    pub fn give(&self, v: Vec<T>) {
        let bytes = |v: &Vec<T>| v.capacity() * size_of::<T>();
        if !(LARGE..=KEPT).contains(&bytes(&v)) {
            return;
        }
        let mut spare = self.0.lock();
        spare.push(v);
        let mut kept: usize = spare.iter().map(bytes).sum();
        let old = spare
            .iter()
            .take_while(|v| {
                let over = kept > KEPT;
                kept -= bytes(v);
                over
            })
            .count();
        let dropped: Vec<Vec<T>> = spare.drain(..old).collect();
        drop(spare);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let spare: Spare<f32> = Spare::new();
        let v = spare.take(LARGE);
        let place = v.as_ptr();
        spare.give(v);
        assert_eq!(spare.take(LARGE / 3).len(), LARGE / 3, "too large a vector is left for others");
        let again = spare.take(LARGE - 1);
        assert_eq!((again.as_ptr(), again.len()), (place, LARGE - 1));
        spare.give(vec![0.0; 16]);
        assert!(spare.0.lock().is_empty(), "small vectors are not kept");
    }

    #[test]
    fn the_oldest_make_room() {
        let spare: Spare<u8> = Spare::new();
        for n in [KEPT / 2, KEPT / 2 - 1, KEPT / 2 - 2] {
            spare.give(Vec::with_capacity(n));
        }
        let kept: Vec<usize> = spare.0.lock().iter().map(Vec::capacity).collect();
        assert_eq!(kept, [KEPT / 2 - 1, KEPT / 2 - 2]);
    }
}
