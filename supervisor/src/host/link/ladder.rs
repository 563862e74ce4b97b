//! The end of a link: the rungs of a stop, the settling of its calls, and what is given back.

use std::time::Duration;

use outboard_core::{Event, Exit, Settle, StopReason, Time, WhileRestarting};
use outboard_wire::CallError;
use outboard_wire::dialect::{Ask, OpenRetry, Stop, StopCx, Tag};
use outboard_wire::error::Exit as WireExit;
use outboard_wire::peer::Settled;

use super::super::call::{Call, More, Token};
use super::super::slot::Slot;
use super::super::view::LostCall;
use super::{Draining, Link, Pending, State, Stdin};
use crate::observe;

impl Link {
    /// Rung 0: takes no new calls; says `Drained` once nothing is in flight and the dialect's `drain` is answered.
    /// Calls that were not written yet are given back.
    #[must_use]
    pub(crate) fn drain(&self, reason: StopReason, within: Duration) -> Vec<Call> {
        let mut state = self.state();
        state.accepting = false;
        let nothing = state.peer.in_flight() == 0;
        // After a swap the calls that it was given are its own, written or not: it drains.
        let unsent =
            if reason == StopReason::Swap { Vec::new() } else { state.peer.settle_all(true) };
        let asked = self.rung(&mut state, Stop::Drain, reason, within);
        if nothing && !asked {
            self.tell(Event::NothingToDrain);
        } else {
            state.draining = Some(Draining { asked });
            self.check_drained(&mut state);
        }
        unsent.into_iter().filter_map(call_again).collect()
    }

    /// Whether a drain has anything to wait for: calls in flight, or a plugin that wants to be told.
    pub(crate) fn needs_drain(&self) -> bool {
        let state = self.state();
        state.peer.in_flight() > 0 || (state.opened && state.drains)
    }

    /// Rung 1: asks the plugin to shut down; says `Asked` at once where the dialect has no such request.
    pub(crate) fn ask(&self, reason: StopReason, within: Duration) {
        let mut state = self.state();
        state.accepting = false;
        if !self.rung(&mut state, Stop::Ask, reason, within) {
            self.tell(Event::Asked);
        }
    }

    /// Rung 2: says goodbye and closes stdin.
    pub(crate) fn leave(&self, reason: StopReason, within: Duration) {
        let mut state = self.state();
        state.accepting = false;
        let _asked = self.rung(&mut state, Stop::Leave, reason, within);
        if state.stdin == Stdin::Open {
            state.stdin = Stdin::Closing;
        }
        self.kick.notify_one();
    }

    /// Lets the dialect do its part of a rung; whether it sent a request.
    fn rung(&self, state: &mut State, rung: Stop, reason: StopReason, within: Duration) -> bool {
        if !state.opened {
            return false;
        }
        let State { dialect, asks, .. } = state;
        let cx = StopCx { reason: reason_name(reason), deadline: within };
        dialect.stop(rung, &cx, asks);
        let asked = asks
            .iter()
            .any(|ask| matches!(ask, Ask::Request { tag: Tag::Drain | Tag::Shutdown, .. }));
        self.run_asks(state);
        asked
    }

    /// Says `Drained` when it is so.
    pub(super) fn check_drained(&self, state: &mut State) {
        let done = state.draining.as_ref().is_some_and(|d| !d.asked) && state.peer.in_flight() == 0;
        if done {
            state.draining = None;
            self.tell(Event::Drained);
        }
    }

    /// The process has ended, or the link is judged dead: what it wrote is read, and no call is taken any more.
    pub(crate) fn close(&self) {
        self.pump();
        self.pump_stderr();
        {
            let mut state = self.state();
            state.dead = true;
            state.listening = None;
        }
        self.cancel_outgoing(None);
        let mut state = self.state();
        state.accepting = false;
        if !state.opened {
            let mut asks = Vec::new();
            state.dialect.on_end(&mut asks);
            // How the process ended says more than that the link did; only another way to open it is of use.
            for ask in asks {
                if let Ask::OpenFailed { retry: OpenRetry::Respawn { hint }, .. } = ask {
                    self.slot.learn(self.generation, Some(hint.to_owned()));
                }
            }
        }
    }

