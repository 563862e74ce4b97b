//! One client among several on one plugin: what it is answered in the plugin's place, what is kept for it over the
//! plugin's restarts, and which of the plugin's notifications are its.
//!
//! A [`Session`] is plain data and does nothing by itself. Whoever serves the client asks it about each message that
//! [`concerns`] it; all others are the plugin's, and pass without a look.

mod documents;
mod lsp;
mod mcp;
mod native;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::json::{member, quoted, text_of};
use documents::Documents;

/// Resources, and topics, that one client may be subscribed to.
const MOST_SUBSCRIPTIONS: usize = 256;

/// Bytes of the longest name of a resource or topic that is remembered.
const LONGEST_NAME: usize = 4096;

/// What a plugin speaks, as far as its clients are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaks {
    Native,
    Mcp,
    Lsp,
}

/// How a plugin opened: what its clients are told when they open a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// `1`, `2025-11-25`: what was agreed on.
    pub protocol: String,
    /// The plugin's answer, as it wrote it.
    pub result: String,
}

/// What is to become of a client's request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the plugin.
    Call,
    /// The host answers, and that is all.
    Done(Cow<'static, str>),
    Failed {
        code: i64,
        message: String,
        /// JSON text.
        data: Option<String>,
    },
    /// It needs the plugin's opening, which nobody knows yet: ask again when it is known.
    Waits,
    /// The host answers `{}`, and [`Session::wants`] has changed: the plugin is to be told.
    Kept,
    /// It goes to the plugin. Should that refuse it, [`Session::forget_resource`] takes it back.
    Subscribed(Box<str>),
    /// It goes to the plugin unless another client is still subscribed; then the host answers `{}`.
    Unsubscribed(Box<str>),
}

/// What is to become of a client's notification.
#[derive(Debug, PartialEq, Eq)]
pub enum Noted {
    /// It goes to the plugin.
    Pass,
    /// It was meant for whoever serves the client.
    Kept,
    /// The client takes back its request of this id.
    Cancel(Id),
}

/// What clients want of a plugin beside calls: said to each of its generations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wants {
    /// MCP: the least severe log messages that are wanted.
    pub level: Option<Severity>,
    /// MCP: resources whose updates are wanted.
    pub resources: BTreeSet<Box<str>>,
}

impl Wants {
    /// Adds what another client wants.
    pub fn merge(&mut self, other: &Self) {
        self.level = match (self.level, other.level) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.resources.extend(other.resources.iter().cloned());
    }
}

/// The eight severities of MCP's log messages (RFC 5424), least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Severity {
    const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// `debug`, `info`, …, `emergency`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == name)
    }
}

/// One client's session with a plugin, over all generations of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    speaks: Speaks,
    /// What it was told when it opened; `None` until then.
    #[serde(default)]
    shown: Option<Shown>,
    /// It said that it is ready for notifications.
    #[serde(default)]
    ready: bool,
    /// Requests of the server that it answers: MCP's `sampling`, `elicitation`, `roots`; or LSP's methods.
    #[serde(default)]
    declared: Vec<String>,
    #[serde(default)]
    wants: Wants,
    /// Topics that it wants the events of.
    #[serde(default)]
    topics: BTreeSet<Box<str>>,
    /// LSP: what it has open.
    #[serde(default)]
    documents: Documents,
}

/// What a client was told of its plugin, as far as a later generation may belie it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    protocol: String,
    /// MCP and LSP: the object of capabilities, as JSON text.
    capabilities: String,
}

/// Whether [`Session::request`] or [`Session::note`] has a say in messages of this method. For all others the answers
/// are [`Verdict::Call`] and [`Noted::Pass`].
#[must_use]
pub fn concerns(speaks: Speaks, method: &str) -> bool {
    match method {
        "initialize" | "ping" | "outboard/subscribe" | "outboard/unsubscribe" => true,
        _ if speaks == Speaks::Lsp => lsp::concerns(method),
        "initialized" | "$/cancel" | "$/cancelRequest" => speaks == Speaks::Native,
        "server/discover"
        | "logging/setLevel"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "notifications/initialized"
        | "notifications/cancelled"
        | "notifications/progress"
        | "notifications/roots/list_changed" => speaks == Speaks::Mcp,
        _ => false,
    }
}

impl Session {
    /// The session of a client that has said nothing yet.
    #[must_use]
    pub fn new(speaks: Speaks) -> Self {
        Self {
            speaks,
            shown: None,
            ready: false,
            declared: Vec::new(),
            wants: Wants::default(),
            topics: BTreeSet::new(),
            documents: Documents::default(),
        }
    }

    /// Judges a request. `opening`: how the plugin opened, or opened last under the same launch.
    pub fn request(&mut self, method: &str, params: &str, opening: Option<&Opening>) -> Verdict {
        match (method, self.speaks) {
            ("ping", _) => Verdict::Done("{}".into()),
            ("outboard/subscribe", _) => self.topics_change(params, true),
            ("outboard/unsubscribe", _) => self.topics_change(params, false),
            ("initialize", Speaks::Native) => native::open(self, opening),
            (_, Speaks::Native) => Verdict::Call,
            (_, Speaks::Mcp) => mcp::request(self, method, params, opening),
            (_, Speaks::Lsp) => lsp::request(self, method, params, opening),
        }
    }

