//! Not running: never started, stopped, disabled, finished, or waiting for what it depends on.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Note, Route, Unavailable};
use crate::lifecycle::State;
use crate::plugin::{Common, Cx, Wanted};
use crate::policy::PluginId;
use crate::snapshot::StateName;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Registered {
    Resting,
    /// Exit 0 after `active` under `on-failure`.
    Finished,
    /// Wanted up, and starts by itself as soon as none of these is in the way.
    Waiting {
        on: Vec<PluginId>,
    },
}

impl Registered {
    pub(crate) fn step(self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                self.up(p, cx)
            }
            Event::Restart { .. } => {
                p.want_up("restarted");
                self.up(p, cx)
            }
            Event::Called if p.wanted == Wanted::OnCall => {
                p.want_up("called");
                self.up(p, cx)
            }
            Event::Stop { .. } => {
                p.want_down();
                State::Registered(Self::Resting)
            }
            Event::Called
            // A timer of an earlier state.
            | Event::Deadline(_)
            // Nothing of it ran.
            | Event::KeeperLost
            // Late news of a run that has ended.
            | Event::FileLooked { .. }
            | Event::Died(_)
            | Event::Gone { .. }
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
            | Event::Asked => State::Registered(self),
            Event::Refused(_) | Event::SpawnFailed { .. } | Event::Spawned { .. } | Event::Execed => {
                p.surprised(StateName::Registered, &event, cx);
                State::Registered(self)
            }
        }
    }

    /// Waits for its turn, unless it already waits for others.
    fn up(self, p: &mut Common, cx: &Cx<'_>) -> State {
        match self {
            Self::Waiting { .. } if !cx.closing => State::Registered(self),
            Self::Waiting { .. } | Self::Resting | Self::Finished => p.begin(false, cx),
        }
    }

    /// In front of these; says so when they are not the ones it waited for already.
    pub(crate) fn wait(
        on: Vec<PluginId>,
        before: Option<&Self>,
        p: &mut Common,
        cx: &mut Cx<'_>,
    ) -> State {
        let waiting = Self::Waiting { on };
        if before != Some(&waiting)
            && let Self::Waiting { on } = &waiting
        {
            p.reason = format!("waits for {}", on.join(", ")).into();
            cx.note(Note::DependencyWaited { on: on.clone() });
        }
        State::Registered(waiting)
    }

    pub(crate) fn route(&self, p: &Common) -> Route {
        match (self, p.wanted) {
            (Self::Waiting { .. }, _) => p.unavailable(Unavailable::Waiting),
            (Self::Resting | Self::Finished, Wanted::OnCall) => {
                p.unavailable(Unavailable::Starting)
            }
            (Self::Resting | Self::Finished, Wanted::Down | Wanted::Up) => {
                Route::Refuse(Unavailable::Down)
            }
        }
    }
}
