//! The plugin that is looked at: what its manifest and its opening say.

use std::time::Duration;

use outboard_manifest::{Dialect, Manifest};
use serde_json::Value;

use crate::host::{Call, Host};
use crate::script::Script;

/// Calls of declared methods go to so many of them at most.
pub(crate) const MOST_METHODS: usize = 16;

/// Id of the opening, as a host has it, and of the ping that follows it.
pub(crate) const OPENING: u32 = 1;
pub(crate) const SYNC: u32 = 2;

/// What the stories need to know.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) dialect: Dialect,
    pub(crate) host: Host,
    /// For the whole opening.
    pub(crate) opening_budget: Duration,
    pub(crate) max_frame: usize,
    pub(crate) max_depth: u32,
    pub(crate) config: Value,
    pub(crate) slow_method: Option<String>,
    pub(crate) slow_params: String,
    pub(crate) secrets: Vec<String>,
    pub(crate) patience: Patience,
    /// The result of the opening; null before it.
    pub(crate) opening: Value,
    /// What a native opening declares.
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) supports: Supports,
    /// From the start of the process to its opening, when it had the machine for itself.
    pub(crate) start_took: Duration,
    /// `ping` was answered: stories may lean on it.
    pub(crate) pings: bool,
}

/// How long it may take to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// To answer a `shutdown`.
    pub(crate) shutdown: Duration,
    /// After an `exit`, or once its stdin is closed.
    pub(crate) exit: Duration,
    /// After SIGTERM.
    pub(crate) term: Duration,
}

impl Patience {
    /// The protocol of this repository says how long; others leave it to their hosts, and so to the manifest.
    fn of(manifest: &Manifest) -> Self {
        let stop = &manifest.policy.stop;
        match manifest.dialect {
            Dialect::Native => Self { shutdown: PROMPT, exit: PROMPT, term: PROMPT },
            Dialect::Mcp | Dialect::Lsp => {
                Self { shutdown: stop.shutdown, exit: stop.exit, term: stop.term }
            }
        }
    }
}

const PROMPT: Duration = Duration::from_secs(2);

/// A declared method.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) schema: Option<Value>,
    pub(crate) timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Supports {
    pub(crate) cancel: bool,
    pub(crate) reload: bool,
    pub(crate) progress: bool,
    pub(crate) meta: bool,
}

impl Subject {
    pub(crate) fn new(manifest: &Manifest, host: Host, secrets: Vec<String>) -> Self {
        let start = &manifest.policy.start;
        Self {
            dialect: manifest.dialect,
            host,
            opening_budget: start.first_byte_timeout + start.handshake_timeout,
            max_frame: manifest.wire.max_frame,
            max_depth: manifest.wire.max_depth,
            config: manifest.config.clone(),
            slow_method: manifest.conformance.slow_method.clone(),
            slow_params: manifest.conformance.slow_params.to_string(),
            secrets,
            patience: Patience::of(manifest),
            opening: Value::Null,
            methods: None,
            supports: Supports::default(),
            start_took: Duration::ZERO,
            pings: false,
        }
    }

    /// Takes in what an opening said, as far as it can be read: whether it is right is for a judge.
    pub(crate) fn learn(&mut self, opening: Value) {
        let flag = |name: &str| opening["supports"][name].as_bool().unwrap_or(false);
        self.supports = Supports {
            cancel: flag("cancel"),
            reload: flag("configReload"),
            progress: flag("progress"),
            meta: flag("meta"),
        };
        self.methods = opening["methods"].as_object().map(|methods| {
            let method = |(name, about): (&String, &Value)| Method {
                name: name.clone(),
                schema: about["params"].is_object().then(|| about["params"].clone()),
                timeout: about["timeoutMs"].as_u64().map(Duration::from_millis),
            };
            methods.iter().map(method).collect()
        });
        self.opening = opening;
    }

    /// Whether the capabilities of an opening name this one.
    pub(crate) fn offers(&self, capability: &str) -> bool {
        self.opening["capabilities"][capability].is_object()
    }

    /// The method that stories call when any will do: `echo` where there is one.
    pub(crate) fn any_method(&self) -> Result<&Method, String> {
        let methods = self.methods.as_deref().unwrap_or_default();
        let quick = methods.iter().filter(|m| Some(&m.name) != self.slow_method.as_ref());
        let echo = methods.iter().find(|method| method.name == "echo");
        echo.or_else(|| quick.clone().next()).ok_or_else(|| "it declares no methods".to_owned())
    }

    /// What the manifest names for calls that take a while, as it goes on the wire.
    pub(crate) fn slow(&self) -> Result<Call, String> {
        let named = self.slow_method.as_deref();
        let method = named.ok_or("the manifest names no conformance.slow_method")?;
        self.host.call(method, &self.slow_params)
    }

    pub(crate) fn script(&self) -> Script<'_> {
        Script::new(&self.host)
    }

    /// A story that asks for an opening, and ends with that.
    pub(crate) fn initialize(&self, params: &str) -> Script<'_> {
        self.script()
            .mark("initialize")
            .request(OPENING, "initialize", params)
            .opening(self.opening_budget)
    }

    /// A story from the opening on.
    pub(crate) fn opened(&self) -> Script<'_> {
        let script = self.initialize(&self.host.initialize).mark("initialized");
        let script = self.host.greeting.iter().fold(script, Script::say);
        // Whatever the opening set going has come by the time that a ping is answered.
        if self.pings { script.ping(SYNC) } else { script }
    }
}
