//! A call on its way: who asked, what for, and where the answer goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outboard_core::{Key, Time, WhileRestarting};
use outboard_wire::dialect::{Meta, Tag};
use outboard_wire::error::Callee;
use outboard_wire::{CallError, Id};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::caller::Caller;
use super::chain::{Origin, Trace};
use super::guests::Guest;

/// What a call ends in: exactly one of a result and one typed error.
pub type CallResult = Result<Box<RawValue>, CallError>;

/// How a call is to be made.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// How long the caller waits at most; `None` takes the manifest's `[calls] deadline`.
    pub deadline: Option<Duration>,
    /// Waits without end when no deadline is given (attached clients end their long calls themselves).
    pub unbounded: bool,
    /// `cli`, `api:NAME`, `plugin:ID`: told to plugins that understand `_meta`.
    pub caller: &'static str,
    /// What the call does while the plugin is not up; `None` takes the manifest's `[calls] while_restarting`.
    pub while_restarting: Option<WhileRestarting>,
    /// The same key has the same effect, at most 128 bytes: a plugin that supports keys may be called again with it
    /// after it crashed.
    pub idempotency_key: Option<String>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            deadline: None,
            unbounded: false,
            caller: "api",
            while_restarting: None,
            idempotency_key: None,
        }
    }
}

/// One accepted call, whole: it can wait, be written, or be written again by the next generation.
#[derive(Debug)]
pub(crate) struct Call {
    pub method: Box<str>,
    /// JSON text of an object or array; empty for none.
    pub params: Box<str>,
    /// When the caller stops waiting, on the host's clock.
    pub deadline: Option<Time>,
    pub began: Time,
    pub caller: Caller,
    pub token: Token,
    /// What most calls have nothing of.
    pub more: Option<Box<More>>,
}

/// What only some calls have.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub while_restarting: Option<WhileRestarting>,
    pub key: Option<Box<str>>,
    /// The trace that its params bring, where the plugin may make calls itself.
    pub trace: Option<Box<Trace>>,
    /// The caller's own progress token, as JSON text: its params have it, and the plugin is given another one for it.
    pub progress: Option<Box<str>>,
    /// The calls of plugins that led to this one.
    pub origin: Option<Arc<Origin>>,
    /// What the first attempt ended in, where this is the second.
    pub first: Option<CallError>,
    /// As the caller gave it, while the call is with a link: the frame may say more, and may be gone.
    pub given: Option<Given>,
    /// Doing it twice does no harm.
    pub idempotent: bool,
}

impl More {
    /// What goes into `_meta`, besides the deadline.
    pub(crate) fn meta<'a>(this: Option<&'a Self>, caller: &'a Caller) -> Meta<'a> {
        let meta = Meta { caller: Some(caller.name()), ..Meta::default() };
        let Some(more) = this else { return meta };
        let trace = more.origin.as_ref().map(|origin| &origin.trace);
        Meta {
            idempotency_key: more.key.as_deref(),
            attempt: more.first.is_some().then_some(SECOND),
            traceparent: trace.and_then(|trace| trace.parent.as_deref()),
            tracestate: trace.and_then(|trace| trace.state.as_deref()),
            baggage: trace.and_then(|trace| trace.baggage.as_deref()),
            ..meta
        }
    }

    /// 1, and 2 on a replay.
    pub(crate) fn attempt(this: Option<&Self>) -> u32 {
        if this.is_some_and(|more| more.first.is_some()) { SECOND } else { 1 }
    }
}

/// A replay is the second attempt, and there is no third.
const SECOND: u32 = 2;

impl Call {
    /// Whether it waits while nothing can take it; `usual` is the manifest's word.
    #[must_use]
    pub(crate) fn waits(&self, usual: WhileRestarting) -> bool {
        self.wish().unwrap_or(usual) == WhileRestarting::Wait
    }

    /// It was sent once, and is made again.
    #[must_use]
    pub(crate) fn is_replay(&self) -> bool {
        More::attempt(self.more.as_deref()) > 1
    }

    /// Its own word on whether it waits.
    #[must_use]
    pub(crate) fn wish(&self) -> Option<WhileRestarting> {
        self.more.as_ref().and_then(|more| more.while_restarting)
    }

