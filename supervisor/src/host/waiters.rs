//! Who waits for the outcome of a change, and what counts as one.

use std::collections::HashMap;

use outboard_core::{Fleet, Key, PluginId, Snapshot, StateName, Time};
use tokio::sync::oneshot;

use super::command::Change;
use super::view::{Ended, Outcome};

/// Changes whose outcomes are waited for.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: Vec<Waiter>,
}

struct Waiter {
    change: Change,
    began: Time,
    open: HashMap<Key, Open>,
    outcomes: Vec<Outcome>,
    done: Option<oneshot::Sender<Vec<Outcome>>>,
}

struct Open {
    id: PluginId,
    /// As it was when the change was asked for.
    generation: u64,
    was: StateName,
}

impl Waiters {
    /// Waits for `change` on `keys`; what is decided already comes in `outcomes`. Must be called before the change itself.
    pub(super) fn add(
        &mut self,
        fleet: &Fleet,
        change: Change,
        keys: Vec<Key>,
        outcomes: Vec<Outcome>,
        done: oneshot::Sender<Vec<Outcome>>,
        now: Time,
    ) {
        let mut open = HashMap::new();
        for key in keys {
            let seen = fleet.snapshot(key);
            open.insert(key, Open { id: seen.id, generation: seen.generation, was: seen.state });
        }
        let mut waiter = Waiter { change, began: now, open, outcomes, done: Some(done) };
        waiter.finish_if_done();
        self.waiting.push(waiter);
    }

    /// One plugin's state may have changed.
    pub(super) fn look(&mut self, key: Key, seen: &Snapshot, now: Time) {
        for waiter in &mut self.waiting {
            let Some(open) = waiter.open.get(&key) else { continue };
            if let Some(end) = ended(waiter.change, open, seen) {
                let id = open.id.clone();
                waiter.open.remove(&key);
                waiter.outcomes.push(Outcome { plugin: id, took: now.since(waiter.began), end });
                waiter.finish_if_done();
            }
        }
        self.waiting.retain(|waiter| waiter.done.is_some());
    }

    /// The supervisor ends: whoever still waits is told what is known.
    pub(super) fn give_up(&mut self, now: Time) {
        for waiter in &mut self.waiting {
            for (_, open) in waiter.open.drain() {
                let took = now.since(waiter.began);
                waiter.outcomes.push(Outcome { plugin: open.id, took, end: Ended::Overtaken });
            }
            waiter.finish_if_done();
        }
        self.waiting.clear();
    }
}

impl Waiter {
    fn finish_if_done(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        let mut outcomes = std::mem::take(&mut self.outcomes);
        outcomes.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        // Whoever asked may have gone: the change stands all the same.
        if let Some(done) = self.done.take() {
            done.send(outcomes).unwrap_or_default();
        }
    }
}

/// What has become of one plugin, once it has.
fn ended(change: Change, open: &Open, seen: &Snapshot) -> Option<Ended> {
    match change {
        Change::Stop { .. } => stopped(open, seen),
        Change::Start => started(open, seen, open.generation),
        // After a restart only a new generation counts.
        Change::Restart { .. } if seen.generation == open.generation && live(open.was) => {
            (!seen.wanted_up).then_some(Ended::Overtaken)
        }
        Change::Restart { .. } => started(open, seen, open.generation),
    }
}

fn live(state: StateName) -> bool {
    match state {
        StateName::Starting
        | StateName::Loaded
        | StateName::Active
        | StateName::Degraded
        | StateName::Stopping
        | StateName::Unkillable => true,
        StateName::Registered | StateName::Backoff | StateName::Failed => false,
    }
}

fn stopped(open: &Open, seen: &Snapshot) -> Option<Ended> {
    if seen.wanted_up {
        return Some(Ended::Overtaken);
    }
    match seen.state {
        StateName::Registered | StateName::Failed if live(open.was) => {
            Some(Ended::Stopped(seen.last_stop.clone()))
        }
        StateName::Registered if open.was == StateName::Registered => Some(Ended::Unchanged),
        StateName::Registered | StateName::Failed => Some(Ended::Stopped(None)),
        StateName::Unkillable => Some(Ended::Unkillable { pid: seen.pid }),
        StateName::Starting
        | StateName::Loaded
        | StateName::Active
        | StateName::Degraded
        | StateName::Stopping
        | StateName::Backoff => None,
    }
}

fn started(open: &Open, seen: &Snapshot, before: u64) -> Option<Ended> {
    match seen.state {
        StateName::Active | StateName::Degraded => {
            let unchanged =
                seen.generation == before && live(open.was) && open.was != StateName::Starting;
            Some(if unchanged { Ended::Unchanged } else { Ended::Active })
        }
        StateName::Failed | StateName::Backoff if seen.generation != before || !live(open.was) => {
            seen.last_failure.clone().map(Ended::Failed)
        }
        StateName::Registered if !seen.waiting_for.is_empty() => {
            Some(Ended::Waiting(seen.waiting_for.clone()))
        }
        StateName::Registered if seen.finished => Some(Ended::Resting),
        StateName::Registered if !seen.wanted_up => Some(Ended::Overtaken),
        StateName::Unkillable => Some(Ended::Unkillable { pid: seen.pid }),
        StateName::Registered
        | StateName::Starting
        | StateName::Loaded
        | StateName::Stopping
        | StateName::Backoff
        | StateName::Failed => None,
    }
}
