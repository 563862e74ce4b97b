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

impl Stats {
    /// All of them, in their order.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<u64> {
        self.counters().map(Counter::now).to_vec()
    }

    /// Adds what [`Stats::all`] gave.
    pub(crate) fn add_all(&self, all: &[u64]) {
        self.counters().iter().zip(all).for_each(|(counter, n)| counter.add(*n));
    }

    fn counters(&self) -> [&Counter; 7] {
        let Self {
            junk_lines,
            rejects,
            too_long,
            late_replies,
            orphan_replies,
            dropped_lines,
            calls,
        } = self;
        [junk_lines, rejects, too_long, late_replies, orphan_replies, dropped_lines, calls]
    }
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
