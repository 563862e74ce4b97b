//! Language servers on stdio, as editors start them.
//!
//! The host is a client without an editor: it opens the session with what the manifest says, answers what servers ask,
//! and probes with a request that no server knows. Documents are the callers' affair.

mod inbound;
mod settings;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{
    Ask, CallCx, CallRefusal, Cancel, Dialect, Facts, Framing, HOST_NAME, HOST_VERSION, Inbound,
    Kept, OpenCx, OpenRetry, Reply, Stop, StopCx, Supports, Tag, is_legal_method, note, request,
};
use crate::json::{Members, member, text_member, unescape};
use crate::message::RemoteError;
pub use settings::{Folder, LspSettings};

/// LSP agrees on capabilities and on no version; this is the protocol's major one.
pub const PROTOCOL: &str = "3";

/// A method that no server has: the answer that it does not is as good as any. With params, since one library never
/// answers an unknown request that has none.
const PROBE: &str = "$/outboard/ping";

/// An unmodified language server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lsp {
    settings: LspSettings,
    phase: Phase,
    /// Tokens of what the server says it is at, as JSON text.
    tasks: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Opening,
    Open,
    /// `shutdown` was sent: some servers answer nothing from then on.
    Leaving,
}

impl Lsp {
    #[must_use]
    pub fn new(settings: LspSettings) -> Self {
        Self { settings, phase: Phase::Opening, tasks: Vec::new() }
    }

    fn opened(&mut self, result: &RawValue, asks: &mut Vec<Ask>) {
        let capabilities = member(result.get(), "capabilities").filter(|it| it.starts_with('{'));
        let Some(capabilities) = capabilities else {
            let message = "the server's answer to initialize has no capabilities".to_owned();
            return asks.push(Ask::OpenFailed {
                detail: "malformed",
                message,
                retry: OpenRetry::Backoff,
            });
        };
        self.phase = Phase::Open;
        asks.push(note("initialized", "{}".to_owned()));
        // Older servers take settings only when they are told that they changed, and never ask.
        if let Some(settings) = self.settings.all() {
            let params = json!({"settings": settings}).to_string();
            asks.push(note("workspace/didChangeConfiguration", params));
        }
        let info = member(result.get(), "serverInfo").unwrap_or("{}");
        asks.push(Ask::Opened(Box::new(Facts {
            name: text_member(info, "name").map(Cow::into_owned),
            version: text_member(info, "version").map(Cow::into_owned),
            protocol: PROTOCOL.to_owned(),
            offers: offers(capabilities),
            methods: None,
            events: Vec::new(),
            subscribe: Vec::new(),
            concurrency: None,
            supports: Supports { cancel: true, progress: true, ..Supports::default() },
            ready: true,
            raw: result.to_owned(),
        })));
    }
}

impl Dialect for Lsp {
    fn name(&self) -> &'static str {
        "lsp"
    }

    fn framing(&self) -> Framing {
        Framing::ContentLength
    }

    fn open(&mut self, cx: &OpenCx<'_>, asks: &mut Vec<Ask>) {
        self.phase = Phase::Opening;
        self.tasks.clear();
        let host = json!({"name": HOST_NAME, "version": HOST_VERSION});
        let params = self.settings.opening(&host, cx.host_pid);
        asks.push(request(Tag::Open(0), "initialize", params));
    }

    fn on_tagged(
        &mut self,
        tag: Tag,
        outcome: Result<&RawValue, &RemoteError<'_>>,
        asks: &mut Vec<Ask>,
    ) {
        match (tag, outcome) {
            (Tag::Open(_), Ok(result)) if self.phase == Phase::Opening => self.opened(result, asks),
            (Tag::Open(_), Err(error)) if self.phase == Phase::Opening => {
                let message =
                    format!("the server refused initialize: {} ({})", error.message, error.code);
                asks.push(Ask::OpenFailed {
                    detail: "refused",
                    message,
                    retry: OpenRetry::Backoff,
                });
            }
            // That a probe was answered is all that matters of it.
            (
                Tag::Open(_)
                | Tag::Probe { .. }
                | Tag::Shutdown
                | Tag::Drain
                | Tag::Config
                | Tag::LogLevel
                | Tag::Subscribe
                | Tag::Listen,
                _,
            ) => {}
        }
    }

    fn on_tag_timeout(&mut self, _tag: Tag, _asks: &mut Vec<Ask>) {}

    fn on_end(&mut self, _asks: &mut Vec<Ask>) {
        self.phase = Phase::Leaving;
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
        _cx: &CallCx<'_>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), CallRefusal> {
        if matches!(method, "initialize" | "initialized" | "shutdown" | "exit" | "$/cancelRequest")
            || method.starts_with("$/outboard/")
        {
            return Err(CallRefusal::Reserved);
        }
        if !is_legal_method(method) {
            return Err(CallRefusal::IllegalName);
        }
        let params = match params.trim_ascii() {
            "" | "null" => "",
            text if text.starts_with(['{', '[']) => params,
            _ => return Err(CallRefusal::BadParams("an object or a list is needed")),
        };
        Ok((Cow::Borrowed(method), Cow::Borrowed(params)))
    }

    fn reply<'a>(
        &self,
        _method: &str,
        outcome: Result<&'a RawValue, RemoteError<'a>>,
    ) -> Reply<'a> {
        match outcome {
            Ok(result) => Reply::Done(result),
            Err(error) => Reply::Failed(error),
        }
    }

    fn cancel(&self, id: u32, _method: &str, _reason: &str) -> Cancel {
        // An answer still follows, by the specification.
        Cancel { ask: Some(note("$/cancelRequest", format!("{{\"id\":{id}}}"))), answered: true }
    }

    fn probe(&mut self, second: bool) -> Option<Ask> {
        let ask = || request(Tag::Probe { second }, PROBE, "{}".to_owned());
        (self.phase == Phase::Open).then(ask)
    }

    fn stop(&mut self, rung: Stop, _cx: &StopCx<'_>, asks: &mut Vec<Ask>) {
        match rung {
            Stop::Ask if self.phase == Phase::Open => {
                self.phase = Phase::Leaving;
                asks.push(request(Tag::Shutdown, "shutdown", String::new()));
            }
            Stop::Drain | Stop::Ask => {}
            // Both, since some servers outlive the end of their input.
            Stop::Leave => {
                self.phase = Phase::Leaving;
                asks.push(note("exit", String::new()));
                asks.push(Ask::CloseStdin);
            }
        }
    }

    fn hint(&self) -> Option<String> {
        None
    }

    fn kept(&self) -> Kept {
        Kept::Lsp(self.clone())
    }
}

/// How many features the capabilities name: `12 features`.
fn offers(capabilities: &str) -> Option<String> {
    let mut members = Members::new(capabilities.as_bytes(), u32::MAX)?;
    let mut count = 0;
    while let Ok(Some(member)) = members.next() {
        let name = unescape(&capabilities.as_bytes()[member.name]);
        let value = &capabilities[member.value];
        if name.is_some_and(|name| name.ends_with("Provider")) && !matches!(value, "false" | "null")
        {
            count += 1;
        }
    }
    Some(format!("{count} feature{}", if count == 1 { "" } else { "s" }))
}
