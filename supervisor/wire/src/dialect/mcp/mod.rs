//! The Model Context Protocol on stdio, both eras of it.
//!
//! *Legacy*, revisions up to 2025-11-25: `initialize`, then plain requests both ways. *Modern*, 2026-07-28: no opening;
//! every request brings its version and capabilities, and servers ask for nothing.
//!
//! To a legacy server only methods of its revision are sent: one SDK still in use closes the link on an unknown
//! request, and after an unknown notification leaves the next frame unanswered until more bytes come.

mod inbound;
mod opening;
mod revision;
mod settings;
#[cfg(test)]
mod tests;
mod wants;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::meta::{Entry, splice};
use super::probes::Probes;
use super::{
    Ask, Belongs, CallCx, CallRefusal, Cancel, Dialect, Framing, HOST_NAME, HOST_VERSION, Inbound,
    Kept, OpenCx, Reply, Stop, StopCx, Tag, is_legal_method, note, object_params, request,
};
use crate::id::Id;
use crate::json::{member, quoted, with_member};
use crate::message::RemoteError;
use crate::session::Wants;
use opening::Opening;
pub use settings::{Era, McpSettings};

/// Revisions of the legacy era, newest first.
pub const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// One of [`LEGACY`]. An alias, since a derive takes a plain reference for a borrow from what it reads.
type Revision = &'static str;

/// The revision of the modern era.
pub const MODERN: &str = "2026-07-28";

/// The one legacy revision that has batches.
const BATCHING: &str = "2025-03-26";

/// Opens a subscription of the modern era; its result comes when the subscription ends.
const LISTEN: &str = "subscriptions/listen";

/// In `_meta` of what a modern server sends within a subscription: the id of the request that it was opened by.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A short form of `tools/call`: `tool:NAME` with the arguments as params.
const TOOL_PREFIX: &str = "tool:";

/// An unmodified MCP server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mcp {
    settings: McpSettings,
    opening: Opening,
    session: Session,
    probes: Probes,
    said: wants::Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Session {
    Opening,
    Legacy(#[serde(with = "revision")] Revision),
    Modern,
    /// Standard input is being closed.
    Leaving,
}

impl Mcp {
    #[must_use]
    pub fn new(settings: McpSettings) -> Self {
        Self {
            settings,
            opening: Opening::default(),
            session: Session::Opening,
            probes: Probes::default(),
            said: wants::Said::default(),
        }
    }

    /// The members of `_meta` that every modern request has.
    fn modern_entries(&self) -> Vec<Entry<'static>> {
        let info =
            format!("{{\"name\":{},\"version\":{}}}", quoted(HOST_NAME), quoted(HOST_VERSION));
        let mut entries: Vec<Entry<'static>> = vec![
            ("io.modelcontextprotocol/protocolVersion", quoted(MODERN).into()),
            ("io.modelcontextprotocol/clientInfo", info.into()),
            ("io.modelcontextprotocol/clientCapabilities", self.settings.declared().into()),
        ];
        if let Some(level) = &self.settings.log_level {
            entries.push(("io.modelcontextprotocol/logLevel", quoted(level).into()));
        }
        entries
    }

    /// A modern request's params.
    fn modern_params(&self, params: &str) -> String {
        splice(params, &self.modern_entries()).unwrap_or_else(|_| params.to_owned())
    }
}

