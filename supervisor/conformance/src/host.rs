//! The host's part in the stories, in the words of the plugin's dialect.
//!
//! All of it is asked of the dialect itself: what stories say is what a supervisor says.

use std::time::Duration;

use outboard_manifest::Manifest;
use outboard_wire::Dialect;
use outboard_wire::dialect::{
    Ask, CallCx, Framing, HostRequest, Inbound, Kept, OpenCx, OpenLimits, Stop, StopCx, Tag,
};
use outboard_wire::{Id, encode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::run::Error;

/// A method and its params, as JSON text; empty for none.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) params: String,
}

impl Call {
    /// The params as they are written: `None` leaves the member out.
    pub(crate) fn params(&self) -> Option<&str> {
        Some(&*self.params).filter(|params| !params.is_empty())
    }
}

/// What a host says, and how it answers.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The dialect of a link that is open.
    opened: Kept,
    pub(crate) framing: Framing,
    /// Params of `initialize`.
    pub(crate) initialize: String,
    /// What it says once the opening is answered.
    pub(crate) greeting: Vec<Call>,
    /// The request that any plugin answers.
    pub(crate) ping: Call,
}

impl Host {
    /// # Errors
    /// The manifest asks for another opening than by `initialize`.
    pub(crate) fn new(manifest: &Manifest, mut dialect: Box<dyn Dialect>) -> Result<Self, Error> {
        let mut asks = Vec::new();
        let instance = format!("{}-0", manifest.id);
        dialect.open(&open_cx(manifest, &instance), &mut asks);
        let initialize = asks.drain(..).find_map(request).ok_or(Error::Era)?;
        if initialize.method != "initialize" {
            return Err(Error::Era);
        }
        // An answer that every one of the dialects takes for an opening.
        let answer = json!({
            "protocolVersion": if dialect.name() == "mcp" { json!("2025-11-25") } else { json!(1) },
            "capabilities": {}, "serverInfo": {"name": "", "version": ""},
            "supports": {"cancel": true},
        });
        let answer = RawValue::from_string(answer.to_string()).map_err(|_| Error::Era)?;
        dialect.on_tagged(Tag::Open(0), Ok(&answer), &mut asks);
        let greeting = asks.into_iter().filter_map(note).collect();
        let ping = dialect.probe(false).and_then(request).ok_or(Error::Era)?;
        Ok(Self {
            opened: dialect.kept(),
            framing: dialect.framing(),
            initialize: initialize.params,
            greeting,
            ping,
        })
    }

    /// The dialect of a link that is open.
    pub(crate) fn dialect(&self) -> Box<dyn Dialect> {
        self.opened.clone().into_dialect()
    }

    /// Params of a ping that carry something.
    pub(crate) fn ping_with(&self, cargo: Value) -> String {
        match self.opened {
            // A request's own members are the schema's to name.
            Kept::Mcp(_) => json!({ "_meta": { "dev.outboard/cargo": cargo } }).to_string(),
            Kept::Native(_) | Kept::Lsp(_) => json!({ "cargo": cargo }).to_string(),
        }
    }

    /// An application call as it goes on the wire.
    pub(crate) fn call(&self, method: &str, params: &str) -> Result<Call, String> {
        let refused = || format!("{method} cannot be called in this dialect");
        let dialect = self.dialect();
        let (method, params) =
            dialect.call(method, params, &CallCx::default()).map_err(|_| refused())?;
        Ok(Call { method: method.into_owned(), params: params.into_owned() })
    }

    /// The notification that takes a request back.
    pub(crate) fn cancel(&self, id: u32) -> Option<Call> {
        self.dialect().cancel(id, "no/such", "caller").ask.and_then(note)
    }

    /// The request that asks a plugin to get ready to leave; `None` where the dialect has none.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Option<Call> {
        self.rung(Stop::Ask, deadline).into_iter().find_map(request)
    }

    /// The notification that tells it to leave.
    pub(crate) fn exit(&self) -> Option<Call> {
        self.rung(Stop::Leave, Duration::ZERO).into_iter().find_map(note)
    }

    fn rung(&self, rung: Stop, deadline: Duration) -> Vec<Ask> {
        let mut asks = Vec::new();
        self.dialect().stop(rung, &StopCx { reason: "stop", deadline }, &mut asks);
        asks
    }

    /// A ping, as it goes on the wire.
    pub(crate) fn ping_frame(&self, id: u32) -> Vec<u8> {
        let (mut frame, mut line) = (Vec::new(), Vec::new());
        encode::request(&mut line, id, &self.ping.method, self.ping.params());
        self.frame(&mut frame, &line);
        frame
    }

    /// Appends a line, its LF included, as a frame.
    pub(crate) fn frame(&self, out: &mut Vec<u8>, line: &[u8]) {
        match self.framing {
            Framing::Newline => out.extend_from_slice(line),
            Framing::ContentLength => encode::behind_header(out, line),
        }
    }
}

fn request(ask: Ask) -> Option<Call> {
    match ask {
        Ask::Request { method, params, .. } => Some(Call { method: method.into_owned(), params }),
        _ => None,
    }
}

fn note(ask: Ask) -> Option<Call> {
    match ask {
        Ask::Note { method, params } => Some(Call { method: method.into_owned(), params }),
        _ => None,
    }
}

/// The answer to a request of the plugin, as a line, of a host that lets it call nobody. Empty where none is due.
pub(crate) fn answer(
    dialect: &mut dyn Dialect,
    id: Id,
    method: &str,
    params: Option<&RawValue>,
) -> Vec<u8> {
    let mut asks = Vec::new();
    dialect.on_message(Inbound::Request { id, method, params }, &mut asks);
    let mut out = Vec::new();
    for ask in asks {
        match ask {
            Ask::Answer { id, outcome } | Ask::Relay { id, otherwise: outcome, .. } => {
                match outcome {
                    Ok(result) => encode::result(&mut out, &id, &result),
                    Err((code, message)) => encode::error(&mut out, &id, code, &message, None),
                }
            }
            Ask::Host(HostRequest::Info { id }) => {
                let info = r#"{"hostInfo":{"name":"outboard","version":"conformance"},"peers":[]}"#;
                encode::result(&mut out, &id, info);
            }
            Ask::Host(HostRequest::Call { id, plugin, .. }) => {
                let message = format!("{plugin} may not be called here");
                encode::error(&mut out, &id, -31006, &message, None);
            }
            Ask::Host(HostRequest::Publish { id: Some(id), .. }) => {
                encode::error(&mut out, &id, -31006, "no topic may be published here", None);
            }
            // An event, which nobody waits for an answer to.
            _ => {}
        }
    }
    out
}

fn open_cx<'a>(manifest: &'a Manifest, instance: &'a str) -> OpenCx<'a> {
    OpenCx {
        plugin: &manifest.id,
        instance,
        generation: 1,
        config: &manifest.config,
        host_pid: None,
        hint: None,
        call: &[],
        publish: &[],
        events: true,
        limits: OpenLimits {
            max_frame: manifest.wire.max_frame,
            max_send: manifest.wire.max_send,
            max_depth: manifest.wire.max_depth,
            handshake: manifest.policy.start.handshake_timeout,
            ping_interval: manifest.policy.health.interval,
        },
    }
}
