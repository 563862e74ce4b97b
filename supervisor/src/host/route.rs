//! Where a call for a plugin goes now: to a live link, into a bounded wait, or back with a typed refusal.
//!
//! The dispatcher sets the route; callers only ask it. A call never passes through the dispatcher.

use std::collections::VecDeque;
use std::sync::Arc;

use outboard_core::{Route, StopReason, Time, Unavailable, WhileRestarting};
use outboard_wire::CallError;
use outboard_wire::error::Callee;

use super::call::Call;
use super::link::Link;
use super::upgrade::{Clients, KeptCall, KeptRoute, KeptWay};

/// The route of one plugin and the calls that wait at it.
#[derive(Debug)]
pub(crate) struct Router {
    way: Way,
    /// The link that took calls before, while it still has some: it drains.
    leaving: Option<Arc<Link>>,
    /// Calls that wait for the next generation, in the order they were accepted.
    held: VecDeque<Call>,
    held_bytes: usize,
    /// A generation has been active in this run: from then on only bytes and deadlines bound the wait.
    was_active: bool,
    /// The dispatcher knows that somebody called since the route was set.
    called: bool,
}

#[derive(Debug)]
enum Way {
    Open(Arc<Link>),
    Hold(Unavailable),
    Refuse(Unavailable),
}

/// The bounds of the wait, and whether calls wait that say nothing of it: from the manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HoldLimits {
    pub calls: usize,
    pub bytes: usize,
    pub usual: WhileRestarting,
}

/// What the route says to one call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Give it to this link. A link that no longer accepts gives the call back: see [`Router::hold_anyway`].
    Link(Arc<Link>, Call),
    /// It waits; `tell` when the dispatcher has to know of it, for its deadline or to start a resting plugin.
    Held { tell: bool },
    /// It cannot be taken; `tell` as above.
    Refused { call: Call, error: CallError, tell: bool },
}

