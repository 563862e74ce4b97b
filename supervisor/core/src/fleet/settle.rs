//! What one plugin's step means for the others: order of start, turns, deadlines.

use std::collections::VecDeque;

use crate::event::{Effect, Event, Note};
use crate::fleet::turns::Next;
use crate::fleet::{Effects, Fleet, Key, Slot};
use crate::ladder::From;
use crate::lifecycle::{Registered, Starting, State, Stopping};
use crate::owner::Plugin;
use crate::plugin::{Common, Cx, Wanted};
use crate::policy::PluginId;
use crate::snapshot::StateName;
use crate::time::Time;

/// One call into the fleet, on its way to its effects.
pub(crate) struct Work {
    pub(crate) now: Time,
    effects: Effects,
    /// Each plugin that was touched, with the state it had before.
    touched: Vec<(Key, StateName)>,
    /// Plugins whose dependencies have changed.
    recheck: VecDeque<Key>,
    /// Resting lazily, and needed by one that waits.
    called: Vec<Key>,
}

impl Work {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            now,
            effects: Effects::new(),
            touched: Vec::new(),
            recheck: VecDeque::new(),
            called: Vec::new(),
        }
    }

    pub(crate) fn recheck(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.recheck.extend(keys);
    }
}

impl Fleet {
    /// Lets one plugin change, and notes what that means for the fleet.
    pub(crate) fn apply(
        &mut self,
        work: &mut Work,
        key: Key,
        change: impl FnOnce(&mut Plugin, &mut Cx<'_>),
    ) {
        let squeeze = self.shutdown.as_ref().map(|shutdown| shutdown.squeeze);
        let Some(Slot::Live(plugin)) = self.slots.get_mut(key.index()) else {
            return;
        };
        let before = plugin.standing();
        let first_touch = self.touched[key.index()] != self.calls;
        self.touched[key.index()] = self.calls;
        if first_touch {
            work.touched.push((key, plugin.state.name()));
        }
        let mut cx = Cx::of(plugin, work.now, key, &mut self.rng, &mut work.effects, squeeze);
        change(plugin, &mut cx);
        plugin.advance(&mut cx);
        while self.is_unadmitted(key) {
            let on = self.blockers(key);
            self.admit(work, key, on);
            self.advance(work, key);
        }
        let Some(Slot::Live(plugin)) = self.slots.get_mut(key.index()) else {
            return;
        };
        if let Some(queued) = plugin.queued_beside() {
            queued.ticket = Some(self.turns.join(key, false));
        }
        let mut cx = Cx::of(plugin, work.now, key, &mut self.rng, &mut work.effects, squeeze);
        plugin.sync_route(&mut cx);
        let generations =
            [plugin.common.generation, plugin.beside().map_or(0, |l| l.common.generation)];
        plugin.highest = generations.into_iter().fold(plugin.highest, u64::max);
        let after = plugin.standing();
        self.turns.recount(before.turns, after.turns);
        for ticket in before.tickets.into_iter().flatten() {
            if !after.tickets.contains(&Some(ticket)) {
                self.turns.leave(ticket);
            }
        }
        if (before.serving, before.settled) != (after.serving, after.settled) {
            let dependents = self.dependents.get(&plugin.common.id);
            work.recheck.extend(dependents.into_iter().flatten().copied());
        }
        if !before.over
            && after.over
            && let Some(shutdown) = &mut self.shutdown
        {
            shutdown.one_is_over(key);
        }
    }

    /// A plugin that wants to start joins the queue, or waits for what is in its way.
    fn admit(&mut self, work: &mut Work, key: Key, on: Vec<PluginId>) {
        let called = self.resting_lazily(key, &on);
        work.called.extend(called);
        let squeeze = self.shutdown.as_ref().map(|shutdown| shutdown.squeeze);
        let Some(Slot::Live(plugin)) = self.slots.get_mut(key.index()) else {
            return;
        };
        let State::Starting(Starting::Queued(queued)) = &mut plugin.state else {
            return;
        };
        if on.is_empty() {
            queued.ticket = Some(self.turns.join(key, queued.restart));
            return;
        }
        let mut cx = Cx::of(plugin, work.now, key, &mut self.rng, &mut work.effects, squeeze);
        plugin.transform(&mut cx, |_, common, cx| Registered::wait(on, None, common, cx));
    }

    /// It wants to start and has not asked for its turn.
    fn is_unadmitted(&self, key: Key) -> bool {
        self.plugin(key).is_some_and(|plugin| match &plugin.state {
            State::Starting(Starting::Queued(queued)) => queued.ticket.is_none(),
            State::Starting(Starting::Launched { .. })
            | State::Registered(_)
            | State::Loaded(_)
            | State::Running(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_) => false,
        })
    }

    fn advance(&mut self, work: &mut Work, key: Key) {
        let squeeze = self.shutdown.as_ref().map(|shutdown| shutdown.squeeze);
        if let Some(Slot::Live(plugin)) = self.slots.get_mut(key.index()) {
            let mut cx = Cx::of(plugin, work.now, key, &mut self.rng, &mut work.effects, squeeze);
            plugin.advance(&mut cx);
        }
    }

    /// Works through everything that follows from what was applied, and hands out the effects.
    pub(crate) fn settle(&mut self, mut work: Work) -> Effects {
        work.recheck(self.orphans.drain(..));
        loop {
            if let Some(key) = work.recheck.pop_front() {
                self.recheck(&mut work, key);
            } else if let Some(key) = work.called.pop() {
                self.apply(&mut work, key, |plugin, cx| plugin.step(Event::Called, cx));
            } else {
                match self.turns.next(work.now) {
                    Next::Start(key, ticket) => {
                        self.apply(&mut work, key, |plugin, cx| plugin.launch(ticket, cx));
                    }
                    Next::StormBegan(key) => {
                        self.apply(&mut work, key, |_, cx| cx.note(Note::StormBegan))
                    }
                    Next::Nobody => break,
                }
            }
        }
        self.advance_shutdown(&mut work);
        self.conclude(work)
    }

    /// Says what has changed its name, and files the deadlines.
    fn conclude(&mut self, mut work: Work) -> Effects {
        for (key, from) in std::mem::take(&mut work.touched) {
            let Some(Slot::Live(plugin)) = self.slots.get_mut(key.index()) else {
                continue;
            };
            let to = plugin.state.name();
            if from != to {
                plugin.since = work.now;
                let Common { generation, reason, .. } = &plugin.common;
                let (generation, reason) = (*generation, reason.clone().into_owned());
                let note = Note::StateChanged { from, to, generation, reason };
                work.effects.push((key, generation, Effect::Note(note)));
            }
            self.deadlines.file(key, plugin.timer().map(|timer| timer.due()));
        }
        self.calls += 1;
        in_order(work.effects)
    }

    /// What a plugin depends on has changed.
    fn recheck(&mut self, work: &mut Work, key: Key) {
        let Some(plugin) = self.plugin(key) else {
            return;
        };
        match &plugin.state {
            State::Registered(Registered::Waiting { .. }) => {
                let on = self.blockers(key);
                if on.is_empty() {
                    self.apply(work, key, |plugin, cx| {
                        plugin.common.reason = "what it waited for is there".into();
                        plugin.transform(cx, |_, common, cx| common.begin(false, cx));
                    });
                } else {
                    let called = self.resting_lazily(key, &on);
                    work.called.extend(called);
                    self.apply(work, key, |plugin, cx| plugin.wait(on, cx));
                }
            }
            State::Starting(Starting::Queued(_)) => {
                let on = self.blockers(key);
                if !on.is_empty() {
                    self.apply(work, key, |plugin, cx| plugin.wait(on, cx));
                }
            }
            State::Starting(Starting::Launched { .. }) | State::Loaded(_) | State::Running(_) => {
                if self.shutdown.is_none() && !self.lost(key).is_empty() {
                    self.apply(work, key, Plugin::dependency_lost);
                }
            }
            State::Registered(Registered::Resting | Registered::Finished)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_) => {}
        }
    }

