//! The native protocol, version 1.

mod opening;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::meta::splice;
use super::probes::Probes;
use super::{
    Ask, Belongs, CallCx, CallRefusal, Cancel, Dialect, Framing, HOST_NAME, HOST_VERSION,
    HostRequest, Inbound, Kept, LogLevel, OpenCx, OpenRetry, PluginEvent, Reply, Saying, Stop,
    StopCx, Supports, Tag, is_legal_method, note, object_params, refuse, request, text,
};
use crate::id::Id;
use crate::json::{member, quoted, text_member};
use crate::message::RemoteError;
use opening::read_opening;

/// The protocol versions that the host speaks.
pub const VERSIONS: [u32; 1] = [1];

/// No common version.
const UNSUPPORTED: i64 = -31010;
/// How long a plugin may take over its changed configuration; after that it is restarted with it.
const TAKES_CONFIG: Duration = Duration::from_secs(10);

const NOT_READY: i64 = -31009;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

/// A plugin that speaks this project's own protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Native {
    phase: Phase,
    supports: Supports,
    /// Sorted, when the opening listed them.
    methods: Option<Vec<String>>,
    probes: Probes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Opening,
    Open,
    /// `shutdown` has been sent, or the link is being closed.
    Leaving,
}

impl Native {
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Phase::Opening,
            supports: Supports::default(),
            methods: None,
            probes: Probes::default(),
        }
    }

    fn opened(&mut self, result: &RawValue, asks: &mut Vec<Ask>) {
        let facts = match read_opening(result) {
            Ok(facts) => facts,
            Err((detail, message)) => {
                let retry = if detail == "version" { OpenRetry::Never } else { OpenRetry::Backoff };
                return asks.push(Ask::OpenFailed { detail, message, retry });
            }
        };
        self.supports = facts.supports;
        self.methods =
            facts.methods.as_ref().map(|all| all.iter().map(|m| m.name.clone()).collect());
        self.phase = Phase::Open;
        asks.push(note("initialized", "{}".to_owned()));
        asks.push(Ask::Opened(Box::new(facts)));
    }

    fn on_request(&self, id: Id, method: &str, params: Option<&RawValue>) -> Ask {
        if self.phase == Phase::Opening {
            return refuse(id, NOT_READY, "not before initialized");
        }
        let params = text(params);
        match method {
            "host/info" => Ask::Host(HostRequest::Info { id }),
            "host/call" => {
                let (Some(plugin), Some(method)) =
                    (text_member(params, "plugin"), text_member(params, "method"))
                else {
                    return refuse(
                        id,
                        INVALID_PARAMS,
                        "host/call needs the strings plugin and method",
                    );
                };
                let inner = member(params, "params").filter(|p| *p != "null").unwrap_or("{}");
                if !inner.starts_with('{') {
                    return refuse(id, INVALID_PARAMS, "params must be an object");
                }
                Ask::Host(HostRequest::Call {
                    id,
                    plugin: plugin.into_owned(),
                    method: method.into_owned(),
                    params: inner.to_owned(),
                    timeout: millis_member(params, "timeoutMs"),
                    meta: member(params, "_meta").filter(|m| m.starts_with('{')).map(str::to_owned),
                })
            }
            "host/publish" => match publish(Some(id.clone()), params) {
                Some(ask) => ask,
                None => refuse(id, INVALID_PARAMS, "host/publish needs the string topic"),
            },
            _ => refuse(id, METHOD_NOT_FOUND, "the host has no such method"),
        }
    }

    fn on_note(&self, method: &str, raw: Option<&RawValue>) -> Ask {
        let params = text(raw);
        let violation = |what| Ask::Event(PluginEvent::Violation { what });
        match method {
            "$/log" => Ask::Event(PluginEvent::Log {
                level: level(text_member(params, "level").as_deref()),
                text: text_member(params, "message").unwrap_or(Cow::Borrowed(params)).into_owned(),
                logger: text_member(params, "logger").map(Cow::into_owned),
                fields: member(params, "fields").filter(|f| f.starts_with('{')).map(str::to_owned),
            }),
            "$/progress" => match (member(params, "token").and_then(Id::parse), raw) {
                (Some(token), Some(raw)) => {
                    Ask::Event(PluginEvent::Progress { token, raw: raw.to_owned() })
                }
                _ => violation("progress without a token"),
            },
            "$/status" => match status(params) {
                Some(event) => Ask::Event(event),
                None => violation("status without a known state"),
            },
            "$/cancel" => match member(params, "id").and_then(Id::parse) {
                Some(id) => Ask::Event(PluginEvent::Cancelled { id }),
                None => violation("a cancellation without an id"),
            },
            _ if self.phase == Phase::Opening => {
                violation("a notification before the opening was answered")
            }
            "host/publish" => {
                publish(None, params).unwrap_or_else(|| violation("publish without a topic"))
            }
            _ => Ask::Event(PluginEvent::Note {
                method: method.to_owned(),
                raw: raw.map(ToOwned::to_owned),
            }),
        }
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn framing(&self) -> Framing {
        Framing::Newline
    }

    fn open(&mut self, cx: &OpenCx<'_>, asks: &mut Vec<Ask>) {
        self.probes = Probes::preferring_second(cx.hint == Some("second"));
        let list = |names: &[String]| Value::from(names.to_vec()).to_string();
        let millis = |span: Duration| span.as_millis();
        let params = format!(
            concat!(
                r#"{{"protocolVersions":[1],"hostInfo":{{"name":{},"version":{}}},"#,
                r#""plugin":{{"id":{},"instance":{},"generation":{}}},"config":{},"#,
                r#""capabilities":{{"call":{},"publish":{},"events":{},"log":true,"progress":true}},"#,
                r#""limits":{{"maxFrameBytes":{},"maxHostFrameBytes":{},"maxDepth":{},"#,
                r#""handshakeMs":{},"pingIntervalMs":{}}}}}"#,
            ),
            quoted(HOST_NAME),
            quoted(HOST_VERSION),
            quoted(cx.plugin),
            quoted(cx.instance),
            cx.generation,
            if cx.config.is_object() { cx.config.to_string() } else { "{}".to_owned() },
            list(cx.call),
            list(cx.publish),
            cx.events,
            cx.limits.max_frame,
            cx.limits.max_send,
            cx.limits.max_depth,
            millis(cx.limits.handshake),
            millis(cx.limits.ping_interval),
        );
        asks.push(request(Tag::Open(0), "initialize", params));
    }

    fn on_tagged(
        &mut self,
        tag: Tag,
        outcome: Result<&RawValue, &RemoteError<'_>>,
        asks: &mut Vec<Ask>,
    ) {
        match (tag, outcome) {
            (Tag::Open(_), Ok(result)) => self.opened(result, asks),
            (Tag::Open(_), Err(error)) if error.code == UNSUPPORTED => {
                let theirs = error
                    .data
                    .and_then(|data| member(data.get(), "supported"))
                    .unwrap_or("none it named");
                let message = format!(
                    "the plugin speaks protocol versions {theirs}, the host speaks {VERSIONS:?}"
                );
                asks.push(Ask::OpenFailed { detail: "version", message, retry: OpenRetry::Never });
            }
            (Tag::Open(_), Err(error)) => {
                let message =
                    format!("the plugin refused initialize: {} ({})", error.message, error.code);
                asks.push(Ask::OpenFailed {
                    detail: "refused",
                    message,
                    retry: OpenRetry::Backoff,
                });
            }
            (Tag::Probe { second }, outcome) => {
                self.probes.answered(second);
                if let Some(event) = outcome.ok().and_then(|result| status(result.get())) {
                    asks.push(Ask::Event(event));
                }
            }
            (Tag::Config, outcome) => {
                let applied =
                    outcome.is_ok_and(|result| member(result.get(), "applied") == Some("true"));
                asks.push(Ask::Event(PluginEvent::Reconfigured { applied }));
            }
            (Tag::Drain | Tag::Shutdown | Tag::LogLevel | Tag::Subscribe | Tag::Listen, _) => {}
        }
    }

    fn on_tag_timeout(&mut self, tag: Tag, asks: &mut Vec<Ask>) {
        // No other request of this dialect has a budget of its own.
        if tag == Tag::Config {
            asks.push(Ask::Event(PluginEvent::Reconfigured { applied: false }));
        }
    }

    fn on_end(&mut self, _asks: &mut Vec<Ask>) {
        // There is one way to open a native plugin.
        self.phase = Phase::Leaving;
    }

    fn on_message(&mut self, message: Inbound<'_>, asks: &mut Vec<Ask>) {
        asks.push(match message {
            Inbound::Request { id, method, params } => self.on_request(id, method, params),
            Inbound::Note { method, params } => self.on_note(method, params),
        });
    }

    fn methods(&self) -> &[String] {
        self.methods.as_deref().unwrap_or_default()
    }

    fn call<'a>(
        &self,
        method: &'a str,
        params: &'a str,
        cx: &CallCx<'_>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), CallRefusal> {
        if is_reserved(method) {
            return Err(CallRefusal::Reserved);
        }
        if let Some(methods) = &self.methods {
            if methods.binary_search_by(|known| (**known).cmp(method)).is_err() {
                return Err(CallRefusal::UnknownMethod);
            }
        } else if !is_legal_method(method) {
            return Err(CallRefusal::IllegalName);
        }
        // Present and an object, always: a plugin need not know that JSON-RPC would bear less.
        let params = match object_params(params)? {
            "" => "{}",
            params => params,
        };
        let mut params = Cow::Borrowed(params);
        if self.supports.meta {
            let mut entries: Vec<_> = cx.meta.own(cx.remaining).chain(cx.meta.trace()).collect();
            entries.retain(|(name, _)| *name != "idempotencyKey" || self.supports.idempotency);
            entries.extend(cx.meta.progress_entry().filter(|_| self.supports.progress));
            if !entries.is_empty() {
                params = Cow::Owned(splice(&params, &entries)?);
            }
        }
        Ok((Cow::Borrowed(method), params))
    }

    fn says_left(&self) -> Option<&'static str> {
        self.supports.meta.then_some("\"deadlineMs\":")
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

    fn cancel(&self, id: u32, _method: &str, reason: &str) -> Cancel {
        let params = || format!("{{\"id\":{id},\"reason\":{}}}", quoted(reason));
        Cancel { ask: self.supports.cancel.then(|| note("$/cancel", params())), answered: true }
    }

    fn probe(&mut self, second: bool) -> Option<Ask> {
        let second = self.probes.kind(second);
        let method = if second { "$/probe" } else { "ping" };
        (self.phase == Phase::Open).then(|| request(Tag::Probe { second }, method, "{}".to_owned()))
    }

    fn belongs(&self, method: &str, params: &str) -> Option<Belongs> {
        (method == "$/progress").then(|| Belongs::by_token(params, "token")).flatten()
    }

    fn reconfigure(&mut self, config: &Value, revision: u64) -> Option<Ask> {
        let params = || format!("{{\"config\":{config},\"revision\":{revision}}}");
        (self.supports.reload && self.phase == Phase::Open).then(|| Ask::Request {
            tag: Tag::Config,
            method: Cow::Borrowed("config/changed"),
            params: params(),
            budget: Some(TAKES_CONFIG),
        })
    }

    fn stop(&mut self, rung: Stop, cx: &StopCx<'_>, asks: &mut Vec<Ask>) {
        let deadline = cx.deadline.as_millis();
        let is_open = self.phase == Phase::Open;
        match rung {
            Stop::Drain if self.supports.drain && is_open => {
                asks.push(request(Tag::Drain, "drain", format!("{{\"deadlineMs\":{deadline}}}")));
            }
            Stop::Ask if is_open => {
                self.phase = Phase::Leaving;
                let params =
                    format!("{{\"reason\":{},\"deadlineMs\":{deadline}}}", quoted(cx.reason));
                asks.push(request(Tag::Shutdown, "shutdown", params));
            }
            Stop::Drain | Stop::Ask => {}
            Stop::Leave => {
                self.phase = Phase::Leaving;
                asks.push(note("exit", "{}".to_owned()));
                asks.push(Ask::CloseStdin);
            }
        }
    }

    fn kept(&self) -> Kept {
        Kept::Native(self.clone())
    }

    fn hint(&self) -> Option<String> {
        self.probes.prefers_second().then(|| "second".to_owned())
    }
}

