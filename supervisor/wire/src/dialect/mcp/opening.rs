//! Finding out which era a server is of.
//!
//! `initialize` comes first, although the modern revision recommends `server/discover`: servers of one SDK exit on
//! anything but `initialize`, while every SDK of both eras takes it, and modern-only ones refuse it and keep the link.
//! What a link was opened with it stays with: two of three SDKs of both eras pin it to the era of the first request.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::wants::Said;
use super::{LEGACY, MODERN, Mcp, Session};
use crate::dialect::{
    Ask, Facts, HOST_NAME, HOST_VERSION, OpenRetry, Supports, Tag, note, request,
};
use crate::json::{Members, member, quoted, text_member, unescape};
use crate::message::RemoteError;

use super::Era;

/// Steps of the opening, as in [`Tag::Open`].
const INITIALIZE: u8 = 0;
const DISCOVER: u8 = 1;

/// The modern era's "I do not speak that version"; `data.supported` lists what it speaks.
const UNSUPPORTED_VERSION: i64 = -32022;

/// Hint for the one respawn after a server closed the link on `initialize`.
const TRY_MODERN: &str = "try-modern";

/// Hint that undoes a hint.
const FROM_THE_START: &str = "start";

/// How long a hinted `server/discover` may go unanswered before `initialize` is sent after all: the executable may
/// have become a legacy one that drops what it does not know.
const HINTED_BUDGET: Duration = Duration::from_secs(5);

/// What has been tried on this link.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Opening {
    /// The step that is waiting for its answer.
    waiting: Option<u8>,
    /// What came of `initialize` and of `server/discover`, where they failed.
    initialize: Option<String>,
    discover: Option<String>,
    /// The way to open is one that an earlier run found.
    hinted: bool,
    /// `server/discover` comes first because a run before this one closed the link on `initialize`.
    reversed: bool,
    repeated: bool,
}

impl Mcp {
    pub(super) fn begin(&mut self, way: Option<&str>, asks: &mut Vec<Ask>) {
        self.opening = Opening::default();
        self.session = Session::Opening;
        self.said = Said::default();
        match (self.settings.era, way) {
            (Era::Legacy, _) => self.send_initialize(asks),
            (Era::Modern, _) => self.send_discover(None, asks),
            (Era::Auto, Some("modern")) => {
                self.opening.hinted = true;
                self.send_discover(Some(HINTED_BUDGET), asks);
            }
            (Era::Auto, Some(TRY_MODERN)) => {
                self.opening.reversed = true;
                self.send_discover(None, asks);
            }
            (Era::Auto, _) => self.send_initialize(asks),
        }
    }

    pub(super) fn on_open_step(
        &mut self,
        step: u8,
        outcome: Result<&RawValue, &RemoteError<'_>>,
        asks: &mut Vec<Ask>,
    ) {
        if self.opening.waiting != Some(step) || self.session != Session::Opening {
            // The answer to a step that was given up; the link has gone another way.
            return;
        }
        self.opening.waiting = None;
        match (step, outcome) {
            (INITIALIZE, Ok(result)) => self.initialized(result, asks),
            (INITIALIZE, Err(error)) => self.initialize_refused(error, asks),
            (_, Ok(result)) => self.discovered(result, asks),
            (_, Err(error)) => self.discover_refused(error, asks),
        }
    }

    pub(super) fn on_open_timeout(&mut self, step: u8, asks: &mut Vec<Ask>) {
        if step == DISCOVER && self.opening.waiting == Some(DISCOVER) && self.opening.hinted {
            self.opening.discover = Some("server/discover was not answered".to_owned());
            self.send_initialize(asks);
        }
    }

    /// The link ended. A server that exits on the first thing it hears is started once more, to hear the other.
    pub(super) fn on_open_end(&mut self, asks: &mut Vec<Ask>) {
        if self.session != Session::Opening
            || self.settings.era != Era::Auto
            || self.opening.reversed
        {
            return;
        }
        let (hint, closed_on) = match self.opening.waiting {
            Some(INITIALIZE) if !self.opening.hinted => (TRY_MODERN, "initialize"),
            Some(_) if self.opening.hinted => (FROM_THE_START, "server/discover"),
            _ => return,
        };
        let message = format!("the server closed the link on {closed_on}");
        asks.push(Ask::OpenFailed {
            detail: "closed",
            message,
            retry: OpenRetry::Respawn { hint },
        });
    }

    fn send_initialize(&mut self, asks: &mut Vec<Ask>) {
        self.opening.waiting = Some(INITIALIZE);
        let params = format!(
            "{{\"protocolVersion\":{},\"capabilities\":{},\"clientInfo\":{{\"name\":{},\"version\":{}}}}}",
            quoted(LEGACY[0]),
            self.settings.declared(),
            quoted(HOST_NAME),
            quoted(HOST_VERSION),
        );
        asks.push(request(Tag::Open(INITIALIZE), "initialize", params));
    }

    fn send_discover(&mut self, budget: Option<Duration>, asks: &mut Vec<Ask>) {
        self.opening.waiting = Some(DISCOVER);
        asks.push(Ask::Request {
            tag: Tag::Open(DISCOVER),
            method: Cow::Borrowed("server/discover"),
            params: self.modern_params(""),
            budget,
        });
    }