    /// Ends a call that no generation will take any more. What a first attempt ended in counts: it may have been
    /// carried out, and nobody is to be told that nothing was sent.
    pub(crate) fn refuse(self, error: CallError) {
        match self.more.and_then(|more| more.first) {
            Some(first) => self.token.fail(first),
            None => self.token.fail(error),
        }
    }

    /// Ends a call that its caller took back while it waited.
    pub(crate) fn cancel(self, callee: Callee<'_>) {
        let sent = More::attempt(self.more.as_deref()) > 1;
        self.token.fail(CallError::cancelled(callee, sent));
    }
}

/// The bytes that one link keeps of calls that are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeping(Arc<AtomicUsize>);

impl Keeping {
    /// Keeps a call as it was given, as long as all that is kept stays within `bound` bytes.
    #[must_use]
    pub(crate) fn keep(&self, method: Box<str>, params: Box<str>, bound: usize) -> Option<Given> {
        let bytes = method.len() + params.len();
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let given = Given { method, params, bytes, of: self.clone() };
        // Dropped, it gives its bytes back.
        (before + bytes <= bound).then_some(given)
    }
}

/// Method and params as the caller gave them.
#[derive(Debug)]
pub(crate) struct Given {
    method: Box<str>,
    params: Box<str>,
    bytes: usize,
    of: Keeping,
}

impl Given {
    /// Method and params.
    pub(crate) fn texts(&self) -> (&str, &str) {
        (&self.method, &self.params)
    }

    /// Gives them back.
    pub(crate) fn take(mut self) -> (Box<str>, Box<str>) {
        (std::mem::take(&mut self.method), std::mem::take(&mut self.params))
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where the answer goes. Dropping a token unanswered is a bug; the link settles each exactly once.
#[derive(Debug)]
pub(crate) enum Token {
    /// A future in this process waits.
    Future(oneshot::Sender<CallResult>),
    /// A client of `attach.sock`, or a plugin, waits for the answer under its own id.
    Client(Arc<dyn Answer>, Id),
    /// The dialect asked: opening, probe, stop.
    Tagged(Tag),
}

/// One who gets answers, by what a state knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Address {
    /// An attached client, by its number.
    Client(u64),
    /// A generation of a plugin.
    Plugin(Key, u64),
}

/// Somebody on a connection who gets answers in the form they arrive.
pub(crate) trait Answer: Send + Sync + std::fmt::Debug {
    /// Which one it is, for as long as it is there.
    fn address(&self) -> Address;

    /// The answer to `id`; `result` is the plugin's text, untouched. Never blocks, and asks nothing of a link: it is
    /// told while one is locked.
    fn answer(&self, id: &Id, result: Result<&str, &CallError>);

    /// A notification about a call of theirs: progress, an event of a subscription. Under the same conditions.
    fn push(&self, method: &str, params: &str) {
        let _ = (method, params);
    }

    /// The same as a client that shares the plugin, where it is one.
    fn guest(self: Arc<Self>) -> Option<Arc<dyn Guest>> {
        None
    }
}

impl Token {
    /// Ends the call with a result that is the plugin's own text.
    pub(crate) fn succeed(self, result: &RawValue) {
        match self {
            // The caller may be gone: its call was cancelled a moment ago.
            Self::Future(waiting) => drop(waiting.send(Ok(result.to_owned()))),
            Self::Client(client, id) => client.answer(&id, Ok(result.get())),
            Self::Tagged(_) => {}
        }
    }

    /// Ends the call with an error.
    pub(crate) fn fail(self, error: CallError) {
        match self {
            Self::Future(waiting) => drop(waiting.send(Err(error))),
            Self::Client(client, id) => client.answer(&id, Err(&error)),
            Self::Tagged(_) => {}
        }
    }

    /// Whether the answer goes to `owner`.
    #[must_use]
    pub(crate) fn belongs_to<T>(&self, owner: &Arc<T>) -> bool {
        matches!(self, Self::Client(client, _) if std::ptr::addr_eq(Arc::as_ptr(client), Arc::as_ptr(owner)))
    }
}
