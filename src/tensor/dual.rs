//! Tangents: what forward mode keeps beside a tensor, and how every recorded operation carries them on.
//!
//! There is no second table of rules. The gradient rule of an operation is linear in the gradient `g` it is given, so the
//! tangent of the result is its transpose: `ẏ = d/dg Σ ⟨rule(g)_i, ẋ_i⟩`, whatever `g` is. Nothing is computed for `g`
//! itself, as values are computed only when they are read. The rule sees the inputs with their history, so a tangent is
//! part of the graph as any result is.
//!
//! Levels nest. A tangent of one level is a tensor of the levels around it: while it is carried on, its own level and
//! those inside are hidden, and whatever is recorded carries the tangents of the others.

use crate::error::Result;
use crate::ops::create::full;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::autocast::no_autocast;
use crate::tensor::mode::{at_site, is_grad_enabled, recording, site};
use crate::tensor::node::{Call, Save, next_order};
use crate::tensor::saved::without_hooks;
use crate::tensor::value::Value;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Tangents with the levels they belong to.
pub(crate) type Tangents = SmallVec<[(u64, Tensor); 1]>;

/// The tangents of a tensor, shared with whatever saves the tensor for backward.
pub(crate) type Dual = Arc<Mutex<Tangents>>;

/// `d/dg Σ ⟨y, ẋ⟩` over pairs of `y` and `ẋ`, of which every `y` follows from `g` by nodes of this number or later ones.
pub(crate) type Transpose = fn(g: &Tensor, pairs: Vec<(Tensor, Tensor)>, since: u64) -> Result<Option<Tensor>>;

/// The life of a level on its thread: inside, tensors may have tangents of it.
pub struct DualLevel {
    id: u64,
    one_thread: PhantomData<*const ()>,
}

struct Level {
    id: u64,
    transpose: Transpose,
    hidden: bool,
    /// What has a tangent of this level, which is taken away at its end: a saved result and the node that saved it would
    /// otherwise keep each other alive through the tangent.
    carried: Vec<Weak<Mutex<Tangents>>>,
    /// When this many are listed, those that are gone are left out.
    limit: usize,
}

thread_local! {
    static LEVELS: RefCell<Vec<Level>> = const { RefCell::new(Vec::new()) };
}

impl DualLevel {
    /// Begins a level inside those there are.
    pub(crate) fn enter(transpose: Transpose) -> DualLevel {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let level = Level { id, transpose, hidden: false, carried: Vec::new(), limit: 64 };
        LEVELS.with_borrow_mut(|levels| levels.push(level));
        DualLevel { id, one_thread: PhantomData }
    }

    /// The number by which tangents know the level.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for DualLevel {
    fn drop(&mut self) {
        let ended = LEVELS.with_borrow_mut(|levels| {
            let at = levels.iter().position(|level| level.id == self.id).expect("a level ends once");
            levels.remove(at)
        });
        for dual in ended.carried.iter().filter_map(Weak::upgrade) {
            let (own, others) = std::mem::take(&mut *dual.lock()).into_iter().partition(|(id, _)| *id == self.id);
            *dual.lock() = others;
            // Dropped after the lock is released: it may be the end of a long chain.
            drop::<Tangents>(own);
        }
    }
}

/// The levels that may be seen, the outermost first.
pub(crate) fn levels() -> SmallVec<[u64; 2]> {
    LEVELS.with_borrow(|levels| levels.iter().filter(|level| !level.hidden).map(|level| level.id).collect())
}

/// Whether there is a level whose tangents may be seen.
pub(crate) fn is_active() -> bool {
    LEVELS.with_borrow(|levels| levels.iter().any(|level| !level.hidden))
}

/// Runs `f` without the tangents of any level.
pub(crate) fn without_tangents<T>(f: impl FnOnce() -> T) -> T {
    with_hidden(|_| true, f)
}

/// Runs `f` without the tangents of a level and of those inside it.
pub(crate) fn below<T>(level: u64, f: impl FnOnce() -> T) -> T {
    with_hidden(|other| other.id >= level || other.hidden, f)
}

/// Runs `f` with the tangents of all levels.
pub(crate) fn with_all_tangents<T>(f: impl FnOnce() -> T) -> T {
    with_hidden(|_| false, f)
}

fn with_hidden<T>(is_hidden: impl Fn(&Level) -> bool, f: impl FnOnce() -> T) -> T {
    struct Restore(SmallVec<[u64; 2]>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEVELS.with_borrow_mut(|levels| {
                levels.iter_mut().for_each(|level| level.hidden = !self.0.contains(&level.id))
            });
        }
    }
    if LEVELS.with_borrow(Vec::is_empty) {
        return f();
    }
    let _restore = Restore(levels());
    LEVELS.with_borrow_mut(|levels| levels.iter_mut().for_each(|level| level.hidden = is_hidden(level)));
    f()
}

impl Tensor {
    /// The tangent of a level.
    pub(crate) fn tangent(&self, level: u64) -> Option<Tensor> {
        let dual = self.refreshed().dual.clone()?;
        let tangents = dual.lock();
        tangents.iter().find(|(id, _)| *id == level).map(|(_, tangent)| tangent.clone())
    }

    /// Gives a tensor that was just made a tangent.
    pub(crate) fn set_tangent(&self, level: u64, tangent: Tensor) {
        let dual = self.0.meta.lock().dual.get_or_insert_default().clone();
        add(&dual, level, tangent);
    }

