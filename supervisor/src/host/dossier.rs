//! Failures on the disk: one file for each generation that failed, the last so many of each plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::journal;
use super::shared::Shared;
use super::sink::Job;
use super::slot::Slot;
use super::supervisor::{Supervisor, plugin_view};
use super::view::{Dossier, EventRecord, Frame, LostCall, PastFailure, PluginView};

/// Which failure of a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    Last,
    /// The n-th from the end; 1 is the last.
    FromEnd(u32),
    /// That of this generation.
    Generation(u64),
}

/// One failure in its stored form. Members are only ever added.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    past: PastFailure,
    #[serde(default)]
    last_words: Vec<String>,
    #[serde(default)]
    words_at: Vec<i64>,
    #[serde(default)]
    stderr_lines: u64,
    /// Lines of the journal.
    #[serde(default)]
    timeline: Vec<String>,
    #[serde(default)]
    lost: Vec<LostCall>,
    #[serde(default)]
    lost_total: u64,
    #[serde(default)]
    frames: Vec<Frame>,
    #[serde(default)]
    cpu: Option<Duration>,
    #[serde(default)]
    peak_kib: Option<u64>,
    #[serde(default)]
    swept: Option<u32>,
}

impl Shared {
    /// Keeps what is known of the last failure of a plugin, if it was this generation's.
    pub(super) fn keep_failure(&self, slot: &Slot, generation: u64) {
        let Some(stored) = stored(slot, Some(generation)) else { return };
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        let folder = folder(&self.state_dir.file("dossiers"), &slot.id);
        let job = Job::Keep { folder, name: name(generation), bytes, keep: self.dossiers };
        if !self.sink.offer(job) {
            // The queue says that it is full; in memory the failure is there all the same.
            tracing::debug!(plugin = &*slot.id, generation, "a failure was not kept on the disk");
        }
    }
}

/// The last failure, as far as it is in memory and of that generation.
fn stored(slot: &Slot, generation: Option<u64>) -> Option<Stored> {
    let history = slot.history();
    let past = history
        .failures
        .back()
        .filter(|past| generation.is_none_or(|generation| past.failure.generation == generation))?;
    let generation = past.failure.generation;
    let lost = Some(&history.lost).filter(|lost| lost.generation == generation);
    let used = Some(history.used).filter(|used| used.generation == generation);
    let stored = Stored {
        past: past.clone(),
        last_words: history.last_words.clone(),
        words_at: history.words_at.clone(),
        stderr_lines: history.stderr_lines,
        timeline: Vec::new(),
        lost: lost.map_or_else(Vec::new, |lost| lost.calls.clone()),
        lost_total: lost.map_or(0, |lost| lost.total),
        frames: history.frames.clone(),
        cpu: used.map(|used| used.cpu),
        peak_kib: used.map(|used| used.peak_kib),
        swept: used.map(|used| used.swept),
    };
    drop(history);
    let timeline = slot.timeline(generation);
    Some(Stored { timeline: timeline.iter().map(journal::to_json).collect(), ..stored })
}

impl Stored {
    fn told(self, view: PluginView, earlier: Vec<PastFailure>) -> Dossier {
        let timeline = self.timeline.iter().filter_map(|line| journal::parse(line));
        Dossier {
            timeline: timeline.collect::<Vec<EventRecord>>(),
            failure: self.past.failure,
            at_us: self.past.at_us,
            up: self.past.up,
            view,
            last_words: self.last_words,
            words_at: self.words_at,
            stderr_lines: self.stderr_lines,
            lost: self.lost,
            lost_total: self.lost_total,
            frames: self.frames,
            earlier,
            cpu: self.cpu,
            peak_kib: self.peak_kib,
            swept: self.swept,
        }
    }
}

impl Supervisor {
    /// The last failure of a plugin in this run; `None` when it has had none, or does not exist.
    #[must_use]
    pub fn why(&self, id: &str) -> Option<Dossier> {
        let slot = self.shared.slot(id)?;
        let stored = stored(&slot, None)?;
        let earlier = slot.history().failures.iter().rev().skip(1).rev().cloned().collect();
        Some(stored.told(plugin_view(&slot, &self.shared), earlier))
    }

    /// One failure of a plugin, of this run or of an earlier one; `None` when it is not kept, or there is no such plugin.
    pub async fn dossier(&self, id: &str, which: Which) -> Option<Dossier> {
        let slot = self.shared.slot(id)?;
        self.shared.sink.flush().await;
        let (shared, of): (Arc<Shared>, Arc<Slot>) = (self.shared.clone(), slot.clone());
        let read = move || read_all(&folder(&shared.state_dir.file("dossiers"), &of.id));
        let mut all = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        // What is in memory is as new or newer, and there even where the disk is full.
        if let Some(newest) = stored(&slot, None) {
            all.retain(|kept| kept.past.failure.generation != newest.past.failure.generation);
            all.push(newest);
        }
        all.sort_by_key(|kept| kept.past.failure.generation);
        let at = match which {
            Which::Last => all.len().checked_sub(1)?,
            Which::FromEnd(n) => all.len().checked_sub(usize::try_from(n).ok()?.max(1))?,
            Which::Generation(n) => {
                all.iter().position(|kept| kept.past.failure.generation == n)?
            }
        };
        let rest: Vec<Stored> = all.drain(..=at).collect();
        let (chosen, earlier) = {
            let mut rest = rest;
            let chosen = rest.pop()?;
            (chosen, rest.into_iter().map(|kept| kept.past).collect())
        };
        Some(chosen.told(plugin_view(&slot, &self.shared), earlier))
    }
}

/// How long a failed generation had been active, by its own events.
pub(super) fn up_before(timeline: &[EventRecord], at_us: i64) -> Option<Duration> {
    let is_active = |event: &&EventRecord| {
        event.event == "plugin.state" && event.fields.get("to").is_some_and(|to| to == "active")
    };
    let active = timeline.iter().find(is_active)?;
    u64::try_from(at_us - active.at_us).ok().map(Duration::from_micros)
}

fn folder(dossiers: &Path, id: &str) -> PathBuf {
    dossiers.join(id)
}

/// Sorted by name they are sorted by generation.
fn name(generation: u64) -> String {
    format!("{generation:010}.json")
}

/// Every file that can be read: a damaged one is as good as none.
fn read_all(folder: &Path) -> Vec<Stored> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let read = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).ok()?).ok();
    entries.filter_map(Result::ok).filter_map(|entry| read(entry.path())).collect()
}
