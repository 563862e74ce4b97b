//! What every handle of a supervisor shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use outboard_core::{PluginId, Time};
use outboard_keeper::{
    Containment, ContainmentChoice, Keeper, KeeperProgram, Level, RunMark, Settings, SweepPlan,
    sweep_after_keeper,
};
use serde_json::json;
use tokio::sync::watch;

use super::builder::StartError;
use super::clock::Clock;
use super::happening::Happenings;
use super::keeper_line::KeeperLine;
use super::record::Recorder;
use super::slot::Slot;
use super::state_dir::StateDir;
use super::topics::Topics;
use super::upgrade::{Program, Upgrades};
use super::whose::Leaders;

/// How long the rest of a dead keeper's processes may take to end.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);

/// Shared by the dispatcher and all handles.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) recorder: Recorder,
    pub(super) happenings: Happenings,
    pub(super) plugins: RwLock<BTreeMap<PluginId, Arc<Slot>>>,
    pub(super) topics: Arc<Topics>,
    pub(super) state_dir: StateDir,
    pub(super) sources: Vec<PathBuf>,
    /// What `outboard.toml` says.
    pub(super) settings: outboard_manifest::Settings,
    pub(super) revision: AtomicU64,
    pub(super) drift: Mutex<super::reload::Seen>,
    pub(super) run: RunMark,
    pub(super) containment_choice: ContainmentChoice,
    pub(super) adopts: bool,
    /// What an upgrade executes.
    pub(super) program: Program,
    /// Who grants upgrades.
    pub(super) upgrades: Upgrades,
    pub(super) keeper: Mutex<KeeperInfo>,
    /// Whose a process is.
    pub(super) leaders: Leaders,
    pub(super) stopped: watch::Sender<Option<End>>,
    pub(super) sink: Arc<super::sink::Sink>,
    /// Failures kept on the disk for each plugin.
    pub(super) dossiers: usize,
}

/// What is known of the keeper in force.
#[derive(Clone, Debug, Default)]
pub(super) struct KeeperInfo {
    pub(super) pid: Option<u32>,
    pub(super) containment: Option<Containment>,
}

/// How a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Asked for, and everything is down (or named as unkillable).
    Stopped,
    /// The keeper died too often.
    KeeperLost,
    /// A part that serves all plugins panicked. The keeper ends them all with this process.
    Panicked,
}

impl Shared {
    /// Starts a keeper and makes it known.
    pub(super) fn start_keeper(&self, now: Time) -> Result<KeeperLine, StartError> {
        let settings = Settings { run: self.run, containment: self.containment_choice };
        let keeper = Keeper::spawn(KeeperProgram::SelfExe, settings)?;
        let info =
            KeeperInfo { pid: Some(keeper.pid()), containment: Some(keeper.containment().clone()) };
        self.recorder.supervisor(
            "keeper.started",
            json!({"pid": keeper.pid(), "containment": self.level(&info)}),
        );
        *self.keeper.lock().expect("nothing panics while it holds this") = info;
        KeeperLine::new(keeper, now).map_err(StartError::Runtime)
    }

    /// The keeper died: what it left is killed and reaped before there is another.
    pub(super) async fn sweep_after_keeper(&self) {
        let info = self.keeper_info();
        let plan = SweepPlan {
            run: self.run,
            fleet: info.containment.and_then(|containment| containment.fleet),
            adopts: self.adopts,
            spare: Vec::new(),
            limit: SWEEP_LIMIT,
        };
        let sweep = tokio::task::spawn_blocking(move || sweep_after_keeper(plan));
        let swept = sweep.await.unwrap_or_default();
        if swept.killed > 0 || !swept.left.is_empty() {
            let fields = json!({"n": swept.killed, "left": swept.left});
            self.recorder.supervisor("reaper.removed", fields);
        }
    }

    pub(super) fn keeper_info(&self) -> KeeperInfo {
        self.keeper.lock().expect("nothing panics while it holds this").clone()
    }

    /// Goes on with a keeper of the image before.
    pub(super) fn go_on_with(&self, keeper: &Keeper) {
        let info =
            KeeperInfo { pid: Some(keeper.pid()), containment: Some(keeper.containment().clone()) };
        *self.keeper.lock().expect("nothing panics while it holds this") = info;
    }

    fn level(&self, info: &KeeperInfo) -> &'static str {
        match info.containment.as_ref().map(|c| c.level) {
            Some(Level::Cgroup) => "cgroup",
            Some(Level::Session) => "session",
            None => "unknown",
        }
    }

    /// `cgroup` or `session`.
    pub(super) fn containment(&self) -> &'static str {
        self.level(&self.keeper_info())
    }

    pub(super) fn slot(&self, id: &str) -> Option<Arc<Slot>> {
        self.plugins.read().expect("nothing panics while it holds this").get(id).cloned()
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.plugins.read().expect("nothing panics while it holds this").values().cloned().collect()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// The last look at what lies on the disk.
    pub(super) fn drift(&self) -> std::sync::MutexGuard<'_, super::reload::Seen> {
        self.drift.lock().expect("nothing panics while it holds this")
    }

    /// Another configuration is in force; gives its number.
    pub(super) fn next_revision(&self) -> u64 {
        self.revision.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last words of the supervisor.
    pub(super) async fn finish(&self, end: End) {
        let fields = match end {
            End::Stopped => json!({}),
            End::KeeperLost => json!({"reason": "the keeper died too often"}),
            End::Panicked => json!({"reason": "a part of it panicked"}),
        };
        self.recorder.supervisor("supervisor.stopped", fields);
        self.sink.flush().await;
        self.stopped.send_replace(Some(end));
    }
}
