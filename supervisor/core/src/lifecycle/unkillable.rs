//! Survived SIGKILL past the bound: reported, fenced off, watched.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Exit, Route, Unavailable};
use crate::lifecycle::{State, Stopping};
use crate::plugin::{Common, Cx, Run};
use crate::restart::After;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unkillable {
    /// The stop that could not end it; concluded when it is gone after all.
    stop: Box<Stopping>,
}

impl Unkillable {
    pub(crate) fn new(stop: Stopping) -> Self {
        Self { stop: Box::new(stop) }
    }

    pub(crate) fn run(&self) -> &Run {
        &self.stop.run
    }

    pub(crate) fn step(mut self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                self.stop.set_after(After::Again);
                State::Unkillable(self)
            }
            Event::Restart { .. } => {
                p.want_up("restarted");
                self.stop.set_after(After::Again);
                State::Unkillable(self)
            }
            Event::Stop { .. } => {
                p.want_down();
                self.stop.set_after(After::Rest);
                State::Unkillable(self)
            }
            Event::Died(exit) => {
                self.stop.set_exit(exit);
                State::Unkillable(self)
            }
            Event::Gone { swept } => {
                p.reason = "gone after all".into();
                self.stop.conclude(swept, p, cx)
            }
            Event::Refused(_) | Event::SpawnFailed { .. } | Event::KeeperLost => {
                p.reason = "gone after all".into();
                self.stop.set_exit(Exit::Unknown);
                self.stop.conclude(0, p, cx)
            }
            // Its link is closed; what was still on the way says nothing any more.
            Event::Spawned { .. }
            | Event::Execed
            | Event::FirstByte
            | Event::StartProgress
            | Event::Opened(_)
            | Event::OpenFailed { .. }
            | Event::Said(_)
            | Event::ProbeAnswered
            | Event::Noisy(_)
            | Event::LinkBroken(_)
            | Event::Drained
            | Event::NothingToDrain
            | Event::Asked
            // Fenced off: its calls are refused.
            | Event::Called
            | Event::FileLooked { .. }
            // A timer of an earlier state.
            | Event::Deadline(_) => State::Unkillable(self),
        }
    }

    pub(crate) fn route() -> Route {
        Route::Refuse(Unavailable::Down)
    }
}
