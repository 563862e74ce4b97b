//! A new version takes over: what the dispatcher keeps of it, and what it tells whoever asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{
    Detail, Failure, Key, NoSwap, Note, SwapMode, SwapPolicy, Swapping, Verdict, Version,
};
use outboard_manifest::Manifest;
use tokio::sync::oneshot;

use super::command::Change;
use super::dispatch::Dispatcher;
use super::launch::{Launch, NoLaunch};
use super::link::{Link, Tally};
use super::pin::{self, Pin};
use super::slot::Slot;
use super::supervisor::Supervisor;
use super::view::{Ended, Outcome};

/// Another version of a plugin, and what is to be remembered of it.
#[derive(Debug)]
pub struct SwapOrder {
    /// What is to take over. Its id is the plugin's.
    pub manifest: Manifest,
    /// It stands in for the one in the folder until that changes, over runs too. Without it, it is the folder's own.
    pub instead: bool,
    /// The change is one of a revision that is counted already.
    pub counted: bool,
}

/// What became of a swap.
#[derive(Debug)]
pub enum Swapped {
    /// Nothing has changed.
    Refused(NoSwap),
    /// Nothing served, so nothing was tried: the new version is in force. What its plain start came to; `None` where it
    /// was not to start.
    InForce(Option<Outcome>),
    /// There was a verdict, and nothing of the loser is left (or nothing can be done about it).
    Done(SwapReport),
}

/// One swap that is over.
#[derive(Clone, Debug)]
pub struct SwapReport {
    pub mode: SwapMode,
    /// The generation that served when it began.
    pub from: u64,
    /// The generation on trial; 0 when it came to none.
    pub trial: u64,
    pub verdict: Judged,
    /// How long it took to be active.
    pub active_after: Option<Duration>,
    /// The canary probes: whether they were answered, and how soon.
    pub canary: Vec<(bool, Duration)>,
    pub probes: u32,
    pub took: Duration,
    /// Calls that were answered, by generation.
    pub answered: BTreeMap<u64, u64>,
    /// Calls that ended otherwise.
    pub failed: u64,
    /// The last line of stderr of a version that lost.
    pub said: Option<String>,
    /// What a version that lost failed of.
    pub failure: Option<Failure>,
    /// What serves now, and in which state it is.
    pub now: u64,
}

/// The verdict on a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    Switched,
    RolledBack(String),
    /// What is wanted of the plugin changed meanwhile.
    Abandoned(String),
}

/// A swap that is under way.
pub(super) struct Swap {
    manifest: Arc<Manifest>,
    instead: bool,
    counted: bool,
    from: u64,
    trial: u64,
    verdict: Option<Judged>,
    active_after: Option<Duration>,
    canary: Vec<(bool, Duration)>,
    /// What the serving link had to show when it began.
    before: Tally,
    answered: BTreeMap<u64, u64>,
    failed: u64,
    said: Option<String>,
    failure: Option<Failure>,
    done: Option<oneshot::Sender<Swapped>>,
}

impl Swap {
    fn policy(&self) -> SwapPolicy {
        policy(&self.manifest)
    }

    fn count(&mut self, generation: u64, tally: Tally) {
        let before = if generation == self.from { self.before } else { Tally::default() };
        *self.answered.entry(generation).or_default() += tally.answered - before.answered;
        self.failed += tally.failed - before.failed;
    }
}

fn policy(manifest: &Manifest) -> SwapPolicy {
    let swap = &manifest.swap;
    let mode = match swap.mode {
        outboard_manifest::SwapMode::Overlap => SwapMode::Overlap,
        outboard_manifest::SwapMode::Exclusive => SwapMode::Exclusive,
    };
    SwapPolicy { mode, probes: swap.canary_probes, within: swap.canary_within }
}

/// Why there is no new version to swap in.
#[derive(Debug)]
pub enum NoVersion {
    /// There is no such plugin.
    Unknown,
    /// Its manifest is wrong, or cannot be read.
    Wrong(Vec<outboard_manifest::Problem>),
}

