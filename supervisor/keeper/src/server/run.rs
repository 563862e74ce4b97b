//! The keeper's loop, and its answers to orders and deaths.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signalfd::SignalFd;

use super::again::Successor;
use super::outbox::{Flushed, Outbox};
use super::poller::{Poller, Source};
use super::probe::Proven;
use super::slot::{Ending, Exec, Slots, Stage};
use super::stock::Stock;
use super::sweep::Sweeper;
use crate::order::{ExitStatus, Orphans, Rlimit, Rusage};
use crate::protocol::{FromKeeper, LONGEST, SIZE, ToKeeper};
use crate::reaper::RunMark;
use crate::sys::clock::now;
use crate::sys::packet::{Take, receive, send};
use crate::sys::process::{boost, leave, peek_any, peek_exit, reap, signal, signal_group};
use crate::tree::{Phase, Walk};

pub(super) struct Server {
    pub(super) socket: OwnedFd,
    pub(super) poller: Poller,
    pub(super) outbox: Outbox,
    pub(super) run: RunMark,
    /// Level 1, if there is one.
    pub(super) fleet: Option<Proven>,
    /// The limit of open files before the keeper raised its own.
    pub(super) inherited_nofile: Option<Rlimit>,
    pub(super) slots: Slots,
    /// Slots that have an [`Ending`].
    pub(super) ending: BTreeSet<u32>,
    pub(super) walk: Walk,
    pub(super) children: Vec<i32>,
    pub(super) sweeper: Sweeper,
    /// The time of this turn.
    pub(super) now: Instant,
    /// More ended children may wait to be reaped.
    pub(super) unreaped: bool,
    signals: SignalFd,
    pub(super) brain: OwnedFd,
    pub(super) flushed: Flushed,
    boosted: bool,
    pub(super) stock: Stock,
    /// The image to be executed at the next quiet moment.
    pub(super) successor: Option<Successor>,
}

/// Nothing has come for so long: what was started last has most likely been opened, and it is time to restock.
const LULL: Duration = Duration::from_millis(3);

/// Orders taken in one turn, and adoptees reaped: neither holds up the rest.
const ORDERS_AT_ONCE: usize = 32;
pub(super) const REAPED_AT_ONCE: usize = 64;

/// When to try again to send descriptors after too many were under way.
const CROWDED_PAUSE: Duration = Duration::from_millis(10);

/// Exit code of a keeper that has lost its footing. The brain ends what it leaves.
const BROKEN: i32 = 122;

impl Server {
    pub(super) fn new(
        socket: OwnedFd,
        brain: OwnedFd,
        signals: SignalFd,
        run: RunMark,
        fleet: Option<Proven>,
        inherited_nofile: Option<Rlimit>,
    ) -> nix::Result<Server> {
        let poller = Poller::new()?;
        poller.add(&socket, Source::Socket)?;
        // End-of-file is not the brain's death: any process that it forked and that never executed holds its end.
        poller.add(&brain, Source::Brain)?;
        poller.add(&signals, Source::Children)?;
        Ok(Server {
            socket,
            poller,
            outbox: Outbox::default(),
            run,
            fleet,
            inherited_nofile,
            slots: Slots::default(),
            ending: BTreeSet::new(),
            walk: Walk::new(),
            children: Vec::new(),
            sweeper: Sweeper::default(),
            now: now(),
            unreaped: false,
            signals,
            brain,
            flushed: Flushed::All,
            boosted: false,
            stock: Stock::default(),
            successor: None,
        })
    }

    pub(super) fn greet(&self, cgroup_errno: i32) -> nix::Result<()> {
        send(&self.socket, &FromKeeper::Ready { cgroup_errno }.encode(), &[])
    }

