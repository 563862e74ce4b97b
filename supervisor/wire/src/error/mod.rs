//! What a caller is told when a call fails.
//!
//! | code | [`Kind`] | when | retryable |
//! | --- | --- | --- | --- |
//! | −31001 | `Unavailable` | no generation can take the call | by class |
//! | −31002 | `DeadlineExceeded` | no answer in time | idempotent only |
//! | −31003 | `Crashed` | the process or its link ended | if not `sent`, or idempotent |
//! | −31004 | `Overloaded` | a limit of the host | yes, save `call_cycle` |
//! | −31005 | `TooLarge`, `TooDeep` | a cap on frames, either direction | no |
//! | −31006 | `PermissionDenied` | a reserved method, or a call or topic not allowed | no |
//! | −31007 | `BadPeer` | the answer was no valid message | no |
//! | −31008 | `ShuttingDown` | a drain or stop has begun | for `restart` and `upgrade` |
//! | −31009 | `NotReady` | before the opening is done | yes |
//! | −31010 | `UnsupportedProtocol` | no common version | no |
//! | −32800 | `Cancelled` | the caller cancelled | no |
//!
//! Besides these, JSON-RPC's own −32600, −32601, −32602 and −32603, when the host itself says them.

mod build;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::encode;
use crate::json::{member, quoted, with_member};
use crate::message::RemoteError;

/// Lines of stderr that an error carries at most.
pub const MAX_STDERR: usize = 10;

/// Which of the protocol's errors it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    Unavailable,
    DeadlineExceeded,
    Crashed,
    Overloaded,
    TooLarge,
    TooDeep,
    PermissionDenied,
    BadPeer,
    ShuttingDown,
    NotReady,
    UnsupportedProtocol,
    Cancelled,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
    Internal,
}

impl Kind {
    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Unavailable => -31001,
            Self::DeadlineExceeded => -31002,
            Self::Crashed => -31003,
            Self::Overloaded => -31004,
            Self::TooLarge | Self::TooDeep => -31005,
            Self::PermissionDenied => -31006,
            Self::BadPeer => -31007,
            Self::ShuttingDown => -31008,
            Self::NotReady => -31009,
            Self::UnsupportedProtocol => -31010,
            Self::Cancelled => -32800,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
        }
    }
}

/// A failed call: the host's own verdict, or the error that the plugin answered.
#[derive(Clone, Debug)]
pub enum CallError {
    Host(Box<HostError>),
    Remote(Box<RemoteCallError>),
}

/// Whose call failed: the plugin and the run of it, 0 for none.
#[derive(Clone, Copy, Debug)]
pub struct Callee<'a> {
    pub plugin: &'a str,
    pub generation: u64,
}

/// An error that the host made. `plugin`, `generation`, `class`, `retryable` and the source are always said.
#[derive(Clone, Debug)]
pub struct HostError {
    pub kind: Kind,
    pub class: &'static str,
    /// For people; names the plugin.
    pub message: String,
    pub plugin: String,
    pub generation: u64,
    pub retryable: bool,
    /// False when no byte of the call was written: then a retry is safe for any method.
    pub sent: Option<bool>,
    /// 1, and 2 for a replay.
    pub attempt: Option<u32>,
    pub elapsed: Option<Duration>,
    pub retry_after: Option<Duration>,
    pub exit: Option<Exit>,
    /// The last lines of stderr, redacted, [`MAX_STDERR`] at most.
    pub stderr: Vec<String>,
    /// Where the crash is written up.
    pub dossier: Option<String>,
    /// Further members of `data`: name and JSON text.
    pub extra: Vec<(&'static str, String)>,
}

/// How the process ended that had the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    /// `SIGSEGV`, …
    Signal(String),
    Oom,
    Unknown,
}

/// An error that the plugin itself answered.
#[derive(Clone, Debug)]
pub struct RemoteCallError {
    pub code: i64,
    pub message: String,
    /// The error object as the plugin wrote it.
    pub raw: String,
    /// To be named in `data.plugin`: the plugin that was called on another plugin's behalf.
    pub callee: Option<String>,
}

impl CallError {
    /// The error that a plugin answered, kept as it was written.
    #[must_use]
    pub fn remote(error: &RemoteError<'_>) -> Self {
        Self::Remote(Box::new(RemoteCallError {
            code: error.code,
            message: error.message.clone().into_owned(),
            raw: error.raw.get().to_owned(),
            callee: None,
        }))
    }

