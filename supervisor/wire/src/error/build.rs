//! One constructor for each of the host's errors, so that code, class, words and `retryable` cannot disagree.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{CallError, Callee, Exit, HostError, Kind, MAX_STDERR};
use crate::dialect::CallRefusal;
use crate::json::member;
use crate::message::{Reason, Reject};
use crate::peer::{Limits, Refusal};

impl CallError {
    /// −31001. Classes `starting`, `waiting`, `backoff` and `half_open` will pass; `down`, `failed`, `not_found` and
    /// `no_supervisor` need somebody to act.
    #[must_use]
    pub fn unavailable(callee: Callee<'_>, class: &'static str) -> Self {
        let plugin = callee.plugin;
        let message = match class {
            "starting" => format!("plugin {plugin} is starting"),
            "waiting" => format!("plugin {plugin} waits for what it requires"),
            "backoff" => format!("plugin {plugin} is down and will be started again"),
            "half_open" => format!("plugin {plugin} failed and is being tried again"),
            "down" => format!("plugin {plugin} is stopped"),
            "failed" => format!("plugin {plugin} failed and is not running"),
            "not_found" => format!("no plugin is called {plugin}"),
            "no_supervisor" => "no supervisor is running".to_owned(),
            other => format!("plugin {plugin} is not available: {other}"),
        };
        let retryable = matches!(class, "starting" | "waiting" | "backoff" | "half_open");
        Self::host(Kind::Unavailable, callee, class, message, retryable).with_sent(false)
    }

    /// −31002. Unsent calls were `queued`, sent ones `in_flight`.
    #[must_use]
    pub fn deadline_exceeded(callee: Callee<'_>, sent: bool, idempotent: bool) -> Self {
        let plugin = callee.plugin;
        let (class, message) = if sent {
            ("in_flight", format!("plugin {plugin} did not answer in time"))
        } else {
            ("queued", format!("the call to plugin {plugin} was not sent in time"))
        };
        Self::host(Kind::DeadlineExceeded, callee, class, message, idempotent).with_sent(sent)
    }

    /// −31003. `class` is the failure's: `exit`, `signal`, `oom`, `hang`, `protocol`, `unhealthy`; or `stopped`.
    #[must_use]
    pub fn crashed(callee: Callee<'_>, class: &'static str, sent: bool, idempotent: bool) -> Self {
        let plugin = callee.plugin;
        let what = match class {
            "stopped" => "was stopped",
            "hang" => "hung",
            "protocol" => "broke the protocol",
            "unhealthy" => "was unhealthy and was restarted",
            "oom" => "ran out of memory",
            _ => "crashed",
        };
        let when = if sent { "during the call" } else { "before the call was sent" };
        let message = format!("plugin {plugin} {what} {when}");
        Self::host(Kind::Crashed, callee, class, message, !sent || idempotent).with_sent(sent)
    }

    /// −31004: `queue_bytes`, `queue_frames`, `concurrency`, `pending`, or `call_cycle`.
    #[must_use]
    pub fn overloaded(callee: Callee<'_>, class: &'static str) -> Self {
        let plugin = callee.plugin;
        let message = match class {
            "queue_bytes" => format!("too many bytes wait for plugin {plugin}"),
            "queue_frames" => format!("too many messages wait for plugin {plugin}"),
            "concurrency" => format!("plugin {plugin} is busy with as many calls as it takes"),
            "pending" => format!("too many calls to plugin {plugin} are open"),
            "call_cycle" => format!(
                "the call to plugin {plugin} closes a circle of plugins, or the chain is too long"
            ),
            other => format!("plugin {plugin} is overloaded: {other}"),
        };
        Self::host(Kind::Overloaded, callee, class, message, class != "call_cycle").with_sent(false)
    }

    /// −31004, class `clients`: the plugin takes one client at a time, and has one.
    #[must_use]
    pub fn held(callee: Callee<'_>, by: &str) -> Self {
        let message =
            format!("{} takes one client at a time, and {by} is attached to it", callee.plugin);
        Self::host(Kind::Overloaded, callee, "clients", message, true).with_sent(false)
    }

    /// −31005, a message to the plugin beyond the cap. Nothing was written.
    #[must_use]
    pub fn outbound_too_large(callee: Callee<'_>, bytes: usize, limit: usize) -> Self {
        let message = format!(
            "a message of {bytes} bytes to plugin {} is beyond the cap of {limit}",
            callee.plugin
        );
        Self::host(Kind::TooLarge, callee, "outbound_size", message, false)
            .with_sent(false)
            .with_extra("bytes", bytes.to_string())
            .with_extra("limit", limit.to_string())
    }

