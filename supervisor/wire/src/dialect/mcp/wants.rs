//! What belongs to a server's session and is said again to each of its processes: the log level, and the resources that
//! clients are subscribed to.

use serde::{Deserialize, Serialize};

use super::{Mcp, Session};
use crate::dialect::{Ask, Tag, request};
use crate::json::{member, quoted};
use crate::session::{Severity, Wants};

/// What this process of the server has been told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    can_log: bool,
    can_subscribe: bool,
    level: Option<Severity>,
    subscribed: bool,
}

impl Mcp {
    /// A legacy server has opened: what does not hang on any client is said at once.
    pub(super) fn opened_with(&mut self, result: &str, asks: &mut Vec<Ask>) {
        let capabilities = member(result, "capabilities").unwrap_or("{}");
        let offered = |name| member(capabilities, name).filter(|value| value.starts_with('{'));
        self.said = Said {
            can_log: offered("logging").is_some(),
            can_subscribe: offered("resources")
                .is_some_and(|resources| member(resources, "subscribe") == Some("true")),
            ..Said::default()
        };
        self.say_level(&Wants::default(), asks);
    }

    /// To a server of the modern era nothing is said: there each request brings its own.
    pub(super) fn say_wants(&mut self, wants: &Wants, asks: &mut Vec<Ask>) {
        if !matches!(self.session, Session::Legacy(_)) {
            return;
        }
        self.say_level(wants, asks);
        // Later ones are asked for by the clients themselves, who want to hear what the server says to it.
        if !std::mem::replace(&mut self.said.subscribed, true) && self.said.can_subscribe {
            asks.extend(wants.resources.iter().map(|uri| {
                let params = format!("{{\"uri\":{}}}", quoted(uri));
                request(Tag::Subscribe, "resources/subscribe", params)
            }));
        }
    }

    /// The least severe of what the manifest and the clients want, so that nobody misses anything.
    fn say_level(&mut self, wants: &Wants, asks: &mut Vec<Ask>) {
        let own = self.settings.log_level.as_deref().and_then(Severity::named);
        let level = match (own, wants.level) {
            (Some(own), Some(theirs)) => Some(own.min(theirs)),
            (own, theirs) => own.or(theirs),
        };
        if self.said.can_log
            && self.said.level != level
            && let Some(level) = level
        {
            self.said.level = Some(level);
            let params = format!("{{\"level\":{}}}", quoted(level.as_str()));
            asks.push(request(Tag::LogLevel, "logging/setLevel", params));
        }
    }
}
