//! On the way up: waiting for a turn, spawning, waiting for the first byte, for the opening's answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Class, Detail, Effect, Event, Look, Note, Opening, Route, Seen, Unavailable};
use crate::ladder::From;
use crate::lifecycle::{Loaded, Registered, State, Stopping};
use crate::plugin::{Common, Cx, Run};
use crate::snapshot::{Phase, StateName};
use crate::time::Time;
use crate::timer::Timer;

/// How long progress may keep one phase of a start going.
pub(crate) const PROGRESS_CAP: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Starting {
    /// Costs no budget.
    Queued(Queued),
    Launched {
        run: Run,
        stage: Stage,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Queued {
    /// Its place in the queue, once what it depends on is there.
    pub(crate) ticket: Option<u64>,
    /// A restart after a failure, which the storm guard counts.
    pub(crate) restart: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Spawn { timer: Timer },
    FirstByte(FirstByte),
    Handshake { began: Time, timer: Timer },
}

/// Waits in halves of its budget: activity in the second half is worth another half, up to the cap.
///
/// Looking only at the end would take the activity of starting up itself for life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FirstByte {
    began: Time,
    half: Duration,
    timer: Timer,
    /// What had been seen at the last look; `None` in the first half.
    activity: Option<u64>,
    extended: bool,
}

impl Starting {
    pub(crate) fn queued(restart: bool) -> Self {
        Self::Queued(Queued { ticket: None, restart })
    }

    /// Its turn has come.
    pub(crate) fn launch(p: &mut Common, cx: &mut Cx<'_>) -> State {
        p.generation = cx.highest + 1;
        cx.generation = p.generation;
        cx.note(Note::PhaseReached { phase: Phase::Spawn });
        let timer =
            Timer::after(cx.now, p.stretched(p.policy.start.spawn_timeout, p.stretch.spawn));
        cx.emit(Effect::Spawn { generation: p.generation, version: p.version });
        let run = Run { ordered: Some(cx.now), ..Run::default() };
        State::Starting(Self::Launched { run, stage: Stage::Spawn { timer } })
    }

    pub(crate) fn step(self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match self {
            Self::Queued(queued) => queued.step(p, event, cx),
            Self::Launched { run, stage } => launched(run, stage, p, event, cx),
        }
    }

    pub(crate) fn run(&self) -> Option<&Run> {
        match self {
            Self::Queued(_) => None,
            Self::Launched { run, .. } => Some(run),
        }
    }

    pub(crate) fn ticket(&self) -> Option<u64> {
        match self {
            Self::Queued(queued) => queued.ticket,
            Self::Launched { .. } => None,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Queued(_) => Phase::Queued,
            Self::Launched { stage: Stage::Spawn { .. }, .. } => Phase::Spawn,
            Self::Launched { stage: Stage::FirstByte(_), .. } => Phase::FirstByte,
            Self::Launched { stage: Stage::Handshake { .. }, .. } => Phase::Handshake,
        }
    }

    pub(crate) fn timer(&self) -> Option<Timer> {
        match self {
            Self::Queued(_) => None,
            Self::Launched { stage, .. } => Some(match stage {
                Stage::Spawn { timer } | Stage::Handshake { timer, .. } => *timer,
                Stage::FirstByte(wait) => wait.timer,
            }),
        }
    }

    pub(crate) fn give_back(&mut self, lost: Duration, now: Time) {
        match self {
            Self::Queued(_) => {}
            Self::Launched { stage, .. } => match stage {
                Stage::Spawn { timer } => timer.give_back(now, lost),
                Stage::FirstByte(FirstByte { began, timer, .. })
                | Stage::Handshake { began, timer } => {
                    *began = *began + lost;
                    timer.give_back(now, lost);
                }
            },
        }
    }
}

/// Before the first `active` of a generation.
pub(crate) fn route(p: &Common) -> Route {
    let why = if p.restart.half_open { Unavailable::HalfOpen } else { Unavailable::Starting };
    p.unavailable(why)
}

impl Queued {
    fn step(self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                // By hand now, so no restart any more: it joins the other queue.
                State::Starting(Starting::queued(false))
            }
            Event::Restart { .. } => {
                p.want_up("restarted");
                State::Starting(Starting::queued(false))
            }
            Event::Stop { .. } => {
                p.want_down();
                State::Registered(Registered::Resting)
            }
            // The fleet gives turns, after every step.
            Event::Deadline(_)
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
            | Event::Asked => State::Starting(Starting::Queued(self)),
            Event::Refused(_) | Event::SpawnFailed { .. } | Event::Spawned { .. } | Event::Execed => {
                p.surprised(StateName::Starting, &event, cx);
                State::Starting(Starting::Queued(self))
            }
        }
    }
}

