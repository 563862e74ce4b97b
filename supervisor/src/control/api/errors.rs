//! The errors that the management API answers with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Error codes of the management API, beside JSON-RPC's own. They are those of calls, so that one table of exit
/// codes serves both sockets; `data.class` tells them apart.
pub mod code {
    /// Class `not_found`: no plugin of that name.
    pub const UNAVAILABLE: i32 = -31001;
    /// Class `plugin_client`: this client is served nothing.
    pub const PERMISSION_DENIED: i32 = -31006;
    /// Class `host_exit`: the supervisor ends before the answer is known.
    pub const SHUTTING_DOWN: i32 = -31008;
    /// Class `conflict`: somebody else was first.
    pub const CONFLICT: i32 = -31011;
    /// Parameters that make no sense (JSON-RPC's own code).
    pub const INVALID_PARAMS: i32 = -32602;
    /// Nobody's fault outside (JSON-RPC's own code).
    pub const INTERNAL: i32 = -32603;
}

/// One error that a method can answer with. The table of methods names for each which ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: i32,
    /// `data.class` of the answer.
    pub class: &'static str,
    /// When it comes, and what else is in `data`.
    pub meaning: &'static str,
}

impl Refusal {
    pub const NOT_FOUND: Self = Self {
        code: code::UNAVAILABLE,
        class: "not_found",
        meaning: "no plugin is named so: `plugin` is what was asked for, `nearest` what may have been meant, `ids` what there is",
    };
    pub const NOTHING_NAMED: Self = Self {
        code: code::INVALID_PARAMS,
        class: "nothing_named",
        meaning: "neither `ids` nor `all` was given: `ids` is what there is",
    };
    pub const INVALID_PARAMS: Self = Self {
        code: code::INVALID_PARAMS,
        class: "invalid_params",
        meaning: "a parameter is missing, is not known, or makes no sense: the message says which",
    };
    pub const BAD_MANIFEST: Self = Self {
        code: code::INVALID_PARAMS,
        class: "manifest",
        meaning: "the manifest is wrong or cannot be read: the message says all of it",
    };
    pub const UNDER_WAY: Self = Self {
        code: code::CONFLICT,
        class: "swap_under_way",
        meaning: "another version is taking over already; that ends by itself",
    };
    pub const STOPPED: Self = Self {
        code: code::CONFLICT,
        class: "stopping",
        meaning: "the plugin is being stopped, which was asked for before",
    };
    pub const UNKILLABLE: Self = Self {
        code: code::CONFLICT,
        class: "unkillable",
        meaning: "a process of the plugin survived SIGKILL, and nothing is started beside it",
    };
    pub const NOT_READY: Self = Self {
        code: code::UNAVAILABLE,
        class: "waiting",
        meaning: "what the new version requires is not active",
    };
    pub const HOST_EXIT: Self = Self {
        code: code::SHUTTING_DOWN,
        class: "host_exit",
        meaning: "the supervisor ends before the outcome is known",
    };
    pub const REJECTED: Self = Self {
        code: code::INVALID_PARAMS,
        class: "config_rejected",
        meaning: "the manifests have errors, and nothing was changed: `problems` has a sentence for each, `text` shows their places",
    };
    pub const UPGRADE: Self = Self {
        code: code::SHUTTING_DOWN,
        class: "upgrade",
        meaning: "the supervisor goes over to another build before the outcome is known; what was asked for goes on",
    };
    pub const CONFLICT: Self = Self {
        code: code::CONFLICT,
        class: "conflict",
        meaning: "somebody else was first, and nothing was changed: the message says how; where another revision is in force than the one that was meant, `plan` is the plan for it",
    };
    pub const UPGRADE_NOT_OFFERED: Self = Self {
        code: code::UNAVAILABLE,
        class: "upgrade_not_offered",
        meaning: "the supervisor is part of an application, which does not execute another build",
    };
    pub const UPGRADE_NOT_STARTED: Self = Self {
        code: code::UNAVAILABLE,
        class: "upgrade_not_started",
        meaning: "the build cannot be executed",
    };
    pub const UPGRADE_HUNG: Self = Self {
        code: code::UNAVAILABLE,
        class: "upgrade_hung",
        meaning: "the build did not say in time that it can go on",
    };
    pub const UPGRADE_CRASHED: Self = Self {
        code: code::UNAVAILABLE,
        class: "upgrade_crashed",
        meaning: "the build ended without saying that it can go on",
    };
    pub const UPGRADE_UNREADABLE: Self = Self {
        code: code::UNAVAILABLE,
        class: "upgrade_unreadable",
        meaning: "the build cannot go on with the state of this supervisor: the message says why",
    };
    pub const PLUGIN_CLIENT: Self = Self {
        code: code::PERMISSION_DENIED,
        class: "plugin_client",
        meaning: "the client is a plugin's process, or cannot be told from one, and `[control] refuse_plugins` is on: nothing was done",
    };
    pub const INTERNAL: Self = Self {
        code: code::INTERNAL,
        class: "internal",
        meaning: "a defect of the supervisor: the outcome is not known",
    };
}

/// The `data` of the management API's errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    pub class: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plugin: Option<String>,
    /// The nearest name that exists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nearest: Option<String>,
    /// Every name that exists.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ids: Vec<String>,
    /// What is wrong with the manifests, a sentence for each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
    /// The same with each place, as `check` shows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// What would be done now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plan: Option<Box<super::Plan>>,
}
