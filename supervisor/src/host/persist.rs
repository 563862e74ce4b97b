//! What goes on over runs: generations, what was learnt about executables, and who must not be left behind.
//!
//! Written soon and not at once: a fleet that starts together is one write.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::Time;
use outboard_keeper::reaper::{Leader, Record};
use outboard_manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::openings::{self, Openings};
use super::sink::{Job, Sink, replace};
use super::state_dir::{Kept, KeptVersion, VERSION};
use super::upgrade::path_text;
use super::view::EventRecord;

/// How soon a change is on its way to the disk.
const SOON: Duration = Duration::from_millis(100);

/// Executables about which something is remembered.
const LEARNT: usize = 1024;

/// The state of this run and of all before it.
pub(super) struct Persist {
    kept: Kept,
    record: Record,
    leaders: HashMap<u64, Leader>,
    state_file: PathBuf,
    run_file: PathBuf,
    sink: Arc<Sink>,
    due: Option<Time>,
    /// Shared with links, which learn from their dialects.
    learnt: Learnt,
    openings: Arc<Openings>,
}

/// All of it, for the supervisor's next build.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptPersist {
    kept: Kept,
    /// By the keeper's key: number and start time.
    leaders: Vec<(u64, u32, u64)>,
    #[serde(with = "path_text::option")]
    fleet: Option<PathBuf>,
}

/// What dialects learn about executables, by launch digest.
pub(super) type Learnt = Arc<std::sync::Mutex<std::collections::BTreeMap<String, String>>>;

impl Persist {
    /// `journal`: the events of the run before. State is written a moment late; the journal knows of generations that
    /// began in that moment.
    pub(super) fn new(
        mut kept: Kept,
        journal: &[Arc<EventRecord>],
        record: Record,
        dir: &super::state_dir::StateDir,
        sink: Arc<Sink>,
    ) -> Self {
        for event in journal {
            if let Some(plugin) = &event.plugin {
                let last = kept.generations.entry(plugin.to_string()).or_default();
                *last = event.generation.max(*last);
            }
        }
        let learnt = Arc::new(std::sync::Mutex::new(kept.learnt.clone()));
        let openings = Openings::read(dir.file(openings::FILE), sink.clone());
        Self {
            kept,
            record,
            leaders: HashMap::new(),
            state_file: dir.file("state.json"),
            run_file: dir.file("run.json"),
            sink,
            due: None,
            learnt,
            openings: Arc::new(openings),
        }
    }

    /// All of it that is not on the disk, or not yet.
    pub(super) fn kept(&self) -> KeptPersist {
        let learnt = self.learnt.lock().expect("nothing panics while it holds this").clone();
        let leaders = self.leaders.iter().map(|(order, it)| (*order, it.pid, it.start));
        KeptPersist {
            kept: Kept { learnt, ..self.kept.clone() },
            leaders: leaders.collect(),
            fleet: self.record.fleet.clone(),
        }
    }

    /// Goes on with what [`Persist::kept`] gave; written again soon.
    pub(super) fn restore(
        kept: KeptPersist,
        mut record: Record,
        dir: &super::state_dir::StateDir,
        sink: Arc<Sink>,
        now: Time,
    ) -> Self {
        record.fleet = kept.fleet;
        let mut this = Self::new(kept.kept, &[], record, dir, sink);
        let leaders = kept.leaders.into_iter();
        this.leaders = leaders.map(|(order, pid, start)| (order, Leader { pid, start })).collect();
        this.changed(now);
        this
    }

    /// The last generation of a plugin, over all runs.
    pub(super) fn last_generation(&self, id: &str) -> u64 {
        self.kept.generations.get(id).copied().unwrap_or(0)
    }

    /// Where links put what they learn.
    pub(super) fn learnt(&self) -> Learnt {
        self.learnt.clone()
    }

    /// Where links put how their plugins opened.
    pub(super) fn openings(&self) -> Arc<Openings> {
        self.openings.clone()
    }

    /// What links learnt is to be written soon.
    pub(super) fn learnt_more(&mut self, now: Time) {
        self.changed(now);
    }

    /// What an earlier opening of this executable taught.
    pub(super) fn hint(&self, digest: &str) -> Option<String> {
        self.learnt.lock().expect("nothing panics while it holds this").get(digest).cloned()
    }

    /// A generation begins.
    pub(super) fn generation(&mut self, id: &str, generation: u64, now: Time) {
        self.kept.generations.insert(id.to_owned(), generation);
        self.changed(now);
    }

    /// Another version is in force from now on: `instead` of what the folder holds, which is `before` then, or (`None`)
    /// just what it holds.
    pub(super) fn in_force(&mut self, id: &str, before: &Manifest, instead: Option<&Manifest>) {
        match instead {
            Some(manifest) => {
                let known = self.kept.versions.remove(id);
                let (of, folder) =
                    known.map_or((before.digest, before.source.clone()), |v| (v.of, v.folder));
                let version = KeptVersion {
                    of,
                    folder,
                    source: manifest.source.clone(),
                    text: manifest.text().to_owned(),
                };
                self.kept.versions.insert(id.to_owned(), version);
            }
            None => drop(self.kept.versions.remove(id)),
        }
        // At once: whoever starts after this supervisor was killed starts what was in force.
        self.write_now();
    }

