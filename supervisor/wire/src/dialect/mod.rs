//! What messages mean: one implementation for each kind of plugin.
//!
//! A [`Dialect`] turns what happens on a link into [`Ask`]s. It writes no bytes, reads no clock, spawns nothing and is
//! not async; the host owns framer, ids, pending calls, timers and the rungs of a stop. Payloads pass through as text:
//! a generic value would lose digits, so `_meta` is spliced into the text of `params`.
//!
//! The order of use: [`Dialect::open`] once per process; answers to requests that the dialect asked for go to
//! [`Dialect::on_tagged`] with their [`Tag`]; everything that the peer sends of itself goes to
//! [`Dialect::on_message`]; application calls pass through [`Dialect::call`] on their way out and
//! [`Dialect::reply`] on their way back.

mod belongs;
mod kept;
pub mod lsp;
pub mod mcp;
mod meta;
mod native;
mod probes;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub use crate::frame::Framing;
use crate::id::Id;
use crate::message::RemoteError;
use crate::session::Wants;
pub use belongs::{Belongs, own_token};
pub use kept::Kept;
pub use lsp::Lsp;
pub use mcp::Mcp;
pub use meta::Meta;
pub use native::{Native, VERSIONS};

/// The name that the host goes by in openings.
pub const HOST_NAME: &str = "outboard";

/// Its version there.
pub const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the peer sent of itself. Payloads stay raw.
#[derive(Debug)]
pub enum Inbound<'a> {
    Request { id: Id, method: &'a str, params: Option<&'a RawValue> },
    Note { method: &'a str, params: Option<&'a RawValue> },
}

/// Which of the dialect's own requests it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tag {
    /// A step of the opening.
    Open(u8),
    /// A health probe, of the first or of the second kind.
    Probe {
        second: bool,
    },
    Drain,
    Shutdown,
    Config,
    /// The level of log messages was asked for.
    LogLevel,
    /// Updates of a resource were asked for, on a client's behalf.
    Subscribe,
    /// A subscription that is never answered while it lasts; no deadline, no work.
    Listen,
}

/// Everything that a dialect may ask the host to do. Requests and notifications go on the control lane.
#[derive(Debug)]
pub enum Ask {
    /// Send a request; its answer comes back with the tag. `params` is JSON text, empty for none. Without a budget the
    /// one of the phase or rung is meant.
    Request {
        tag: Tag,
        method: Cow<'static, str>,
        params: String,
        budget: Option<Duration>,
    },
    Note {
        method: Cow<'static, str>,
        params: String,
    },
    /// Answer a request of the plugin: JSON text, or code and message.
    Answer {
        id: Id,
        outcome: Result<String, (i64, String)>,
    },
    CloseStdin,
    /// The opening is answered; calls may go from now on.
    Opened(Box<Facts>),
    OpenFailed {
        /// `version`, `refused`, `malformed`, `closed`: the machine's word.
        detail: &'static str,
        /// A sentence for people.
        message: String,
        retry: OpenRetry,
    },
    Event(PluginEvent),
    /// The plugin wants something of the host or of another plugin. To be answered later, if it has an id.
    Host(HostRequest),
    /// A request of a server that an attached client may answer; where there is none, `otherwise` is the answer.
    Relay {
        id: Id,
        method: String,
        params: Option<Box<RawValue>>,
        otherwise: Result<String, (i64, String)>,
    },
}

/// What may follow a failed opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRetry {
    /// Nothing will change until manifest or executable do: no common version.
    Never,
    /// As after any failed start.
    Backoff,
    /// Once more at once, with this hint; a way that has not been tried.
    Respawn { hint: &'static str },
}

/// What the plugin asks of the host.
#[derive(Debug)]
pub enum HostRequest {
    /// Call another plugin. Whether it may is the host's to say.
    Call {
        id: Id,
        plugin: String,
        method: String,
        /// JSON text of an object.
        params: String,
        timeout: Option<Duration>,
        /// The `_meta` object that came with it, as JSON text.
        meta: Option<String>,
    },
    /// Publish an event; a notification when there is no id.
    Publish {
        id: Option<Id>,
        topic: String,
        data: String,
    },
    Info {
        id: Id,
    },
}

/// What an opening told.
#[derive(Debug, Clone)]
pub struct Facts {
    pub name: Option<String>,
    pub version: Option<String>,
    /// `1`, `2025-11-25`: what was agreed on.
    pub protocol: String,
    /// `3 methods`, `tools, prompts`: for a status line.
    pub offers: Option<String>,
    /// All methods there are, sorted by name; `None` when the plugin did not say.
    pub methods: Option<Vec<Method>>,
    /// Topics it publishes, and patterns of topics it wants.
    pub events: Vec<String>,
    pub subscribe: Vec<String>,
    pub concurrency: Option<u32>,
    pub supports: Supports,
    /// False: it will say by itself when it is ready.
    pub ready: bool,
    /// The result of the opening as the plugin wrote it.
    pub raw: Box<RawValue>,
}

