//! The end of a link: the rungs of a stop, the settling of its calls, and what is given back.

use std::time::Duration;

use outboard_core::{Class, Event, Exit, Settle, StopReason};
use outboard_wire::CallError;
use outboard_wire::dialect::{Ask, OpenRetry, Stop, StopCx, Tag};
use outboard_wire::error::Exit as WireExit;
use outboard_wire::peer::Settled;

use super::super::call::{Call, Token};
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
        let unsent = state.peer.settle_all(true);
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
        let mut state = self.state();
        state.accepting = false;
        if !state.opened {
            let mut asks = Vec::new();
            state.dialect.on_end(&mut asks);
            // How the process ended says more than that the link did; only another way to open it is of use.
            for ask in asks {
                if let Ask::OpenFailed { retry: OpenRetry::Respawn { hint }, .. } = ask {
                    self.slot.learn(Some(hint.to_owned()));
                }
            }
        }
    }

    /// Settles every pending call with its reason, each exactly once. Those of which no byte was written are given
    /// back when `keep_unsent`: the next generation may take them.
    #[must_use]
    pub(crate) fn settle_all(&self, why: &Settle, keep_unsent: bool) -> Vec<Call> {
        let settled = {
            let mut state = self.state();
            state.accepting = false;
            state.peer.settle_all(false)
        };
        let last_words = self.slot.words().last(10, |text| self.slot.log.mask(text));
        let now = self.clock.now();
        let mut unsent = Vec::new();
        for one in settled {
            if matches!(one.token.token, Token::Tagged(_)) {
                continue;
            }
            if keep_unsent && !one.sent && one.params.is_some() {
                unsent.extend(call_again(one));
                continue;
            }
            let Settled { token: Pending { began, token, .. }, sent, method, .. } = one;
            let after = now.since(began);
            let error = match why {
                Settle::Stopped(reason) => {
                    self.slot.with_refusal(|r| r.shutting_down(*reason, sent))
                }
                Settle::Crashed { class, exit } => {
                    self.slot.remember_lost(
                        self.generation,
                        LostCall { method: method.to_string(), after, sent },
                    );
                    self.crashed(*class, exit.as_ref(), sent, after, &last_words)
                }
            };
            token.fail(error);
        }
        unsent
    }

    fn crashed(
        &self,
        class: Class,
        exit: Option<&Exit>,
        sent: bool,
        after: Duration,
        last_words: &[String],
    ) -> CallError {
        let mut error = CallError::crashed(self.callee(), observe::class(class), sent, false)
            .with_elapsed(after)
            .with_stderr(last_words.to_vec());
        if let Some(exit) = exit {
            let message = format!("{}: {}", error.message(), observe::exit_text(exit));
            error = error.with_message(message).with_exit(exit_on_the_wire(exit));
        }
        error
    }

    /// The generation is over: its tasks end, and what still arrives is nobody's.
    pub(crate) fn retire(&self) {
        self.state().over = true;
        self.kick.notify_one();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }
}

/// An unwritten call as it was before it was given to the link.
fn call_again(settled: Settled<Pending>) -> Option<Call> {
    let Settled { token: Pending { began, caller, token }, method, params, deadline, .. } = settled;
    if matches!(token, Token::Tagged(_)) {
        return None;
    }
    let deadline = deadline.map(outboard_core::Time::from_start);
    Some(Call { method: (*method).into(), params: params?, deadline, began, caller, token })
}

/// Ends calls that may not wait.
pub(crate) fn refuse_all(slot: &Slot, calls: Vec<Call>, reason: StopReason) {
    for call in calls {
        let error = slot.with_refusal(|refusal| refusal.shutting_down(reason, false));
        call.token.fail(error);
    }
}

/// The word of `shutdown.reason`.
#[must_use]
pub(crate) fn reason_name(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Stop => "stop",
        StopReason::Restart => "restart",
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