    /// What is in the way of a start: `after` without a verdict, `requires` that does not serve.
    ///
    /// What is not registered has no verdict to wait for, and can serve nobody.
    fn blockers(&self, key: Key) -> Vec<PluginId> {
        let Some(plugin) = self.plugin(key) else {
            return Vec::new();
        };
        let unsettled = |id: &&PluginId| {
            self.by_id(id)
                .and_then(|key| self.plugin(key))
                .is_some_and(|other| !other.standing().settled)
        };
        let mut on: Vec<PluginId> =
            plugin.common.policy.after.iter().filter(unsettled).cloned().collect();
        for id in self.lost(key) {
            if !on.contains(&id) {
                on.push(id);
            }
        }
        on
    }

    /// What it requires and does not have.
    fn lost(&self, key: Key) -> Vec<PluginId> {
        let Some(plugin) = self.plugin(key) else {
            return Vec::new();
        };
        plugin.common.policy.requires.iter().filter(|id| !self.serves(id)).cloned().collect()
    }

    /// The plugin of this name is there, and what requires it may run.
    pub(crate) fn serves(&self, id: &PluginId) -> bool {
        let other = self.by_id(id).and_then(|key| self.plugin(key));
        other.is_some_and(|other| other.standing().serving)
    }

    /// A plugin that waits for a lazy one that it requires is that one's first caller.
    fn resting_lazily(&self, key: Key, on: &[PluginId]) -> Vec<Key> {
        let Some(plugin) = self.plugin(key) else {
            return Vec::new();
        };
        let lazy = |key: &Key| {
            self.plugin(*key).is_some_and(|other| other.common.wanted == Wanted::OnCall)
        };
        let required = on.iter().filter(|id| plugin.common.policy.requires.contains(id));
        required.filter_map(|id| self.by_id(id)).filter(lazy).collect()
    }
}