    #[must_use]
    pub fn code(&self) -> i64 {
        match self {
            Self::Host(e) => e.kind.code(),
            Self::Remote(e) => e.code,
        }
    }

    /// The class of a host-made error.
    #[must_use]
    pub fn class(&self) -> Option<&'static str> {
        match self {
            Self::Host(e) => Some(e.class),
            Self::Remote(_) => None,
        }
    }

    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Host(e) => &e.message,
            Self::Remote(e) => &e.message,
        }
    }

    /// Whether trying again may help and does no harm. A plugin's own error says so in `data.retryable`, or it is not.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Host(e) => e.retryable,
            Self::Remote(e) => member(&e.raw, "data")
                .and_then(|data| member(data, "retryable"))
                .is_some_and(|r| r == "true"),
        }
    }

    /// Whether the plugin may have acted on the call. An answer proves that it read it.
    #[must_use]
    pub fn sent(&self) -> bool {
        match self {
            Self::Host(e) => e.sent.unwrap_or(false),
            Self::Remote(_) => true,
        }
    }

    /// The JSON-RPC error object. A plugin's own passes byte for byte, unless it took a code of this protocol's table:
    /// then `data.source` says `"plugin"`, so that nobody takes it for the host's word.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Host(e) => e.to_json(),
            Self::Remote(e) => e.to_json(),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(e) => write!(f, "{} ({} {})", e.message, e.kind.code(), e.class),
            Self::Remote(e) => write!(f, "{} ({})", e.message, e.code),
        }
    }
}

impl std::error::Error for CallError {}

impl HostError {
    fn to_json(&self) -> String {
        let mut data = Object::new();
        data.text("plugin", &self.plugin);
        data.raw("generation", &self.generation.to_string());
        data.text("class", self.class);
        data.raw("retryable", bool_text(self.retryable));
        data.text("source", "host");
        if let Some(sent) = self.sent {
            data.raw("sent", bool_text(sent));
        }
        if let Some(attempt) = self.attempt {
            data.raw("attempt", &attempt.to_string());
        }
        if let Some(elapsed) = self.elapsed {
            data.raw("elapsedMs", &elapsed.as_millis().to_string());
        }
        if let Some(after) = self.retry_after {
            data.raw("retryAfterMs", &after.as_millis().to_string());
        }
        if let Some(exit) = &self.exit {
            data.raw("exit", &exit.to_json());
        }
        if let Some(dossier) = &self.dossier {
            data.text("dossier", dossier);
        }
        if !self.stderr.is_empty() {
            let lines: Vec<String> = self.stderr.iter().map(|line| quoted(line)).collect();
            data.raw("stderr", &format!("[{}]", lines.join(",")));
        }
        for (name, value) in &self.extra {
            data.raw(name, value);
        }
        error_object(self.kind.code(), &self.message, &data.finish())
    }
}

impl Exit {
    fn to_json(&self) -> String {
        match self {
            Self::Code(code) => format!("{{\"code\":{code}}}"),
            Self::Signal(name) => format!("{{\"signal\":{}}}", quoted(name)),
            Self::Oom => "{\"signal\":\"SIGKILL\",\"oom\":true}".to_owned(),
            Self::Unknown => "{\"unknown\":true}".to_owned(),
        }
    }
}

impl RemoteCallError {
    fn to_json(&self) -> String {
        let of_our_table = matches!(self.code, -31099..=-31000 | -32800);
        if !of_our_table && self.callee.is_none() {
            return self.raw.clone();
        }
        let data = match member(&self.raw, "data") {
            None | Some("null") => "{}".to_owned(),
            Some(data) if data.starts_with('{') => data.to_owned(),
            // Data that is no object cannot take a member: it becomes one itself.
            Some(data) => format!("{{\"data\":{data}}}"),
        };
        let set = |data: String, name, value: &str| {
            with_member(&data, name, &quoted(value)).unwrap_or(data)
        };
        let mut data = if of_our_table { set(data, "source", "plugin") } else { data };
        if let Some(callee) = &self.callee {
            data = set(data, "plugin", callee);
        }
        with_member(&self.raw, "data", &data)
            .unwrap_or_else(|| error_object(self.code, &self.message, &data))
    }
}

fn error_object(code: i64, message: &str, data: &str) -> String {
    let mut out = Vec::with_capacity(message.len() + data.len() + 48);
    encode::error_object(&mut out, code, message, Some(data));
    String::from_utf8(out).expect("made of texts")
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Writes one JSON object, member by member.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