impl Dialect for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn framing(&self) -> Framing {
        Framing::Newline
    }

    fn open(&mut self, cx: &OpenCx<'_>, asks: &mut Vec<Ask>) {
        let (way, second) = match cx.hint.and_then(|hint| hint.split_once('+')) {
            Some((way, probe)) => (Some(way), probe == "second"),
            None => (cx.hint, false),
        };
        self.probes = Probes::preferring_second(second);
        self.begin(way, asks);
    }

    fn on_tagged(
        &mut self,
        tag: Tag,
        outcome: Result<&RawValue, &RemoteError<'_>>,
        asks: &mut Vec<Ask>,
    ) {
        match tag {
            Tag::Open(step) => self.on_open_step(step, outcome, asks),
            Tag::Probe { second } => self.probes.answered(second),
            // A server that has no such subscription says so, and that is no fault.
            Tag::Listen
            | Tag::LogLevel
            | Tag::Subscribe
            | Tag::Drain
            | Tag::Shutdown
            | Tag::Config => {}
        }
    }

    fn on_tag_timeout(&mut self, tag: Tag, asks: &mut Vec<Ask>) {
        if let Tag::Open(step) = tag {
            self.on_open_timeout(step, asks);
        }
    }

    fn on_end(&mut self, asks: &mut Vec<Ask>) {
        self.on_open_end(asks);
        self.session = Session::Leaving;
    }

    fn on_message(&mut self, message: Inbound<'_>, asks: &mut Vec<Ask>) {
        match message {
            Inbound::Request { id, method, params } => self.on_request(id, method, params, asks),
            Inbound::Note { method, params } => self.on_note(method, params, asks),
        }
    }

    fn call<'a>(
        &self,
        method: &'a str,
        params: &'a str,
        cx: &CallCx<'_>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), CallRefusal> {
        if matches!(method, "initialize" | "notifications/initialized" | "ping" | "server/discover")
        {
            return Err(CallRefusal::Reserved);
        }
        let params = object_params(params)?;
        let (method, mut params) = if let Some(tool) = method.strip_prefix(TOOL_PREFIX) {
            let arguments = if params.is_empty() { "{}" } else { params };
            let params = format!("{{\"name\":{},\"arguments\":{arguments}}}", quoted(tool));
            (Cow::Borrowed("tools/call"), Cow::Owned(params))
        } else if is_legal_method(method) {
            (Cow::Borrowed(method), Cow::Borrowed(params))
        } else {
            return Err(CallRefusal::IllegalName);
        };
        let mut entries =
            if self.session == Session::Modern { self.modern_entries() } else { Vec::new() };
        entries.extend(cx.meta.trace());
        entries.extend(cx.meta.progress_entry());
        let own: Vec<(String, Cow<'_, str>)> = if self.settings.send_meta {
            cx.meta
                .own(cx.remaining)
                .map(|(name, value)| (format!("dev.outboard/{name}"), value))
                .collect()
        } else {
            Vec::new()
        };
        entries.extend(own.iter().map(|(name, value)| (name.as_str(), value.clone())));
        if !entries.is_empty() {
            params = Cow::Owned(splice(&params, &entries)?);
        }
        Ok((method, params))
    }

    fn says_left(&self) -> Option<&'static str> {
        self.settings.send_meta.then_some("\"dev.outboard/deadlineMs\":")
    }

    fn reply<'a>(
        &self,
        _method: &str,
        outcome: Result<&'a RawValue, RemoteError<'a>>,
    ) -> Reply<'a> {
        match outcome {
            Ok(result)
                if self.session == Session::Modern
                    && member(result.get(), "resultType") == Some("\"input_required\"") =>
            {
                Reply::InputRequired(result)
            }
            Ok(result) => Reply::Done(result),
            Err(error) => Reply::Failed(error),
        }
    }

    fn renamed(&self, method: &str, result: &str, id: &Id) -> Option<String> {
        if method != LISTEN {
            return None;
        }
        let meta = member(result, "_meta")?;
        member(meta, SUBSCRIPTION)?;
        with_member(result, "_meta", &with_member(meta, SUBSCRIPTION, &id.to_string())?)
    }

    fn cancel(&self, id: u32, _method: &str, reason: &str) -> Cancel {
        let params = format!("{{\"requestId\":{id},\"reason\":{}}}", quoted(reason));
        // No answer follows, by the specification.
        Cancel { ask: Some(note("notifications/cancelled", params)), answered: false }
    }

    fn probe(&mut self, second: bool) -> Option<Ask> {
        let second = self.probes.kind(second);
        let tag = Tag::Probe { second };
        match (self.session, second) {
            (Session::Legacy(_), false) => Some(request(tag, "ping", String::new())),
            (Session::Legacy(_), true) => Some(request(tag, "tools/list", String::new())),
            (Session::Modern, false) => {
                Some(request(tag, "server/discover", self.modern_params("")))
            }
            (Session::Modern, true) => Some(request(tag, "tools/list", self.modern_params(""))),
            (Session::Opening | Session::Leaving, _) => None,
        }
    }

    fn want(&mut self, wants: &Wants, asks: &mut Vec<Ask>) {
        self.say_wants(wants, asks);
    }

    fn belongs(&self, method: &str, params: &str) -> Option<Belongs> {
        match (method, self.session) {
            ("notifications/progress", _) => Belongs::by_token(params, "progressToken"),
            ("notifications/cancelled", Session::Modern) => Belongs::by_id(params, "requestId"),
            (_, Session::Modern) => Belongs::by_meta_id(params, SUBSCRIPTION),
            _ => None,
        }
    }

    fn counts_as_work(&self, method: &str) -> bool {
        method != LISTEN
    }

    fn stop(&mut self, rung: Stop, _cx: &StopCx<'_>, asks: &mut Vec<Ask>) {
        if rung == Stop::Leave {
            self.session = Session::Leaving;
            asks.push(Ask::CloseStdin);
        }
    }

    fn kept(&self) -> Kept {
        Kept::Mcp(self.clone())
    }

    fn hint(&self) -> Option<String> {
        let era = match self.session {
            Session::Legacy(_) => "legacy",
            Session::Modern => "modern",
            Session::Opening | Session::Leaving => return None,
        };
        Some(if self.probes.prefers_second() { format!("{era}+second") } else { era.to_owned() })
    }

    fn unpacks_batches(&self) -> bool {
        self.session == Session::Legacy(BATCHING)
    }
}
