//! The plugin that is looked at: what its manifest and its opening say.

use std::time::Duration;

use outboard_manifest::Manifest;
use outboard_wire::Dialect as _;

use outboard_wire::dialect::{Ask, Native, OpenCx, OpenLimits};
use serde_json::Value;

use crate::script::{BUDGET, Script};

/// Calls of declared methods go to so many of them at most.
pub(crate) const MOST_METHODS: usize = 16;

/// Id of the opening, as a host has it, and of the ping that follows it.
pub(crate) const OPENING: u32 = 1;
pub(crate) const SYNC: u32 = 2;

/// What the stories need to know.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Params of `initialize`, as a host writes them.
    pub(crate) initialize: String,
    /// For the whole opening.
    pub(crate) opening_budget: Duration,
    pub(crate) max_frame: usize,
    pub(crate) max_depth: u32,
    pub(crate) config: Value,
    pub(crate) slow_method: Option<String>,
    pub(crate) slow_params: String,
    pub(crate) secrets: Vec<String>,
    /// What the opening said; empty before it.
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) supports: Supports,
    /// From the start of the process to its opening, when it had the machine for itself.
    pub(crate) start_took: Duration,
    /// `ping` was answered: stories may lean on it.
    pub(crate) pings: bool,
}

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
    pub(crate) fn new(manifest: &Manifest, secrets: Vec<String>) -> Self {
        let start = &manifest.policy.start;
        Self {
            initialize: initialize(manifest),
            opening_budget: start.first_byte_timeout + start.handshake_timeout,
            max_frame: manifest.wire.max_frame,
            max_depth: manifest.wire.max_depth,
            config: manifest.config.clone(),
            slow_method: manifest.conformance.slow_method.clone(),
            slow_params: manifest.conformance.slow_params.to_string(),
            secrets,
            methods: None,
            supports: Supports::default(),
            start_took: Duration::ZERO,
            pings: false,
        }
    }

    /// Takes in what an opening said, as far as it can be read: whether it is right is for a judge.
    pub(crate) fn learn(&mut self, opening: &Value) {
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
    }

    /// The method that stories call when any will do: `echo` where there is one.
    pub(crate) fn any_method(&self) -> Result<&Method, String> {
        let methods = self.methods.as_deref().unwrap_or_default();
        let quick = methods.iter().filter(|m| Some(&m.name) != self.slow_method.as_ref());
        let echo = methods.iter().find(|method| method.name == "echo");
        echo.or_else(|| quick.clone().next()).ok_or_else(|| "it declares no methods".to_owned())
    }

    /// Initialize, with other versions than a host's where `versions` says so.
    pub(crate) fn initialize_with(&self, versions: &str) -> String {
        self.initialize.replacen("\"protocolVersions\":[1]", versions, 1)
    }

    /// A story from the opening on.
    pub(crate) fn opened(&self) -> Script {
        let script = Script::new()
            .mark("initialize")
            .request(OPENING, "initialize", &self.initialize)
            .opening(self.opening_budget)
            .mark("initialized")
            .note("initialized", "{}");
        // Whatever the opening set going has come by the time that a ping is answered.
        if self.pings { script.ask(SYNC, "ping", "{}", BUDGET) } else { script }
    }
}

fn initialize(manifest: &Manifest) -> String {
    let mut asks = Vec::new();
    Native::new().open(
        &OpenCx {
            plugin: &manifest.id,
            instance: &format!("{}-0", manifest.id),
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
        },
        &mut asks,
    );
    let params = asks.into_iter().find_map(|ask| match ask {
        Ask::Request { params, .. } => Some(params),
        _ => None,
    });
    params.unwrap_or_else(|| "{\"protocolVersions\":[1]}".to_owned())
}