    /// −31005, the plugin's answer was beyond the cap.
    #[must_use]
    pub fn inbound_too_large(callee: Callee<'_>, bytes: u64, limit: usize) -> Self {
        let message = format!(
            "the answer of plugin {} has {bytes} bytes, beyond the cap of {limit}",
            callee.plugin
        );
        Self::host(Kind::TooLarge, callee, "inbound_size", message, false)
            .with_sent(true)
            .with_extra("bytes", bytes.to_string())
            .with_extra("limit", limit.to_string())
    }

    /// −31005, nested beyond `limit` levels.
    #[must_use]
    pub fn too_deep(callee: Callee<'_>, inbound: bool, limit: u32) -> Self {
        let plugin = callee.plugin;
        let (class, message) = if inbound {
            (
                "inbound_depth",
                format!("the answer of plugin {plugin} is nested deeper than {limit} levels"),
            )
        } else {
            (
                "outbound_depth",
                format!("a message to plugin {plugin} is nested deeper than {limit} levels"),
            )
        };
        Self::host(Kind::TooDeep, callee, class, message, false)
            .with_sent(inbound)
            .with_extra("limit", limit.to_string())
    }

    /// −31006: `call`, `publish` or `reserved`; `what` is the method or topic.
    #[must_use]
    pub fn permission_denied(callee: Callee<'_>, class: &'static str, what: &str) -> Self {
        let plugin = callee.plugin;
        let message = match class {
            "reserved" => {
                format!("{what} belongs to the link with plugin {plugin} and cannot be called")
            }
            "publish" => format!("plugin {plugin} may not publish {what}"),
            _ => format!("calling {what} of plugin {plugin} is not allowed"),
        };
        Self::host(Kind::PermissionDenied, callee, class, message, false).with_sent(false)
    }

    /// −31006, class `client`: this client is not served, and the words say why.
    #[must_use]
    pub fn client_refused(callee: Callee<'_>, why: String) -> Self {
        Self::host(Kind::PermissionDenied, callee, "client", why, false).with_sent(false)
    }

    /// −31007, or −31005 where the answer was nested too deeply: what was read instead of an answer.
    #[must_use]
    pub fn rejected(callee: Callee<'_>, reject: &Reject, max_depth: u32) -> Self {
        if reject.reason == Reason::Depth {
            return Self::too_deep(callee, true, max_depth);
        }
        let class = reject.reason.as_str();
        let message =
            format!("plugin {} answered with what is no valid message: {class}", callee.plugin);
        Self::host(Kind::BadPeer, callee, class, message, false).with_sent(true)
    }

    /// −31008: `stop`, `restart`, `upgrade`, `host_exit`.
    #[must_use]
    pub fn shutting_down(callee: Callee<'_>, class: &'static str) -> Self {
        let plugin = callee.plugin;
        let message = match class {
            "restart" => format!("plugin {plugin} is being restarted"),
            "upgrade" => format!("plugin {plugin} is being upgraded"),
            "host_exit" => "the supervisor is ending".to_owned(),
            _ => format!("plugin {plugin} is being stopped"),
        };
        let retryable = matches!(class, "restart" | "upgrade");
        Self::host(Kind::ShuttingDown, callee, class, message, retryable).with_sent(false)
    }

    /// −31009: `handshake` or `ready`.
    #[must_use]
    pub fn not_ready(callee: Callee<'_>, class: &'static str) -> Self {
        let message = format!("plugin {} is not ready yet", callee.plugin);
        Self::host(Kind::NotReady, callee, class, message, true).with_sent(false)
    }

    /// −31010.
    #[must_use]
    pub fn unsupported_protocol(callee: Callee<'_>, detail: &str) -> Self {
        let message = format!("plugin {} speaks no common version: {detail}", callee.plugin);
        Self::host(Kind::UnsupportedProtocol, callee, "handshake", message, false).with_sent(false)
    }

    /// −32800. The caller knows; this is for whoever watches.
    #[must_use]
    pub fn cancelled(callee: Callee<'_>, sent: bool) -> Self {
        let message = format!("the call to plugin {} was cancelled", callee.plugin);
        Self::host(Kind::Cancelled, callee, "caller", message, false).with_sent(sent)
    }

    /// −32600: a name that no method can have.
    #[must_use]
    pub fn illegal_method(callee: Callee<'_>, method: &str) -> Self {
        let shown: String = method.chars().take(64).collect();
        let message = format!("{shown:?} is no legal method name (plugin {})", callee.plugin);
        Self::host(Kind::InvalidRequest, callee, "method", message, false).with_sent(false)
    }

    /// −32601: the plugin's opening does not list it.
    #[must_use]
    pub fn method_not_found(callee: Callee<'_>, method: &str) -> Self {
        let message = format!("plugin {} has no method {method}", callee.plugin);
        Self::host(Kind::MethodNotFound, callee, "method", message, false).with_sent(false)
    }

