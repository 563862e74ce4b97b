//! Every plugin and what holds them together: order, turns, the storm guard, stalls, the stop of everything.

mod configure;
mod deadlines;
mod settle;
mod shutdown;
mod stall;
mod swap;
mod turns;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub(crate) use settle::Work;
pub use swap::{NoSwap, Swapping};

use crate::event::{Effect, Event};
use crate::fleet::deadlines::Deadlines;
use crate::fleet::shutdown::Shutdown;
use crate::fleet::turns::Turns;
use crate::lifecycle::State;
use crate::owner::Plugin;
use crate::plugin::Wanted;
use crate::policy::{FleetPolicy, PluginId, Policy};
use crate::rng::Rng;
use crate::snapshot::{HealthName, Snapshot, StateName};
use crate::time::Time;

/// What the host has to do now, in this order, each for one generation of one plugin.
pub type Effects = Vec<(Key, u64, Effect)>;

/// A plugin of one [`Fleet`]; the same id always gets the same key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Key(u32);

impl Key {
    pub(crate) const LAST: Self = Self(u32::MAX);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Owns every plugin and decides everything about them. Reads no clock and does no I/O.
///
/// Calls come in the order of time: `now` never goes back. Each call's cost depends on the plugins it concerns
/// and their dependents, not on how many there are; only stalls, suspends, the keeper's death and the shutdown
/// look at all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fleet {
    policy: FleetPolicy,
    rng: Rng,
    slots: Vec<Slot>,
    /// Removed ones too: an id that comes back gets its key back.
    by_id: HashMap<PluginId, Key>,
    /// Who names this one in `after` or `requires`, whether it is registered or not.
    dependents: HashMap<PluginId, Vec<Key>>,
    /// Dependents of plugins that were removed, to be looked at with the next call.
    orphans: Vec<Key>,
    deadlines: Deadlines,
    turns: Turns,
    shutdown: Option<Shutdown>,
    /// Until when a stall has been told: what was due before that belongs to the same one.
    stall_told: Time,
    /// Counts calls, and for each plugin the call that touched it last.
    calls: u64,
    touched: Vec<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Slot {
    Live(Box<Plugin>),
    /// Its key waits for the id to come back.
    Removed {
        id: PluginId,
        generation: u64,
    },
}

impl Fleet {
    /// An empty fleet. All randomness (jitter) follows from `seed`.
    #[must_use]
    pub fn new(policy: FleetPolicy, seed: u64) -> Self {
        Self {
            turns: Turns::new(&policy),
            policy,
            rng: Rng::new(seed),
            slots: Vec::new(),
            by_id: HashMap::new(),
            dependents: HashMap::new(),
            orphans: Vec::new(),
            deadlines: Deadlines::default(),
            shutdown: None,
            stall_told: Time::ZERO,
            calls: 1,
            touched: Vec::new(),
        }
    }

    /// Adds a plugin, `registered` and wanted down; its calls are refused (`Down`) until a route says otherwise.
    ///
    /// Its generations go on from `last_generation`. An id that is registered already keeps its key and its
    /// policy: changes go through [`reconfigure`](Self::reconfigure).
    pub fn register(
        &mut self,
        now: Time,
        id: PluginId,
        policy: Policy,
        last_generation: u64,
    ) -> Key {
        let known = self.by_id.get(&id).copied();
        if let Some(key) = known
            && self.plugin(key).is_some()
        {
            return key;
        }
        let key = known.unwrap_or_else(|| {
            Key(u32::try_from(self.slots.len())
                .expect("fewer plugins than processes a machine can have"))
        });
        let generation = match self.slots.get(key.index()) {
            Some(Slot::Removed { generation, .. }) => last_generation.max(*generation),
            Some(Slot::Live(_)) | None => last_generation,
        };
        self.depend(key, &policy);
        let slot = Slot::Live(Box::new(Plugin::new(id.clone(), policy, generation, now)));
        if known.is_some() {
            self.slots[key.index()] = slot;
        } else {
            self.slots.push(slot);
            self.touched.push(0);
            self.by_id.insert(id, key);
        }
        key
    }

