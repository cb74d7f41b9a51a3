//! Vectors used again: touching fresh memory takes longer than what is computed into it.

use parking_lot::Mutex;
use std::cell::RefCell;
use std::thread::LocalKey;

/// Vectors of fewer bytes stay with the thread that gave them back: they are the blocks of one computation.
const LARGE: usize = 1 << 16;
/// Vectors of fewer bytes come from the allocator.
const SMALL: usize = 1 << 12;
/// How many bytes of one element type are kept at most.
const KEPT: usize = 1 << 28;
/// How many blocks of one element type a thread keeps at most.
const BLOCKS: usize = 32;

/// Vectors of one thread.
pub(crate) type Own<T> = RefCell<Vec<Vec<T>>>;

/// Vectors that nobody needs any more, in the order they were given back.
pub(crate) struct Spare<T: 'static> {
    shared: Mutex<Vec<Vec<T>>>,
    own: &'static LocalKey<Own<T>>,
}

impl<T: Clone + Default> Spare<T> {
    pub const fn new(own: &'static LocalKey<Own<T>>) -> Spare<T> {
        Spare { shared: Mutex::new(Vec::new()), own }
    }

    /// `n` elements of whatever value.
    pub fn take(&self, n: usize) -> Vec<T> {
        let found = match n * size_of::<T>() {
            LARGE.. => closest(&mut self.shared.lock(), n),
            SMALL.. => self.own.with_borrow_mut(|own| closest(own, n)),
            _ => None,
        };
        let mut y = found.unwrap_or_else(|| vec![T::default(); n]);
        y.resize(n, T::default());
        y
    }

    /// Keeps a vector for later; the oldest ones make room.
    pub fn give(&self, v: Vec<T>) {
        let bytes = |v: &Vec<T>| v.capacity() * size_of::<T>();
        match bytes(&v) {
            LARGE..=KEPT => {}
            SMALL..LARGE => {
                // A thread that ends keeps nothing.
                let _ = self.own.try_with(|own| {
                    let mut own = own.borrow_mut();
                    if own.len() == BLOCKS {
                        own.remove(0);
                    }
                    own.push(v);
                });
                return;
            }
            _ => return,
        }
        let mut spare = self.shared.lock();
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

/// The vector that `n` elements fit best, the latest of several, unless it is much too large.
fn closest<T>(spare: &mut Vec<Vec<T>>, n: usize) -> Option<Vec<T>> {
    let fitting = spare.iter().enumerate().rev().filter(|(_, v)| (n..=2 * n).contains(&v.capacity()));
    let closest = fitting.min_by_key(|(_, v)| v.capacity()).map(|(i, _)| i);
    closest.map(|i| spare.remove(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        thread_local!(static OWN: Own<f32> = const { RefCell::new(Vec::new()) });
        let spare = Spare::new(&OWN);
        let v = spare.take(LARGE);
        let place = v.as_ptr();
        spare.give(v);
        assert_eq!(spare.take(LARGE / 3).len(), LARGE / 3, "too large a vector is left for others");
        let again = spare.take(LARGE - 1);
        assert_eq!((again.as_ptr(), again.len()), (place, LARGE - 1));
        spare.give(vec![0.0; 16]);
        assert!(spare.shared.lock().is_empty() && OWN.with_borrow(Vec::is_empty), "small vectors are not kept");
        spare.give(vec![0.0; SMALL]);
        assert!(spare.shared.lock().is_empty() && OWN.with_borrow(Vec::len) == 1, "blocks stay with their thread");
    }

    #[test]
    fn the_oldest_make_room() {
        thread_local!(static OWN: Own<u8> = const { RefCell::new(Vec::new()) });
        let spare = Spare::new(&OWN);
        for n in [KEPT / 2, KEPT / 2 - 1, KEPT / 2 - 2] {
            spare.give(Vec::with_capacity(n));
        }
        let kept: Vec<usize> = spare.shared.lock().iter().map(Vec::capacity).collect();
        assert_eq!(kept, [KEPT / 2 - 1, KEPT / 2 - 2]);
    }
}
