//! A plugin as it is seen from outside, and the names that everybody uses for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Exit, Failure, Rung};
use crate::policy::PluginId;
use crate::time::Time;

/// One stop, rung by rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRecord {
    /// The generation that was stopped.
    pub generation: u64,
    pub rungs: Vec<(Rung, Duration)>,
    pub exit: Option<Exit>,
    /// Processes of the tree that had to be killed after the leader.
    pub swept: u32,
    pub took: Duration,
    /// It ended by itself between the decision and the first rung that could end it.
    pub by_itself: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StateName {
    Registered,
    Starting,
    Loaded,
    Active,
    Degraded,
    Stopping,
    Backoff,
    Failed,
    Unkillable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HealthName {
    Unknown,
    Ok,
    Degraded,
    Busy,
    Suspect,
    Hung,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Waiting for its turn (`start_concurrency`, storm guard); costs no budget.
    Queued,
    Spawn,
    FirstByte,
    Handshake,
    Ready,
}

/// A plugin as `status` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub id: PluginId,
    pub wanted_up: bool,
    pub state: StateName,
    pub since: Time,
    pub generation: u64,
    pub pid: Option<u32>,
    /// Restarts since it was last started by hand.
    pub restarts: u32,
    pub health: HealthName,
    pub health_message: Option<String>,
    pub last_life: Option<Time>,
    pub phase: Option<Phase>,
    /// How long its living generation took from the order until it was active.
    pub start_took: Option<Duration>,
    pub rung: Option<Rung>,
    /// When a restart, a careful try or the end of a rung is due.
    pub next_try: Option<Time>,
    pub waiting_for: Vec<PluginId>,
    pub last_failure: Option<Failure>,
    pub last_stop: Option<StopRecord>,
    /// Rests because it finished with exit 0 under `on-failure`.
    pub finished: bool,
    pub half_open: bool,
    /// A second generation, while one version takes over from another: on trial, or leaving.
    pub next: Option<Beside>,
    /// A swap is under way, and how far it is.
    pub swap: Option<SwapStage>,
}

/// The generation beside the serving one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    pub generation: u64,
    pub state: StateName,
    pub pid: Option<u32>,
}

/// How far a swap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SwapStage {
    /// The new version is not proven yet; in `exclusive`, the old one may still be on its way out.
    Trial,
    /// The verdict has fallen; the loser leaves.
    Leaving,
    /// `exclusive`: the old version is on its way back.
    Returning,
}