    /// Judges a notification.
    pub fn note(&mut self, method: &str, params: &str) -> Noted {
        match self.speaks {
            Speaks::Native => native::note(self, method, params),
            Speaks::Mcp => mcp::note(self, method, params),
            Speaks::Lsp => lsp::note(self, method, params),
        }
    }

    /// Whether a notification of the plugin is this client's, when it names no call that it belongs to.
    #[must_use]
    pub fn hears(&self, method: &str, params: &str) -> bool {
        match self.speaks {
            Speaks::Native => self.is_open() && native::hears(method),
            Speaks::Mcp => mcp::hears(self, method, params),
            Speaks::Lsp => lsp::hears(self, method),
        }
    }

    /// Another generation of the plugin serves, which opened like this. Gives the notifications that the client is
    /// owed for it: method and params, the latter empty for none.
    ///
    /// # Errors
    ///
    /// A sentence, when no notification can tell the client what is different: its session has to end.
    pub fn reopened(&mut self, opening: &Opening) -> Result<Vec<(&'static str, String)>, String> {
        match &self.shown.clone() {
            None => Ok(Vec::new()),
            Some(shown) if shown.protocol != opening.protocol => Err(format!(
                "it now speaks protocol {}, and this session was opened with {}",
                opening.protocol, shown.protocol
            )),
            Some(shown) => match self.speaks {
                Speaks::Native => Ok(Vec::new()),
                Speaks::Mcp => mcp::reopened(self, shown, opening),
                Speaks::Lsp => lsp::reopened(self, shown, opening),
            },
        }
    }

    /// Whether the client said that it answers such requests of its server.
    #[must_use]
    pub fn answers(&self, method: &str) -> bool {
        let capability = match self.speaks {
            Speaks::Native | Speaks::Mcp => method.split('/').next().unwrap_or_default(),
            Speaks::Lsp => method,
        };
        self.declared.iter().any(|declared| declared == capability)
    }

    /// The requests by which the same session is made again with another host, once it has been opened there: method
    /// and params.
    #[must_use]
    pub fn again(&self) -> Vec<(&'static str, String)> {
        let mut requests = Vec::new();
        if let Some(level) = self.wants.level {
            requests
                .push(("logging/setLevel", format!("{{\"level\":{}}}", quoted(level.as_str()))));
        }
        let uris = self.wants.resources.iter();
        requests.extend(
            uris.map(|uri| ("resources/subscribe", format!("{{\"uri\":{}}}", quoted(uri)))),
        );
        if !self.topics.is_empty() {
            let topics: Vec<String> = self.topics.iter().map(|topic| quoted(topic)).collect();
            requests.push(("outboard/subscribe", format!("{{\"topics\":[{}]}}", topics.join(","))));
        }
        requests
    }

    /// Notifications for a process that knows nothing of what the client has open: method and params.
    pub fn documents_again(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.documents.again()
    }

    /// A notification of the client was refused by a process that it was meant for. Gives what the client has to be told of
    /// it: method and params.
    #[must_use]
    pub fn missed(
        &mut self,
        method: &str,
        params: &str,
        why: &str,
    ) -> Option<(&'static str, String)> {
        match self.speaks {
            Speaks::Native | Speaks::Mcp => None,
            Speaks::Lsp => lsp::missed(self, method, params, why),
        }
    }

    /// Notifications for the plugin when the client has gone: what it has open is closed. Method and params.
    #[must_use]
    pub fn closings(&self) -> Vec<(&'static str, String)> {
        let closings = self.documents.closings().into_iter();
        closings.map(|params| (documents::CLOSE, params)).collect()
    }

    /// The notification by which a question of the plugin is taken back, whose id is JSON text: method and params.
    #[must_use]
    pub fn withdrawal(&self, id: &str) -> (&'static str, String) {
        match self.speaks {
            Speaks::Native | Speaks::Mcp => {
                ("notifications/cancelled", format!("{{\"requestId\":{id}}}"))
            }
            Speaks::Lsp => ("$/cancelRequest", format!("{{\"id\":{id}}}")),
        }
    }

    /// What it wants beside calls.
    #[must_use]
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// The plugin refused to tell of this resource.
    pub fn forget_resource(&mut self, uri: &str) {
        self.wants.resources.remove(uri);
    }

    /// The topics that it wants the events of; a `*` in one stands for anything.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|topic| &**topic)
    }

    /// It has been answered the opening of its session.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shown.is_some()
    }

    fn topics_change(&mut self, params: &str, add: bool) -> Verdict {
        let given: Option<Vec<String>> =
            member(params, "topics").and_then(|topics| serde_json::from_str(topics).ok());
        let Some(given) = given else { return invalid("topics has to be a list of strings") };
        for topic in given {
            if !add {
                self.topics.remove(&*topic);
            } else if self.topics.len() >= MOST_SUBSCRIPTIONS || topic.len() > LONGEST_NAME {
                return invalid("too many topics, or one that is too long");
            } else {
                self.topics.insert(topic.into());
            }
        }
        Verdict::Done("{}".into())
    }
}

fn invalid(message: &str) -> Verdict {
    Verdict::Failed { code: -32602, message: message.to_owned(), data: None }
}

/// The id under `name`, where it is one.
fn id_member(params: &str, name: &str) -> Option<Id> {
    member(params, name).and_then(Id::parse)
}

/// The string under `name`, unescaped.
fn name_member(params: &str, name: &str) -> Option<Box<str>> {
    member(params, name).and_then(text_of).map(|text| text.into_owned().into())
}
