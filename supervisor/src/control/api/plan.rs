//! Plans: what a changed configuration would change, and what a reload came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// The answer to `reload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    pub schema: u32,
    /// The configuration in force now; it rises only when something changed.
    pub revision: u64,
    /// `false`: it was planned, and nothing was changed.
    pub applied: bool,
    pub plan: Plan,
    /// What became of each plugin that was started, stopped or restarted by it; empty when nobody waited for it.
    pub outcomes: Vec<Outcome>,
}

/// What the manifests on the disk change, compared with what is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// What it was compared with: for `if_revision`.
    pub revision: u64,
    /// By plugin; those that nothing changes for are counted in `untouched`.
    pub steps: Vec<Step>,
    /// What `outboard.toml` changes for the supervisor itself.
    pub settings: Vec<Setting>,
    pub untouched: u64,
    /// Those that would have changed and were to be left alone.
    pub excepted: Vec<String>,
    /// What deserves a look and refuses nothing.
    pub warnings: Vec<String>,
    /// What keeps the plugins from each other once it is applied, as in `status`.
    #[serde(default)]
    pub isolation: String,
}

/// One plugin's part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    pub plugin: String,
    pub action: Action,
    /// The manifest that says so; of one that is gone, where it was.
    pub manifest: String,
    pub changes: Vec<Difference>,
    /// The plugin is told of its changed `[config]`; one that does not take it is restarted.
    #[serde(default)]
    pub told: bool,
    /// Attached clients of a plugin that is removed.
    #[serde(default)]
    pub clients: u32,
    /// For how long it has been stopped by hand.
    #[serde(default)]
    pub held_ms: Option<u64>,
    /// Its manifest had been refused, and is sound now.
    #[serde(default)]
    pub mended: bool,
    /// It starts at its first call, or when it is started by hand.
    #[serde(default)]
    pub rests: bool,
    /// Calls that come while it restarts wait for it; else they are refused.
    #[serde(default)]
    pub calls_wait: bool,
    /// How long the start of its living generation took: about so long a restart takes again.
    #[serde(default)]
    pub start_ms: Option<u64>,
}

/// What is to be done with one plugin, in the order in which plans show it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Add,
    /// Its manifest is gone: it is stopped, then forgotten.
    Remove,
    /// The change is in force at once; nothing is stopped for it.
    InPlace,
    /// A new generation takes over from the one that runs; no call is lost.
    Swap,
    /// Stopped, and started again.
    Restart,
    /// It is down, and comes up by this.
    Start,
    /// It is up, and goes down by this.
    Stop,
    /// It does not run: the change counts from its next start on.
    Rest,
    /// Stopped by hand: it takes the change and stays stopped.
    Held,
    #[serde(other)]
    Unknown,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The key's dotted path, with the member behind it in `process.env` and `config`; or `executable`, `script`, `file`,
    /// `folder`, `env_file`.
    pub key: String,
    /// How it was and how it is; `null` where that is too long to show, or may not be shown.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// One change of `outboard.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    #[serde(flatten)]
    pub change: Difference,
    /// `false`: it counts from the next `run` on.
    pub at_once: bool,
}