    /// Settles every pending call with its reason, each exactly once. Given back are those that the next generation may
    /// take: what was not written and may wait, `usual` being the word of the manifest on that; and what was sent, may
    /// wait, and may be done twice.
    #[must_use]
    pub(crate) fn settle_all(&self, why: &Settle, usual: WhileRestarting) -> Vec<Call> {
        let settled = {
            let mut state = self.state();
            state.accepting = false;
            // With the pipe full, the writer has put down here what it could not write.
            let State { peer, unwritten, .. } = &mut *state;
            self.keep_calls_in(peer, &unwritten.bytes);
            peer.settle_all(false)
        };
        let last_words =
            self.slot.words().last(self.generation, 10, |text| self.slot.log.mask(text));
        let now = self.clock.now();
        let mut back = Vec::new();
        for mut one in settled {
            if matches!(one.token.token, Token::Tagged(_)) {
                continue;
            }
            let fate = fate(&one, usual, now);
            if fate == Fate::Waits {
                back.extend(call_again(one));
                continue;
            }
            let error = self.end_of(&one, why, now, &last_words);
            if fate == Fate::GoesAgain {
                one.token.more.get_or_insert_default().first = Some(error);
                back.extend(call_again(one));
                continue;
            }
            if matches!(why, Settle::Crashed { .. }) {
                let Settled { token: Pending { began, .. }, sent, method, .. } = &one;
                let lost =
                    LostCall { method: method.to_string(), after: now.since(*began), sent: *sent };
                self.slot.remember_lost(self.generation, lost);
            }
            self.state().tally.failed += 1;
            one.token.token.fail(error);
        }
        back
    }

    /// What the end of this generation is to one call.
    fn end_of(
        &self,
        one: &Settled<Pending>,
        why: &Settle,
        now: Time,
        last_words: &[String],
    ) -> CallError {
        let Pending { began, more, .. } = &one.token;
        let attempt = More::attempt(more.as_deref());
        let sent = one.sent || attempt > 1;
        let error = match why {
            // Its time was the drain, and that has run out.
            Settle::Stopped(StopReason::Swap) => {
                CallError::deadline_exceeded(self.callee(), sent, false)
            }
            Settle::Stopped(reason) => self.slot.with_refusal(|r| r.shutting_down(*reason, sent)),
            Settle::Crashed { class, exit } => {
                let idempotent = more.as_ref().is_some_and(|more| more.idempotent);
                let error =
                    CallError::crashed(self.callee(), observe::class(*class), sent, idempotent)
                        .with_stderr(last_words.to_vec());
                match exit {
                    Some(exit) => {
                        let message = format!("{}: {}", error.message(), observe::exit_text(exit));
                        error.with_message(message).with_exit(exit_on_the_wire(exit))
                    }
                    None => error,
                }
            }
        };
        error.with_attempt(attempt).with_elapsed(now.since(*began))
    }

    /// The generation is over: its tasks end, and what still arrives is nobody's.
    pub(crate) fn retire(&self) {
        let mut state = self.state();
        let was_dead = std::mem::replace(&mut state.dead, true);
        state.over = true;
        state.listening = None;
        drop(state);
        if !was_dead {
            self.cancel_outgoing(None);
        }
        self.kick.notify_one();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }
}

/// What becomes of a call whose generation has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing of it was written: it waits for the next generation.
    Waits,
    /// It was written, and is made once more.
    GoesAgain,
    Ends,
}

fn fate(one: &Settled<Pending>, usual: WhileRestarting, now: Time) -> Fate {
    let more = one.token.more.as_deref();
    let waits = more.and_then(|more| more.while_restarting).unwrap_or(usual);
    let given = more.is_some_and(|more| more.given.is_some());
    if waits == WhileRestarting::Fail {
        return Fate::Ends;
    }
    if !one.sent {
        return if given || one.params.is_some() { Fate::Waits } else { Fate::Ends };
    }
    let has_time = one.deadline.is_none_or(|at| Time::from_start(at) > now);
    match more {
        Some(more) if more.idempotent && more.first.is_none() && given && has_time => {
            Fate::GoesAgain
        }
        Some(_) | None => Fate::Ends,
    }
}

/// A call as it was before it was given to the link; `None` for the dialect's own.
fn call_again(settled: Settled<Pending>) -> Option<Call> {
    let Settled { token: pending, method, params, deadline, .. } = settled;
    let Pending { began, caller, token, mut more } = pending;
    if matches!(token, Token::Tagged(_)) {
        return None;
    }
    let (method, params) = match more.as_mut().and_then(|more| more.given.take()) {
        Some(given) => given.take(),
        None => ((*method).into(), params?),
    };
    let deadline = deadline.map(Time::from_start);
    Some(Call { method, params, deadline, began, caller, token, more })
}

/// Ends calls that may not wait.
pub(crate) fn refuse_all(slot: &Slot, calls: Vec<Call>, reason: StopReason) {
    for call in calls {
        let error = slot.with_refusal(|refusal| refusal.shutting_down(reason, false));
        call.refuse(error);
    }
}

/// The word of `shutdown.reason`.
#[must_use]
pub(crate) fn reason_name(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Stop => "stop",
        StopReason::Restart => "restart",
        StopReason::Swap => "upgrade",
        StopReason::Config => "config",
        StopReason::HostExit => "host_exit",
    }
}

fn exit_on_the_wire(exit: &Exit) -> WireExit {
    match exit {
        Exit::Code(code) => WireExit::Code(*code),
        Exit::Signal { name, .. } => WireExit::Signal((*name).to_owned()),
        Exit::Oom => WireExit::Oom,
        Exit::Unknown => WireExit::Unknown,
    }
}
