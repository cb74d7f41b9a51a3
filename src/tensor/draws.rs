//! What a region of a program has drawn: computed again, it draws the same numbers, on whatever devices.

use crate::random::Stream;
use crate::tensor::value::Operands;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::sync::Arc;

/// Random numbers: where they come from, and what they depend on.
pub(crate) type Draw = (Stream, Operands);

/// The draws of a region, in their order.
pub(crate) type Draws = Arc<Mutex<Vec<Draw>>>;

enum Tape {
    /// Listens to what is drawn.
    Records(Draws),
    /// Gives what was drawn, from this place on.
    Plays(Draws, usize),
}

thread_local! {
    /// The innermost region comes last.
    static TAPES: RefCell<Vec<Tape>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f`, and notes what it draws.
pub(crate) fn noting<T>(draws: Draws, f: impl FnOnce() -> T) -> T {
    with_tape(Tape::Records(draws), f)
}

/// Runs `f`, which draws what was noted.
pub(crate) fn repeating<T>(draws: Draws, f: impl FnOnce() -> T) -> T {
    with_tape(Tape::Plays(draws, 0), f)
}

fn with_tape<T>(tape: Tape, f: impl FnOnce() -> T) -> T {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ended = TAPES.with_borrow_mut(Vec::pop);
        }
    }
    TAPES.with_borrow_mut(|tapes| tapes.push(tape));
    let _restore = Restore;
    f()
}

/// Whether this thread draws what was noted: seeds then mean nothing.
pub(crate) fn is_repeating() -> bool {
    TAPES.with_borrow(|tapes| tapes.iter().any(|tape| matches!(tape, Tape::Plays(..))))
}

/// What comes next in the innermost region that is computed again, or from `draw`; regions inside of it note it.
pub(crate) fn next(draw: impl FnOnce() -> Draw) -> Draw {
    TAPES.with_borrow_mut(|tapes| {
        let first = tapes.iter().rposition(|tape| matches!(tape, Tape::Plays(..)));
        let (outside, inside) = tapes.split_at_mut(first.map_or(0, |i| i + 1));
        let noted = match outside.last_mut() {
            Some(Tape::Plays(draws, place)) => {
                *place += 1;
                draws.lock().get(*place - 1).cloned()
            }
            _ => None,
        };
        let drawn = noted.unwrap_or_else(draw);
        for tape in inside {
            if let Tape::Records(draws) = tape {
                draws.lock().push(drawn.clone());
            }
        }
        drawn
    })
}
