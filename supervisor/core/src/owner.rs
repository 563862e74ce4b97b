//! One plugin: the life that serves, or is to, and a second one while one version takes over from another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Route, StopReason, Unavailable};
use crate::lifecycle::{Queued, Registered, Starting, State};
use crate::plugin::{Common, Cx, Part, Run, Wanted};
use crate::policy::{PluginId, Policy};
use crate::snapshot::{Beside, Phase, Snapshot};
use crate::swap::Swap;
use crate::time::Time;
use crate::timer::Timer;

/// One plugin of the fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plugin {
    pub(crate) common: Common,
    pub(crate) state: State,
    /// Since when the state has had its name.
    pub(crate) since: Time,
    /// The highest generation so far, of either life.
    pub(crate) highest: u64,
    /// Another version takes over, or has just tried to.
    pub(crate) swap: Option<Box<Swap>>,
}

/// What others depend on, or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// `active` or `degraded`: what `requires` asks for.
    pub(crate) serving: bool,
    /// What `after` waits for has come.
    pub(crate) settled: bool,
    /// How many of the turns of `start_concurrency` it holds.
    pub(crate) turns: usize,
    /// Nothing of it runs, or nothing can be done about it.
    pub(crate) over: bool,
    /// Its places in the queue, of either life, where it stands there.
    pub(crate) tickets: [Option<u64>; 2],
}

impl Plugin {
    pub(crate) fn new(id: PluginId, policy: Policy, generation: u64, now: Time) -> Self {
        Self {
            common: Common::new(id, policy, generation),
            state: State::Registered(Registered::Resting),
            since: now,
            highest: generation,
            swap: None,
        }
    }

    /// Decides one event of the serving life, or one that concerns the whole plugin. Reads no clock, touches no
    /// descriptor, never awaits.
    pub(crate) fn step(&mut self, event: Event, cx: &mut Cx<'_>) {
        if matches!(event, Event::Restart { .. }) && self.is_trying() {
            // The host refuses it in words: what is on trial restarts nothing.
            return;
        }
        let whole = matches!(event, Event::Stop { .. } | Event::KeeperLost).then(|| event.clone());
        let word = crate::swap::Word::of(&event);
        self.transform(cx, |state, common, cx| state.step(common, event, cx));
        match whole {
            Some(Event::Stop { now, reason }) => self.abandon_swap(now, reason, cx),
            Some(event) => self.step_beside(event, cx),
            None => {}
        }
        self.try_in_place(word, cx);
    }

    /// Replaces the state by what `change` makes of it.
    pub(crate) fn transform(
        &mut self,
        cx: &mut Cx<'_>,
        change: impl FnOnce(State, &mut Common, &mut Cx<'_>) -> State,
    ) {
        let state = std::mem::replace(&mut self.state, State::Registered(Registered::Resting));
        self.state = change(state, &mut self.common, cx);
    }

    /// Sends calls where the state wants them.
    pub(crate) fn sync_route(&mut self, cx: &mut Cx<'_>) {
        let route = if cx.closing && self.state.is_down() {
            Route::Refuse(Unavailable::Stopping(StopReason::HostExit))
        } else if self.serves() || !matches!(self.state, State::Running(_)) {
            self.state.route(&self.common)
        } else {
            // Active, and not proven yet.
            Route::Hold(Unavailable::Starting)
        };
        self.common.set_route(route, cx);
    }

    fn serves(&self) -> bool {
        matches!(self.state, State::Running(_)) && self.common.part != Part::OnTrial
    }

    pub(crate) fn standing(&self) -> Standing {
        let over = |state: &State| state.is_down() || matches!(state, State::Unkillable(_));
        let unkillable = matches!(self.state, State::Unkillable(_));
        let beside = self.beside().map(|life| &life.state);
        Standing {
            serving: self.serves(),
            settled: self.common.verdict || self.common.wanted != Wanted::Up || unkillable,
            turns: usize::from(self.state.holds_turn())
                + usize::from(beside.is_some_and(State::holds_turn)),
            over: over(&self.state) && beside.is_none_or(over),
            tickets: [self.state.ticket(), beside.and_then(State::ticket)],
        }
    }

    /// Nothing of it runs, and no swap is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state.is_down() && self.swap.is_none()
    }

