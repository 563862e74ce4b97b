//! Down after a failure; will start again at a known time.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Route, Unavailable};
use crate::lifecycle::{Registered, State};
use crate::plugin::{Common, Cx};
use crate::snapshot::StateName;
use crate::timer::Timer;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(crate) timer: Timer,
}

impl Backoff {
    pub(crate) fn step(self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                p.begin(false, cx)
            }
            Event::Restart { .. } => {
                p.want_up("restarted");
                p.begin(false, cx)
            }
            Event::Stop { .. } => {
                p.want_down();
                State::Registered(Registered::Resting)
            }
            Event::Deadline(_) if self.timer.is_due(cx.now) => {
                p.reason = "restarted after a failure".into();
                p.begin(true, cx)
            }
            Event::Deadline(_)
            // It starts at its time, called or not.
            | Event::Called
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
            | Event::Asked => State::Backoff(self),
            Event::Refused(_) | Event::SpawnFailed { .. } | Event::Spawned { .. } | Event::Execed => {
                p.surprised(StateName::Backoff, &event, cx);
                State::Backoff(self)
            }
        }
    }

    pub(crate) fn route(p: &Common) -> Route {
        let why = if p.restart.half_open { Unavailable::HalfOpen } else { Unavailable::Backoff };
        p.unavailable(why)
    }
}