/// A generation that has been ordered and has not answered its opening.
fn launched(mut run: Run, stage: Stage, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
    match event {
        Event::Start => {
            p.want_up("started");
            on(run, stage)
        }
        Event::Restart { now } => {
            p.want_up("restarted");
            let from = leave_from(&stage, now);
            Stopping::for_restart(run, from, p, cx)
        }
        Event::Stop { now, reason } => {
            p.want_down();
            let from = leave_from(&stage, now);
            Stopping::asked(run, from, reason, p, cx)
        }
        Event::Refused(detail) => match stage {
            Stage::Spawn { .. } => p.nothing_spawned(Class::Config, true, detail, cx),
            Stage::FirstByte(_) | Stage::Handshake { .. } => {
                p.surprised(StateName::Starting, &Event::Refused(detail), cx);
                on(run, stage)
            }
        },
        Event::SpawnFailed { permanent, detail } => match stage {
            Stage::Spawn { .. } => p.nothing_spawned(Class::Spawn, permanent, detail, cx),
            Stage::FirstByte(_) | Stage::Handshake { .. } => {
                p.surprised(StateName::Starting, &Event::SpawnFailed { permanent, detail }, cx);
                on(run, stage)
            }
        },
        Event::Spawned { pid } => {
            run.pid = Some(pid);
            on(run, stage)
        }
        Event::Execed => match stage {
            Stage::Spawn { .. } => on(run, FirstByte::begin(p, cx)),
            // Its bytes were faster than the keeper's word.
            Stage::FirstByte(_) | Stage::Handshake { .. } => on(run, stage),
        },
        Event::FirstByte => match stage {
            Stage::Spawn { .. } | Stage::FirstByte(_) => on(run, handshake(p, cx)),
            // The frame that it began was faster.
            Stage::Handshake { .. } => on(run, stage),
        },
        Event::StartProgress => on(run, progress(stage, p, cx)),
        Event::Said(report) => {
            run.said = Some((report.state, report.message));
            on(run, progress(stage, p, cx))
        }
        Event::Opened(opening) => opened(run, opening, p, cx),
        Event::OpenFailed { permanent, detail } => {
            p.fail_living(run, Class::Handshake, permanent, detail, From::Kill, cx)
        }
        Event::LinkBroken(detail) => {
            p.fail_living(run, Class::Protocol, false, detail, From::Term, cx)
        }
        Event::Noisy(noisy) => {
            run.noisy = noisy;
            on(run, stage)
        }
        Event::Died(exit) => p.ended(run, exit, cx),
        Event::Gone { swept } => {
            p.surprised(StateName::Starting, &Event::Gone { swept }, cx);
            Stopping::gone_unannounced(run, swept, p, cx)
        }
        Event::KeeperLost => p.keeper_lost(&run, cx),
        Event::Deadline(look) => overdue(run, stage, &look, p, cx),
        Event::Called | Event::FileLooked { .. } => on(run, stage),
        Event::ProbeAnswered | Event::Drained | Event::NothingToDrain | Event::Asked => {
            p.surprised(StateName::Starting, &event, cx);
            on(run, stage)
        }
    }
}

fn on(run: Run, stage: Stage) -> State {
    State::Starting(Starting::Launched { run, stage })
}

/// Before `exec` there is nobody to ask; before the opening is answered nobody who would take a `shutdown`.
fn leave_from(stage: &Stage, now: bool) -> From {
    match stage {
        Stage::Spawn { .. } => From::Kill,
        Stage::FirstByte(_) | Stage::Handshake { .. } if now => From::Kill,
        Stage::FirstByte(_) | Stage::Handshake { .. } => From::Leave,
    }
}

fn opened(mut run: Run, opening: Opening, p: &mut Common, cx: &mut Cx<'_>) -> State {
    run.opened = true;
    run.last_life = Some(cx.now);
    p.reason = "opened".into();
    Loaded::begin(run, opening.ready, p, cx)
}