    /// The turn that came with this ticket is for one of its lives.
    pub(crate) fn launch(&mut self, ticket: u64, cx: &mut Cx<'_>) {
        if self.state.ticket() == Some(ticket) {
            self.transform(cx, |_, common, cx| Starting::launch(common, cx));
        } else {
            self.change_beside(cx, |_, common, cx| Starting::launch(common, cx));
        }
    }

    /// The life beside, when it has not asked for its turn.
    pub(crate) fn queued_beside(&mut self) -> Option<&mut Queued> {
        match self.beside_mut().map(|life| &mut life.state) {
            Some(State::Starting(Starting::Queued(queued))) if queued.ticket.is_none() => {
                Some(queued)
            }
            _ => None,
        }
    }

    /// The next deadline of this plugin, and how long the wait was meant to be.
    pub(crate) fn timer(&self) -> Option<Timer> {
        let timers = [
            self.state.timer(),
            self.canary().map(crate::swap::Canary::timer),
            self.beside().and_then(|life| life.state.timer()),
        ];
        timers.into_iter().flatten().min_by_key(Timer::due)
    }

    /// The generations whose deadline has passed, and whether the look at each wants `activity`.
    pub(crate) fn due(&self, now: Time) -> impl Iterator<Item = (u64, bool)> {
        let due = move |timer: Option<Timer>| timer.is_some_and(|timer| timer.is_due(now));
        let canary = self.canary().map(crate::swap::Canary::timer);
        let first_byte = |state: &State| state.phase() == Some(Phase::FirstByte);
        let beside = self.beside();
        let serving = due(self.state.timer()) || (beside.is_none() && due(canary));
        let other = beside.filter(|life| due(life.state.timer()) || due(canary));
        [
            serving.then(|| (self.common.generation, first_byte(&self.state))),
            other.map(|life| (life.common.generation, first_byte(&life.state))),
        ]
        .into_iter()
        .flatten()
    }

    /// What a stop of one of its generations that is under way may still take.
    pub(crate) fn stop_left(&self, now: Time) -> Duration {
        let left = |state: &State| match state {
            State::Stopping(stopping) => stopping.left(now),
            State::Registered(_)
            | State::Starting(_)
            | State::Loaded(_)
            | State::Running(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_) => Duration::ZERO,
        };
        let beside = self.beside().map_or(Duration::ZERO, |life| left(&life.state));
        left(&self.state).max(beside)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let common = &self.common;
        let (health, health_message) = self.state.health();
        Snapshot {
            id: common.id.clone(),
            wanted_up: common.wanted == Wanted::Up,
            state: self.state.name(),
            since: self.since,
            generation: common.generation,
            pid: self.state.run().and_then(|run| run.pid),
            restarts: common.restart.restarts,
            health,
            health_message,
            last_life: self.state.last_life(),
            phase: self.state.phase(),
            start_took: self.state.run().and_then(Run::start_took),
            rung: self.state.rung(),
            next_try: self.state.next_try(),
            waiting_for: self.state.waiting_for().to_vec(),
            last_failure: common.last_failure.clone(),
            last_stop: common.last_stop.clone(),
            finished: matches!(self.state, State::Registered(Registered::Finished)),
            half_open: common.restart.half_open,
            next: self.beside().map(|life| Beside {
                generation: life.common.generation,
                state: life.state.name(),
                pid: life.state.run().and_then(|run| run.pid),
            }),
            swap: self.swap.as_ref().map(|swap| swap.stage()),
        }
    }
}
