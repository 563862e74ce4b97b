//! The protocol's own requests that the author's hooks have a part in.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, json};

use crate::error::{Error, code};
use crate::session::Shared;

/// The one version of the protocol that this SDK speaks.
const PROTOCOL: u32 = 1;

/// What this SDK reads of `initialize`.
#[derive(Deserialize)]
struct Opening {
    #[serde(rename = "protocolVersions")]
    versions: Vec<u32>,
    config: Option<Box<RawValue>>,
    limits: Option<HostLimits>,
}

#[derive(Deserialize)]
struct HostLimits {
    #[serde(rename = "maxFrameBytes")]
    max_frame: Option<usize>,
    #[serde(rename = "maxDepth")]
    max_depth: Option<u32>,
}

impl Shared {
    /// The answer to `initialize`.
    pub(crate) fn open(&self, params: &str) -> Result<String, Error> {
        self.configure(params).map(|()| self.description())
    }

    fn configure(&self, params: &str) -> Result<(), Error> {
        let opening: Opening = serde_json::from_str(params)
            .map_err(|error| Error::invalid_params(format!("initialize: {error}")))?;
        if !opening.versions.contains(&PROTOCOL) {
            let message = format!("this plugin speaks version {PROTOCOL} of the protocol");
            return Err(Error::new(code::UNSUPPORTED_PROTOCOL, message)
                .with_data(json!({ "supported": [PROTOCOL] })));
        }
        if let Some(limits) = opening.limits {
            self.plugin.host.set_limits(limits.max_frame, limits.max_depth);
        }
        let config = opening.config.as_ref().map_or("{}", |config| config.get());
        for take in &self.plugin.on_start {
            self.guarded("configure", || take(config))?;
        }
        Ok(())
    }

    fn description(&self) -> String {
        let plugin = &self.plugin;
        let methods: Map<_, _> = plugin
            .methods
            .iter()
            .map(|(name, method)| (name.clone(), method.about.to_value()))
            .collect();
        let topics: Vec<_> = plugin.subscriptions.iter().map(|(topic, _)| topic).collect();
        json!({
            "protocolVersion": PROTOCOL,
            "name": plugin.name,
            "version": plugin.version,
            "methods": methods,
            "events": plugin.publishes,
            "subscribe": topics,
            "concurrency": plugin.concurrency,
            "ready": plugin.ready,
            "supports": {
                "drain": !plugin.on_drain.is_empty(),
                "configReload": !plugin.on_config.is_empty(),
                "progress": true,
                "cancel": true,
                "idempotency": plugin.idempotency_keys,
                "meta": true,
            },
        })
        .to_string()
    }

    /// The answer to `config/changed`.
    pub(crate) fn reconfigure(&self, params: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Changed {
            config: Option<Box<RawValue>>,
        }
        let changed: Changed = serde_json::from_str(params)
            .map_err(|error| Error::invalid_params(format!("config/changed: {error}")))?;
        let config = changed.config.as_ref().map_or("{}", |config| config.get());
        for take in &self.plugin.on_config {
            self.guarded("on_config", || take(config))?;
        }
        Ok(r#"{"applied":true}"#.to_owned())
    }

    /// The answer to `drain`: once no call is in progress.
    pub(crate) fn drain(&self, params: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Limit {
            #[serde(rename = "deadlineMs")]
            deadline: u64,
        }
        /// Where the host names none it has one of its own, and asks to shut down then.
        const NONE_NAMED: Duration = Duration::from_secs(3600);
        let limit = serde_json::from_str(params)
            .map_or(NONE_NAMED, |Limit { deadline }| Duration::from_millis(deadline));
        if !self.calls.drain(limit) {
            return Err(Error::new(code::DEADLINE, "calls are still in progress"));
        }
        for act in &self.plugin.on_drain {
            self.guarded("on_drain", || {
                act();
                Ok(())
            })?;
        }
        Ok("{}".to_owned())
    }
}
