//! The states of a plugin, one file each: its data, its answer to every event, its deadlines.
//!
//! Every pair of state and event is decided in the open; `state_table` prints them all. A pair that cannot
//! happen notes `Surprised` and carries on. News of a run that has ended is no surprise, only late.

mod backoff;
mod failed;
mod loaded;
mod registered;
mod running;
mod starting;
mod stopping;
mod unkillable;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use backoff::Backoff;
pub(crate) use failed::Failed;
pub(crate) use loaded::Loaded;
pub(crate) use registered::Registered;
pub(crate) use running::Running;
pub(crate) use starting::{Queued, Starting};
pub(crate) use stopping::Stopping;
pub(crate) use unkillable::Unkillable;

use crate::event::{Event, Route, Rung};
use crate::plugin::{Common, Cx, Run};
use crate::policy::PluginId;
use crate::snapshot::{HealthName, Phase, StateName};
use crate::time::Time;
use crate::timer::Timer;

/// What a plugin is, as against what is wanted of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum State {
    Registered(Registered),
    Starting(Starting),
    Loaded(Loaded),
    /// `active` or `degraded`, by its health.
    Running(Running),
    Stopping(Stopping),
    Backoff(Backoff),
    Failed(Failed),
    Unkillable(Unkillable),
}

impl State {
    pub(crate) fn step(self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> Self {
        match self {
            Self::Registered(state) => state.step(p, event, cx),
            Self::Starting(state) => state.step(p, event, cx),
            Self::Loaded(state) => state.step(p, event, cx),
            Self::Running(state) => state.step(p, event, cx),
            Self::Stopping(state) => state.step(p, event, cx),
            Self::Backoff(state) => state.step(p, event, cx),
            Self::Failed(state) => state.step(p, event, cx),
            Self::Unkillable(state) => state.step(p, event, cx),
        }
    }

    pub(crate) fn name(&self) -> StateName {
        match self {
            Self::Registered(_) => StateName::Registered,
            Self::Starting(_) => StateName::Starting,
            Self::Loaded(_) => StateName::Loaded,
            Self::Running(running) if running.health.is_degraded() => StateName::Degraded,
            Self::Running(_) => StateName::Active,
            Self::Stopping(_) => StateName::Stopping,
            Self::Backoff(_) => StateName::Backoff,
            Self::Failed(_) => StateName::Failed,
            Self::Unkillable(_) => StateName::Unkillable,
        }
    }

    pub(crate) fn route(&self, p: &Common) -> Route {
        match self {
            Self::Registered(state) => state.route(p),
            Self::Starting(_) | Self::Loaded(_) => starting::route(p),
            Self::Running(_) => Route::Open,
            Self::Stopping(state) => state.route(p),
            Self::Backoff(_) => Backoff::route(p),
            Self::Failed(_) => Failed::route(),
            Self::Unkillable(_) => Unkillable::route(),
        }
    }

    pub(crate) fn timer(&self) -> Option<Timer> {
        match self {
            Self::Registered(_) => None,
            Self::Starting(state) => state.timer(),
            Self::Loaded(state) => Some(state.timer()),
            Self::Running(state) => Some(state.timer()),
            Self::Stopping(state) => Some(state.timer()),
            Self::Backoff(state) => Some(state.timer),
            Self::Failed(state) => state.given_up.timer(),
            Self::Unkillable(_) => None,
        }
    }

    /// Nothing of it runs, and nothing was ordered to run.
    pub(crate) fn is_down(&self) -> bool {
        match self {
            Self::Registered(_) | Self::Backoff(_) | Self::Failed(_) => true,
            Self::Starting(state) => state.run().is_none(),
            Self::Loaded(_) | Self::Running(_) | Self::Stopping(_) | Self::Unkillable(_) => false,
        }
    }

    /// It is on its way to a first verdict and holds a turn of `start_concurrency`.
    pub(crate) fn holds_turn(&self) -> bool {
        match self {
            Self::Starting(state) => state.run().is_some(),
            Self::Loaded(_) => true,
            Self::Registered(_)
            | Self::Running(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => false,
        }
    }

    pub(crate) fn ticket(&self) -> Option<u64> {
        match self {
            Self::Starting(state) => state.ticket(),
            Self::Registered(_)
            | Self::Loaded(_)
            | Self::Running(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => None,
        }
    }

    pub(crate) fn run(&self) -> Option<&Run> {
        match self {
            Self::Registered(_) | Self::Backoff(_) | Self::Failed(_) => None,
            Self::Starting(state) => state.run(),
            Self::Loaded(state) => Some(&state.run),
            Self::Running(state) => Some(&state.run),
            Self::Stopping(state) => Some(&state.run),
            Self::Unkillable(state) => Some(state.run()),
        }
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        match self {
            Self::Starting(state) => Some(state.phase()),
            Self::Loaded(_) => Some(Phase::Ready),
            Self::Registered(_)
            | Self::Running(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => None,
        }
    }

    pub(crate) fn rung(&self) -> Option<Rung> {
        match self {
            Self::Stopping(state) => state.rung(),
            Self::Registered(_)
            | Self::Starting(_)
            | Self::Loaded(_)
            | Self::Running(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => None,
        }
    }

    /// When a restart, a careful try or the end of a rung is due.
    pub(crate) fn next_try(&self) -> Option<Time> {
        match self {
            Self::Stopping(_) | Self::Backoff(_) | Self::Failed(_) => {
                self.timer().map(|timer| timer.due())
            }
            Self::Registered(_)
            | Self::Starting(_)
            | Self::Loaded(_)
            | Self::Running(_)
            | Self::Unkillable(_) => None,
        }
    }

    pub(crate) fn waiting_for(&self) -> &[PluginId] {
        match self {
            Self::Registered(Registered::Waiting { on }) => on,
            Self::Registered(Registered::Resting | Registered::Finished)
            | Self::Starting(_)
            | Self::Loaded(_)
            | Self::Running(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => &[],
        }
    }

    pub(crate) fn health(&self) -> (HealthName, Option<String>) {
        match self {
            Self::Running(state) => (state.health.name(), state.health.message().cloned()),
            Self::Registered(_)
            | Self::Starting(_)
            | Self::Loaded(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => {
                let said = self.run().and_then(|run| run.said.as_ref());
                (HealthName::Unknown, said.and_then(|(_, words)| words.clone()))
            }
        }
    }

    pub(crate) fn last_life(&self) -> Option<Time> {
        match self {
            Self::Running(state) => Some(state.health.last_life()),
            Self::Registered(_)
            | Self::Starting(_)
            | Self::Loaded(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => self.run().and_then(|run| run.last_life),
        }
    }

    /// The host was stalled: every deadline that judges the plugin moves by what it lost.
    pub(crate) fn give_back(&mut self, lost: Duration, cx: &mut Cx<'_>) {
        match self {
            Self::Starting(state) => state.give_back(lost, cx.now),
            Self::Loaded(state) => state.give_back(lost, cx.now),
            Self::Running(state) => state.health.give_back(lost, cx),
            Self::Stopping(state) => state.give_back(lost, cx.now),
            // What is only scheduled is none the worse for being late.
            Self::Registered(_) | Self::Backoff(_) | Self::Failed(_) | Self::Unkillable(_) => {}
        }
    }

    pub(crate) fn spread(&mut self, cx: &mut Cx<'_>) {
        match self {
            Self::Running(state) => state.health.spread(cx),
            Self::Registered(_)
            | Self::Starting(_)
            | Self::Loaded(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Unkillable(_) => {}
        }
    }
}
