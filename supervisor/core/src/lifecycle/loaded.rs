//! The opening is answered; active once a probe of this generation is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Class, Detail, Event, Look, Note, Saying};
use crate::health::{Health, Prober};
use crate::ladder::From;
use crate::lifecycle::starting::restarted;
use crate::lifecycle::{Running, State, Stopping};
use crate::plugin::{Common, Cx, Run};
use crate::snapshot::{Phase, StateName};
use crate::time::Time;
use crate::timer::Timer;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) run: Run,
    began: Time,
    /// The budget of the ready phase.
    timer: Timer,
    /// `None` until it says that it is ready.
    prober: Option<Prober>,
}

impl Loaded {
    /// Probes at once if it is ready, else waits until it says so.
    pub(crate) fn begin(run: Run, ready: bool, p: &Common, cx: &mut Cx<'_>) -> State {
        cx.note(Note::PhaseReached { phase: Phase::Ready });
        let timer = Timer::after(cx.now, budget(p));
        let prober = ready.then(|| Prober::begin(p, cx));
        State::Loaded(Self { run, began: cx.now, timer, prober })
    }

    pub(crate) fn step(mut self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                State::Loaded(self)
            }
            Event::Restart { now } => {
                p.want_up("restarted");
                Stopping::for_restart(self.run, if now { From::Kill } else { From::Drain }, p, cx)
            }
            Event::Stop { now, reason } => {
                p.want_down();
                Stopping::asked(self.run, if now { From::Kill } else { From::Drain }, reason, p, cx)
            }
            Event::StartProgress => {
                self.progress(p, cx);
                State::Loaded(self)
            }
            Event::Said(report) => {
                let ready = match report.state {
                    Saying::Ready | Saying::Degraded => true,
                    Saying::Unhealthy | Saying::Busy => false,
                };
                self.run.said = Some((report.state, report.message));
                self.run.last_life = Some(cx.now);
                self.progress(p, cx);
                if ready && self.prober.is_none() {
                    self.prober = Some(Prober::begin(p, cx));
                }
                State::Loaded(self)
            }
            Event::ProbeAnswered => self.answered(p, cx),
            Event::Noisy(noisy) => {
                self.run.noisy = noisy;
                State::Loaded(self)
            }
            Event::Spawned { pid } => {
                self.run.pid = Some(pid);
                State::Loaded(self)
            }
            Event::LinkBroken(detail) => {
                p.fail_living(self.run, Class::Protocol, false, detail, From::Term, cx)
            }
            Event::Died(exit) => p.ended(self.run, exit, cx),
            Event::Gone { swept } => {
                p.surprised(StateName::Loaded, &Event::Gone { swept }, cx);
                Stopping::gone_unannounced(self.run, swept, p, cx)
            }
            Event::KeeperLost => p.keeper_lost(&self.run, cx),
            Event::Deadline(look) => self.overdue(&look, p, cx),
            // The keeper's word was slower than its bytes.
            Event::Execed | Event::Called | Event::FileLooked { .. } => State::Loaded(self),
            Event::Refused(_)
            | Event::SpawnFailed { .. }
            | Event::FirstByte
            | Event::Opened(_)
            | Event::OpenFailed { .. }
            | Event::Drained
            | Event::NothingToDrain
            | Event::Asked => {
                p.surprised(StateName::Loaded, &event, cx);
                State::Loaded(self)
            }
        }
    }

    fn answered(mut self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        let Some(prober) = self.prober.take() else {
            // No probe is out before it is ready.
            p.surprised(StateName::Loaded, &Event::ProbeAnswered, cx);
            return State::Loaded(self);
        };
        p.verdict = true;
        p.restart.half_open = false;
        p.reason = "it answered a probe".into();
        self.run.active_since = Some(cx.now);
        self.run.last_life = Some(cx.now);
        let health = Health::new(prober, self.run.said.clone(), self.run.noisy, p, cx);
        State::Running(Running::new(self.run, health, p, cx.now))
    }

    fn progress(&mut self, p: &Common, cx: &Cx<'_>) {
        self.timer = restarted(self.began, self.timer, budget(p), cx.now);
    }

    fn overdue(mut self, look: &Look, p: &mut Common, cx: &mut Cx<'_>) -> State {
        if self.timer.is_due(cx.now) {
            p.stretch.ready += 1;
            let waited = cx.now.since(self.began);
            let detail = match self.prober {
                None => {
                    let words = self.run.said.as_ref().and_then(|(_, words)| words.as_deref());
                    let words = words.map_or(String::new(), |words| format!("; it says: {words}"));
                    Detail {
                        detail: "not-ready",
                        message: format!("not ready in {waited:.1?}{words}"),
                    }
                }
                Some(_) => Detail {
                    detail: "no-answer",
                    message: format!("no probe was answered in {waited:.1?}"),
                },
            };
            return p.fail_living(self.run, Class::Handshake, false, detail, From::Kill, cx);
        }
        if let Some(prober) = &mut self.prober {
            prober.look_while_starting(look, p, cx);
        }
        State::Loaded(self)
    }

    pub(crate) fn timer(&self) -> Timer {
        match &self.prober {
            Some(prober) if prober.timer().due() < self.timer.due() => prober.timer(),
            Some(_) | None => self.timer,
        }
    }

    pub(crate) fn give_back(&mut self, lost: Duration, now: Time) {
        self.began = self.began + lost;
        self.timer.give_back(now, lost);
        if let Some(prober) = &mut self.prober {
            prober.give_back(now, lost);
        }
    }
}

fn budget(p: &Common) -> Duration {
    p.stretched(p.policy.start.ready_timeout, p.stretch.ready)
}
