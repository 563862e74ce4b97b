//! On the stop ladder, or ended and not yet swept. What comes afterwards is decided already.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{
    Class, Effect, Event, Exit, Note, Route, Rung, Settle, StopReason, Unavailable,
};
use crate::exit::tell_exit;
use crate::ladder::{From, KILL_FLOOR, Ladder};
use crate::lifecycle::{State, Unkillable};
use crate::plugin::{Common, Cx, Run, Wanted};
use crate::restart::After;
use crate::snapshot::{StateName, StopRecord};
use crate::time::Time;
use crate::timer::Timer;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stopping {
    pub(crate) run: Run,
    cause: Cause,
    after: After,
    stage: Stage,
    ladder: Ladder,
    began: Time,
    record: Vec<(Rung, Duration)>,
    exit: Option<Exit>,
    by_itself: bool,
    /// Every call in flight has been told.
    settled: bool,
}

/// Why it goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Cause {
    Asked(StopReason),
    /// What it requires is not there.
    Dependency,
    /// It failed and is made to leave.
    Failure,
    /// It ended by itself; only its tree has to be emptied.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    Rung {
        rung: Rung,
        since: Time,
        timer: Timer,
    },
    /// The leader has ended. The keeper leaves the rest of its tree half a second, then kills it.
    Sweep {
        timer: Timer,
    },
}

impl Stopping {
    /// Asked to leave, by hand or with everything else.
    pub(crate) fn asked(
        run: Run,
        from: From,
        reason: StopReason,
        p: &mut Common,
        cx: &mut Cx<'_>,
    ) -> State {
        Self::climb(run, Cause::Asked(reason), After::Rest, from, None, p, cx)
    }

    /// Asked to leave and to come back.
    pub(crate) fn for_restart(run: Run, from: From, p: &mut Common, cx: &mut Cx<'_>) -> State {
        Self::climb(run, Cause::Asked(StopReason::Restart), After::Again, from, None, p, cx)
    }

    /// What it requires is not there any more; it comes back with it.
    pub(crate) fn for_dependency(run: Run, from: From, p: &mut Common, cx: &mut Cx<'_>) -> State {
        p.reason = "what it requires is not there".into();
        Self::climb(run, Cause::Dependency, After::Again, from, None, p, cx)
    }

    /// It failed while alive.
    pub(crate) fn after_failure(
        run: Run,
        after: After,
        from: From,
        settle: Settle,
        p: &mut Common,
        cx: &mut Cx<'_>,
    ) -> State {
        Self::climb(run, Cause::Failure, after, from, Some(settle), p, cx)
    }

    /// Its leader ended unasked: the calls are settled, the tree is still to be emptied.
    pub(crate) fn after_exit(
        run: Run,
        exit: Exit,
        after: After,
        settle: Settle,
        p: &mut Common,
        cx: &mut Cx<'_>,
    ) -> State {
        let ladder = Ladder::new(&p.policy.stop, From::Kill, cx.squeeze);
        let timer = ladder.sweep_timer(cx.now);
        let stopping = Self {
            run,
            cause: Cause::Ended,
            after,
            stage: Stage::Sweep { timer },
            ladder,
            began: cx.now,
            record: Vec::new(),
            exit: Some(exit),
            by_itself: true,
            settled: true,
        };
        p.set_route(stopping.route(p), cx);
        cx.emit(Effect::Settle(settle));
        State::Stopping(stopping)
    }

    /// The tree is empty and nobody had said that the leader ended.
    pub(crate) fn gone_unannounced(run: Run, swept: u32, p: &mut Common, cx: &mut Cx<'_>) -> State {
        match p.ended(run, Exit::Unknown, cx) {
            State::Stopping(stopping) => stopping.finish(swept, Class::Exit, p, cx),
            other @ (State::Registered(_)
            | State::Starting(_)
            | State::Loaded(_)
            | State::Running(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_)) => other,
        }
    }

