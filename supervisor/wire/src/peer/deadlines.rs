//! One heap of deadlines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the host's start; enough for 584 years.
pub(super) type Nanos = u64;

pub(super) fn nanos(at: Duration) -> Nanos {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

/// Deadlines by time. Entries of settled calls are not searched for: they are passed over when they come up, and
/// thrown out together once they are the majority.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// Entries whose call is still open.
    open: usize,
}

/// Stale entries that are borne whatever the share of open ones.
const SLACK: usize = 256;

impl Deadlines {
    pub(super) fn add(&mut self, at: Nanos, id: u32, is_open: impl Fn(Nanos, u32) -> bool) {
        if self.heap.len() >= SLACK.max(self.open * 4) {
            self.heap.retain(|Reverse((at, id))| is_open(*at, *id));
        }
        self.heap.push(Reverse((at, id)));
        self.open += 1;
    }

    /// An entry's call was settled otherwise.
    pub(super) fn close(&mut self) {
        self.open -= 1;
        if self.open == 0 {
            self.heap.clear();
        }
    }

    /// The earliest open deadline.
    pub(super) fn next(&mut self, is_open: impl Fn(Nanos, u32) -> bool) -> Option<Nanos> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied() {
            if is_open(at, id) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the earliest entry if it is due; it may be stale.
    pub(super) fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, u32)> {
        let Reverse((at, id)) = self.heap.peek().copied()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((at, id))
    }

    pub(super) fn replace(&mut self, all: impl Iterator<Item = (Nanos, u32)>) {
        self.heap = all.map(Reverse).collect();
        self.open = self.heap.len();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(super) fn relax(&mut self) {
        if self.open == 0 {
            self.heap = BinaryHeap::new();
        }
    }
}
