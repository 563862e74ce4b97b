//! A call on its way: who asked, what for, and where the answer goes.

use std::sync::Arc;
use std::time::Duration;

use outboard_core::Time;
use outboard_wire::dialect::Tag;
use outboard_wire::{CallError, Id};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

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
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { deadline: None, unbounded: false, caller: "api" }
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
    pub caller: &'static str,
    pub token: Token,
}

/// Where the answer goes. Dropping a token unanswered is a bug; the link settles each exactly once.
#[derive(Debug)]
pub(crate) enum Token {
    /// A future in this process waits.
    Future(oneshot::Sender<CallResult>),
    /// A client of `attach.sock` waits for the answer under its own id.
    Client(Arc<dyn Answer>, Id),
    /// The dialect asked: opening, probe, stop.
    Tagged(Tag),
}

/// Somebody on a connection who gets answers in the form they arrive.
pub(crate) trait Answer: Send + Sync + std::fmt::Debug {
    /// The answer to `id`; `result` is the plugin's text, untouched. Never blocks.
    fn answer(&self, id: &Id, result: Result<&str, &CallError>);
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
}
