//! Calls on their way in: taken, refused in words, taken back.

use std::borrow::Cow;

use outboard_core::Time;
use outboard_wire::CallError;
use outboard_wire::dialect::{Belongs, CallCx, CallRefusal, Meta};
use outboard_wire::error::Callee;

use outboard_wire::peer::{Left, NewCall, Refusal};

use super::super::call::{Call, More, Token};
use super::super::chain::Trace;
use super::{Link, Pending, State};
use crate::nearest::nearest;

impl Link {
    /// Takes a call, or gives it back when this link takes none any more. Refusals of the bounds are settled here.
    ///
    /// # Errors
    /// The call itself, unregistered: the caller asks the route again.
    pub(crate) fn call(&self, call: Call) -> Result<(), Box<Call>> {
        let mut state = self.state();
        if !state.accepting {
            return Err(Box::new(call));
        }
        self.slot.stats.calls.add(1);
        self.register(&mut state, call, false);
        Ok(())
    }

    /// Takes calls that waited for this generation, oldest first. Their wait was bounded already: neither the number
    /// nor the bytes in flight refuse them.
    pub(crate) fn call_all(&self, calls: Vec<Call>) {
        for call in calls {
            let now = self.clock.now();
            if call.deadline.is_some_and(|at| at <= now) {
                self.slot.with_refusal(|refusal| call.expire(refusal, now));
                continue;
            }
            let mut state = self.state();
            if state.accepting {
                self.register(&mut state, call, true);
            } else {
                drop(state);
                self.slot.submit(call);
            }
        }
    }

    fn register(&self, state: &mut State, call: Call, waited: bool) {
        let Call { method, params, deadline, began, caller, token, mut more } = call;
        let key = more.as_ref().and_then(|more| more.key.as_deref());
        let idempotent = state.again.covers(&method, &params, key);
        // Callers' own tokens could be the same, so the plugin is given the call's id in their place.
        let wants_progress = more.as_ref().is_some_and(|more| more.progress.is_some());
        let minted = wants_progress.then(|| Belongs::token(state.peer.next_id()));
        // Whoever has more time than the plugin gives its own method need not wait for it.
        let deadline = match state.timeouts.of_method(&method) {
            Some(most) => Some(deadline.map_or(began + most, |at| at.min(began + most))),
            None => deadline,
        };
        let works = state.dialect.counts_as_work(&method);
        let State { peer, dialect, frames, .. } = state;
        // Nobody has waited between a call's begin and here, unless it was for this generation.
        let now = if waited { self.clock.now() } else { began };
        let cx = CallCx {
            meta: Meta {
                progress_token: minted.as_deref(),
                ..More::meta(more.as_deref(), &caller)
            },
            remaining: deadline.map(|at| at.since(now)),
        };
        let (written_method, written_params) = match dialect.call(&method, &params, &cx) {
            Ok(written) => written,
            Err(refusal) => {
                let error = self.call_refused(&method, refusal, dialect.methods());
                return Pending { began, caller, token, more }.refuse(error);
            }
        };
        let new = NewCall {
            method: &written_method,
            params: &written_params,
            deadline: deadline.map(Time::since_start),
            left: match &written_params {
                Cow::Owned(params) if deadline.is_some() => {
                    dialect.says_left().and_then(|member| Left::of(params, member))
                }
                Cow::Owned(_) | Cow::Borrowed(_) => None,
            },
            turn: caller.turn(),
            works,
            control: false,
        };
        if idempotent {
            more.get_or_insert_default().idempotent = true;
        }
        if self.calls_others && params.contains("\"_meta\"") {
            let trace = Some(Box::new(Trace::of_params(&params)));
            more.get_or_insert_default().trace = trace;
        }
        let (now, pending) = (began.since_start(), Pending { began, caller, token, more });
        let accepted =
            if waited { peer.readmit(now, new, pending) } else { peer.call(now, new, pending) };
        match accepted {
            Ok(id) => {
                frames.sent(began, id, &written_method, &written_params);
                self.kick.notify_one();
                let differs = matches!(written_params, Cow::Owned(_));
                if idempotent || differs {
                    let bound = peer.limits().queue_bytes;
                    let given = self.keeping.keep(method, params, bound);
                    if let Some(pending) = peer.token_mut(id) {
                        pending.more.get_or_insert_default().given = given;
                    }
                }
            }
            Err((refusal, pending)) => pending.refuse(self.refused(state, &refusal)),
        }
    }

