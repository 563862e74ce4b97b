//! What became of a swap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// The answer to `swap`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Swap {
    pub schema: u32,
    pub plugin: String,
    pub verdict: SwapVerdict,
    /// Why it was rolled back or given up.
    pub reason: Option<String>,
    /// `overlap` or `exclusive`; `null` where nothing served.
    pub mode: Option<String>,
    /// The generation that served when it began.
    pub from: Option<u64>,
    /// The generation that was tried; `null` when it came to none.
    pub trial: Option<u64>,
    /// The generation that serves now, or is to.
    pub serving: Option<u64>,
    /// How long the new version took to be active.
    pub active_after_ms: Option<u64>,
    /// Its canary probes, as far as there were any.
    pub canary: Vec<CanaryProbe>,
    /// How many there were to be.
    pub probes: u32,
    /// From the order until nothing of the loser was left.
    pub took_ms: u64,
    /// What became of the calls meanwhile.
    pub calls: SwapCalls,
    /// The last line that a version which lost wrote to stderr.
    pub said: Option<String>,
    /// For `in_force`: what its plain start came to; `null` where it was not to start.
    pub outcome: Option<Outcome>,
}

/// What became of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SwapVerdict {
    /// The new version serves.
    Switched,
    /// The old version serves on, or came back.
    RolledBack,
    /// What is wanted of the plugin changed meanwhile.
    Abandoned,
    /// Nothing served, so nothing was tried: the new version is in force.
    InForce,
    #[serde(other)]
    Unknown,
}

/// One canary probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryProbe {
    pub answered: bool,
    /// Until its answer, or until it was given up.
    pub ms: u64,
}

/// Calls that ended during a swap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwapCalls {
    /// How many each generation answered, oldest first.
    pub answered: Vec<Answered>,
    /// How many ended with an error of the host.
    pub failed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    pub generation: u64,
    pub calls: u64,
}
