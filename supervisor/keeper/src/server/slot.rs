//! What the keeper knows of each plugin.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::child::ChildPlan;
use crate::cgroup::{Events, Leaf};
use crate::order::Orphans;
use crate::sys::process::{Loan, Stack};
use crate::tree::Phase;

/// One generation of one plugin, from fork until nothing of it is left.
pub(super) struct Slot {
    pub(super) key: u64,
    /// The leader's number. It is not reaped before everything else is gone, so this stays its own, and so do its
    /// group's and session's.
    pub(super) pid: i32,
    pub(super) pidfd: Rc<OwnedFd>,
    pub(super) exec: Exec,
    /// What the child runs with until it has called `exec` or is dead.
    pub(super) loan: Option<Loan<ChildPlan>>,
    pub(super) orphans: Orphans,
    pub(super) linger: Duration,
    pub(super) leaf: Option<Leaf>,
    /// The leader has ended; it is a zombie.
    pub(super) ended: bool,
    pub(super) ending: Option<Ending>,
}

impl Slot {
    /// Gives back what the child ran with: its stack can serve another.
    ///
    /// # Safety
    ///
    /// It has called `exec` with success, or has ended.
    pub(super) unsafe fn return_loan(&mut self) -> Option<Stack> {
        // SAFETY: the caller's promise.
        self.loan.take().and_then(|loan| unsafe { loan.return_it() })
    }
}

/// How far the child has come.
pub(super) enum Exec {
    /// The pipe will tell.
    Pending(OwnedFd),
    Done,
    /// It ended before, by a signal or with a failing step. With a failing step the brain has had its last word.
    Never {
        reported: bool,
    },
}

impl Exec {
    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Exec::Pending(_))
    }
}

/// The end of a plugin, from its leader's death or the order to kill.
pub(super) struct Ending {
    pub(super) began: Instant,
    pub(super) stage: Stage,
    pub(super) swept: u32,
    /// The leaf's events, at level 1.
    pub(super) events: Option<Events>,
    pub(super) pass: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// What outlives its leader may go on until then.
    Linger {
        until: Instant,
    },
    Sweep(Phase),
}

/// Counts of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Others than the leader that live.
    pub(super) others: u32,
    /// Others than the leader that have ended, and that their parents have not waited for. They come to the keeper
    /// when those die.
    pub(super) zombies: u32,
    /// Running still, in the sense of the phase.
    pub(super) running: u32,
    /// Listed, and gone when looked at: somebody may be there under another number.
    pub(super) vanished: u32,
}

impl Ending {
    pub(super) fn new(began: Instant, stage: Stage) -> Ending {
        Ending { began, stage, swept: 0, events: None, pass: Tally::default() }
    }
}

#[derive(Default)]
pub(super) struct Slots {
    slots: HashMap<u32, Slot>,
    by_key: HashMap<u64, u32>,
    by_pid: HashMap<i32, u32>,
    next: u32,
}

impl Slots {
    /// Numbers of slots are below this; above are owners that are no plugin.
    pub(super) const LIMIT: u32 = u32::MAX - 16;

    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        while self.slots.contains_key(&self.next) || self.next >= Slots::LIMIT {
            self.next = if self.next >= Slots::LIMIT { 0 } else { self.next + 1 };
        }
        let number = self.next;
        self.next += 1;
        self.by_key.insert(slot.key, number);
        self.by_pid.insert(slot.pid, number);
        self.slots.insert(number, slot);
        number
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Slot> {
        let slot = self.slots.remove(&number)?;
        self.by_key.remove(&slot.key);
        self.by_pid.remove(&slot.pid);
        Some(slot)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        self.slots.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(&number)
    }

    pub(super) fn of_key(&self, key: u64) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// The plugin that this process leads.
    pub(super) fn of_leader(&self, pid: i32) -> Option<u32> {
        self.by_pid.get(&pid).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.iter().map(|(&number, slot)| (number, slot))
    }
}
