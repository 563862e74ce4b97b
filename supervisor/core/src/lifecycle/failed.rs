//! Gave up under its policy; says why, and what may still wake it.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Route, Unavailable};
use crate::lifecycle::{Registered, State};
use crate::plugin::{Common, Cx};
use crate::restart::{GivenUp, look_at_file};
use crate::snapshot::StateName;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) given_up: GivenUp,
}

impl Failed {
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
            Event::FileLooked { changed: true } => match self.given_up {
                GivenUp::Look(_) => {
                    p.restart.refill();
                    p.reason = "its executable changed".into();
                    p.begin(false, cx)
                }
                // The answer to a question of an earlier failure.
                GivenUp::ForGood | GivenUp::Try(_) => State::Failed(self),
            },
            Event::Deadline(_) => self.due(p, cx),
            Event::FileLooked { changed: false }
            // A call does not wake what gave up: the careful tries do.
            | Event::Called
            // Nothing of it ran.
            | Event::KeeperLost
            // Late news of a run that has ended.
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
            | Event::Asked => State::Failed(self),
            Event::Refused(_) | Event::SpawnFailed { .. } | Event::Spawned { .. } | Event::Execed => {
                p.surprised(StateName::Failed, &event, cx);
                State::Failed(self)
            }
        }
    }

    fn due(self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        match self.given_up {
            GivenUp::Try(timer) if timer.is_due(cx.now) => {
                p.restart.half_open = true;
                p.restart.restarts = p.restart.restarts.saturating_add(1);
                p.reason = "one careful try".into();
                p.begin(true, cx)
            }
            GivenUp::Look(timer) if timer.is_due(cx.now) => {
                State::Failed(Self { given_up: look_at_file(p, cx) })
            }
            GivenUp::ForGood | GivenUp::Try(_) | GivenUp::Look(_) => State::Failed(self),
        }
    }

    pub(crate) fn route() -> Route {
        Route::Refuse(Unavailable::Failed)
    }
}