impl Router {
    /// The route of a plugin that is not running.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            way: Way::Refuse(Unavailable::Down),
            leaving: None,
            held: VecDeque::new(),
            held_bytes: 0,
            was_active: false,
            called: false,
        }
    }

    /// The route and who waits at it, for another process.
    #[must_use]
    pub(crate) fn kept(&self) -> KeptRoute {
        KeptRoute {
            way: match &self.way {
                Way::Open(link) => KeptWay::Open(link.generation),
                Way::Hold(why) => KeptWay::Hold(*why),
                Way::Refuse(why) => KeptWay::Refuse(*why),
            },
            held: self.held.iter().map(KeptCall::of).collect(),
            was_active: self.was_active,
            called: self.called,
        }
    }

    /// Puts the route where it was. `link` finds the link of a generation.
    pub(crate) fn restore(
        kept: KeptRoute,
        clients: &Clients,
        link: impl FnOnce(u64) -> Option<Arc<Link>>,
    ) -> Self {
        let held: VecDeque<Call> = kept.held.into_iter().map(|call| call.back(clients)).collect();
        Self {
            way: match kept.way {
                KeptWay::Open(generation) => {
                    link(generation).map_or(Way::Refuse(Unavailable::Down), Way::Open)
                }
                KeptWay::Hold(why) => Way::Hold(why),
                KeptWay::Refuse(why) => Way::Refuse(why),
            },
            leaving: None,
            held_bytes: held.iter().map(Call::bytes).sum(),
            held,
            was_active: kept.was_active,
            called: kept.called,
        }
    }

    /// Lets go of link and calls: another process has them.
    pub(crate) fn let_go(&mut self) {
        self.way = Way::Refuse(Unavailable::Down);
        self.held.clear();
    }

    /// Why nothing can take a call now; `None` while the way is open.
    #[must_use]
    pub(crate) fn closed(&self) -> Option<Unavailable> {
        match &self.way {
            Way::Open(_) => None,
            Way::Hold(why) | Way::Refuse(why) => Some(*why),
        }
    }

    /// The link that takes calls now.
    #[must_use]
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        match &self.way {
            Way::Open(link) => Some(link),
            Way::Hold(_) | Way::Refuse(_) => None,
        }
    }

    /// The links that may have calls: the one that takes them now, and the one that drains.
    #[must_use]
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.link().into_iter().chain(&self.leaving).cloned().collect()
    }

    /// This link is over.
    pub(crate) fn forget(&mut self, link: &Arc<Link>) {
        if self.leaving.as_ref().is_some_and(|leaving| Arc::ptr_eq(leaving, link)) {
            self.leaving = None;
        }
    }

    /// What this link did not write is to go elsewhere: calls wait here for a generation to come, or go to another.
    #[must_use]
    pub(crate) fn takes_over_from(&self, link: &Link) -> bool {
        match &self.way {
            Way::Open(open) => !std::ptr::eq(&**open, link),
            Way::Hold(_) => true,
            Way::Refuse(_) => false,
        }
    }

    /// Calls that wait here.
    #[must_use]
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether the dispatcher has to be told that somebody wants the plugin: nothing serves, and nobody has said so.
    #[must_use]
    pub(crate) fn rouse(&mut self) -> bool {
        !matches!(self.way, Way::Open(_)) && !std::mem::replace(&mut self.called, true)
    }

    /// Asks the way for one call.
    pub(crate) fn ask(&mut self, call: Call, limits: HoldLimits, refusal: &Refusal<'_>) -> Answer {
        match &self.way {
            Way::Open(link) => Answer::Link(link.clone(), call),
            Way::Hold(why) | Way::Refuse(why) => self.hold_or_refuse(*why, call, limits, refusal),
        }
    }

    /// The call's own word on waiting goes before the manifest's, as long as there is something to wait for.
    fn hold_or_refuse(
        &mut self,
        why: Unavailable,
        call: Call,
        limits: HoldLimits,
        refusal: &Refusal<'_>,
    ) -> Answer {
        if self.holds(&call) {
            self.hold(call, limits, refusal)
        } else {
            self.refuse(why, call, refusal)
        }
    }

    /// Whether a call waits here, as the way is.
    fn holds(&self, call: &Call) -> bool {
        match &self.way {
            Way::Open(_) => true,
            Way::Hold(_) => call.wish() != Some(WhileRestarting::Fail),
            Way::Refuse(why) => call.wish() == Some(WhileRestarting::Wait) && will_pass(*why),
        }
    }

    fn refuse(&mut self, why: Unavailable, call: Call, refusal: &Refusal<'_>) -> Answer {
        let tell = !std::mem::replace(&mut self.called, true);
        Answer::Refused { call, error: refusal.unavailable(why), tell }
    }

    /// A link gave the call back: its process has ended and the dispatcher has not spoken yet. The call waits for
    /// the word of the dispatcher, whatever the route still says.
    pub(crate) fn hold_anyway(
        &mut self,
        call: Call,
        limits: HoldLimits,
        refusal: &Refusal<'_>,
    ) -> Answer {
        match &self.way {
            // With the way still open, only the word of the manifest tells what the dispatcher will say.
            Way::Open(_) if call.waits(limits.usual) => self.hold(call, limits, refusal),
            Way::Open(_) => self.refuse(Unavailable::Backoff, call, refusal),
            Way::Hold(why) | Way::Refuse(why) => self.hold_or_refuse(*why, call, limits, refusal),
        }
    }

    fn hold(&mut self, call: Call, limits: HoldLimits, refusal: &Refusal<'_>) -> Answer {
        let bytes = call.bytes();
        let beyond = |bound: usize| bound.saturating_add(bound.div_ceil(8));
        // An eighth more is for callers of whom nothing waits yet, so that others who fill the bounds do not shut them
        // out.
        let newcomer = || !self.held.iter().any(|held| held.caller.turn() == call.caller.turn());
        let over = |now: usize, bound: usize| now > bound && (now > beyond(bound) || !newcomer());
        let class = if !self.was_active && over(self.held.len() + 1, limits.calls) {
            Some("pending")
        } else if !self.held.is_empty() && over(self.held_bytes + bytes, limits.bytes) {
            Some("queue_bytes")
        } else {
            None
        };
        if let Some(class) = class {
            let error = refusal.overloaded(class);
            return Answer::Refused { call, error, tell: false };
        }
        let sooner =
            call.deadline.is_some_and(|at| self.next_deadline().is_none_or(|first| at < first));
        let tell = !std::mem::replace(&mut self.called, true) || sooner;
        self.held_bytes += bytes;
        self.held.push_back(call);
        Answer::Held { tell }
    }

    /// Puts calls back at the head of the wait, oldest first: they were accepted before all that wait here. Those that
    /// may not wait come back.
    #[must_use]
    pub(crate) fn put_back(&mut self, calls: Vec<Call>) -> Vec<Call> {
        let (hold, refused): (Vec<Call>, Vec<Call>) =
            calls.into_iter().partition(|call| self.holds(call));
        for call in hold.into_iter().rev() {
            self.held_bytes += call.bytes();
            self.held.push_front(call);
        }
        refused
    }

    /// Sets the route. Gives the calls that do not wait any longer: to be written (way open) or to be refused.
    #[must_use]
    pub(crate) fn set(&mut self, route: &Route, link: Option<&Arc<Link>>) -> Vec<Call> {
        self.called = false;
        if let Way::Open(before) = &self.way
            && link.is_none_or(|link| !Arc::ptr_eq(link, before))
        {
            self.leaving = Some(before.clone());
        }
        match (route, link) {
            (Route::Open, Some(link)) => {
                self.was_active = true;
                self.way = Way::Open(link.clone());
                self.take_held()
            }
            // An open route without a link cannot be: the link is made before the process.
            (Route::Open, None) => {
                self.way = Way::Refuse(Unavailable::Down);
                self.take_held()
            }
            (Route::Hold(why), _) => {
                self.way = Way::Hold(*why);
                self.take_those_that_do_not_wait()
            }
            (Route::Refuse(why), _) => {
                self.way = Way::Refuse(*why);
                self.take_those_that_do_not_wait()
            }
        }
    }

    fn take_those_that_do_not_wait(&mut self) -> Vec<Call> {
        let (stay, gone): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.held).into_iter().partition(|call| self.holds(call));
        self.keep_only(stay);
        gone
    }

    fn keep_only(&mut self, stay: Vec<Call>) {
        self.held = stay.into();
        self.held_bytes = self.held.iter().map(Call::bytes).sum();
    }

    fn take_held(&mut self) -> Vec<Call> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held).into()
    }

    /// Takes out the waiting calls whose deadline has passed.
    pub(crate) fn take_expired(&mut self, now: Time) -> Vec<Call> {
        self.take_where(|call| call.deadline.is_some_and(|at| at <= now))
    }

    /// Takes out the waiting call that `wanted` names, when it still waits.
    pub(crate) fn take_where(&mut self, wanted: impl Fn(&Call) -> bool) -> Vec<Call> {
        let (gone, stay): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.held).into_iter().partition(|call| wanted(call));
        self.keep_only(stay);
        gone
    }

    /// The earliest deadline of a waiting call.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.held.iter().filter_map(|call| call.deadline).min()
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl Call {
    fn bytes(&self) -> usize {
        self.method.len() + self.params.len() + 64
    }

    /// Ends the call with what `refusal` says of a deadline that passed before anything was written.
    pub(crate) fn expire(self, refusal: &Refusal<'_>, now: Time) {
        let again = self.is_replay();
        self.token.fail(refusal.deadline(now.since(self.began), again));
    }
}