    fn climb(
        run: Run,
        cause: Cause,
        after: After,
        from: From,
        settle: Option<Settle>,
        p: &mut Common,
        cx: &mut Cx<'_>,
    ) -> State {
        let stopping = Self {
            run,
            cause,
            after,
            // Replaced at once by the first rung.
            stage: Stage::Sweep { timer: Timer::after(cx.now, Duration::ZERO) },
            ladder: Ladder::new(&p.policy.stop, from, cx.squeeze),
            began: cx.now,
            record: Vec::new(),
            exit: None,
            by_itself: false,
            settled: settle.is_some(),
        };
        p.set_route(stopping.route(p), cx);
        if let Some(settle) = settle {
            cx.emit(Effect::Settle(settle));
        }
        stopping.next_rung(p, cx)
    }

    /// Up one rung; past the last one it is `unkillable`.
    fn next_rung(mut self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        self.leave_rung(cx.now);
        self.climb_on(p, cx)
    }

    fn climb_on(mut self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        let Some((rung, within)) = self.ladder.next() else {
            return self.give_in(p, cx);
        };
        if rung > Rung::Drain {
            // The drain has had its time.
            self.settle(Settle::Stopped(self.reason()), cx);
        }
        cx.note(Note::RungReached { rung, within });
        cx.emit(Effect::Rung { rung, within, reason: self.reason() });
        self.stage = Stage::Rung { rung, since: cx.now, timer: Timer::after(cx.now, within) };
        State::Stopping(self)
    }

    /// There was no drain: the record does not know of one.
    fn drained_at_once(self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        match self.stage {
            Stage::Rung { rung: Rung::Drain, .. } => self.climb_on(p, cx),
            // An answer that came after its rung.
            Stage::Rung { .. } | Stage::Sweep { .. } => State::Stopping(self),
        }
    }

    fn skip_to(mut self, rung: Rung, p: &mut Common, cx: &mut Cx<'_>) -> State {
        self.ladder.skip_to(rung);
        self.next_rung(p, cx)
    }

    fn leave_rung(&mut self, now: Time) {
        match self.stage {
            Stage::Rung { rung, since, .. } => self.record.push((rung, now.since(since))),
            Stage::Sweep { .. } => {}
        }
    }

    /// The calls that the drain left in flight.
    fn settle(&mut self, settle: Settle, cx: &mut Cx<'_>) {
        if !self.settled {
            self.settled = true;
            cx.emit(Effect::Settle(settle));
        }
    }

    fn reason(&self) -> StopReason {
        match self.cause {
            Cause::Asked(reason) => reason,
            Cause::Dependency | Cause::Failure | Cause::Ended => StopReason::Restart,
        }
    }