    /// Whether this has a tangent of a level that may be seen.
    pub(crate) fn is_dual(&self) -> bool {
        is_active()
            && self.refreshed().dual.as_ref().is_some_and(|dual| {
                let levels = levels();
                dual.lock().iter().any(|(id, _)| levels.contains(id))
            })
    }

    /// Whether a gradient rule for this input may be called: backward, or forward with a tangent.
    pub(crate) fn is_tracked(&self) -> bool {
        self.requires_grad() || self.is_dual()
    }

    /// The same elements and tangents without a history.
    pub(crate) fn without_history(&self) -> Tensor {
        let y = self.untracked();
        y.0.meta.lock().dual = self.refreshed().dual.clone();
        y
    }
}

fn add(dual: &Dual, level: u64, tangent: Tensor) {
    dual.lock().push((level, tangent));
    LEVELS.with_borrow_mut(|levels| {
        let level = levels.iter_mut().find(|l| l.id == level).expect("the level has not ended");
        if level.carried.len() >= level.limit {
            level.carried.retain(|dual| dual.strong_count() > 0);
            level.limit = 2 * level.carried.len().max(32);
        }
        level.carried.push(Arc::downgrade(dual));
    });
}

/// Tangents that a tensor is to have, with those of hidden levels that it has already.
pub(crate) fn beside_hidden(new: Option<Dual>, old: Option<Dual>) -> Option<Dual> {
    let hidden: SmallVec<[u64; 2]> =
        LEVELS.with_borrow(|levels| levels.iter().filter(|level| level.hidden).map(|level| level.id).collect());
    let tangents = |dual: Option<Dual>| dual.map(|dual| dual.lock().clone()).unwrap_or_default();
    let mut kept = tangents(old.filter(|_| !hidden.is_empty()));
    kept.retain(|(id, _)| hidden.contains(id));
    if kept.is_empty() {
        return new;
    }
    let dual = Dual::default();
    kept.extend(tangents(new).into_iter().filter(|(id, _)| !hidden.contains(id)));
    kept.into_iter().for_each(|(id, tangent)| add(&dual, id, tangent));
    Some(dual)
}

/// Whether the results will have tangents; they get the place for them, so that nodes which save them see them later.
pub(crate) fn expect(ys: &[&Tensor], inputs: &[&Tensor]) -> bool {
    let expected = is_active() && inputs.iter().any(|x| x.is_dual());
    for y in ys.iter().filter(|_| expected) {
        y.0.meta.lock().dual = Some(Dual::default());
    }
    expected
}

/// Gives the results of a recorded operation their tangents, level by level. A tangent that cannot be had is an error for
/// whoever reads it. What the rule saves on the way is no business of hooks for what the operation saves.
#[track_caller]
pub(crate) fn carry(
    ys: &[&Tensor],
    inputs: &[&Tensor],
    saves: &[Save],
    rule: &dyn Fn(Call) -> Result<Vec<Option<Tensor>>>,
) {
    let at = site();
    for level in levels() {
        let tangents: Vec<Option<Tensor>> = inputs.iter().map(|x| x.tangent(level)).collect();
        if tangents.iter().all(Option::is_none) {
            continue;
        }
        let needs: Vec<bool> = tangents.iter().map(Option::is_some).collect();
        let transpose = LEVELS.with_borrow(|levels| levels.iter().find(|l| l.id == level).map(|l| l.transpose));
        for (output, y) in ys.iter().enumerate().filter(|(_, y)| y.dtype().is_float()) {
            let tangent = without_hooks(|| {
                below(level, || {
                    let saved: Vec<Tensor> = saves
                        .iter()
                        .map(|save| match save {
                            Save::Input(x) | Save::Number(x) => (*x).clone(),
                            Save::Output => ys[0].clone(),
                        })
                        // Without recording, the way back through their history would be walked for nothing.
                        .map(|x| if is_grad_enabled() { x } else { x.without_history() })
                        .collect();
                    let since = next_order();
                    let zeros = |y: &Tensor| full(0.0, Dims::from_slice(y.shape()), y.dtype(), &y.device());
                    let g = zeros(y);
                    g.0.meta.lock().requires_grad = true;
                    let mut gradients: Vec<Option<Tensor>> = vec![None; ys.len()];
                    gradients[output] = Some(g.clone());
                    let first = if output == 0 { g.clone() } else { zeros(ys[0]) };
                    let gradients = at_site(at, || {
                        let (_recorded, _as_given) = (recording(), no_autocast());
                        rule(Call { g: &first, gradients: &gradients, saved: &saved, needs: &needs, buffer: &|_| None })
                    });
                    let pairs = gradients?.into_iter().zip(&tangents);
                    let pairs = pairs.filter_map(|(y, tangent)| Some((y?, tangent.clone()?))).collect();
                    at_site(at, || transpose.map_or(Ok(None), |transpose| transpose(&g, pairs, since)))
                })
            });
            let shape = Dims::from_slice(y.shape());
            let tangent = tangent.map(|t| t.unwrap_or_else(|| full(0.0, shape.clone(), y.dtype(), &y.device())));
            let failed = |error| Value::failed(error, shape, y.dtype(), &y.device(), at);
            y.set_tangent(level, tangent.unwrap_or_else(|error| Tensor::from_value(failed(error))));
        }
    }
}
