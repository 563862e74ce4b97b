//! One look at a tree of processes, and how to act on what was seen without hitting somebody else.

use std::collections::HashSet;

use crate::pidfd::Pidfd;
use crate::sys::kin::Kin;
use crate::sys::proc::{Reader, Stat, State};

/// A walk over processes and their descendants. Buffers are kept from pass to pass.
pub(crate) struct Walk {
    kin: Kin,
    nodes: Vec<Node>,
    seen: HashSet<i32>,
    children: Vec<i32>,
    me: i32,
}

/// One process that was listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) pid: i32,
    /// `None`: listed, and gone when looked at. That counts as somebody: it may live on under another number.
    pub(crate) stat: Option<Stat>,
    /// Whatever the caller gave the root above it.
    pub(crate) owner: u32,
}

/// How many passes an uninterruptible process is waited for before it counts as frozen: the parent in a `vfork` stays
/// in that state for as long as its child, which has been stopped, has not executed.
const PATIENCE: u32 = 20;

impl Walk {
    pub(crate) fn new() -> Walk {
        Walk {
            kin: Kin::new(),
            nodes: Vec::new(),
            seen: HashSet::new(),
            children: Vec::new(),
            me: std::process::id().cast_signed(),
        }
    }

    pub(crate) fn reader(&mut self) -> &mut Reader {
        self.kin.reader()
    }

    /// Forgets the last pass.
    pub(crate) fn begin(&mut self) {
        self.kin.refresh();
        self.nodes.clear();
        self.seen.clear();
        // Never walk into this process: a ring is impossible, but numbers are reused.
        self.seen.insert(self.me);
    }

    /// This process's own children. `threads`: 1 if it surely has only one thread.
    pub(crate) fn own_children(&mut self, threads: u32, out: &mut Vec<i32>) {
        out.clear();
        self.kin.children(self.me, threads, out);
    }

    pub(crate) fn root(&mut self, pid: i32, owner: u32) {
        if self.seen.insert(pid) {
            self.nodes.push(Node { pid, stat: None, owner });
        }
    }

    /// Lists everything below the roots; a child has its parent's owner.
    pub(crate) fn descend(&mut self) {
        let mut at = 0;
        while let Some(&Node { pid, owner, .. }) = self.nodes.get(at) {
            let stat = self.kin.reader().stat(pid);
            self.nodes[at].stat = stat;
            if let Some(stat) = stat
                && !stat.is_over()
            {
                self.children.clear();
                self.kin.children(pid, stat.threads, &mut self.children);
                for &child in &self.children {
                    if self.seen.insert(child) {
                        self.nodes.push(Node { pid: child, stat: None, owner });
                    }
                }
            }
            at += 1;
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Signals a process if it is still the one that was seen: the descriptor is opened first, then the identity
    /// is checked again, so the number cannot change hands in between.
    pub(crate) fn strike(&mut self, pid: i32, start: u64, signal: i32) -> bool {
        let Ok(pidfd) = Pidfd::open(pid.cast_unsigned()) else { return false };
        self.reader().stat(pid).is_some_and(|now| now.start == start)
            && pidfd.send_signal(signal).is_ok()
    }
}

/// Killing does not empty a continuous forker, stopping first does: each death frees a slot, and the sweeper gets one
/// share among hundreds. So a tree is stopped, pass by pass, until a pass finds nobody running; then all are killed,
/// until a pass lists nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Freeze { passes: u32 },
    Kill,
}

impl Phase {
    /// A tree that cannot be stopped in so many passes is killed as it is.
    const MOST_PASSES: u32 = 300;

    pub(crate) const FREEZE: Phase = Phase::Freeze { passes: 0 };

    /// What to do with a process that was seen: a signal to send, and whether it still counts as running.
    pub(crate) fn answer(self, stat: &Stat) -> (Option<i32>, bool) {
        match self {
            _ if stat.is_over() => (None, false),
            Phase::Kill => (Some(libc::SIGKILL), true),
            Phase::Freeze { passes } => match stat.state {
                State::Stopped | State::Ended => (None, false),
                State::Uninterruptible => (Some(libc::SIGSTOP), passes < PATIENCE),
                State::Running => (Some(libc::SIGSTOP), true),
            },
        }
    }

    /// The phase after a pass in which this many were running, or gone when looked at.
    pub(crate) fn after(self, running: u32) -> Phase {
        match self {
            Phase::Freeze { passes } if running > 0 && passes < Phase::MOST_PASSES => {
                Phase::Freeze { passes: passes + 1 }
            }
            Phase::Freeze { .. } | Phase::Kill => Phase::Kill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: char, threads: u32) -> Stat {
        let line = format!("1 (x) {state} 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 9 1");
        Stat::parse(line.as_bytes()).expect("a whole line")
    }

    #[test]
    fn a_tree_is_frozen_until_nobody_runs_and_then_killed() {
        let mut phase = Phase::FREEZE;
        assert_eq!(phase.answer(&stat('R', 1)), (Some(libc::SIGSTOP), true));
        phase = phase.after(1);
        assert_eq!(phase.answer(&stat('T', 1)), (None, false));
        phase = phase.after(0);
        assert_eq!(phase, Phase::Kill);
        assert_eq!(phase.answer(&stat('T', 1)), (Some(libc::SIGKILL), true));
        assert_eq!(phase.answer(&stat('Z', 1)), (None, false));
    }

    #[test]
    fn a_dead_leading_thread_with_living_others_is_still_killed() {
        assert_eq!(Phase::Kill.answer(&stat('Z', 2)), (Some(libc::SIGKILL), true));
    }

    #[test]
    fn what_cannot_be_stopped_is_killed_in_the_end() {
        let mut phase = Phase::FREEZE;
        for _ in 0..=Phase::MOST_PASSES {
            phase = phase.after(1);
        }
        assert_eq!(phase, Phase::Kill);
    }

    #[test]
    fn a_vfork_parent_does_not_hold_up_the_freeze_for_ever() {
        assert!(Phase::FREEZE.answer(&stat('D', 1)).1);
        assert!(!Phase::Freeze { passes: PATIENCE }.answer(&stat('D', 1)).1);
    }
}