    pub(crate) fn step(mut self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                self.after = After::Again;
                State::Stopping(self)
            }
            Event::Restart { now } => {
                p.want_up("restarted");
                self.after = After::Again;
                if now { self.kill(p, cx) } else { State::Stopping(self) }
            }
            Event::Stop { now, reason } => self.stop(now, reason, p, cx),
            Event::Died(exit) => self.died(exit, p, cx),
            Event::Gone { swept } => self.finish(swept, Class::Exit, p, cx),
            // The order to spawn was on its way when the stop was decided, and came to nothing.
            Event::Refused(_) | Event::SpawnFailed { .. } => self.finish(0, Class::Spawn, p, cx),
            Event::KeeperLost => self.finish(0, Class::Keeper, p, cx),
            Event::Spawned { pid } => {
                self.run.pid = Some(pid);
                State::Stopping(self)
            }
            Event::Drained => self.reached(Rung::Drain, p, cx),
            Event::NothingToDrain => self.drained_at_once(p, cx),
            Event::Asked => self.reached(Rung::Ask, p, cx),
            Event::LinkBroken(_) => match self.stage {
                // Nothing more can be said to it.
                Stage::Rung { rung: Rung::Drain | Rung::Ask, .. } => self.skip_to(Rung::Leave, p, cx),
                Stage::Rung { rung: Rung::Leave | Rung::Term | Rung::Kill, .. } | Stage::Sweep { .. } => {
                    State::Stopping(self)
                }
            },
            // It was about to rest.
            Event::Called if p.wanted == Wanted::OnCall => {
                p.want_up("called");
                self.after = After::Again;
                State::Stopping(self)
            }
            Event::Deadline(_) => self.overdue(p, cx),
            // News of what it was doing when the stop was decided.
            Event::Execed
            | Event::FirstByte
            | Event::StartProgress
            | Event::Opened(_)
            | Event::OpenFailed { .. }
            | Event::Said(_)
            | Event::ProbeAnswered
            | Event::Noisy(_)
            | Event::FileLooked { .. }
            // The route says why it cannot be taken.
            | Event::Called => State::Stopping(self),
        }
    }

    fn stop(mut self, now: bool, reason: StopReason, p: &mut Common, cx: &mut Cx<'_>) -> State {
        p.want_down();
        match self.cause {
            Cause::Asked(_) | Cause::Dependency => self.cause = Cause::Asked(reason),
            Cause::Failure | Cause::Ended => {}
        }
        self.after = After::Rest;
        if cx.squeeze < 1.0 {
            self.squeeze(cx);
        }
        p.set_route(self.route(p), cx);
        if now { self.kill(p, cx) } else { State::Stopping(self) }
    }

    /// What it may still take.
    pub(crate) fn left(&self, now: Time) -> Duration {
        self.timer().left(now) + self.ladder.length()
    }

    /// Everything stops and there is less time than this stop had planned.
    fn squeeze(&mut self, cx: &Cx<'_>) {
        match &mut self.stage {
            Stage::Rung { rung, timer, .. } => {
                let left = timer.left(cx.now);
                let floor = if *rung == Rung::Kill { left.min(KILL_FLOOR) } else { Duration::ZERO };
                *timer = Timer::after(cx.now, left.mul_f64(cx.squeeze).max(floor));
            }
            Stage::Sweep { .. } => {}
        }
        let ahead = self.ladder.length().mul_f64(cx.squeeze);
        self.ladder.shrink_to(ahead);
    }

    /// Skips to the kill, unless it is there already.
    fn kill(self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        match self.stage {
            Stage::Rung { rung: Rung::Kill, .. } => State::Stopping(self),
            Stage::Rung { .. } => self.skip_to(Rung::Kill, p, cx),
            Stage::Sweep { .. } => {
                // The leader has ended; the order only hurries the keeper.
                let within = self.ladder.kill_budget();
                cx.emit(Effect::Rung { rung: Rung::Kill, within, reason: self.reason() });
                State::Stopping(self)
            }
        }
    }

    /// The goal of a rung is met early.
    fn reached(self, goal: Rung, p: &mut Common, cx: &mut Cx<'_>) -> State {
        match self.stage {
            Stage::Rung { rung, .. } if rung == goal => self.next_rung(p, cx),
            // An answer that came after its rung.
            Stage::Rung { .. } | Stage::Sweep { .. } => State::Stopping(self),
        }
    }

    fn died(mut self, exit: Exit, p: &Common, cx: &mut Cx<'_>) -> State {
        if self.exit.is_some() {
            p.surprised(StateName::Stopping, &Event::Died(exit), cx);
            return State::Stopping(self);
        }
        let (class, _) = tell_exit(&exit, &self.run);
        self.settle(Settle::Crashed { class, exit: Some(exit.clone()) }, cx);
        self.exit = Some(exit);
        match self.stage {
            // The kill was for the whole tree, and its budget is running.
            Stage::Rung { rung: Rung::Kill, .. } | Stage::Sweep { .. } => {}
            Stage::Rung { rung, .. } => {
                // Draining asks for nothing: whoever ends then does so by itself.
                self.by_itself = rung == Rung::Drain;
                self.leave_rung(cx.now);
                self.stage = Stage::Sweep { timer: self.ladder.sweep_timer(cx.now) };
            }
        }
        State::Stopping(self)
    }

    fn overdue(self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        if !self.timer().is_due(cx.now) {
            return State::Stopping(self);
        }
        match self.stage {
            Stage::Rung { .. } => self.next_rung(p, cx),
            Stage::Sweep { .. } => self.give_in(p, cx),
        }
    }

    /// It survived the kill past its bound.
    fn give_in(self, p: &mut Common, cx: &mut Cx<'_>) -> State {
        p.reason = "survived SIGKILL".into();
        p.set_route(Unkillable::route(), cx);
        cx.note(Note::BecameUnkillable { pid: self.run.pid });
        cx.emit(Effect::Retire { generation: p.generation });
        State::Unkillable(Unkillable::new(self))
    }

    /// Nothing of it is left.
    fn finish(mut self, swept: u32, class: Class, p: &mut Common, cx: &mut Cx<'_>) -> State {
        self.settle(Settle::Crashed { class, exit: self.exit.clone() }, cx);
        self.leave_rung(cx.now);
        cx.emit(Effect::Retire { generation: p.generation });
        self.conclude(swept, p, cx)
    }

    /// Writes the record and goes on to what was decided. Also the end of an unkillable one.
    pub(crate) fn conclude(self, swept: u32, p: &mut Common, cx: &mut Cx<'_>) -> State {
        match self.cause {
            Cause::Asked(_) | Cause::Dependency | Cause::Failure => {
                let record = StopRecord {
                    generation: p.generation,
                    rungs: self.record,
                    exit: self.exit,
                    swept,
                    took: cx.now.since(self.began),
                    by_itself: self.by_itself,
                };
                p.last_stop = Some(record.clone());
                cx.note(Note::Stopped(record));
            }
            // Nobody stopped it.
            Cause::Ended if swept > 0 => {
                cx.note(Note::Swept { n: swept, generation: p.generation });
            }
            Cause::Ended => {}
        }
        p.resume(self.after, cx)
    }

    pub(crate) fn set_after(&mut self, after: After) {
        self.after = after;
    }

    pub(crate) fn set_exit(&mut self, exit: Exit) {
        self.exit = Some(exit);
    }

    pub(crate) fn rung(&self) -> Option<Rung> {
        match self.stage {
            Stage::Rung { rung, .. } => Some(rung),
            Stage::Sweep { .. } => None,
        }
    }

    pub(crate) fn timer(&self) -> Timer {
        match self.stage {
            Stage::Rung { timer, .. } | Stage::Sweep { timer } => timer,
        }
    }

    pub(crate) fn give_back(&mut self, lost: Duration, now: Time) {
        match &mut self.stage {
            Stage::Rung { timer, .. } | Stage::Sweep { timer } => timer.give_back(now, lost),
        }
    }

    pub(crate) fn route(&self, p: &Common) -> Route {
        if p.wanted == Wanted::OnCall {
            return p.unavailable(Unavailable::Starting);
        }
        if p.wanted != Wanted::Up {
            let reason = match self.cause {
                Cause::Asked(reason) => reason,
                Cause::Dependency | Cause::Failure | Cause::Ended => StopReason::Stop,
            };
            return Route::Refuse(Unavailable::Stopping(reason));
        }
        match (&self.after, self.cause) {
            (After::Failed(_), _) => Route::Refuse(Unavailable::Failed),
            (After::Finished, _) => Route::Refuse(Unavailable::Down),
            (_, Cause::Dependency) => p.unavailable(Unavailable::Waiting),
            (_, Cause::Asked(_)) => p.unavailable(Unavailable::Stopping(StopReason::Restart)),
            (_, Cause::Failure | Cause::Ended) => p.unavailable(Unavailable::Backoff),
        }
    }
}