impl Supervisor {
    /// Lets the version in `file` take over, or (`None`) the one that its manifest in the folder describes now. Waits
    /// for the end of that; dropping the future changes nothing.
    ///
    /// # Errors
    /// There is no such plugin, or no such version of it: nothing has changed.
    pub async fn swap_to(&self, id: &str, file: Option<&Path>) -> Result<Swapped, NoVersion> {
        let slot = self.slot(id).ok_or(NoVersion::Unknown)?;
        let stands_for = slot.told().stands_for.clone();
        let in_folder = stands_for.unwrap_or_else(|| slot.manifest().source.clone());
        let manifest = match file {
            // No file alone describes it: it is looked for again.
            None if slot.manifest().entry_point.is_some() => self.found_again(&slot.id).await?,
            _ => {
                let path = file.unwrap_or(&in_folder);
                let settings = &self.shared.settings;
                let read = outboard_manifest::load_version(&slot.id, path, settings);
                read.map_err(NoVersion::Wrong)?.0
            }
        };
        let order = SwapOrder { manifest, instead: file.is_some(), counted: false };
        self.swap(id, order).await.ok_or(NoVersion::Unknown)
    }
}

impl Dispatcher {
    /// The version that an earlier swap put in the place of what the folder holds.
    pub(super) fn stands_in(&mut self, folder: &Manifest) -> Option<Manifest> {
        let kept = self.persist.version(folder)?;
        let settings = &self.shared.settings;
        let read = outboard_manifest::parse_version(&folder.id, &kept.source, &kept.text, settings);
        read.ok().map(|(manifest, _)| manifest)
    }

