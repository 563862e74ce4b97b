//! Puts a supervisor together: state directory, reaper, keeper, dispatcher.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use outboard_core::Fleet;
use outboard_keeper::reaper::{Record, RunMark, reap_leftovers};
use outboard_keeper::{ContainmentChoice, KeeperError};
use outboard_manifest::{Containment, Settings};
use serde_json::json;
use tokio::sync::watch;

use super::clock::Clock;
use super::dispatch::Dispatcher;
use super::happening::{Happening, Happenings};
use super::journal::Journal;
use super::logbook::LogBook;
use super::persist::{Persist, parse_run, serialize_run};
use super::record::Recorder;
use super::reload::InForce;
use super::shared::{KeeperInfo, Shared};
use super::sink::{Rotation, Sink, replace};
use super::state_dir::{Kept, Left, StateDir, StateDirError};
use super::supervisor::Supervisor;
use super::upgrade::{Program, Upgrades};
use super::waiters::Waiters;
use super::whose::Leaders;

/// How long the reaper may look for what an earlier run left behind.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error("there is no keeper: {0}")]
    Keeper(#[from] KeeperError),
    #[error("the runtime refuses: {0}")]
    Runtime(#[source] io::Error),
    #[error("cannot write to the state directory: {0}")]
    Write(#[source] io::Error),
}

/// Puts a supervisor together.
#[derive(Debug)]
pub struct Builder {
    state_dir: PathBuf,
    sources: Vec<PathBuf>,
    settings: Settings,
    adopt_orphans: bool,
}

impl Builder {
    pub(super) fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, sources: Vec::new(), settings: Settings::default(), adopt_orphans: false }
    }

    /// Where sockets, logs, journal and state lie. One supervisor at a time uses it.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = path.into();
        self
    }

    /// What `outboard.toml` says.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The folders and files that manifests come from: for people who look at the state directory.
    #[must_use]
    pub fn sources(mut self, sources: Vec<PathBuf>) -> Self {
        self.sources = sources;
        self
    }

    /// Makes this process a child subreaper, so that orphans of plugins land on it when the keeper dies. The
    /// `outboard` binary does; in an application it is the application's choice, since other children of it would
    /// land here too.
    #[must_use]
    pub fn adopt_orphans(mut self, adopt: bool) -> Self {
        self.adopt_orphans = adopt;
        self
    }

    /// Takes the state directory, removes what an earlier run left behind, starts the keeper and the dispatcher.
    /// Nothing is registered yet.
    ///
    /// Must be called within a tokio runtime; blocks it for the keeper's start (milliseconds) and for leftovers, if
    /// there are any.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing runs then.
    pub fn start(self) -> Result<Supervisor, StartError> {
        let program = Program::of_process();
        let state_dir = StateDir::take(&self.state_dir, &self.sources)?;
        let clock = Clock::start();
        let (happenings, inbox) = Happenings::new();
        let trouble = happenings.clone();
        let sink = Sink::start(move |text| trouble.tell(Happening::SinkTrouble(text)));
        let sink = Arc::new(sink.map_err(StartError::Runtime)?);
        let logs = &self.settings.logs;
        let limits = Rotation { size: logs.file_size, keep: logs.file_keep };
        let journal = state_dir.file("events.jsonl");
        let recorder = Recorder {
            journal: Arc::new(Journal::open(journal.as_path().into(), logs.journal, sink.clone())),
            logs: Arc::new(LogBook::new(state_dir.file("logs"), limits, sink.clone(), clock)),
            clock,
        };
        let before = recorder.journal.before();
        if self.adopt_orphans {
            outboard_keeper::become_subreaper().map_err(|e| StartError::Runtime(e.into()))?;
        }
        outboard_keeper::set_non_dumpable().map_err(|e| StartError::Runtime(e.into()))?;
        super::limits::raise_open_files();
        recorder.supervisor(
            "supervisor.started",
            json!({"version": env!("CARGO_PKG_VERSION"), "pid": std::process::id()}),
        );
        reap(&state_dir, &recorder);
        super::pin::forget_all(&state_dir);
        let run = RunMark::random().map_err(StartError::Runtime)?;
        let record = Record::new(run);
        // Before the first spawn: whoever finds processes of this run has to know its mark.
        replace(&state_dir.file("run.json"), &serialize_run(&record)).map_err(StartError::Write)?;
        let kept = left(&state_dir, &recorder, "state.json", Kept::parse).unwrap_or_default();
        let mut persist = Persist::new(kept, &before, record, &state_dir, sink.clone());
        let shared = Arc::new(Shared {
            clock,
            recorder,
            happenings: happenings.clone(),
            plugins: RwLock::default(),
            topics: Arc::default(),
            state_dir,
            sources: self.sources,
            settings: self.settings.clone(),
            revision: AtomicU64::new(1),
            drift: Mutex::default(),
            run,
            containment_choice: match self.settings.containment {
                Containment::Auto | Containment::PidNamespace => ContainmentChoice::Auto,
                Containment::Cgroup => ContainmentChoice::Cgroup,
                Containment::Session => ContainmentChoice::Session,
            },
            adopts: self.adopt_orphans,
            program,
            upgrades: Upgrades::default(),
            keeper: Mutex::new(KeeperInfo::default()),
            leaders: Leaders::default(),
            stopped: watch::Sender::new(None),
            sink,
            dossiers: self.settings.logs.dossiers as usize,
        });
        let keeper = shared.start_keeper(clock.now())?;
        persist.set_fleet(keeper.keeper().containment().fleet.clone(), clock.now());
        // What hides from everything else is found by the leaf alone.
        persist.write_run().map_err(StartError::Write)?;
        let dispatcher = Dispatcher {
            fleet: Fleet::new(self.settings.fleet.clone(), seed()),
            shared: shared.clone(),
            clock,
            inbox,
            happenings,
            keeper: Some(keeper),
            keeper_deaths: VecDeque::new(),
            slots: HashMap::new(),
            live: HashMap::new(),
            swaps: HashMap::new(),
            pins: HashMap::new(),
            orders: HashMap::new(),
            next_order: 0,
            waiters: Waiters::default(),
            holds: BTreeSet::new(),
            persist,
            suspended: clock.suspended_so_far(),
            ending: false,
            gave_up: false,
            leaving: BTreeSet::new(),
            in_force: InForce::new(self.settings),
            fading: Vec::new(),
            freezing: None,
            answers: VecDeque::new(),
            stepping: false,
        };
        dispatcher.start();
        Ok(Supervisor { shared })
    }
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// What an earlier run left in a file; what makes no sense is said.
fn left<T>(
    state_dir: &StateDir,
    recorder: &Recorder,
    file: &str,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    match state_dir.read_left(file, parse) {
        Left::Nothing => None,
        Left::Sound(left) => Some(left),
        Left::SetAside(name) => {
            recorder.supervisor("state.unreadable", json!({"file": file, "kept_as": name}));
            None
        }
    }
}

/// Removes what a supervisor that was killed together with its keeper may have left.
fn reap(state_dir: &StateDir, recorder: &Recorder) {
    let Some(record) = left(state_dir, recorder, "run.json", parse_run) else { return };
    let report = reap_leftovers(&record, REAP_LIMIT);
    if !report.killed.is_empty() || report.fleet_removed {
        let fields = json!({"n": report.killed.len(), "left": report.left});
        recorder.supervisor("reaper.removed", fields);
    }
    if !report.skipped.is_empty() {
        let pids: Vec<u32> = report.skipped.iter().map(|s| s.pid).collect();
        recorder.supervisor("reaper.skipped", json!({"n": pids.len(), "pids": pids}));
    }
}