fn handshake(p: &Common, cx: &mut Cx<'_>) -> Stage {
    cx.note(Note::PhaseReached { phase: Phase::Handshake });
    let budget = p.stretched(p.policy.start.handshake_timeout, p.stretch.handshake);
    Stage::Handshake { began: cx.now, timer: Timer::after(cx.now, budget) }
}

/// Progress restarts the handshake's clock, up to the cap; a frame is a first byte as well.
fn progress(stage: Stage, p: &Common, cx: &mut Cx<'_>) -> Stage {
    match stage {
        Stage::Spawn { .. } | Stage::FirstByte(_) => handshake(p, cx),
        Stage::Handshake { began, timer } => {
            let budget = p.stretched(p.policy.start.handshake_timeout, p.stretch.handshake);
            Stage::Handshake { began, timer: restarted(began, timer, budget, cx.now) }
        }
    }
}

/// A phase's clock after progress: the whole budget again, within the cap, never sooner than before.
pub(crate) fn restarted(began: Time, timer: Timer, budget: Duration, now: Time) -> Timer {
    let cap = began + PROGRESS_CAP.max(budget);
    let again = (now + budget).min(cap);
    if again > timer.due() { Timer::until(now, again) } else { timer }
}

impl FirstByte {
    fn begin(p: &Common, cx: &mut Cx<'_>) -> Stage {
        cx.note(Note::PhaseReached { phase: Phase::FirstByte });
        let half = p.stretched(p.policy.start.first_byte_timeout, p.stretch.first_byte) / 2;
        let timer = Timer::after(cx.now, half);
        Stage::FirstByte(Self { began: cx.now, half, timer, activity: None, extended: false })
    }
}

fn overdue(run: Run, stage: Stage, look: &Look, p: &mut Common, cx: &mut Cx<'_>) -> State {
    match stage {
        Stage::Spawn { timer } if timer.is_due(cx.now) => {
            p.stretch.spawn += 1;
            let message = "the program was not executing in time".to_owned();
            let detail = Detail { detail: "exec-stalled", message };
            p.fail_living(run, Class::Spawn, false, detail, From::Kill, cx)
        }
        Stage::FirstByte(wait) if wait.timer.is_due(cx.now) => {
            wait_for_byte(run, wait, look, p, cx)
        }
        Stage::Handshake { began, timer } if timer.is_due(cx.now) => {
            p.stretch.handshake += 1;
            let waited = cx.now.since(began);
            let detail = timeout_words("handshake: the opening was not answered", waited, look);
            p.fail_living(run, Class::Handshake, false, detail, From::Kill, cx)
        }
        // A timer of an earlier stage.
        Stage::Spawn { .. } | Stage::FirstByte(_) | Stage::Handshake { .. } => on(run, stage),
    }
}

fn wait_for_byte(
    run: Run,
    mut wait: FirstByte,
    look: &Look,
    p: &mut Common,
    cx: &mut Cx<'_>,
) -> State {
    let cap = wait.began + p.policy.start.first_byte_cap.max(wait.half * 2);
    let moved = wait.activity.is_some_and(|before| look.activity > before);
    if wait.activity.is_some() && (!moved || cx.now >= cap) {
        p.stretch.first_byte += 1;
        let detail = timeout_words("first byte: none came", cx.now.since(wait.began), look);
        return p.fail_living(run, Class::Handshake, false, detail, From::Kill, cx);
    }
    if moved && !wait.extended {
        wait.extended = true;
        cx.note(Note::PhaseExtended { phase: Phase::FirstByte, up_to: cap.since(wait.began) });
    }
    wait.activity = Some(look.activity);
    wait.timer = Timer::until(cx.now, (cx.now + wait.half).min(cap));
    on(run, Stage::FirstByte(wait))
}

/// `what` names the phase.
fn timeout_words(what: &str, waited: Duration, look: &Look) -> Detail {
    let (detail, seen) = match look.seen {
        Seen::Nothing => ("timeout", "nothing was seen of it"),
        Seen::StderrOnly => ("timeout", "it wrote to stderr only"),
        Seen::JunkOnly => ("timeout", "it wrote lines that are no messages"),
        Seen::Frames => ("timeout", "it sent other messages"),
        Seen::OtherId => ("reply-id-mismatch", "an answer came to another id"),
    };
    let Look { read, written, .. } = look;
    let message = format!("{what} in {waited:.1?}; {seen} ({read} bytes read, {written} written)");
    Detail { detail, message }
}
