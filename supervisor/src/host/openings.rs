//! How plugins opened, kept over runs: a client that comes while its plugin does not run is answered from here.
//!
//! Kept for exactly one launch: another executable, other arguments or other settings may open otherwise. In a file of
//! its own, which is thrown away when it cannot be read: each opening that happens makes it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use outboard_manifest::Manifest;
use outboard_wire::dialect::Facts;
use outboard_wire::session::Opening;
use serde::{Deserialize, Serialize};

use super::launch;
use super::sink::{Job, Sink};
use super::slot::Slot;
use super::told::Shown;

/// Openings that are kept; those of launches long gone make room.
const MOST: usize = 1024;

/// Bytes of an opening that is kept.
const LARGEST: usize = 64 * 1024;

/// Bytes of all of them.
const ALL: usize = 2 << 20;

/// The file's name in the state directory.
pub(super) const FILE: &str = "openings.json";

/// Openings by launch; shared by all links.
#[derive(Debug)]
pub(crate) struct Openings {
    known: Mutex<Known>,
    file: PathBuf,
    sink: Arc<Sink>,
}

#[derive(Debug, Default)]
struct Known {
    by_launch: BTreeMap<String, Kept>,
    /// Rises with each opening that is kept: the smallest number is the oldest.
    last: u64,
    bytes: usize,
    unsaved: bool,
}

#[derive(Debug, Deserialize)]
#[serde(from = "Stored<Opening>")]
struct Kept {
    used: u64,
    opening: Arc<Opening>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored<O> {
    used: u64,
    opening: O,
}

impl From<Stored<Opening>> for Kept {
    fn from(stored: Stored<Opening>) -> Self {
        Self { used: stored.used, opening: Arc::new(stored.opening) }
    }
}

impl Openings {
    /// Those of the runs before; none when the file is damaged.
    pub(super) fn read(file: PathBuf, sink: Arc<Sink>) -> Self {
        let by_launch: BTreeMap<String, Kept> = fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let last = by_launch.values().map(|kept| kept.used).max().unwrap_or(0);
        let bytes = by_launch.values().map(|kept| kept.opening.result.len()).sum();
        Self { known: Mutex::new(Known { by_launch, last, bytes, unsaved: false }), file, sink }
    }

    /// How a launch opened last.
    pub(super) fn of(&self, launch: &str) -> Option<Arc<Opening>> {
        self.known().by_launch.get(launch).map(|kept| kept.opening.clone())
    }

    /// A launch has opened like this.
    pub(super) fn keep(&self, launch: &str, opening: &Arc<Opening>) {
        let mut known = self.known();
        let Known { by_launch, last, bytes, unsaved } = &mut *known;
        if by_launch.get(launch).is_some_and(|kept| kept.opening == *opening) {
            return;
        }
        *unsaved = true;
        if let Some(old) = by_launch.remove(launch) {
            *bytes -= old.opening.result.len();
        }
        let size = opening.result.len();
        if size > LARGEST {
            return;
        }
        while by_launch.len() >= MOST || *bytes + size > ALL {
            let oldest = by_launch.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(launch, _)| launch.clone()) else { break };
            if let Some(old) = by_launch.remove(&oldest) {
                *bytes -= old.opening.result.len();
            }
        }
        *last += 1;
        *bytes += size;
        by_launch.insert(launch.to_owned(), Kept { used: *last, opening: opening.clone() });
    }

    /// Writes what has changed.
    pub(super) fn save(&self) {
        let mut known = self.known();
        if !std::mem::take(&mut known.unsaved) {
            return;
        }
        let stored: BTreeMap<&str, Stored<&Opening>> = known
            .by_launch
            .iter()
            .map(|(launch, kept)| (&**launch, Stored { used: kept.used, opening: &*kept.opening }))
            .collect();
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        // A full queue is tried again with the next change.
        known.unsaved = !self.sink.offer(Job::Replace { file: self.file.clone(), bytes });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds this")
    }
}

impl Slot {
    /// This generation has opened. What is on trial is no client's business until it serves.
    pub(crate) fn opened(&self, generation: u64, facts: &Facts) {
        let opening = Arc::new(Opening {
            protocol: facts.protocol.clone(),
            result: facts.raw.get().to_owned(),
        });
        if let Some(trial) = self.told().trial_of(generation) {
            self.openings.keep(&trial.launch, &opening);
            trial.opening = Some(opening);
            return;
        }
        let launch = self.guests.opened(opening.clone());
        self.openings.keep(&launch, &opening);
    }

    /// How the plugin opened; or how it opened last, launched as it would be now.
    #[must_use]
    pub(crate) fn opening(&self) -> Option<Arc<Opening>> {
        if self.guests.was_launched() {
            return self.guests.opening();
        }
        let manifest = self.manifest();
        let digest = launch::prepare(&manifest).ok()?.digest(manifest.dialect.name());
        self.openings.of(&launch_key(&digest, &manifest))
    }

    /// What was on trial serves, as it was launched and as it opened.
    pub(crate) fn took_over(&self, shown: &Shown) {
        let opening = shown.opening.clone();
        self.guests.launched(shown.generation, shown.launch.clone(), |_| opening);
    }

    /// A generation is started from the launch of this digest.
    pub(crate) fn launched(&self, generation: u64, digest: &str) {
        let launch = launch_key(digest, &self.manifest());
        self.guests.launched(generation, launch, |launch| self.openings.of(launch));
    }
}

/// What an opening hangs on: what is launched (`digest`), and what it is told at its start.
pub(super) fn launch_key(digest: &str, manifest: &Manifest) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut told = DefaultHasher::new();
    (manifest.config.to_string(), format!("{:?}", manifest.mcp)).hash(&mut told);
    format!("{digest}-{:016x}", told.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(result: &str) -> Arc<Opening> {
        Arc::new(Opening { protocol: "1".to_owned(), result: result.to_owned() })
    }

    fn openings(dir: &std::path::Path) -> Openings {
        let sink = Arc::new(Sink::start(|_| {}).unwrap());
        Openings::read(dir.join(FILE), sink)
    }

    #[tokio::test]
    async fn openings_go_on_over_runs_and_a_damaged_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let first = openings(dir.path());
        first.keep("a", &opening(r#"{"n":1e400,"s":"\ud800"}"#));
        first.save();
        first.sink.flush().await;
        let second = openings(dir.path());
        assert_eq!(second.of("a"), Some(opening(r#"{"n":1e400,"s":"\ud800"}"#)));
        assert_eq!(second.of("b"), None);
        fs::write(dir.path().join(FILE), "{\"a\":{\"used\":1,").unwrap();
        assert_eq!(openings(dir.path()).of("a"), None);
    }

    #[tokio::test]
    async fn the_oldest_make_room_and_a_huge_one_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let all = openings(dir.path());
        let large = opening(&"x".repeat(LARGEST));
        for n in 0..ALL / LARGEST + 3 {
            all.keep(&n.to_string(), &large);
        }
        assert_eq!(all.of("2"), None);
        assert!(all.of("3").is_some());
        assert!(all.known().bytes <= ALL);
        all.keep("3", &opening(&"x".repeat(LARGEST + 1)));
        assert_eq!(all.of("3"), None, "what it said before is not so any more");
    }
}
