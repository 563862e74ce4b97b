//! One failure of a plugin, with its evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Event, Failure, Plugin};

/// The answer to `why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    pub schema: u32,
    /// The plugin as it is now.
    pub plugin: Plugin,
    /// `null`: it has not failed. Its manifest's own problems are in `refused`.
    pub dossier: Option<Dossier>,
    /// What is wrong with its manifest, with carets, when that was refused.
    pub refused: Option<String>,
}

/// The last failure, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dossier {
    pub failure: Failure,
    /// Last lines of stderr, oldest first, redacted.
    pub stderr: Vec<String>,
    /// When each of those was read: RFC 3339, UTC. Empty where that is not known.
    #[serde(default)]
    pub stderr_at: Vec<String>,
    /// How many lines it wrote to stderr in all.
    pub stderr_lines: u64,
    /// What happened in that generation, oldest first.
    pub timeline: Vec<Event>,
    /// The last frames both ways, oldest first: their beginnings, redacted.
    #[serde(default)]
    pub frames: Vec<Frame>,
    /// Calls that ended with it.
    pub lost: Vec<LostCall>,
    pub lost_total: u64,
    /// How the generations before it ended, newest last.
    pub earlier: Vec<Failure>,
    pub cpu_ms: Option<u64>,
    pub peak_kib: Option<u64>,
    /// Processes of its tree that outlived it and had to be killed; `null`: not known.
    #[serde(default)]
    pub swept: Option<u32>,
}

/// One frame, as far as it was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// RFC 3339, UTC.
    pub at: String,
    pub direction: Direction,
    /// Of a call of the supervisor's.
    pub id: Option<u32>,
    pub bytes: u64,
    /// There was more than `text`.
    pub cut: bool,
    /// To the plugin: method and params; from the plugin: the frame as it came.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the plugin.
    To,
    /// From the plugin.
    From,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostCall {
    pub method: String,
    pub after_ms: u64,
    /// Some of it was written: a repeat may do it twice.
    pub sent: bool,
}