/// Names that belong to the link.
fn is_reserved(method: &str) -> bool {
    matches!(
        method,
        "initialize" | "initialized" | "ping" | "shutdown" | "exit" | "drain" | "event"
    ) || ["config/", "host/", "$/"].iter().any(|prefix| method.starts_with(prefix))
}

/// The body of a `$/status`, which a `ping` may be answered with too.
fn status(params: &str) -> Option<PluginEvent> {
    let state = match &*text_member(params, "state")? {
        "ready" => Saying::Ready,
        "degraded" => Saying::Degraded,
        "unhealthy" => Saying::Unhealthy,
        "busy" => Saying::Busy,
        _ => return None,
    };
    Some(PluginEvent::Status {
        state,
        message: text_member(params, "message").map(Cow::into_owned),
        expected: millis_member(params, "expectedMs"),
    })
}

fn publish(id: Option<Id>, params: &str) -> Option<Ask> {
    let topic = text_member(params, "topic")?.into_owned();
    let data = member(params, "data").unwrap_or("null").to_owned();
    Some(Ask::Host(HostRequest::Publish { id, topic, data }))
}

fn millis_member(params: &str, name: &str) -> Option<Duration> {
    member(params, name).and_then(|text| text.parse().ok()).map(Duration::from_millis)
}

fn level(name: Option<&str>) -> LogLevel {
    match name {
        Some("trace") => LogLevel::Trace,
        Some("debug") => LogLevel::Debug,
        Some("warn") => LogLevel::Warn,
        Some("error") => LogLevel::Error,
        _ => LogLevel::Info,
    }
}
