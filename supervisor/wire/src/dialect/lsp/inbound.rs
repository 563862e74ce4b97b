//! What servers send of themselves.
//!
//! Every request is answered, by defaults that are true of a host without an editor: some servers wait for the answer
//! before they do anything else. Three of them an attached client answers, if it said that it would.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Lsp;
use crate::dialect::{Ask, LogLevel, PluginEvent, Saying, refuse, text};
use crate::id::Id;
use crate::json::{member, text_member};

const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

/// Tasks that a server says it is at, of which each is remembered until its end.
const MOST_TASKS: usize = 64;

/// Items of one `workspace/configuration`, which all get an answer.
const MOST_ITEMS: usize = 4096;

impl Lsp {
    pub(super) fn on_request(
        &self,
        id: Id,
        method: &str,
        params: Option<&RawValue>,
        asks: &mut Vec<Ask>,
    ) {
        let done = |id, value: Value| Ask::Answer { id, outcome: Ok(value.to_string()) };
        let relay = |id, otherwise: Value| Ask::Relay {
            id,
            method: method.to_owned(),
            params: params.map(ToOwned::to_owned),
            otherwise: Ok(otherwise.to_string()),
        };
        asks.push(match method {
            "client/registerCapability"
            | "client/unregisterCapability"
            | "window/workDoneProgress/create" => done(id, Value::Null),
            "workspace/configuration" => match self.configuration(text(params)) {
                Some(answer) => done(id, answer),
                None => refuse(id, INVALID_PARAMS, "workspace/configuration needs a list of items"),
            },
            "workspace/workspaceFolders" => done(id, self.settings.workspace_folders()),
            "window/showMessageRequest" => relay(id, Value::Null),
            "window/showDocument" => relay(id, json!({"success": false})),
            "workspace/applyEdit" => {
                relay(id, json!({"applied": false, "failureReason": "no editor"}))
            }
            _ if is_refresh(method) => done(id, Value::Null),
            _ => refuse(id, METHOD_NOT_FOUND, "Method not found"),
        });
    }

    /// As many settings as there are items.
    fn configuration(&self, params: &str) -> Option<Value> {
        let items: Vec<Value> = serde_json::from_str(member(params, "items")?).ok()?;
        if items.len() > MOST_ITEMS {
            return None;
        }
        let section = |item: &Value| self.settings.section(item["section"].as_str());
        Some(items.iter().map(section).collect())
    }

    pub(super) fn on_note(&mut self, method: &str, raw: Option<&RawValue>, asks: &mut Vec<Ask>) {
        let params = text(raw);
        let event = match method {
            "window/logMessage" | "window/showMessage" => log(params),
            "$/logTrace" => PluginEvent::Log {
                level: LogLevel::Debug,
                text: text_member(params, "message").unwrap_or_default().into_owned(),
                logger: None,
                fields: None,
            },
            "$/progress" => match self.progress(params) {
                Some(event) => event,
                None => return,
            },
            "$/cancelRequest" => match member(params, "id").and_then(Id::parse) {
                Some(id) => PluginEvent::Cancelled { id },
                None => PluginEvent::Violation { what: "a cancellation without an id" },
            },
            "telemetry/event" => return,
            _ => PluginEvent::Note { method: method.to_owned(), raw: raw.map(ToOwned::to_owned) },
        };
        asks.push(Ask::Event(event));
    }

    /// A server that is at some task of its own is busy until it has ended the last of them. Reports in between tell
    /// nothing new.
    fn progress(&mut self, params: &str) -> Option<PluginEvent> {
        let token = member(params, "token").filter(|token| token.len() <= 256)?;
        let value = member(params, "value")?;
        match text_member(value, "kind")?.as_ref() {
            "begin" => {
                if self.tasks.len() >= MOST_TASKS || self.tasks.iter().any(|task| **task == *token)
                {
                    return None;
                }
                self.tasks.push(token.into());
                Some(PluginEvent::Status {
                    state: Saying::Busy,
                    message: text_member(value, "title").map(Cow::into_owned),
                    expected: None,
                })
            }
            "end" => {
                let before = self.tasks.len();
                self.tasks.retain(|task| **task != *token);
                let last = before > 0 && self.tasks.is_empty();
                last.then_some(PluginEvent::Status {
                    state: Saying::Ready,
                    message: None,
                    expected: None,
                })
            }
            _ => None,
        }
    }
}

/// `workspace/semanticTokens/refresh` and its kind: what an editor shows is stale.
fn is_refresh(method: &str) -> bool {
    method.starts_with("workspace/") && method.ends_with("/refresh")
}

fn log(params: &str) -> PluginEvent {
    let level = match member(params, "type") {
        Some("1") => LogLevel::Error,
        Some("2") => LogLevel::Warn,
        Some("3") | None => LogLevel::Info,
        Some(_) => LogLevel::Debug,
    };
    let text = text_member(params, "message").unwrap_or_default().into_owned();
    PluginEvent::Log { level, text, logger: None, fields: None }
}
