//! Counters of one plugin, read by `status` and written by its link.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was seen on the wire since the supervisor started.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub junk_lines: Counter,
    pub rejects: Counter,
    pub too_long: Counter,
    pub late_replies: Counter,
    pub orphan_replies: Counter,
    pub dropped_lines: Counter,
    pub calls: Counter,
}

/// One number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
