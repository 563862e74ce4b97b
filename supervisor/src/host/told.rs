//! What is known of the generations of one plugin that run, as `status` tells it.

use std::sync::Arc;

use outboard_core::Time;
use outboard_wire::session::Opening;
use serde::{Deserialize, Serialize};

use super::diagnose::FileIdentity;
use super::reload::Fingerprint;

/// What is known of the generations that run, and what holds the plugin.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Of the version in force.
    pub shown: Shown,
    /// Of one on trial beside it, or in its place. Nothing is handed over while there is one.
    #[serde(skip)]
    pub trial: Option<Shown>,
    pub enforced: Vec<String>,
    pub held_since: Option<Time>,
    pub refused: Option<String>,
    /// The file in the folder in whose place a swap has put another version.
    #[serde(with = "super::upgrade::path_text::option")]
    pub stands_for: Option<std::path::PathBuf>,
}

/// What the last start of a version ran, and what its opening said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub generation: u64,
    pub protocol: Option<String>,
    pub offers: Option<String>,
    #[serde(with = "super::upgrade::path_text::option")]
    pub executable: Option<std::path::PathBuf>,
    /// The command as it may be shown.
    pub command: Vec<String>,
    pub digest: String,
    /// For one on trial: what it was launched from, and how it opened.
    pub launch: String,
    #[serde(skip)]
    pub opening: Option<Arc<Opening>>,
    pub identity: Option<FileIdentity>,
    /// The same with all that a start takes from its surroundings, to be compared with what the next one would take.
    pub ran: Option<Fingerprint>,
    /// It can be told of a changed configuration.
    pub reloads: bool,
    /// The calls that it bears at once, in its own words.
    pub concurrency: Option<u32>,
    /// When its opening was answered, in microseconds since the Unix epoch.
    #[serde(default)]
    pub opened_us: Option<i64>,
}

impl Told {
    /// What is known of this generation, if it is on trial.
    pub(crate) fn trial_of(&mut self, generation: u64) -> Option<&mut Shown> {
        self.trial.as_mut().filter(|trial| trial.generation == generation)
    }

    /// What is known of this generation; the one in force stands in for any that is gone.
    pub(crate) fn of(&mut self, generation: u64) -> &mut Shown {
        match &mut self.trial {
            Some(trial) if trial.generation == generation => trial,
            Some(_) | None => &mut self.shown,
        }
    }
}
