//! What all clients together may be owed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may lie unread for all clients that are owed much.
const ALL: usize = 256 << 20;

/// Shared by all clients of one socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget {
    held: Arc<AtomicUsize>,
}

/// What one client has of it. Dropped, it is given back.
#[derive(Debug, Default)]
pub(super) struct Share {
    budget: Budget,
    held: usize,
}

impl Budget {
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), held: 0 }
    }
}

impl Share {
    /// The client is owed this much now. False when that is too much for all.
    #[must_use]
    pub(super) fn becomes(&mut self, owed: usize) -> bool {
        if owed <= self.held {
            return true;
        }
        let added = owed - self.held;
        self.held = owed;
        self.budget.held.fetch_add(added, Ordering::Relaxed) + added <= ALL
    }

    /// The client is owed no more than this any more.
    pub(super) fn shrinks(&mut self, owed: usize) {
        if owed < self.held {
            self.budget.held.fetch_sub(self.held - owed, Ordering::Relaxed);
            self.held = owed;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrinks(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_gives_back_another_may_have() {
        let budget = Budget::default();
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.becomes(ALL));
        assert!(!two.becomes(1));
        one.shrinks(ALL / 2);
        assert!(two.becomes(ALL / 2));
        drop((one, two));
        assert!(budget.share().becomes(ALL));
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }
}