/// What is only told comes before what may be answered at once: a host that steps again while it carries an order
/// out must not find older routes behind newer ones.
fn in_order(effects: Effects) -> Effects {
    let (mut told, orders): (Effects, Effects) =
        effects.into_iter().partition(|(_, _, effect)| match effect {
            Effect::Route(_)
            | Effect::Settle(_)
            | Effect::Retire { .. }
            | Effect::Adopt
            | Effect::Discard
            | Effect::Note(_) => true,
            Effect::Spawn { .. }
            | Effect::Probe { .. }
            | Effect::Rung { .. }
            | Effect::LookAtFile => false,
        });
    told.extend(orders);
    told
}

impl Plugin {
    fn wait(&mut self, on: Vec<PluginId>, cx: &mut Cx<'_>) {
        self.transform(cx, |state, common, cx| {
            let before = match &state {
                State::Registered(registered) => Some(registered),
                State::Starting(_)
                | State::Loaded(_)
                | State::Running(_)
                | State::Stopping(_)
                | State::Backoff(_)
                | State::Failed(_)
                | State::Unkillable(_) => None,
            };
            Registered::wait(on, before, common, cx)
        });
    }

    /// What it requires does not serve any more: down, and up again with it.
    fn dependency_lost(&mut self, cx: &mut Cx<'_>) {
        self.transform(cx, |state, common, cx| match state {
            State::Starting(Starting::Launched { run, .. }) => {
                Stopping::for_dependency(run, From::Kill, common, cx)
            }
            State::Loaded(loaded) => Stopping::for_dependency(loaded.run, From::Drain, common, cx),
            State::Running(running) => {
                Stopping::for_dependency(running.run, From::Drain, common, cx)
            }
            State::Starting(Starting::Queued(_))
            | State::Registered(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_) => state,
        });
    }
}
