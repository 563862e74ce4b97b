//! What a supervisor is, as values. A member that is added needs `#[serde(default)]`, or a higher
//! [`NEEDS`](super::image::NEEDS): see there.

use std::path::PathBuf;
use std::time::Duration;

use outboard_core::{Fleet, Key, PluginId, Time, Unavailable};
use outboard_manifest::{Problem, Settings, Texts};
use serde::{Deserialize, Serialize};

use super::keeper::KeptKeeper;
use super::{Fd, KeptCall, path_text};
use crate::host::diagnose::FileIdentity;
use crate::host::guests::KeptGuests;
use crate::host::link::KeptLink;
use crate::host::logbook::KeptLog;
use crate::host::persist::KeptPersist;
use crate::host::reload::{InForce, KnownBad};
use crate::host::slot::History;
use crate::host::told::Told;
use crate::host::words::Words;

/// The host's part of a state.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HostState {
    /// The process: it stays the same.
    pub pid: u32,
    /// The build that wrote this.
    pub version: String,
    /// `CLOCK_MONOTONIC` at the supervisor's start: every [`Time`] counts from there.
    pub began: Duration,
    /// When nothing ran any more.
    pub froze: Time,
    /// The file that an upgrade executes, as the first image found it: what lies there since may not be what runs.
    #[serde(with = "path_text")]
    pub program: PathBuf,
    #[serde(with = "path_text")]
    pub state_dir: PathBuf,
    pub lock: Fd,
    #[serde(with = "path_text::list")]
    pub sources: Vec<PathBuf>,
    pub revision: u64,
    /// The run mark.
    pub run: String,
    pub containment: AskedContainment,
    pub adopts: bool,
    pub logs: LogSizes,
    pub next_seq: u64,
    /// Open files that the supervisor was started with, soft and hard.
    pub open_files: Option<(u64, u64)>,
    pub keeper: Option<KeptKeeper>,
    pub keeper_deaths: Vec<Time>,
    pub fleet: Fleet,
    pub plugins: Vec<KeptPlugin>,
    /// The generation behind each of the keeper's keys.
    pub orders: Vec<(u64, Key, u64)>,
    pub next_order: u64,
    pub(in crate::host) persist: KeptPersist,
    pub suspended: Duration,
    pub leaving: Vec<Key>,
    pub in_force: KeptInForce,
    /// Something that builds of this version do not know.
    #[cfg(feature = "state-version-next")]
    #[serde(default)]
    pub later: Vec<u64>,
}

/// The configuration in force, beside the manifests.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptInForce {
    settings: Option<KeptFile>,
    /// The command line may have said another one than the file.
    shutdown_cap: Duration,
    pub(in crate::host) refused: Vec<KnownBad>,
}

impl KeptInForce {
    pub(in crate::host) fn of(in_force: &InForce) -> Self {
        let (settings, refused) = in_force.parts();
        let shutdown_cap = settings.fleet.shutdown_cap;
        let settings = settings.text().map(|(path, text)| KeptFile { path, text });
        Self { settings, shutdown_cap, refused: refused.to_vec() }
    }

    /// The settings in this build's sense.
    pub(super) fn settings(&self) -> Result<Settings, Vec<Problem>> {
        let text = self.settings.clone().map(|KeptFile { path, text }| (path, text));
        let mut settings = outboard_manifest::restore_settings(text.as_ref())?;
        settings.fleet.shutdown_cap = self.shutdown_cap;
        Ok(settings)
    }
}

/// Which containment was asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum AskedContainment {
    Auto,
    Cgroup,
    Session,
}

/// How large files may grow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct LogSizes {
    pub file_size: u64,
    pub file_keep: u32,
    pub journal: u64,
}

/// One plugin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptPlugin {
    pub key: Key,
    pub manifest: KeptManifest,
    pub told: Told,
    pub history: History,
    pub words: Words,
    /// In the order of the counters.
    pub stats: Vec<u64>,
    pub log: KeptLog,
    pub guests: KeptGuests,
    pub route: KeptRoute,
    pub live: Option<KeptLive>,
}

/// A manifest, by its texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptManifest {
    id: PluginId,
    #[serde(with = "path_text")]
    path: PathBuf,
    text: String,
    /// What discovery found for it; a build before that knew of none.
    #[serde(default)]
    below: Option<KeptFile>,
    settings: Option<KeptFile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptFile {
    #[serde(with = "path_text")]
    path: PathBuf,
    text: String,
}

impl From<Texts> for KeptManifest {
    fn from(texts: Texts) -> Self {
        let Texts { id, path, text, below, settings } = texts;
        let keep = |(path, text)| KeptFile { path, text };
        Self { id, path, text, below: below.map(keep), settings: settings.map(keep) }
    }
}

impl From<KeptManifest> for Texts {
    fn from(kept: KeptManifest) -> Self {
        let KeptManifest { id, path, text, below, settings } = kept;
        let give = |KeptFile { path, text }| (path, text);
        Self { id, path, text, below: below.map(give), settings: settings.map(give) }
    }
}

/// A route, and the calls that wait at it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptRoute {
    pub way: KeptWay,
    pub held: Vec<KeptCall>,
    pub was_active: bool,
    pub called: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum KeptWay {
    /// To the link of this generation.
    Open(u64),
    Hold(Unavailable),
    Refuse(Unavailable),
}

/// A generation that has a process, or is getting one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptLive {
    pub generation: u64,
    pub order: u64,
    pub link: KeptLink,
    pub pidfd: Option<Fd>,
    pub execed: bool,
    pub died: bool,
    #[serde(with = "path_text")]
    pub program: PathBuf,
    #[serde(with = "path_text")]
    pub cwd: PathBuf,
    pub identity: Option<FileIdentity>,
}
