//! What guards have begun on a thread, in order: a guard ends its own entry, in whatever order guards are dropped.

use std::cell::{Cell, RefCell};

/// The entries of one kind of guard.
pub(crate) struct Scopes<T> {
    entries: RefCell<Vec<(u64, T)>>,
    next: Cell<u64>,
}

impl<T> Scopes<T> {
    pub const fn new() -> Scopes<T> {
        Scopes { entries: RefCell::new(Vec::new()), next: Cell::new(0) }
    }

    /// Adds an entry, and gives the number that it is removed by.
    pub fn push(&self, entry: T) -> u64 {
        let id = self.next.get();
        self.next.set(id + 1);
        self.entries.borrow_mut().push((id, entry));
        id
    }

    /// Takes an entry away. It is given back, so that what it holds is dropped when nothing is borrowed.
    pub fn remove(&self, id: u64) -> Option<T> {
        let mut entries = self.entries.borrow_mut();
        let at = entries.iter().rposition(|(other, _)| *other == id)?;
        Some(entries.remove(at).1)
    }

    /// Runs `f` as if there were no entries.
    pub fn without<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore<'a, T>(&'a Scopes<T>, Vec<(u64, T)>);
        impl<T> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                let mut entries = self.0.entries.borrow_mut();
                let begun = std::mem::replace(&mut *entries, std::mem::take(&mut self.1));
                entries.extend(begun);
            }
        }
        let _restore = Restore(self, self.entries.take());
        f()
    }
}

impl<T: Clone> Scopes<T> {
    /// The innermost entry.
    pub fn last(&self) -> Option<T> {
        self.entries.borrow().last().map(|(_, entry)| entry.clone())
    }

    /// All entries, the outermost first.
    pub fn all(&self) -> Vec<T> {
        self.entries.borrow().iter().map(|(_, entry)| entry.clone()).collect()
    }
}