    /// Forgets a plugin. Only when nothing of it runs; else false, and nothing changes.
    ///
    /// Who waits for its verdict (`after`) is let go with the next call into the fleet: stop it before.
    pub fn remove(&mut self, key: Key) -> bool {
        let Some(plugin) = self.plugin(key).filter(|plugin| plugin.is_at_rest()) else {
            return false;
        };
        let (id, generation) = (plugin.common.id.clone(), plugin.highest);
        let policy = plugin.common.policy.clone();
        if let Some(ticket) = plugin.state.ticket() {
            self.turns.leave(ticket);
        }
        self.forget_dependencies(key, &policy);
        self.deadlines.file(key, None);
        self.orphans.extend(self.dependents.get(&id).into_iter().flatten());
        self.slots[key.index()] = Slot::Removed { id, generation };
        true
    }

    /// Something happened to one plugin.
    ///
    /// What belongs to a process counts only with its generation, the serving one or the one beside it; commands,
    /// deadlines and answers to orders may come with generation 0.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn step(&mut self, now: Time, key: Key, generation: u64, mut event: Event) -> Effects {
        let mut work = Work::new(now);
        let Some(plugin) = self.plugin(key) else {
            return Effects::new();
        };
        let current = plugin.common.generation;
        let beside = self.is_beside(key, generation);
        let known = beside || generation == current;
        if !known && (generation != 0 || event.belongs_to_a_generation()) {
            return Effects::new();
        }
        if self.shutdown.is_some() && starts_something(&event) {
            return Effects::new();
        }
        if let Event::Deadline(look) = &mut event
            && look.idle_since.is_some()
            && (self.is_required(key) || self.is_swapping(key))
        {
            look.idle_since = None;
        }
        if beside {
            self.apply(&mut work, key, |plugin, cx| plugin.step_beside(event, cx));
            return self.settle(work);
        }
        self.apply(&mut work, key, |plugin, cx| plugin.step(event, cx));
        self.settle(work)
    }

    /// Somebody who is up, or wants to be, requires it: it is in use, though nobody calls it.
    fn is_required(&self, key: Key) -> bool {
        let id = self.id(key);
        let dependents = self.dependents.get(id).into_iter().flatten();
        dependents.filter_map(|&dependent| self.plugin(dependent)).any(|plugin| {
            plugin.common.wanted == Wanted::Up && plugin.common.policy.requires.contains(id)
        })
    }

    /// The keeper died, and with it everything it had started. Nothing is charged, and nothing is spawned until
    /// [`keeper_back`](Self::keeper_back).
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn keeper_lost(&mut self, now: Time) -> Effects {
        let mut work = Work::new(now);
        self.turns.set_open(false);
        for key in self.keys().collect::<Vec<_>>() {
            if self.plugin(key).is_some_and(|plugin| !plugin.is_at_rest()) {
                self.apply(&mut work, key, |plugin, cx| plugin.step(Event::KeeperLost, cx));
            }
        }
        self.settle(work)
    }

