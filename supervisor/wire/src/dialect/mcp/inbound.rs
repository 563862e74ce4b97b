//! What servers send of themselves.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Mcp, Session};
use crate::dialect::{Ask, LogLevel, PluginEvent, refuse, text};
use crate::id::Id;
use crate::json::{member, text_member, text_of};

const METHOD_NOT_FOUND: i64 = -32601;

impl Mcp {
    /// Every request of a legacy server is answered, also before the opening is done; a server that waits for an
    /// answer in its start would never come up. A modern server must not ask, and is not answered.
    pub(super) fn on_request(
        &self,
        id: Id,
        method: &str,
        params: Option<&RawValue>,
        asks: &mut Vec<Ask>,
    ) {
        if self.session == Session::Modern {
            return asks.push(Ask::Event(PluginEvent::Violation {
                what: "a request from a modern MCP server",
            }));
        }
        let not_found = || (METHOD_NOT_FOUND, "Method not found".to_owned());
        let relay = |id, otherwise| Ask::Relay {
            id,
            method: method.to_owned(),
            params: params.map(ToOwned::to_owned),
            otherwise,
        };
        asks.push(match method {
            "ping" => Ask::Answer { id, outcome: Ok("{}".to_owned()) },
            "roots/list" => match self.settings.roots() {
                Some(roots) => Ask::Answer { id, outcome: Ok(format!("{{\"roots\":{roots}}}")) },
                None => Ask::Answer { id, outcome: Err(not_found()) },
            },
            "sampling/createMessage" if self.settings.declares("sampling") => {
                relay(id, Err(not_found()))
            }
            "elicitation/create" if self.settings.declares("elicitation") => {
                relay(id, Ok("{\"action\":\"decline\"}".to_owned()))
            }
            _ => refuse(id, METHOD_NOT_FOUND, "Method not found"),
        });
    }

    pub(super) fn on_note(&self, method: &str, raw: Option<&RawValue>, asks: &mut Vec<Ask>) {
        let params = text(raw);
        let event = match method {
            "notifications/message" => log(params),
            "notifications/progress" => {
                match (member(params, "progressToken").and_then(Id::parse), raw) {
                    (Some(token), Some(raw)) => {
                        PluginEvent::Progress { token, raw: raw.to_owned() }
                    }
                    _ => PluginEvent::Violation { what: "progress without a token" },
                }
            }
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => PluginEvent::ListChanged {
                kind: method.split('/').nth(1).unwrap_or_default().to_owned(),
            },
            "notifications/resources/updated" => match text_member(params, "uri") {
                Some(uri) => PluginEvent::ResourceUpdated { uri: uri.into_owned() },
                None => PluginEvent::Violation { what: "a resource update without a uri" },
            },
            "notifications/cancelled" => match member(params, "requestId").and_then(Id::parse) {
                Some(id) => PluginEvent::Cancelled { id },
                None => PluginEvent::Violation { what: "a cancellation without a request id" },
            },
            _ => PluginEvent::Note { method: method.to_owned(), raw: raw.map(ToOwned::to_owned) },
        };
        asks.push(Ask::Event(event));
    }
}

fn log(params: &str) -> PluginEvent {
    let level = match text_member(params, "level").as_deref() {
        Some("debug") => LogLevel::Debug,
        Some("info" | "notice") | None => LogLevel::Info,
        Some("warning") => LogLevel::Warn,
        Some(_) => LogLevel::Error,
    };
    let data = member(params, "data").unwrap_or("");
    let (text, fields) = match text_of(data) {
        Some(text) => (text, None),
        None => (Cow::Borrowed(data), data.starts_with('{').then(|| data.to_owned())),
    };
    let logger = text_member(params, "logger").map(Cow::into_owned);
    PluginEvent::Log { level, text: text.into_owned(), logger, fields }
}
