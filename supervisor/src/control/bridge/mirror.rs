//! What a bridge remembers of its client, to open the same session again when the supervisor has gone and come back.

use std::collections::HashSet;

use outboard_wire::session::{Opening, Session, Speaks, concerns};
use outboard_wire::{Id, Message, encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::control::attach_client::AttachError;

/// Begins the ids of requests that are the bridge's own.
const OWN: &str = "outboard:again:";

/// One client, seen from its bridge.
#[derive(Debug)]
pub(super) struct Mirror {
    speaks: Speaks,
    session: Session,
    /// Requests of the client that have not been answered.
    open: HashSet<Id>,
    /// Requests of the plugin that the client has not answered.
    asked: HashSet<Id>,
    /// The opening of the session, once it was answered: its method and params.
    opened: Option<(&'static str, String)>,
    /// Openings that have not been answered.
    opening: Vec<(Id, &'static str, String)>,
    ready: bool,
    /// It said that it leaves.
    left: bool,
    again: u32,
}

/// What is to be done with a line from the supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is for the client.
    Pass,
    /// It answers something that the bridge itself asked.
    Swallow,
    /// It answers the opening of the session, with an error: the session will not be.
    Refused,
    /// The supervisor ends the connection, for this reason.
    Ended { class: String, message: String },
}

/// The members of an answer to the opening that its meaning hangs on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    #[serde(default)]
    protocol_version: serde_json::Value,
}

#[derive(Deserialize)]
struct Ended {
    class: String,
    message: String,
}

impl Mirror {
    pub(super) fn new(dialect: &str) -> Self {
        let speaks = match dialect {
            "mcp" => Speaks::Mcp,
            "lsp" => Speaks::Lsp,
            _ => Speaks::Native,
        };
        Self {
            speaks,
            session: Session::new(speaks),
            open: HashSet::new(),
            asked: HashSet::new(),
            opened: None,
            opening: Vec::new(),
            ready: false,
            left: false,
            again: 0,
        }
    }

    /// A message of the client, on its way to the supervisor.
    pub(super) fn up(&mut self, message: &Message<'_>) {
        match message {
            Message::Request { id, method, params } => {
                self.open.insert(id.clone());
                let params = params.map_or("", RawValue::get);
                match &**method {
                    "initialize" => self.opening.push((id.clone(), "initialize", params.into())),
                    "server/discover" if self.speaks == Speaks::Mcp => {
                        self.opening.push((id.clone(), "server/discover", params.into()));
                    }
                    method if concerns(self.speaks, method) => {
                        // What it is answered is the supervisor's to say; here only what it wants counts.
                        drop(self.session.request(method, params, None));
                    }
                    _ => {}
                }
            }
            Message::Notification { method, params } if concerns(self.speaks, method) => {
                drop(self.session.note(method, params.map_or("", RawValue::get)));
                self.ready |= matches!(&**method, "initialized" | "notifications/initialized");
                self.left |= self.speaks == Speaks::Lsp && method == "exit";
            }
            Message::Response { id, .. } => {
                self.asked.remove(id);
            }
            Message::Notification { .. } | Message::OrphanError { .. } => {}
        }
    }

    /// A message of the supervisor, on its way to the client.
    pub(super) fn down(&mut self, message: &Message<'_>) -> Line {
        match message {
            Message::Response { id, outcome } => {
                if matches!(id, Id::Str(text) if text.starts_with(OWN)) {
                    return Line::Swallow;
                }
                self.open.remove(id);
                let Some(at) = self.opening.iter().position(|(opening, ..)| opening == id) else {
                    return Line::Pass;
                };
                let (_, method, params) = self.opening.swap_remove(at);
                match outcome {
                    Ok(result) => {
                        let opening = opening_of(self.speaks, result.get());
                        drop(self.session.request(method, &params, Some(&opening)));
                        self.opened = Some((method, params));
                        Line::Pass
                    }
                    // Who is refused in one way may try the other; and what the plugin refuses is its affair.
                    Err(error) if method == "initialize" && is_the_hosts(error.code) => {
                        Line::Refused
                    }
                    Err(_) => Line::Pass,
                }
            }
            Message::Request { id, .. } => {
                self.asked.insert(id.clone());
                Line::Pass
            }
            Message::Notification { method, params } if method == "outboard/ended" => {
                let ended = params.and_then(|params| serde_json::from_str(params.get()).ok());
                let Ended { class, message } = ended.unwrap_or_else(|| Ended {
                    class: String::new(),
                    message: "the supervisor ended the connection".to_owned(),
                });
                Line::Ended { class, message }
            }
            Message::Notification { .. } | Message::OrphanError { .. } => Line::Pass,
        }
    }

    /// Whether anything of the client is unanswered.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// The client said that it leaves, and waits for the end of what it takes for its server.
    pub(super) fn has_left(&self) -> bool {
        self.left
    }

    /// The client has had its session opened.
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// The supervisor has gone: ends everything that was open with this error (JSON text of an object), and takes back
    /// what the client was asked.
    pub(super) fn settle(&mut self, error: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.opening.clear();
        for id in self.open.drain() {
            encode::error_raw(&mut out, &id, error);
        }
        for id in self.asked.drain() {
            let (method, params) = self.session.withdrawal(&id.to_string());
            encode::notification(&mut out, method, Some(&params));
        }
        out
    }

    /// What the client is told when its session with this plugin ends for this reason: an editor shows it, and says of
    /// itself only that its server crashed. Others show what is on standard error.
    pub(super) fn last_word(&self, plugin: &str, why: &AttachError) -> Vec<u8> {
        let mut out = Vec::new();
        if self.speaks == Speaks::Lsp {
            let message = format!("outboard: the session with {plugin} has to end: {why}");
            let params = serde_json::json!({"type": 1, "message": message}).to_string();
            encode::notification(&mut out, "window/showMessage", Some(&params));
        }
        out
    }

    /// The request that opens the client's session again, and its id; `None` when it has not opened one.
    pub(super) fn reopen(&mut self) -> Option<(Id, Vec<u8>)> {
        let (method, params) = self.opened.clone()?;
        let id = self.own_id();
        let mut line = Vec::new();
        encode::request_with(&mut line, &id, method, Some(&*params).filter(|p| !p.is_empty()));
        Some((id, line))
    }

    /// The session has been opened again, and the answer was this. Gives what the supervisor is to be told, and what the
    /// client.
    ///
    /// # Errors
    ///
    /// A sentence, when the client cannot be told what is different now.
    pub(super) fn reopened(&mut self, result: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
        let notices = self.session.reopened(&opening_of(self.speaks, result))?;
        let (mut up, mut down) = (Vec::new(), Vec::new());
        if self.ready {
            let method = match self.speaks {
                Speaks::Mcp => "notifications/initialized",
                Speaks::Native | Speaks::Lsp => "initialized",
            };
            encode::notification(&mut up, method, Some("{}"));
        }
        for (method, params) in self.session.documents_again() {
            encode::notification(&mut up, method, Some(params));
        }
        for (method, params) in self.session.again() {
            let id = self.own_id();
            encode::request_with(&mut up, &id, method, Some(&params));
        }
        for (method, params) in notices {
            encode::notification(&mut down, method, Some(&*params).filter(|p| !p.is_empty()));
        }
        Ok((up, down))
    }

    fn own_id(&mut self) -> Id {
        self.again += 1;
        Id::Str(format!("{OWN}{}", self.again).into())
    }
}

/// How the plugin opened, as far as the answer tells.
fn opening_of(speaks: Speaks, result: &str) -> Opening {
    if speaks == Speaks::Lsp {
        let protocol = outboard_wire::dialect::lsp::PROTOCOL.to_owned();
        return Opening { protocol, result: result.to_owned() };
    }
    let opened: Option<Opened> = serde_json::from_str(result).ok();
    let protocol = match opened.map(|opened| opened.protocol_version) {
        Some(serde_json::Value::String(version)) => version,
        Some(serde_json::Value::Number(version)) => version.to_string(),
        // `server/discover` names several; there is one revision that has it.
        _ => outboard_wire::dialect::mcp::MODERN.to_owned(),
    };
    Opening { protocol, result: result.to_owned() }
}

/// Whether an error of this code is the supervisor's word, and not the plugin's or the protocol's.
fn is_the_hosts(code: i64) -> bool {
    (-31099..=-31000).contains(&code)
}