    fn call_refused(&self, method: &str, refusal: CallRefusal, known: &[String]) -> CallError {
        let callee = self.callee();
        match refusal {
            CallRefusal::Reserved => CallError::permission_denied(callee, "reserved", method),
            CallRefusal::IllegalName => CallError::illegal_method(callee, method),
            CallRefusal::UnknownMethod => {
                let error = CallError::method_not_found(callee, method);
                match nearest(method, known.iter().map(String::as_str)) {
                    Some(near) => error.with_nearest(near),
                    None => error,
                }
            }
            CallRefusal::BadParams(why) => CallError::invalid_params(callee, why),
        }
    }

    pub(super) fn refused(&self, state: &State, refusal: &Refusal) -> CallError {
        let error = CallError::refused(self.callee(), refusal, state.peer.limits());
        match (refusal, state.pace.until_one_ends(state.peer.in_flight())) {
            (Refusal::Overloaded(_), Some(after)) => error.with_retry_after(after),
            (Refusal::Overloaded(_) | Refusal::TooLarge { .. } | Refusal::TooDeep, _) => error,
        }
    }

    pub(super) fn callee(&self) -> Callee<'_> {
        Callee { plugin: &self.slot.id, generation: self.generation }
    }

    /// Writes one notification of a caller.
    ///
    /// # Errors
    /// The typed refusal: nothing was written.
    pub(crate) fn notify(&self, method: &str, params: &str) -> Result<(), CallError> {
        let mut state = self.state();
        state.idle_from = self.clock.now();
        let State { peer, dialect, .. } = &mut *state;
        let (method, params) = dialect
            .call(method, params, &CallCx::default())
            .map_err(|refusal| self.call_refused(method, refusal, dialect.methods()))?;
        let sent = peer.notify(false, &method, Some(&*params).filter(|p| !p.is_empty()));
        sent.map_err(|refusal| self.refused(&state, &refusal))?;
        self.kick.notify_one();
        Ok(())
    }

    /// Ends the wait for the calls whose tokens `wanted` names; the plugin is told where its dialect has a way.
    pub(crate) fn cancel_where(&self, wanted: &dyn Fn(&Token) -> bool, reason: &'static str) {
        let mut state = self.state();
        for id in state.peer.find(|pending| wanted(&pending.token)) {
            self.cancel(&mut state, id, reason);
        }
    }

    /// A frame of the caller's cancellation: `answered` calls are settled with −32800.
    pub(super) fn cancel(&self, state: &mut State, id: u32, reason: &str) {
        let method = state.peer.method(id).unwrap_or_default().to_owned();
        let cancel = state.dialect.cancel(id, &method, reason);
        let Some(cancelled) = state.peer.cancel(id, cancel.answered) else { return };
        if cancelled.sent {
            state.asks.extend(cancel.ask);
        }
        state.idle_from = self.clock.now();
        let Pending { token, more, .. } = cancelled.token;
        let sent = cancelled.sent || More::attempt(more.as_deref()) > 1;
        token.fail(CallError::cancelled(self.callee(), sent));
        self.run_asks(state);
        self.check_drained(state);
    }
}

impl Pending {
    /// Ends a call of which nothing was written; a first attempt's end is the last word on it.
    fn refuse(self, error: CallError) {
        match self.more.and_then(|more| more.first) {
            Some(first) => self.token.fail(first),
            None => self.token.fail(error),
        }
    }
}
