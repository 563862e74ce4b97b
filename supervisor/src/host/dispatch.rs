//! The dispatcher: one task that owns the fleet. Events in, effects out, and nothing else decides.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use outboard_core::{Detail, Effects, Event, Fleet, Key, Look, Time};
use outboard_keeper::pidfd::Pidfd;
use serde_json::json;
use tokio::sync::mpsc;

use super::by::By;
use super::caught::caught;
use super::clock::Clock;
use super::command::{Change, Command};
use super::diagnose::FileIdentity;
use super::failpoint;
use super::happening::{Happening, Happenings};
use super::keeper_line::{KeeperLine, Word};
use super::link::Link;
use super::persist::Persist;
use super::pin::Pin;
use super::redact;
use super::reload::InForce;
use super::shared::{End, Shared};
use super::slot::Slot;
use super::supervisor::Supervisor;
use super::swap::Swap;
use super::upgrade::Freeze;
use super::waiters::Waiters;

/// How long stderr is still read after its plugin ended. A grandchild may hold the pipe for ever, so its end cannot
/// be waited for. Calls never wait for this.
pub(super) const DRAIN_AFTER_EXIT: Duration = Duration::from_millis(500);

/// The dispatcher's own state.
pub(super) struct Dispatcher {
    pub(super) fleet: Fleet,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) inbox: mpsc::UnboundedReceiver<Happening>,
    pub(super) happenings: Happenings,
    pub(super) keeper: Option<KeeperLine>,
    pub(super) keeper_deaths: VecDeque<Time>,
    pub(super) slots: HashMap<Key, Arc<Slot>>,
    /// By plugin and generation: two of one plugin while one version takes over from another.
    pub(super) live: HashMap<(Key, u64), Live>,
    /// Swaps that were accepted and are not done.
    pub(super) swaps: HashMap<Key, Swap>,
    /// What a version that is to come back was started from.
    pub(super) pins: HashMap<Key, Pin>,
    /// The generation behind each of the keeper's keys.
    pub(super) orders: HashMap<u64, (Key, u64)>,
    pub(super) next_order: u64,
    pub(super) waiters: Waiters,
    /// Plugins at whose route calls wait, by the earliest deadline.
    pub(super) holds: BTreeSet<(Time, Key)>,
    pub(super) persist: Persist,
    pub(super) suspended: Duration,
    /// `shutdown` was asked for; the loop ends once all is down.
    pub(super) ending: bool,
    /// The keeper died too often.
    pub(super) gave_up: bool,
    /// Plugins whose manifests are gone: forgotten once they are down.
    pub(super) leaving: BTreeSet<Key>,
    pub(super) in_force: InForce,
    /// Links of generations that are over, whose last words are still read.
    pub(super) fading: Vec<Weak<Link>>,
    /// Everything is to be handed over.
    pub(super) freezing: Option<Freeze>,
    /// Events that came up while orders were being carried out, and whether they are.
    pub(super) answers: VecDeque<(Key, u64, Event)>,
    pub(super) stepping: bool,
}

/// A generation that has a process, or is getting one.
pub(super) struct Live {
    pub(super) order: u64,
    pub(super) link: Arc<Link>,
    pub(super) pidfd: Option<Arc<Pidfd>>,
    pub(super) execed: bool,
    /// The leader's end is known to the core.
    pub(super) died: bool,
    pub(super) program: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) identity: Option<FileIdentity>,
}

impl Dispatcher {
    /// Runs it. Nobody else knows what is wanted of whom, so a panic in it ends the supervisor.
    pub(super) fn start(self) {
        let supervisor = Supervisor { shared: self.shared.clone() };
        let running = caught(self.run());
        tokio::spawn(async move {
            if let Err(message) = running.await {
                supervisor.panicked("the dispatcher", message);
            }
        });
    }