/// One method of an opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    pub name: String,
    /// Doing it twice does no harm, so a call may be replayed.
    pub idempotent: bool,
    pub timeout: Option<Duration>,
}

/// Optional parts of the protocol that the plugin bears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supports {
    pub cancel: bool,
    pub drain: bool,
    pub reload: bool,
    pub progress: bool,
    pub idempotency: bool,
    pub meta: bool,
}

/// What a plugin tells without being asked.
#[derive(Debug)]
pub enum PluginEvent {
    Log {
        level: LogLevel,
        text: String,
        logger: Option<String>,
        /// JSON text of an object.
        fields: Option<String>,
    },
    /// Of the call that owns the token; or of the opening, for the token `"initialize"`.
    Progress {
        token: Id,
        raw: Box<RawValue>,
    },
    Status {
        state: Saying,
        message: Option<String>,
        expected: Option<Duration>,
    },
    /// `tools`, `prompts`, `resources`: what is remembered of that list is stale.
    ListChanged {
        kind: String,
    },
    ResourceUpdated {
        uri: String,
    },
    /// It takes back a request of its own.
    Cancelled {
        id: Id,
    },
    /// The answer to a changed configuration; when it was not applied the plugin must be restarted instead.
    Reconfigured {
        applied: bool,
    },
    /// Any other notification.
    Note {
        method: String,
        raw: Option<Box<RawValue>>,
    },
    /// Something that the protocol forbids; nothing was done about it.
    Violation {
        what: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// `trace`, `debug`, `info`, `warn`, `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What a plugin says of its own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Saying {
    Ready,
    Degraded,
    Unhealthy,
    Busy,
}

/// The rungs of a stop that a dialect has frames for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    Drain,
    Ask,
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub struct StopCx<'a> {
    /// `stop`, `restart`, `upgrade`, `config`, `host_exit`.
    pub reason: &'a str,
    /// What is left of the rungs that the plugin is told of.
    pub deadline: Duration,
}

/// What an opening needs to know.
#[derive(Clone, Copy, Debug)]
pub struct OpenCx<'a> {
    pub plugin: &'a str,
    pub instance: &'a str,
    pub generation: u64,
    /// The manifest's `[config]`, an object.
    pub config: &'a Value,
    /// `None` when the plugin must not watch the host's pid (a pid namespace of its own, or an upgrade to come).
    pub host_pid: Option<u32>,
    /// What [`Dialect::hint`] of an earlier run of the same executable gave, or [`OpenRetry::Respawn`].
    pub hint: Option<&'a str>,
    /// `plugin.method` patterns that this plugin may call, topics that it may publish, and whether it gets events.
    pub call: &'a [String],
    pub publish: &'a [String],
    pub events: bool,
    pub limits: OpenLimits,
}

/// Limits that are said to the plugin.
#[derive(Clone, Copy, Debug)]
pub struct OpenLimits {
    /// What the host takes, and what it sends at most.
    pub max_frame: usize,
    pub max_send: usize,
    pub max_depth: u32,
    pub handshake: Duration,
    pub ping_interval: Duration,
}

/// What comes with one application call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCx<'a> {
    pub meta: Meta<'a>,
    /// Time left until the call's deadline.
    pub remaining: Option<Duration>,
}

/// Why a call is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallRefusal {
    /// The method belongs to the link.
    Reserved,
    /// No method can be called that.
    IllegalName,
    /// The opening does not list it.
    UnknownMethod,
    BadParams(&'static str),
}