    pub(super) fn run(mut self) -> ! {
        loop {
            let Ok(sources) = self.poller.wait(self.patience()) else { leave(BROKEN) };
            self.now = now();
            let nothing_else = sources.is_empty();
            if sources.contains(&Source::Socket) {
                self.take_orders();
            }
            for source in sources {
                match source {
                    Source::Socket => {}
                    Source::Brain => self.end(),
                    Source::Children => self.children_changed(),
                    Source::Leader(number) => self.leader_ended(number),
                    Source::Exec(number) => self.look_at_exec(number),
                    Source::Leaf(number) => self.settle_leaf(number),
                }
            }
            self.end_lingering();
            if self.fleet.is_none() && self.sweeper.is_due() {
                // Looks at all children, and reaps those that may be.
                self.unreaped = false;
                self.pass();
            } else if self.unreaped {
                self.reap_adoptees();
            }
            self.set_boost();
            self.report();
            self.go_over_when_quiet();
            if nothing_else && self.stock.is_wanted() {
                self.restock();
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        if self.unreaped {
            return Some(Duration::ZERO);
        }
        let restock = self.stock.is_wanted().then_some(LULL);
        let lingering =
            self.ending.iter().filter_map(|&n| match self.slots.get(n)?.ending.as_ref()?.stage {
                Stage::Linger { until } => Some(until.saturating_duration_since(self.now)),
                Stage::Sweep(_) => None,
            });
        let crowded = (self.flushed == Flushed::Crowded).then_some(CROWDED_PAUSE);
        let sweep = self.fleet.is_none().then(|| self.sweeper.pace()).flatten();
        lingering.chain(crowded).chain(sweep).chain(restock).min()
    }

    pub(super) fn report(&mut self) {
        let flushed = self.outbox.flush(&self.socket);
        if flushed == Flushed::Closed {
            self.end();
        }
        let (was_full, is_full) = (self.flushed == Flushed::Full, flushed == Flushed::Full);
        if was_full != is_full && self.poller.want_writable(&self.socket, is_full).is_err() {
            leave(BROKEN);
        }
        self.flushed = flushed;
    }

    fn set_boost(&mut self) {
        let wanted = self.sweeper.has_remnants()
            || self.fleet.is_none()
                && self.ending.iter().any(|&n| {
                    let ending = self.slots.get(n).and_then(|slot| slot.ending.as_ref());
                    ending.is_some_and(|ending| matches!(ending.stage, Stage::Sweep(_)))
                });
        if wanted != self.boosted {
            boost(wanted);
            self.boosted = wanted;
        }
    }

    /// To ordinary scheduling, for the rest of this turn. Whoever reaps a leader takes its part of `/proc` down, and spins in
    /// the kernel while the last of its threads does the same; one that was preempted meanwhile would wait for a
    /// processor that a real-time keeper does not give back.
    fn step_down(&mut self) {
        if self.boosted {
            boost(false);
            self.boosted = false;
        }
    }

    fn take_orders(&mut self) {
        for _ in 0..ORDERS_AT_ONCE {
            let mut buffer = [0; LONGEST];
            let received = match receive(&self.socket, &mut buffer, Take::Remove) {
                Ok(received) if received.len > 0 => received,
                Err(Errno::EAGAIN) => return,
                Ok(_) | Err(_) => self.end(),
            };
            let (packet, behind) = buffer[..received.len].split_at(received.len.min(SIZE));
            match ToKeeper::decode(packet) {
                Ok(ToKeeper::Spawn { key }) => {
                    self.spawn(key, behind, received.fds, !received.fds_lost);
                }
                Ok(ToKeeper::Terminate { key }) => self.terminate(key),
                Ok(ToKeeper::Kill { key }) => self.kill(key),
                Ok(ToKeeper::Ping { n }) => self.outbox.pong(n),
                Ok(ToKeeper::Reexec { oldest, newest }) => {
                    self.plan_succession(received.fds, oldest, newest);
                }
                // Not a brain of this version, whatever it is.
                Ok(ToKeeper::Hello { .. }) | Err(_) => self.end(),
            }
        }
    }

    /// SIGTERM to the group, and SIGCONT: a stopped process does not take the first without the second.
    fn terminate(&mut self, key: u64) {
        let Some(number) = self.slots.of_key(key) else { return };
        self.look_at_exec(number);
        let Some(slot) = self.slots.get(number) else { return };
        if slot.exec.is_pending() {
            // It leads no group yet, so the number could be no group's or, before `setsid`, only its own.
            signal(slot.pid, libc::SIGKILL);
        } else {
            signal_group(slot.pid, libc::SIGTERM);
            signal_group(slot.pid, libc::SIGCONT);
        }
        if slot.orphans == Orphans::Keeper && self.fleet.is_none() {
            self.remember(number);
        }
    }

    fn kill(&mut self, key: u64) {
        let Some(number) = self.slots.of_key(key) else { return };
        self.look_at_exec(number);
        self.sweep(number);
    }

    /// From here on everything of this plugin is killed.
    fn sweep(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        if slot.ending.as_ref().is_some_and(|ending| matches!(ending.stage, Stage::Sweep(_))) {
            return;
        }
        let now = self.now;
        let phase = if slot.exec.is_pending() {
            // There is nothing below it, and an `exec` that stalls cannot be stopped, only killed.
            signal(slot.pid, libc::SIGKILL);
            Phase::Kill
        } else {
            Phase::FREEZE
        };
        let ending = slot.ending.get_or_insert_with(|| Ending::new(now, Stage::Sweep(phase)));
        ending.stage = Stage::Sweep(phase);
        self.ending.insert(number);
        if let (Some(proven), Some(leaf)) = (&self.fleet, &slot.leaf) {
            let leader = u32::from(!slot.ended);
            ending.swept += leaf.population(&proven.fleet).saturating_sub(leader);
            // It worked in the probe. A leaf that is gone has nobody in it.
            leaf.kill(&proven.fleet).ok();
            // It may have left its cgroup, where it has the right to.
            signal(slot.pid, libc::SIGKILL);
            self.settle_leaf(number);
        } else {
            self.sweeper.look();
        }
    }

    fn end_lingering(&mut self) {
        let now = self.now;
        let over = |&number: &u32| {
            let ending = self.slots.get(number)?.ending.as_ref()?;
            matches!(ending.stage, Stage::Linger { until } if until <= now).then_some(number)
        };
        let over: Vec<u32> = self.ending.iter().filter_map(over).collect();
        for number in over {
            self.sweep(number);
        }
    }

    fn leader_ended(&mut self, number: u32) {
        self.look_at_exec(number);
        let Some(slot) = self.slots.get_mut(number) else { return };
        if slot.ended {
            return;
        }
        let mut exit_status = match peek_exit(&*slot.pidfd) {
            Ok(Some(exit_status)) => exit_status,
            Ok(None) => return,
            // Somebody else has reaped a child of this process: nothing that is known holds any more.
            Err(_) => leave(BROKEN),
        };
        self.poller.remove(&*slot.pidfd);
        slot.ended = true;
        // SAFETY: it has ended.
        self.stock.put_back(unsafe { slot.return_loan() });
        if let (ExitStatus::Signal { signal: libc::SIGKILL, oom, .. }, Some(proven), Some(leaf)) =
            (&mut exit_status, &self.fleet, &slot.leaf)
        {
            *oom = leaf.oom_killed(&proven.fleet);
        }
        if !matches!(slot.exec, Exec::Never { reported: true }) {
            self.outbox.push(FromKeeper::Died { key: slot.key, exit: exit_status });
        }
        let linger = Stage::Linger { until: self.now + slot.linger };
        slot.ending.get_or_insert_with(|| Ending::new(self.now, linger));
        self.ending.insert(number);
        if self.fleet.is_some() {
            self.settle_leaf(number);
        } else {
            self.sweeper.look();
        }
    }

    /// Level 1: over when the leader has ended and nobody is left in the leaf.
    fn settle_leaf(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        let (Some(proven), Some(leaf), Some(ending)) = (&self.fleet, &slot.leaf, &mut slot.ending)
        else {
            return;
        };
        if !slot.ended {
            return;
        }
        if ending.events.is_none()
            && let Ok(events) = leaf.events(&proven.fleet)
        {
            if self.poller.add(&events, Source::Leaf(number)).is_err() {
                leave(BROKEN);
            }
            ending.events = Some(events);
        }
        if !ending.events.as_ref().is_some_and(|events| events.populated()) {
            self.finish(number);
        }
    }

    /// Nothing of the plugin is left: the leader is reaped last.
    pub(super) fn finish(&mut self, number: u32) {
        let Some(slot) = self.slots.remove(number) else { return };
        self.ending.remove(&number);
        self.step_down();
        let rusage: Rusage = reap(slot.pid).ok().flatten().unwrap_or_default();
        if let (Some(proven), Some(leaf)) = (&self.fleet, &slot.leaf) {
            leaf.remove(&proven.fleet);
        }
        let Some(ending) = slot.ending else { return };
        if let Some(events) = &ending.events {
            self.poller.remove(events);
        }
        if !matches!(slot.exec, Exec::Never { reported: true }) {
            self.outbox.push(FromKeeper::Gone {
                key: slot.key,
                swept: ending.swept,
                rusage,
                took: self.now.saturating_duration_since(ending.began),
            });
        }
        if self.ending.is_empty() {
            self.sweeper.forget(&self.slots);
        }
    }

    fn children_changed(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        self.unreaped = true;
        if !self.ending.is_empty() {
            self.sweeper.look();
        }
    }

    /// Reaps ended children that are no plugin's leader.
    fn reap_adoptees(&mut self) {
        self.unreaped = false;
        for _ in 0..REAPED_AT_ONCE {
            match peek_any() {
                Ok(Some(pid)) if self.slots.of_leader(pid).is_some() => {
                    // A leader that is held hides the others from this call, for as long as it is held.
                    self.reap_listed();
                    return;
                }
                Ok(Some(pid)) => {
                    self.reap_adoptee(pid);
                }
                Ok(None) | Err(_) => return,
            }
        }
        self.unreaped = true;
    }

    fn reap_listed(&mut self) {
        let mut children = std::mem::take(&mut self.children);
        self.walk.begin();
        self.walk.own_children(1, &mut children);
        children.retain(|&pid| self.slots.of_leader(pid).is_none());
        let mut reaped = 0;
        for &pid in &children {
            reaped += usize::from(self.reap_adoptee(pid));
            if reaped == REAPED_AT_ONCE {
                self.unreaped = true;
                break;
            }
        }
        self.children = children;
    }

    pub(super) fn reap_adoptee(&mut self, pid: i32) -> bool {
        let reaped = matches!(reap(pid), Ok(Some(_)));
        if reaped {
            self.sweeper.reaped(pid);
        }
        reaped
    }
}