    /// Runs until a shutdown has ended, or the keeper died too often.
    async fn run(mut self) {
        let mut words = VecDeque::new();
        loop {
            if !self.leaving.is_empty() {
                self.let_leave();
            }
            if self.ending && self.fleet.is_down() || self.gave_up {
                break;
            }
            if let Some(freeze) = self.freezing.take() {
                match self.freeze(freeze) {
                    Some(going_on) => self = going_on,
                    None => return,
                }
            }
            let wake = self.next_wake();
            // Before anything else: whoever talks without a pause must not hold up another's deadline.
            if wake.is_some_and(|at| at <= self.clock.now()) {
                self.due();
                continue;
            }
            let alarm = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            let hear = async {
                match &mut self.keeper {
                    Some(keeper) => keeper.hear(&mut words).await,
                    None => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                biased;
                () = hear => None,
                happening = self.inbox.recv() => happening,
                () = alarm => None,
            };
            if wake.is_some_and(|at| at <= self.clock.now()) {
                self.notice_stall();
            }
            if let Some(happening) = heard {
                self.happened(happening);
            }
            while let Some(word) = words.pop_front() {
                match word {
                    Word::Report(report) => self.reported(report),
                    Word::Dead => {
                        words.clear();
                        self.keeper_died().await;
                    }
                }
            }
        }
        self.end().await;
    }

    fn next_wake(&self) -> Option<Time> {
        let hold = self.holds.first().map(|(at, _)| *at);
        let keeper = self.keeper.as_ref().map(KeeperLine::next_tick);
        let persist = self.persist.due();
        [self.fleet.next_deadline(), hold, keeper, persist].into_iter().flatten().min()
    }

    /// Deadlines have passed.
    fn due(&mut self) {
        let now = self.clock.now();
        self.notice_suspend(now);
        if let Some(keeper) = &mut self.keeper {
            keeper.tick(now);
        }
        self.persist.tick(now);
        while let Some((at, key)) = self.holds.first().copied()
            && at <= now
        {
            self.holds.remove(&(at, key));
            if let Some(slot) = self.slots.get(&key) {
                slot.expire_held();
                let next = slot.router().next_deadline();
                self.holds.extend(next.map(|at| (at, key)));
            }
        }
        self.notice_stall();
        for (key, generation, starting) in self.fleet.due(now) {
            let look = self.look(key, generation, starting);
            // Looking reads the pipe: what came in may have answered the question.
            self.fetch_told();
            self.step(key, generation, Event::Deadline(look));
        }
    }

    /// Whether this side stood still is asked before anything is passed on that came in meanwhile.
    fn notice_stall(&mut self) {
        let effects = self.fleet.fleet_due(self.clock.now());
        self.carry_out(effects);
    }

    fn look(&self, key: Key, generation: u64, starting: bool) -> Look {
        self.live
            .get(&(key, generation))
            .map_or_else(Look::default, |live| live.link.look(starting))
    }

    /// What links told while the dispatcher was at work comes before a deadline is judged.
    pub(super) fn fetch_told(&mut self) {
        for _ in 0..256 {
            match self.inbox.try_recv() {
                Ok(happening) => self.happened(happening),
                Err(_) => return,
            }
        }
    }

    fn notice_suspend(&mut self, now: Time) {
        let suspended = self.clock.suspended_so_far();
        let by = suspended.saturating_sub(self.suspended);
        if by > Duration::from_secs(1) {
            self.suspended = suspended;
            let effects = self.fleet.suspended(now, by);
            self.carry_out(effects);
        }
    }

    pub(super) fn happened(&mut self, happening: Happening) {
        failpoint::reach("dispatcher", None);
        match happening {
            Happening::Plugin { key, generation, event } => self.step(key, generation, event),
            Happening::News { key, generation } => self.news(key, generation),
            Happening::Ended { key, generation } => self.ended(key, generation),
            Happening::Overdue { key, generation, last } => self.overdue(key, generation, last),
            Happening::PipeClosed { key, generation, what } => {
                let lives = self.live.get(&(key, generation)).is_some_and(|live| !live.died);
                if lives {
                    let message =
                        format!("it closed its {} and lives on", what.trim_end_matches("-closed"));
                    self.step(key, generation, Event::LinkBroken(Detail { detail: what, message }));
                }
            }
            Happening::Reconfigured { key, generation, applied } => {
                self.reconfigured(key, generation, applied);
            }
            Happening::SinkTrouble(message) => {
                self.shared.recorder.supervisor("log.trouble", json!({"message": message}));
            }
            Happening::Command(command) => self.command(command),
        }
    }

    fn news(&mut self, key: Key, generation: u64) {
        let Some(live) = self.live.get(&(key, generation)) else { return };
        let (said, progressed) = (live.link.take_said(), live.link.take_progress());
        if progressed {
            self.step(key, generation, Event::StartProgress);
        }
        if let Some(report) = said {
            self.step(key, generation, Event::Said(report));
        }
    }

    /// One event for one plugin, and what follows from it.
    ///
    /// An order may be answered while it is carried out (a start that is refused at once). The answer waits until all
    /// orders before it are carried out: they are handled in order, and a fleet of refusals needs no deep stack.
    pub(super) fn step(&mut self, key: Key, generation: u64, mut event: Event) {
        // What the core keeps of a failure is shown in many places.
        if let (Some(words), Some(slot)) = (redact::words_of(&mut event), self.slots.get(&key)) {
            *words = slot.log.mask(std::mem::take(words));
        }
        self.answers.push_back((key, generation, event));
        self.carry_out(Effects::new());
    }

    /// The generation that serves, or is to.
    pub(super) fn serving(&self, key: Key) -> Option<&Live> {
        self.live.get(&(key, self.fleet.generation(key)))
    }

    /// There is a process of it, or is about to be.
    pub(super) fn runs(&self, key: Key) -> bool {
        self.live.keys().any(|(owner, _)| *owner == key)
    }

    /// Makes the state of one plugin known, and wakes who waited for it.
    pub(super) fn publish(&mut self, key: Key) {
        let Some(slot) = self.slots.get(&key) else { return };
        let snapshot = self.fleet.snapshot(key);
        self.waiters.look(key, &snapshot, self.clock.now());
        slot.publish(snapshot);
    }

    /// Everything the core ordered, in order, and then what was answered to it.
    pub(super) fn carry_out(&mut self, effects: Effects) {
        let outermost = !std::mem::replace(&mut self.stepping, true);
        self.act_all(effects);
        if !outermost {
            return;
        }
        while let Some((key, generation, event)) = self.answers.pop_front() {
            let effects = self.fleet.step(self.clock.now(), key, generation, event);
            self.publish(key);
            self.act_all(effects);
        }
        self.stepping = false;
    }

    /// What is seen of a plugin is published before its orders are carried out: carrying out changes no state.
    fn act_all(&mut self, effects: Effects) {
        let mut published = None;
        for (key, generation, effect) in effects {
            if published.replace(key) != Some(key) {
                self.publish(key);
            }
            self.act(key, generation, effect);
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Register { manifests, refused, done } => {
                self.register(manifests, refused);
                done.send(()).unwrap_or_default();
            }
            Command::StartEnabled => {
                let effects = self.fleet.start_enabled(now);
                self.carry_out(effects);
                self.publish_all();
            }
            Command::Change { change, keys, by, done } => {
                let (keys, busy) = self.without_trials(change, keys);
                self.waiters.add(&self.fleet, change, keys.clone(), busy, done, now);
                for key in keys {
                    if !matches!(change, Change::Stop { .. }) {
                        // By hand the file on the disk is what runs.
                        self.unpin(key);
                    }
                    self.asked(key, change, by);
                    let event = match change {
                        Change::Start => Event::Start,
                        Change::Stop { now } => {
                            Event::Stop { now, reason: outboard_core::StopReason::Stop }
                        }
                        Change::Restart { now } => Event::Restart { now },
                    };
                    if let Some(slot) = self.slots.get(&key) {
                        slot.told().held_since =
                            matches!(change, Change::Stop { .. }).then_some(now);
                    }
                    self.step(key, 0, event);
                }
            }
            Command::Shutdown { now: at_once, by, done } => {
                if !std::mem::replace(&mut self.ending, true) {
                    let fields = json!({"now": at_once, "by": by.to_json()});
                    self.shared.recorder.supervisor("supervisor.stopping", fields);
                }
                let keys: Vec<Key> = self.fleet.keys().collect();
                let stop = Change::Stop { now: at_once };
                self.waiters.add(&self.fleet, stop, keys, Vec::new(), done, now);
                let effects = self.fleet.shutdown(now, at_once);
                self.carry_out(effects);
                self.publish_all();
            }
            Command::Reload { reading, request, done } => {
                // Whoever asked may have gone: what was done stays done.
                drop(done.send(self.reload(*reading, &request)));
            }
            Command::Swap { key, order, done } => self.swap(key, *order, done),
            Command::TakeIn { done } => done.send(()).unwrap_or_default(),
            Command::Unload { key, done } => {
                if self.fleet.remove(key) {
                    self.forget(key);
                }
                done.send(()).unwrap_or_default();
            }
            Command::Freeze(freeze) => self.freezing = Some(freeze),
            Command::Called { key, wake } => {
                self.holds.extend(wake.map(|at| (at, key)));
                self.step(key, 0, Event::Called);
            }
        }
    }

    /// Who wants what, before it is done.
    fn asked(&self, key: Key, change: Change, by: By) {
        let Some(slot) = self.slots.get(&key) else { return };
        let (what, at_once) = match change {
            Change::Start => ("start", false),
            Change::Stop { now } => ("stop", now),
            Change::Restart { now } => ("restart", now),
        };
        let fields = json!({"what": what, "now": at_once, "by": by.to_json()});
        self.shared.recorder.plugin(slot, self.fleet.generation(key), "plugin.asked", fields);
    }

    pub(super) fn publish_all(&mut self) {
        for key in self.fleet.keys().collect::<Vec<_>>() {
            self.publish(key);
        }
    }

    /// The last steps: whoever waits is told, and what is kept is written.
    async fn end(mut self) {
        self.publish_all();
        for live in self.live.values() {
            live.link.retire();
        }
        self.waiters.give_up(self.clock.now());
        self.persist.write_now();
        super::pin::forget_all(&self.shared.state_dir);
        let end = if self.gave_up { End::KeeperLost } else { End::Stopped };
        self.shared.finish(end).await;
    }
}