    fn initialized(&mut self, result: &RawValue, asks: &mut Vec<Ask>) {
        let Some(version) = text_member(result.get(), "protocolVersion") else {
            let message = "the server's answer to initialize has no protocolVersion".to_owned();
            return asks.push(Ask::OpenFailed {
                detail: "malformed",
                message,
                retry: OpenRetry::Backoff,
            });
        };
        let Some(version) = LEGACY.iter().find(|known| **known == version) else {
            return asks
                .push(no_common_version(&format!("the server chose protocol version {version}")));
        };
        self.session = Session::Legacy(version);
        asks.push(note("notifications/initialized", String::new()));
        self.opened_with(result.get(), asks);
        asks.push(Ask::Opened(Box::new(facts(result, version))));
    }

    fn initialize_refused(&mut self, error: &RemoteError<'_>, asks: &mut Vec<Ask>) {
        self.opening.initialize = Some(describe("initialize", error));
        if self.settings.era == Era::Legacy && error.code == UNSUPPORTED_VERSION {
            let theirs = supported(error).join(", ");
            return asks
                .push(no_common_version(&format!("the server speaks protocol versions {theirs}")));
        }
        if self.settings.era == Era::Legacy || self.opening.discover.is_some() {
            return asks.push(self.refused());
        }
        self.send_discover(None, asks);
    }

    fn discovered(&mut self, result: &RawValue, asks: &mut Vec<Ask>) {
        let versions = member(result.get(), "supportedVersions").map(texts).unwrap_or_default();
        if !versions.iter().any(|v| v == MODERN) {
            let theirs = versions.join(", ");
            return asks.push(no_common_version(&format!(
                "server/discover names protocol versions {theirs}"
            )));
        }
        self.session = Session::Modern;
        if self.settings.change_events {
            let wanted = r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}}"#;
            asks.push(request(Tag::Listen, "subscriptions/listen", self.modern_params(wanted)));
        }
        asks.push(Ask::Opened(Box::new(facts(result, MODERN))));
    }

    fn discover_refused(&mut self, error: &RemoteError<'_>, asks: &mut Vec<Ask>) {
        self.opening.discover = Some(describe("server/discover", error));
        if error.code == UNSUPPORTED_VERSION {
            let theirs = supported(error);
            if theirs.iter().any(|v| v == MODERN) && !self.opening.repeated {
                self.opening.repeated = true;
                return self.send_discover(None, asks);
            }
            if !self.opening.hinted {
                let theirs = theirs.join(", ");
                return asks.push(no_common_version(&format!(
                    "the server speaks protocol versions {theirs}"
                )));
            }
        }
        if self.opening.hinted && self.opening.initialize.is_none() {
            return self.send_initialize(asks);
        }
        asks.push(self.refused());
    }

    fn refused(&self) -> Ask {
        let tried: Vec<&str> = [&self.opening.initialize, &self.opening.discover]
            .into_iter()
            .filter_map(|what| what.as_deref())
            .collect();
        let message = format!("the server opens no session: {}", tried.join("; "));
        Ask::OpenFailed { detail: "refused", message, retry: OpenRetry::Backoff }
    }
}

fn no_common_version(theirs: &str) -> Ask {
    let message = format!("{theirs}; the host speaks {MODERN}, {}", LEGACY.join(", "));
    Ask::OpenFailed { detail: "version", message, retry: OpenRetry::Never }
}

fn describe(method: &str, error: &RemoteError<'_>) -> String {
    format!("{method} was refused: {} ({})", error.message, error.code)
}

fn supported(error: &RemoteError<'_>) -> Vec<String> {
    error.data.and_then(|data| member(data.get(), "supported")).map(texts).unwrap_or_default()
}

/// The strings of a JSON array; none for everything else.
fn texts(array: &str) -> Vec<String> {
    serde_json::from_str(array).unwrap_or_default()
}

fn facts(result: &RawValue, protocol: &str) -> Facts {
    let text = result.get();
    // A modern server names itself in the result's `_meta`; dual ones do both.
    let info = member(text, "serverInfo")
        .or_else(|| {
            member(text, "_meta")
                .and_then(|meta| member(meta, "io.modelcontextprotocol/serverInfo"))
        })
        .unwrap_or("{}");
    Facts {
        name: text_member(info, "name").map(Cow::into_owned),
        version: text_member(info, "version").map(Cow::into_owned),
        protocol: protocol.to_owned(),
        offers: offers(text),
        methods: None,
        events: Vec::new(),
        subscribe: Vec::new(),
        concurrency: None,
        supports: Supports { cancel: true, progress: true, ..Supports::default() },
        ready: true,
        raw: result.to_owned(),
    }
}

/// What the capabilities name, in the server's order.
fn offers(result: &str) -> Option<String> {
    const SHOWN: [&str; 5] = ["tools", "prompts", "resources", "completions", "logging"];
    let capabilities = member(result, "capabilities")?;
    let mut members = Members::new(capabilities.as_bytes(), u32::MAX)?;
    let mut names = Vec::new();
    while let Ok(Some(member)) = members.next() {
        if let Some(name) = unescape(&capabilities.as_bytes()[member.name])
            && SHOWN.contains(&&*name)
        {
            names.push(name.into_owned());
        }
    }
    Some(if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })
}