    /// Asks the core for a swap, and remembers what it needs to be carried out.
    pub(super) fn swap(&mut self, key: Key, order: SwapOrder, done: oneshot::Sender<Swapped>) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get(&key).cloned() else {
            return done.send(Swapped::Refused(NoSwap::Stopping)).unwrap_or_default();
        };
        let (core, how) = (order.manifest.policy.clone(), policy(&order.manifest));
        let from = self.fleet.generation(key);
        let (swapping, effects) = match self.fleet.swap(now, key, core, how) {
            Ok(accepted) => accepted,
            Err(refused) => return done.send(Swapped::Refused(refused)).unwrap_or_default(),
        };
        let serving = self.live.get(&(key, from));
        let mut swap = Swap {
            manifest: Arc::new(order.manifest),
            instead: order.instead,
            counted: order.counted,
            from,
            trial: 0,
            verdict: None,
            active_after: None,
            canary: Vec::new(),
            before: serving.map(|live| live.link.tally()).unwrap_or_default(),
            answered: BTreeMap::new(),
            failed: 0,
            said: None,
            failure: None,
            done: None,
        };
        match swapping {
            Swapping::Begun => {
                if let Some(live) = serving
                    && let Some(identity) = live.identity
                    && !self.pins.contains_key(&key)
                {
                    let pin = Pin::of(&live.program, live.link.pid(), identity);
                    self.pins.insert(key, pin);
                }
                swap.done = Some(done);
            }
            Swapping::InForce => self.tell_plain_start(key, &slot, done),
        }
        self.swaps.insert(key, swap);
        self.carry_out(effects);
        if swapping == Swapping::InForce {
            self.swaps.remove(&key);
        }
        self.publish(key);
    }

    /// The manifests were read again and ask for another version, which may be tried.
    pub(super) fn swap_for_reload(
        &mut self,
        key: Key,
        slot: &Slot,
        manifest: Manifest,
    ) -> oneshot::Receiver<Vec<Outcome>> {
        let (tell, outcome) = oneshot::channel();
        let (done, wait) = oneshot::channel();
        let plugin = slot.id.clone();
        self.swap(key, SwapOrder { manifest, instead: false, counted: true }, done);
        tokio::spawn(async move {
            let outcome = match wait.await {
                Ok(Swapped::InForce(Some(outcome))) => outcome,
                Ok(Swapped::Done(SwapReport { verdict, took, failure, .. })) => {
                    let end = match (verdict, failure) {
                        (Judged::Switched, _) => Ended::Active,
                        (Judged::RolledBack(_), Some(failure)) => Ended::Failed(failure),
                        (Judged::RolledBack(_) | Judged::Abandoned(_), _) => Ended::Overtaken,
                    };
                    Outcome { plugin, took, end }
                }
                Ok(Swapped::InForce(None)) => {
                    Outcome { plugin, took: Duration::ZERO, end: Ended::Resting }
                }
                Ok(Swapped::Refused(_)) | Err(_) => {
                    Outcome { plugin, took: Duration::ZERO, end: Ended::Overtaken }
                }
            };
            // Whoever asked may have gone: the swap stands all the same.
            tell.send(vec![outcome]).unwrap_or_default();
        });
        outcome
    }

    /// What is on trial is not restarted: whoever asked for that is told so.
    pub(super) fn without_trials(
        &self,
        change: Change,
        keys: Vec<Key>,
    ) -> (Vec<Key>, Vec<Outcome>) {
        let restart = matches!(change, Change::Restart { .. });
        let (busy, keys): (Vec<Key>, Vec<Key>) =
            keys.into_iter().partition(|key| restart && self.fleet.is_on_trial(*key));
        let told = |key: Key| Outcome {
            plugin: self.fleet.id(key).clone(),
            took: Duration::ZERO,
            end: Ended::Swapping,
        };
        (keys, busy.into_iter().map(told).collect())
    }

    /// Nothing served: the swap is as good as a start, and its outcome is that one's.
    fn tell_plain_start(&mut self, key: Key, slot: &Slot, done: oneshot::Sender<Swapped>) {
        if !self.fleet.snapshot(key).wanted_up {
            return done.send(Swapped::InForce(None)).unwrap_or_default();
        }
        let (outcome, wait) = oneshot::channel();
        let id = slot.id.clone();
        let (keys, now) = (vec![key], self.clock.now());
        self.waiters.add(&self.fleet, Change::Start, keys, Vec::new(), outcome, now);
        tokio::spawn(async move {
            let outcome = wait.await.ok().and_then(|mut outcomes: Vec<Outcome>| outcomes.pop());
            let lost = Outcome { plugin: id, took: Duration::ZERO, end: Ended::Overtaken };
            done.send(Swapped::InForce(Some(outcome.unwrap_or(lost)))).unwrap_or_default();
        });
    }

    /// The manifest of this version.
    pub(super) fn manifest_of(&self, key: Key, slot: &Slot, version: Version) -> Arc<Manifest> {
        match (version, self.swaps.get(&key)) {
            (Version::Next, Some(swap)) => swap.manifest.clone(),
            (Version::Next, None) | (Version::InForce, _) => slot.manifest(),
        }
    }

    /// A version that comes back is started from what it ran, and from nothing else.
    pub(super) fn start_from_pin(
        &self,
        key: Key,
        slot: &Slot,
        launch: &mut Launch,
    ) -> Result<(), NoLaunch> {
        let Some(pin) = self.pins.get(&key) else { return Ok(()) };
        let copy = self.copy_of(slot);
        launch.program = pin.place(&launch.program, &copy).map_err(|error| {
            let shown = slot.log.mask(launch.program.display().to_string());
            let message = format!("the old version of {shown} cannot be started again: {error}");
            NoLaunch::Failed { permanent: true, detail: Detail { detail: "version-gone", message } }
        })?;
        Ok(())
    }

    fn copy_of(&self, slot: &Slot) -> PathBuf {
        self.shared.state_dir.file(pin::FOLDER).join(&*slot.id)
    }

    /// From now on the file on the disk is what is started, unless a swap still needs the other one.
    pub(super) fn unpin(&mut self, key: Key) {
        if !self.fleet.is_on_trial(key)
            && self.pins.remove(&key).is_some()
            && let Some(slot) = self.slots.get(&key)
        {
            // What still runs from it keeps its content.
            std::fs::remove_file(self.copy_of(slot)).unwrap_or_default();
        }
    }

    /// The next version is the one in force.
    pub(super) fn adopt(&mut self, key: Key, slot: &Arc<Slot>) {
        let Some(swap) = self.swaps.get(&key) else { return };
        let (manifest, instead, counted) = (swap.manifest.clone(), swap.instead, swap.counted);
        let before = slot.manifest();
        slot.set_manifest(manifest.clone());
        self.persist.in_force(&slot.id, &before, instead.then_some(&*manifest));
        let trial = {
            let mut told = slot.told();
            told.refused = None;
            told.stands_for = self.persist.folder_of(&slot.id);
            let trial = told.trial.take();
            if let Some(trial) = &trial {
                told.shown = trial.clone();
            }
            trial
        };
        if let Some(trial) = trial {
            slot.took_over(&trial);
        }
        if !counted {
            self.shared.next_revision();
        }
        self.pins.remove(&key);
        std::fs::remove_file(self.copy_of(slot)).unwrap_or_default();
    }

    /// What the link of a plugin whose swap is under way had to show when it ended.
    pub(super) fn count_calls(&mut self, key: Key, link: &Link) {
        if let Some(swap) = self.swaps.get_mut(&key) {
            swap.count(link.generation, link.tally());
        }
    }

    /// What the core tells of a swap becomes the report of it.
    pub(super) fn note_swap(&mut self, key: Key, generation: u64, slot: &Slot, note: &Note) {
        let Some(swap) = self.swaps.get_mut(&key) else { return };
        match note {
            Note::SwapActive { after } => {
                swap.trial = generation;
                swap.active_after = Some(*after);
            }
            Note::SwapCanary { answered, took, .. } => swap.canary.push((*answered, *took)),
            Note::SwapJudged(verdict) => {
                if generation != swap.from {
                    swap.trial = generation;
                }
                swap.verdict = Some(match verdict {
                    Verdict::Switched { .. } => Judged::Switched,
                    Verdict::RolledBack { why } => Judged::RolledBack(slot.log.mask(why.clone())),
                    Verdict::Abandoned { why } => Judged::Abandoned(slot.log.mask(why.clone())),
                });
                if swap.verdict != Some(Judged::Switched) && swap.trial != 0 {
                    let mask = |text| slot.log.mask(text);
                    swap.said = slot.words().last(swap.trial, 1, mask).pop();
                    let history = slot.history();
                    let last = history.failures.back();
                    swap.failure = last
                        .map(|past| &past.failure)
                        .filter(|failure| failure.generation == swap.trial)
                        .cloned();
                }
            }
            Note::SwapDone { took } => self.swap_done(key, slot, *took),
            _ => {}
        }
    }

    fn swap_done(&mut self, key: Key, slot: &Slot, took: Duration) {
        let Some(mut swap) = self.swaps.remove(&key) else { return };
        let ours = self.live.iter().filter(|((owner, _), _)| *owner == key);
        for ((_, generation), live) in ours {
            swap.count(*generation, live.link.tally());
        }
        slot.told().trial = None;
        let how = swap.policy();
        let report = SwapReport {
            mode: how.mode,
            from: swap.from,
            trial: swap.trial,
            // Its verdict comes before its end.
            verdict: swap.verdict.take().unwrap_or(Judged::Abandoned(String::new())),
            active_after: swap.active_after,
            canary: std::mem::take(&mut swap.canary),
            probes: how.probes,
            took,
            answered: std::mem::take(&mut swap.answered),
            failed: swap.failed,
            said: swap.said.take(),
            failure: swap.failure.take(),
            now: self.fleet.generation(key),
        };
        // Whoever asked may have gone: the swap stands all the same.
        if let Some(done) = swap.done {
            done.send(Swapped::Done(report)).unwrap_or_default();
        }
    }
}