    /// The folder counts again: its manifest has been put in force.
    pub(super) fn forget_version(&mut self, id: &str, now: Time) {
        if self.kept.versions.remove(id).is_some() {
            self.changed(now);
        }
    }

    /// The file in the folder that another version stands in for.
    pub(super) fn folder_of(&self, id: &str) -> Option<PathBuf> {
        self.kept.versions.get(id).map(|version| version.folder.clone())
    }

    /// The version that stands in for the manifest in the folder, while that is what it was.
    pub(super) fn version(&mut self, folder: &Manifest) -> Option<KeptVersion> {
        let version = self.kept.versions.get(&*folder.id)?;
        if version.of == folder.digest {
            return Some(version.clone());
        }
        self.kept.versions.remove(&*folder.id);
        None
    }

    /// A process was started under this order.
    pub(super) fn leader(&mut self, order: u64, pid: u32, now: Time) {
        if let Some(leader) = Leader::of(pid) {
            self.leaders.insert(order, leader);
            self.changed(now);
        }
    }

    /// The process of this order is reaped.
    pub(super) fn forget_leader(&mut self, order: u64, now: Time) {
        if self.leaders.remove(&order).is_some() {
            self.changed(now);
        }
    }

    /// The plugins' leaf folder, once containment is known.
    pub(super) fn set_fleet(&mut self, fleet: Option<PathBuf>, now: Time) {
        self.record.fleet = fleet;
        self.changed(now);
    }

    /// Writes the run's record at once, and waits for that: before anything of this run is spawned.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write_run(&mut self) -> io::Result<()> {
        let bytes = self.run_bytes();
        replace(&self.run_file, &bytes)
    }

    fn changed(&mut self, now: Time) {
        self.due.get_or_insert(now + SOON);
    }

    /// When [`Persist::tick`] is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Writes when it is time.
    pub(super) fn tick(&mut self, now: Time) {
        if self.due.is_some_and(|at| at <= now) {
            self.write_now();
        }
    }

    /// Hands everything to the writing thread.
    pub(super) fn write_now(&mut self) {
        self.due = None;
        self.openings.save();
        let mut learnt = self.learnt.lock().expect("nothing panics while it holds this").clone();
        while learnt.len() > LEARNT {
            learnt.pop_first();
        }
        self.kept.learnt = learnt;
        let state = serde_json::to_vec(&self.kept).unwrap_or_default();
        let jobs = [(self.state_file.clone(), state), (self.run_file.clone(), self.run_bytes())];
        for (file, bytes) in jobs {
            if !self.sink.offer(Job::Replace { file, bytes }) {
                // The queue is full now; the next change, or the end, tries again.
                self.due = None;
            }
        }
    }

    fn run_bytes(&mut self) -> Vec<u8> {
        self.record.leaders = self.leaders.values().copied().collect();
        serialize_run(&self.record)
    }
}

/// A run's record in its stored form.
#[derive(Serialize, Deserialize)]
struct RunFile {
    #[serde(default)]
    version: u32,
    run: String,
    boot_id: String,
    machine_id: String,
    /// Number and start time of each leader.
    leaders: Vec<(u32, u64)>,
    fleet: Option<PathBuf>,
}

/// The stored form of a run's record.
pub(super) fn serialize_run(record: &Record) -> Vec<u8> {
    let file = RunFile {
        version: VERSION,
        run: record.run.to_string(),
        boot_id: record.boot_id.clone(),
        machine_id: record.machine_id.clone(),
        leaders: record.leaders.iter().map(|leader| (leader.pid, leader.start)).collect(),
        fleet: record.fleet.clone(),
    };
    serde_json::to_vec(&file).unwrap_or_default()
}

/// The record of an earlier run. `None` when it cannot be read: nothing is killed on the word of such a file.
pub(super) fn parse_run(bytes: &[u8]) -> Option<Record> {
    let file: RunFile = serde_json::from_slice(bytes).ok()?;
    if file.version > VERSION {
        return None;
    }
    Some(Record {
        run: file.run.parse().ok()?,
        boot_id: file.boot_id,
        machine_id: file.machine_id,
        leaders: file.leaders.into_iter().map(|(pid, start)| Leader { pid, start }).collect(),
        fleet: file.fleet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_is_nothing() {
        let mut record = Record::new("0123456789abcdef0123456789abcdef".parse().unwrap());
        record.leaders.push(Leader { pid: 7, start: 99 });
        record.fleet = Some("some/leaf".into());
        let bytes = serialize_run(&record);
        assert_eq!(parse_run(&bytes), Some(record));
        assert_eq!(parse_run(&bytes[..bytes.len() / 2]), None);
        assert_eq!(parse_run(b"{\"run\":\"zz\",\"boot_id\":\"\",\"machine_id\":\"\",\"leaders\":[],\"fleet\":null}"), None);
    }
}
