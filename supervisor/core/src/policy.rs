//! What a manifest asks of the core: plain data, already validated, defaults as in the manifest reference.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A plugin's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
pub type PluginId = std::sync::Arc<str>;

/// `enabled`, `lazy` and everything the core decides with, for one plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub enabled: bool,
    pub lazy: bool,
    /// Order only: waits for the first verdict on each of these.
    pub after: Vec<PluginId>,
    /// Order, and stopped with them.
    pub requires: Vec<PluginId>,
    pub start: StartPolicy,
    pub health: HealthPolicy,
    pub restart: RestartPolicy,
    pub stop: StopPolicy,
    pub while_restarting: WhileRestarting,
    /// Stopped after this long without a call, and started by the next one.
    pub idle_after: Option<Duration>,
}

/// Budgets of the four phases of a start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartPolicy {
    pub spawn_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub first_byte_cap: Duration,
    pub handshake_timeout: Duration,
    pub ready_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthPolicy {
    pub interval: Duration,
    pub timeout: Duration,
    pub misses: u32,
    pub suspect_interval: Duration,
    pub busy_cap: Duration,
    pub on_unhealthy: OnUnhealthy,
    pub unhealthy_after: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnhealthy {
    Report,
    Restart,
}

/// OTP's restart types and intensity, systemd's `Restart=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    pub policy: RestartWhen,
    pub backoff: Backoff,
    pub budget: Budget,
    pub reset_after: Duration,
    pub retry_after: RetryAfter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartWhen {
    Always,
    OnFailure,
    Never,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    pub initial: Duration,
    pub max: Duration,
    pub factor: f64,
    /// Share of the delay that is random, 0 to 1.
    pub jitter: f64,
}

/// OTP's intensity and period: at most `restarts` within `within`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub restarts: u32,
    pub within: Duration,
}

/// Careful tries after giving up; the gap grows by 2 from `initial` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryAfter {
    Never,
    Growing { initial: Duration, max: Duration },
}

/// Budgets of the rungs of the stop ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopPolicy {
    pub drain: Duration,
    pub shutdown: Duration,
    pub exit: Duration,
    pub term: Duration,
    pub kill: Duration,
    /// A smaller whole shrinks the rungs in proportion; kill keeps 500 ms.
    pub total: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhileRestarting {
    Fail,
    Wait,
}

/// How a new version takes over; the `[swap]` section of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapPolicy {
    pub mode: SwapMode,
    /// Canary probes that it has to answer once it is active, one after another.
    pub probes: u32,
    /// How long it has for all of them.
    pub within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwapMode {
    /// The new version starts beside the old one.
    Overlap,
    /// The old one makes room first: they need the same port or lock.
    Exclusive,
}

/// Over all plugins; the `[supervisor]` section of `outboard.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetPolicy {
    pub start_concurrency: usize,
    pub shutdown_cap: Duration,
    /// The storm guard: past this many restarts within this time, one restart a second, over all plugins.
    pub storm: Budget,
}