    /// Names what may have been meant: `data.nearest`.
    #[must_use]
    pub fn with_nearest(self, name: &str) -> Self {
        self.with_extra("nearest", crate::json::quoted(name))
    }

    /// −32602, found before anything was sent.
    #[must_use]
    pub fn invalid_params(callee: Callee<'_>, why: &str) -> Self {
        let message = format!("invalid params for plugin {}: {why}", callee.plugin);
        Self::host(Kind::InvalidParams, callee, "params", message, false).with_sent(false)
    }

    /// −32603.
    #[must_use]
    pub fn internal(callee: Callee<'_>, why: &str) -> Self {
        let message = format!("the supervisor failed on a call to plugin {}: {why}", callee.plugin);
        Self::host(Kind::Internal, callee, "internal", message, false)
    }

    /// −32603, class `input_required`: an MCP server wants to be told something, and nobody is there to say it.
    /// `requestState` is passed along, so that the caller may answer and try again itself.
    #[must_use]
    pub fn input_required(callee: Callee<'_>, result: &RawValue) -> Self {
        let message = format!("plugin {} asks for input that nobody can give here", callee.plugin);
        let mut error =
            Self::host(Kind::Internal, callee, "input_required", message, false).with_sent(true);
        for name in ["inputRequests", "requestState"] {
            if let Some(value) = member(result.get(), name) {
                error = error.with_extra(name, value.to_owned());
            }
        }
        error
    }

    /// What [`Peer::call`](crate::peer::Peer::call) refused.
    #[must_use]
    pub fn refused(callee: Callee<'_>, refusal: &Refusal, limits: &Limits) -> Self {
        match refusal {
            Refusal::Overloaded(class) => Self::overloaded(callee, class),
            Refusal::TooLarge { bytes } => {
                Self::outbound_too_large(callee, *bytes, limits.max_send)
            }
            Refusal::TooDeep => Self::too_deep(callee, false, limits.max_depth),
        }
    }

    /// What [`Dialect::call`](crate::Dialect::call) refused.
    #[must_use]
    pub fn not_called(callee: Callee<'_>, refusal: CallRefusal, method: &str) -> Self {
        match refusal {
            CallRefusal::Reserved => Self::permission_denied(callee, "reserved", method),
            CallRefusal::IllegalName => Self::illegal_method(callee, method),
            CallRefusal::UnknownMethod => Self::method_not_found(callee, method),
            CallRefusal::BadParams(why) => Self::invalid_params(callee, why),
        }
    }

    fn host(
        kind: Kind,
        callee: Callee<'_>,
        class: &'static str,
        message: String,
        retryable: bool,
    ) -> Self {
        Self::Host(Box::new(HostError {
            kind,
            class,
            message,
            plugin: callee.plugin.to_owned(),
            generation: callee.generation,
            retryable,
            sent: None,
            attempt: None,
            elapsed: None,
            retry_after: None,
            exit: None,
            stderr: Vec::new(),
            dossier: None,
            extra: Vec::new(),
        }))
    }

    fn change(mut self, change: impl FnOnce(&mut HostError)) -> Self {
        if let Self::Host(error) = &mut self {
            change(error);
        }
        self
    }

    /// Other words for people; the plugin should be named in them.
    #[must_use]
    pub fn with_message(self, message: String) -> Self {
        self.change(|e| e.message = message)
    }

    #[must_use]
    pub fn with_sent(self, sent: bool) -> Self {
        self.change(|e| e.sent = Some(sent))
    }

    #[must_use]
    pub fn with_attempt(self, attempt: u32) -> Self {
        self.change(|e| e.attempt = Some(attempt))
    }

    #[must_use]
    pub fn with_elapsed(self, elapsed: Duration) -> Self {
        self.change(|e| e.elapsed = Some(elapsed))
    }

    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.change(|e| e.retry_after = Some(after))
    }

    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Self {
        self.change(|e| e.exit = Some(exit))
    }

    /// The last [`MAX_STDERR`] of the lines, which are redacted already.
    #[must_use]
    pub fn with_stderr(self, mut lines: Vec<String>) -> Self {
        lines.drain(..lines.len().saturating_sub(MAX_STDERR));
        self.change(|e| e.stderr = lines)
    }

    #[must_use]
    pub fn with_dossier(self, dossier: String) -> Self {
        self.change(|e| e.dossier = Some(dossier))
    }

    /// One more member of `data`, as JSON text.
    #[must_use]
    pub fn with_extra(self, name: &'static str, json: String) -> Self {
        self.change(|e| e.extra.push((name, json)))
    }

    /// Names the plugin that was called on another one's behalf, in an error that it answered itself.
    #[must_use]
    pub fn with_callee(mut self, plugin: &str) -> Self {
        if let Self::Remote(error) = &mut self {
            error.callee = Some(plugin.to_owned());
        }
        self
    }
}