/// Whether what is in the way goes away without anybody's doing.
fn will_pass(why: Unavailable) -> bool {
    match why {
        Unavailable::Starting
        | Unavailable::Waiting
        | Unavailable::Backoff
        | Unavailable::HalfOpen
        | Unavailable::Stopping(StopReason::Restart | StopReason::Swap) => true,
        Unavailable::Down
        | Unavailable::Failed
        | Unavailable::Stopping(StopReason::Stop | StopReason::Config | StopReason::HostExit) => {
            false
        }
    }
}

/// Words the refusals of one plugin: every error names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    pub plugin: &'a str,
    pub generation: u64,
    /// When the next try is due, if it is known.
    pub retry_after: Option<std::time::Duration>,
    /// What it waits for.
    pub note: Option<&'a str>,
}

impl Refusal<'_> {
    fn callee(&self) -> Callee<'_> {
        Callee { plugin: self.plugin, generation: self.generation }
    }

    /// −31001, −31008: nothing can take the call.
    #[must_use]
    pub(crate) fn unavailable(&self, why: Unavailable) -> CallError {
        let class = match why {
            Unavailable::Starting => "starting",
            Unavailable::Waiting => "waiting",
            Unavailable::Backoff => "backoff",
            Unavailable::HalfOpen => "half_open",
            Unavailable::Down => "down",
            Unavailable::Failed => "failed",
            Unavailable::Stopping(reason) => return self.shutting_down(reason, false),
        };
        let mut error = CallError::unavailable(self.callee(), class);
        if let Some(note) = self.note {
            let message = format!("{}: {note}", error.message());
            error = error.with_message(message);
        }
        match self.retry_after {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }

    /// −31008: a stop has begun.
    #[must_use]
    pub(crate) fn shutting_down(&self, reason: StopReason, sent: bool) -> CallError {
        let class = match reason {
            StopReason::Stop | StopReason::Config => "stop",
            StopReason::Restart | StopReason::Swap => "restart",
            StopReason::HostExit => "host_exit",
        };
        CallError::shutting_down(self.callee(), class).with_sent(sent)
    }

    /// −31004: a bound is reached.
    #[must_use]
    pub(crate) fn overloaded(&self, class: &'static str) -> CallError {
        CallError::overloaded(self.callee(), class)
    }

    /// −31002: the deadline passed while the call waited. Nothing was written, save by a first attempt.
    #[must_use]
    pub(crate) fn deadline(&self, waited: std::time::Duration, again: bool) -> CallError {
        CallError::deadline_exceeded(self.callee(), again, true).with_elapsed(waited)
    }
}