/// What the caller gets for the peer's answer.
#[derive(Debug)]
pub enum Reply<'a> {
    Done(&'a RawValue),
    Failed(RemoteError<'a>),
    /// The result asks for input that nobody can give here.
    InputRequired(&'a RawValue),
}

/// How a request in flight is taken back.
#[derive(Debug)]
pub struct Cancel {
    /// `None`: this dialect, or this method, has no way to say it.
    pub ask: Option<Ask>,
    /// An answer still follows: until then the call counts as work (`keep` of [`Peer::cancel`](crate::Peer::cancel)).
    pub answered: bool,
}

/// One kind of plugin.
pub trait Dialect: Send {
    /// `native`, `mcp`, `lsp`.
    fn name(&self) -> &'static str;

    fn framing(&self) -> Framing;

    /// First frames; called once for each process.
    fn open(&mut self, cx: &OpenCx<'_>, asks: &mut Vec<Ask>);

    /// The answer to a request that this dialect asked for. It has counted as a sign of life already.
    fn on_tagged(
        &mut self,
        tag: Tag,
        outcome: Result<&RawValue, &RemoteError<'_>>,
        asks: &mut Vec<Ask>,
    );

    /// A request with a budget of its own ran out of it.
    fn on_tag_timeout(&mut self, tag: Tag, asks: &mut Vec<Ask>);

    /// The link ended. Before the opening was answered there may be another way to open it.
    fn on_end(&mut self, asks: &mut Vec<Ask>);

    /// A request or notification of the peer.
    fn on_message(&mut self, message: Inbound<'_>, asks: &mut Vec<Ask>);

    /// An application call as it goes on the wire: its method, and its params as JSON text (empty for none). Borrowed
    /// where nothing had to be rewritten.
    ///
    /// # Errors
    ///
    /// A [`CallRefusal`]; nothing is to be sent then.
    fn call<'a>(
        &self,
        method: &'a str,
        params: &'a str,
        cx: &CallCx<'_>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), CallRefusal>;

    /// The member, as it is written, under which [`Dialect::call`] says how much time is left.
    fn says_left(&self) -> Option<&'static str> {
        None
    }

    /// The peer's answer as the caller gets it.
    fn reply<'a>(&self, method: &str, outcome: Result<&'a RawValue, RemoteError<'a>>) -> Reply<'a>;

    /// A result that names its call by the host's id, as its caller is told it, who knows the call by `id`. `None` where there
    /// is nothing to rename.
    fn renamed(&self, method: &str, result: &str, id: &Id) -> Option<String> {
        let _ = (method, result, id);
        None
    }

    /// What cancels a request in flight. `reason` is `caller`, `deadline` or `shutdown`.
    fn cancel(&self, id: u32, method: &str, reason: &str) -> Cancel;

    /// One health probe; `None` while none may be sent. `second` asks for the kind that is not the usual one here:
    /// some plugins drop one of the two.
    fn probe(&mut self, second: bool) -> Option<Ask>;

    /// The methods that the opening listed; empty when it listed none, or listed something else.
    fn methods(&self) -> &[String] {
        &[]
    }

    /// Says to the plugin what its clients want beside calls: once it is open, and whenever that has changed.
    fn want(&mut self, wants: &Wants, asks: &mut Vec<Ask>) {
        let _ = (wants, asks);
    }

    /// The call that a notification of the plugin belongs to: progress, an event of a subscription.
    fn belongs(&self, method: &str, params: &str) -> Option<Belongs> {
        let _ = (method, params);
        None
    }

    /// Whether an open call of this method keeps the plugin busy.
    fn counts_as_work(&self, method: &str) -> bool {
        let _ = method;
        true
    }

    /// Tells the plugin its changed configuration; `None` when it cannot be told and must be restarted.
    fn reconfigure(&mut self, config: &Value, revision: u64) -> Option<Ask> {
        let _ = (config, revision);
        None
    }

    /// The frames of one rung of a stop; none means that the rung is skipped.
    fn stop(&mut self, rung: Stop, cx: &StopCx<'_>, asks: &mut Vec<Ask>);

    /// What has been learnt, to be handed to the next opening of the same executable. Opaque to the host, which keeps
    /// it once the plugin is active and throws it away when an opening fails.
    fn hint(&self) -> Option<String>;

    /// Everything it knows, for the supervisor's next build.
    fn kept(&self) -> Kept;

    /// Whether the peer may send batches, which are then unpacked with
    /// [`split_batch`](crate::message::split_batch).
    fn unpacks_batches(&self) -> bool {
        false
    }
}

/// Whether a method can be called that: `[A-Za-z0-9_$./:-]{1,128}`.
#[must_use]
pub fn is_legal_method(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.' | b'/' | b':' | b'-')
        })
}

/// Params that must be an object: empty for none.
fn object_params(params: &str) -> Result<&str, CallRefusal> {
    match params.trim_ascii_start() {
        "" => Ok(""),
        text if text.starts_with('{') => Ok(params),
        text if text.trim_ascii_end() == "null" => Ok(""),
        _ => Err(CallRefusal::BadParams("an object is needed")),
    }
}

fn request(tag: Tag, method: &'static str, params: String) -> Ask {
    Ask::Request { tag, method: Cow::Borrowed(method), params, budget: None }
}

fn note(method: &'static str, params: String) -> Ask {
    Ask::Note { method: Cow::Borrowed(method), params }
}

fn refuse(id: Id, code: i64, message: impl Into<String>) -> Ask {
    Ask::Answer { id, outcome: Err((code, message.into())) }
}

/// The text of raw params; `{}` for none.
fn text(params: Option<&RawValue>) -> &str {
    params.map_or("{}", RawValue::get)
}
