//! Clients of an MCP server.
//!
//! The server has one session, with the host. What belongs to a session (the opening, the log level, subscriptions) is
//! kept for each client here, so that it outlives the server's process and that clients do not change it for each other.

use serde_json::Value;

use super::{
    LONGEST_NAME, MOST_SUBSCRIPTIONS, Noted, Opening, Session, Severity, Shown, Verdict, id_member,
    invalid, name_member,
};
use crate::dialect::mcp::MODERN;
use crate::json::{member, quoted, text_member};

const METHOD_NOT_FOUND: i64 = -32601;

/// "I do not speak that version"; `data.supported` lists those that are spoken.
const UNSUPPORTED_VERSION: i64 = -32022;

/// Lists of which a server says by a notification that they changed.
const LISTS: [(&str, &str); 3] = [
    ("tools", "notifications/tools/list_changed"),
    ("prompts", "notifications/prompts/list_changed"),
    ("resources", "notifications/resources/list_changed"),
];

const RESOURCE_UPDATED: &str = "notifications/resources/updated";

pub(super) fn request(
    session: &mut Session,
    method: &str,
    params: &str,
    opening: Option<&Opening>,
) -> Verdict {
    match method {
        "initialize" | "server/discover" => match opening {
            Some(opening) => open(session, method, params, opening),
            None => Verdict::Waits,
        },
        "logging/setLevel" => set_level(session, params),
        "resources/subscribe" => subscribe(session, params),
        "resources/unsubscribe" => match name_member(params, "uri") {
            Some(uri) => {
                session.wants.resources.remove(&uri);
                Verdict::Unsubscribed(uri)
            }
            None => Verdict::Call,
        },
        _ => Verdict::Call,
    }
}

/// The two eras do not mix: a session is of the era that the server was opened in.
fn open(session: &mut Session, method: &str, params: &str, opening: &Opening) -> Verdict {
    let modern = opening.protocol == MODERN;
    match (method, modern) {
        ("initialize", true) => {
            let requested = member(params, "protocolVersion").unwrap_or("null");
            Verdict::Failed {
                code: UNSUPPORTED_VERSION,
                message: format!("Unsupported protocol version; this server speaks {MODERN}"),
                data: Some(format!(
                    "{{\"supported\":[{}],\"requested\":{requested}}}",
                    quoted(MODERN)
                )),
            }
        }
        ("server/discover", false) => Verdict::Failed {
            code: METHOD_NOT_FOUND,
            message: "Method not found".to_owned(),
            data: None,
        },
        _ => {
            if !modern {
                let declared = member(params, "capabilities").unwrap_or("{}");
                session.declared = declared_in(declared);
            }
            let capabilities = member(&opening.result, "capabilities").unwrap_or("{}");
            session.shown = Some(Shown {
                protocol: opening.protocol.clone(),
                capabilities: capabilities.to_owned(),
            });
            Verdict::Done(opening.result.clone().into())
        }
    }
}

fn declared_in(capabilities: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(capabilities).unwrap_or_default();
    let some = |name: &&str| all.get(name).is_some_and(Value::is_object);
    ["sampling", "elicitation", "roots"].into_iter().filter(some).map(str::to_owned).collect()
}

fn set_level(session: &mut Session, params: &str) -> Verdict {
    let level = text_member(params, "level").and_then(|level| Severity::named(&level));
    match level {
        Some(level) if session.has("logging") => {
            session.wants.level = Some(level);
            Verdict::Kept
        }
        // What the server does not know, or does not have, is for it to refuse.
        _ => Verdict::Call,
    }
}

fn subscribe(session: &mut Session, params: &str) -> Verdict {
    let Some(uri) = name_member(params, "uri") else { return Verdict::Call };
    let resources = &mut session.wants.resources;
    if uri.len() > LONGEST_NAME
        || (resources.len() >= MOST_SUBSCRIPTIONS && !resources.contains(&uri))
    {
        return invalid("too many subscriptions, or a uri that is too long");
    }
    resources.insert(uri.clone());
    Verdict::Subscribed(uri)
}

pub(super) fn note(session: &mut Session, method: &str, params: &str) -> Noted {
    match method {
        "notifications/initialized" => {
            session.ready = true;
            Noted::Kept
        }
        "notifications/cancelled" => {
            id_member(params, "requestId").map_or(Noted::Kept, Noted::Cancel)
        }
        // The roots are the manifest's, and the host asks no client for anything that has progress.
        "notifications/roots/list_changed" | "notifications/progress" => Noted::Kept,
        _ => Noted::Pass,
    }
}

pub(super) fn hears(session: &Session, method: &str, params: &str) -> bool {
    // In the modern era everything belongs to a request, and goes to whoever made it.
    let legacy = session.shown.as_ref().is_some_and(|shown| shown.protocol != MODERN);
    if !session.ready || !legacy {
        return false;
    }
    match method {
        "notifications/message" => {
            let severity = text_member(params, "level").and_then(|level| Severity::named(&level));
            // Another client may have asked for more than this one would have been sent.
            severity.is_none_or(|it| it >= session.wants.level.unwrap_or(Severity::Info))
        }
        RESOURCE_UPDATED => text_member(params, "uri").is_some_and(|uri| {
            // The specification allows the update of a part of what was subscribed to.
            session.wants.resources.iter().any(|own| {
                uri.strip_prefix(&**own).is_some_and(|rest| {
                    rest.is_empty() || own.ends_with('/') || rest.starts_with(['/', '#', '?'])
                })
            })
        }),
        // These name their call, or a request of the server.
        "notifications/progress" | "notifications/cancelled" => false,
        _ => true,
    }
}

pub(super) fn reopened(
    session: &Session,
    shown: &Shown,
    opening: &Opening,
) -> Result<Vec<(&'static str, String)>, String> {
    let was: Value = serde_json::from_str(&shown.capabilities).unwrap_or_default();
    let now = member(&opening.result, "capabilities").unwrap_or("{}");
    let now: Value = serde_json::from_str(now).unwrap_or_default();
    if let Some(lost) = lost(&was, &now, "") {
        return Err(format!(
            "it offered `{lost}` when this session was opened, and no longer does"
        ));
    }
    if !session.ready || opening.protocol == MODERN {
        return Ok(Vec::new());
    }
    let told = LISTS.iter().filter(|(kind, _)| was[kind]["listChanged"] == true);
    let mut notices: Vec<_> = told.map(|(_, method)| (*method, String::new())).collect();
    // What was missed meanwhile, nobody knows.
    notices.extend(
        session
            .wants
            .resources
            .iter()
            .map(|uri| (RESOURCE_UPDATED, format!("{{\"uri\":{}}}", quoted(uri)))),
    );
    Ok(notices)
}

/// The first member that is offered in `was` and not in `now`, as a path.
pub(super) fn lost(was: &Value, now: &Value, path: &str) -> Option<String> {
    match was {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match now.get(name) {
                Some(now) => lost(value, now, &path),
                None if value.is_null() || *value == false => None,
                None => Some(path),
            }
        }),
        Value::Bool(true) if *now != true => Some(path.to_owned()),
        _ => None,
    }
}

impl Session {
    /// Whether the opening that it was shown names this capability.
    fn has(&self, capability: &str) -> bool {
        let all = self.shown.as_ref().map(|shown| shown.capabilities.as_str());
        all.and_then(|all| member(all, capability)).is_some_and(|value| value.starts_with('{'))
    }
}