    /// There is a keeper again: what is wanted up starts.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn keeper_back(&mut self, now: Time) -> Effects {
        self.turns.set_open(self.shutdown.is_none());
        self.settle(Work::new(now))
    }

    /// When the host has to look again. Cheap.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next().into_iter().chain(self.turns.held_until()).min()
    }

    /// What is due to no plugin: the storm guard's next turn, and whether this host stalled. Call it whenever a deadline
    /// has passed, before anything is passed on that was heard meanwhile: what answers a timer hides how late it is.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn fleet_due(&mut self, now: Time) -> Effects {
        let mut work = Work::new(now);
        for key in self.deadlines.due(now).collect::<Vec<_>>() {
            self.notice_stall(&mut work, key);
        }
        self.settle(work)
    }

    /// Which generation's deadline has passed, the longest overdue first, and whether its `Look` wants `activity`. For
    /// each, read its pipe until it would block, make a [`Look`](crate::Look), and step with [`Event::Deadline`].
    #[must_use]
    pub fn due(&self, now: Time) -> Vec<(Key, u64, bool)> {
        let of = |key: Key| self.plugin(key).into_iter().flat_map(move |plugin| plugin.due(now));
        let due = self.deadlines.due(now);
        due.flat_map(|key| of(key).map(move |(generation, wants)| (key, generation, wants)))
            .collect()
    }

    /// A plugin as `status` shows it. One that was removed shows as `registered`, wanted down.
    ///
    /// # Panics
    ///
    /// With a key of another fleet.
    #[must_use]
    pub fn snapshot(&self, key: Key) -> Snapshot {
        match &self.slots[key.index()] {
            Slot::Live(plugin) => plugin.snapshot(),
            Slot::Removed { id, generation } => Snapshot {
                id: id.clone(),
                wanted_up: false,
                state: StateName::Registered,
                since: Time::ZERO,
                generation: *generation,
                pid: None,
                restarts: 0,
                health: HealthName::Unknown,
                health_message: None,
                last_life: None,
                phase: None,
                rung: None,
                next_try: None,
                waiting_for: Vec::new(),
                last_failure: None,
                last_stop: None,
                finished: false,
                start_took: None,
                half_open: false,
                next: None,
                swap: None,
            },
        }
    }

    /// Every plugin that is registered, in the order of registration.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| match slot {
            Slot::Live(_) => Some(Key(index)),
            Slot::Removed { .. } => None,
        })
    }

    /// # Panics
    ///
    /// With a key of another fleet.
    #[must_use]
    pub fn id(&self, key: Key) -> &PluginId {
        match &self.slots[key.index()] {
            Slot::Live(plugin) => &plugin.common.id,
            Slot::Removed { id, .. } => id,
        }
    }

    /// The key of a registered plugin.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<Key> {
        self.by_id.get(id).copied().filter(|&key| self.plugin(key).is_some())
    }

    /// The running generation, or the last one that ran; 0 before the first.
    ///
    /// # Panics
    ///
    /// With a key of another fleet.
    #[must_use]
    pub fn generation(&self, key: Key) -> u64 {
        match &self.slots[key.index()] {
            Slot::Live(plugin) => plugin.common.generation,
            Slot::Removed { generation, .. } => *generation,
        }
    }

    fn plugin(&self, key: Key) -> Option<&Plugin> {
        match self.slots.get(key.index()) {
            Some(Slot::Live(plugin)) => Some(plugin),
            Some(Slot::Removed { .. }) | None => None,
        }
    }

    /// One version takes over from another, or has just tried to: there may be two generations.
    #[must_use]
    pub fn is_swapping(&self, key: Key) -> bool {
        self.plugin(key).is_some_and(|plugin| plugin.swap.is_some())
    }

    /// Whether this is the generation beside the serving one.
    fn is_beside(&self, key: Key, generation: u64) -> bool {
        let beside = self.plugin(key).and_then(Plugin::beside);
        generation != 0 && beside.is_some_and(|life| life.common.generation == generation)
    }

    /// With all its data: two that are equal behave the same.
    pub(crate) fn state(&self, key: Key) -> Option<&State> {
        self.plugin(key).map(|plugin| &plugin.state)
    }

    #[cfg(test)]
    pub(crate) fn is_spent(&self, key: Key) -> bool {
        self.plugin(key).is_some_and(|plugin| plugin.common.restart.is_spent())
    }

    /// Something of it runs, and something can be done about it.
    fn is_alive(&self, key: Key) -> bool {
        self.plugin(key).is_some_and(|plugin| !plugin.standing().over)
    }

    /// The registered plugins that this one names in `after` or `requires`, each once.
    fn dependencies(&self, key: Key) -> Vec<Key> {
        let Some(plugin) = self.plugin(key) else {
            return Vec::new();
        };
        let policy = &plugin.common.policy;
        let mut keys: Vec<Key> =
            policy.after.iter().chain(&policy.requires).filter_map(|id| self.by_id(id)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn depend(&mut self, key: Key, policy: &Policy) {
        for id in policy.after.iter().chain(&policy.requires) {
            let dependents = self.dependents.entry(id.clone()).or_default();
            if !dependents.contains(&key) {
                dependents.push(key);
            }
        }
    }

    fn forget_dependencies(&mut self, key: Key, policy: &Policy) {
        for id in policy.after.iter().chain(&policy.requires) {
            if let Some(dependents) = self.dependents.get_mut(id) {
                dependents.retain(|&dependent| dependent != key);
            }
        }
    }
}

/// Commands that make no sense once everything stops.
fn starts_something(event: &Event) -> bool {
    matches!(event, Event::Start | Event::Restart { .. } | Event::Called | Event::FileLooked { .. })
}
