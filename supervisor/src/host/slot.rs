//! One plugin's shared part: what callers, links and `status` meet without asking the dispatcher.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outboard_core::word::{self, Word};
use outboard_core::{Failure, Key, PluginId, Snapshot, Unavailable, WhileRestarting};
use outboard_manifest::Manifest;
use outboard_wire::CallError;
use outboard_wire::error::Callee;
use serde::{Deserialize, Serialize};

use super::call::{Call, Token};
use super::clock::Clock;
use super::command::Command;
use super::dossier;
use super::guests::Guests;
use super::happening::{Happening, Happenings};
use super::logbook::PluginLog;
use super::openings::Openings;
use super::persist::Learnt;
use super::route::{Answer, HoldLimits, Refusal, Router};
use super::stats::Stats;
use super::told::Told;
use super::view::{EventRecord, Frame, LostCall, PastFailure};
use super::words::Words;

/// Events of one plugin kept for `why`.
const TIMELINE: usize = 64;

/// Failures kept to show a pattern.
const FAILURES: usize = 16;

/// Lost calls named in a dossier; the rest is counted.
const LOST: usize = 20;

/// The shared part of one plugin.
#[derive(Debug)]
pub(crate) struct Slot {
    pub id: PluginId,
    pub key: Key,
    pub stats: Stats,
    pub log: PluginLog,
    /// The clients that share it.
    pub guests: Guests,
    pub(super) openings: Arc<Openings>,
    clock: Clock,
    happenings: Happenings,
    learnt: Learnt,
    manifest: Mutex<Arc<Manifest>>,
    router: Mutex<Router>,
    seen: Mutex<Snapshot>,
    words: Mutex<Words>,
    told: Mutex<Told>,
    history: Mutex<History>,
}

/// What every slot is given to reach the rest.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    pub clock: Clock,
    pub happenings: Happenings,
    pub learnt: Learnt,
    pub openings: Arc<Openings>,
}

/// What `why` is made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct History {
    pub timeline: VecDeque<Moment>,
    pub failures: VecDeque<PastFailure>,
    /// The last words of the generation that failed last, kept when the next one starts to speak.
    pub last_words: Vec<String>,
    pub words_at: Vec<i64>,
    pub stderr_lines: u64,
    /// The last frames of that generation, both ways.
    pub frames: Vec<Frame>,
    pub lost: Lost,
    pub used: Used,
}

/// One event of a timeline, packed: a thousand plugins keep theirs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Moment {
    seq: u64,
    at_us: i64,
    generation: u64,
    #[serde(with = "word")]
    event: Word,
    /// JSON text of an object.
    fields: Box<str>,
}

impl Moment {
    fn pack(record: &EventRecord) -> Self {
        let EventRecord { seq, at_us, generation, event, .. } = *record;
        let fields = serde_json::to_string(&record.fields).unwrap_or_default().into();
        Self { seq, at_us, generation, event, fields }
    }

    fn unpack(&self, plugin: &PluginId) -> EventRecord {
        EventRecord {
            seq: self.seq,
            at_us: self.at_us,
            plugin: Some(plugin.clone()),
            generation: self.generation,
            event: self.event,
            fields: serde_json::from_str(&self.fields).unwrap_or_default(),
        }
    }
}

/// Calls that ended with one generation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lost {
    pub generation: u64,
    pub calls: Vec<LostCall>,
    pub total: u64,
}

/// What one generation used, as its keeper reported when it was gone.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Used {
    pub generation: u64,
    pub cpu: Duration,
    pub peak_kib: u64,
    /// Others of its tree that had to be killed after it.
    pub swept: u32,
}

impl Slot {
    /// The shared part of a plugin that has just been registered.
    #[must_use]
    pub(crate) fn new(
        key: Key,
        manifest: Arc<Manifest>,
        seen: Snapshot,
        log: PluginLog,
        ways: Ways,
    ) -> Self {
        let Ways { clock, happenings, learnt, openings } = ways;
        Self {
            id: manifest.id.clone(),
            key,
            stats: Stats::default(),
            log,
            guests: Guests::default(),
            openings,
            clock,
            happenings,
            learnt,
            manifest: Mutex::new(manifest),
            router: Mutex::default(),
            seen: Mutex::new(seen),
            words: Mutex::default(),
            told: Mutex::default(),
            history: Mutex::default(),
        }
    }

    /// The manifest in force.
    #[must_use]
    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        lock(&self.manifest).clone()
    }

    /// Puts another manifest in force, for the next generation.
    pub(crate) fn set_manifest(&self, manifest: Arc<Manifest>) {
        *lock(&self.manifest) = manifest;
    }

    /// The plugin as the dispatcher last published it.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Snapshot {
        lock(&self.seen).clone()
    }

    /// Publishes the plugin's state.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *lock(&self.seen) = snapshot;
        // A client may wait for an opening that will not come.
        self.guests.changed();
    }

    /// The route; held for microseconds, never across an await.
    pub(crate) fn router(&self) -> MutexGuard<'_, Router> {
        lock(&self.router)
    }

    /// The newest lines of stderr.
    pub(crate) fn words(&self) -> MutexGuard<'_, Words> {
        lock(&self.words)
    }

    /// What the current generation said of itself.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }

    /// What `why` is made of.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// Gives a call to the link in force, holds it, or ends it with a typed refusal. Never blocks.
    pub(crate) fn submit(&self, call: Call) {
        let limits = self.hold_limits();
        let mut answer = {
            let mut router = self.router();
            self.with_refusal(|refusal| router.ask(call, limits, refusal))
        };
        loop {
            match answer {
                Answer::Held { tell } => {
                    if tell {
                        self.tell_called();
                    }
                    return;
                }
                Answer::Refused { call, error, tell } => {
                    call.refuse(error);
                    if tell {
                        self.tell_called();
                    }
                    return;
                }
                Answer::Link(link, call) => match link.call(call) {
                    Ok(()) => return,
                    Err(call) => {
                        let call = *call;
                        let mut router = self.router();
                        // Since the link was asked the dispatcher may have opened the way to the next one.
                        let next = router.link().filter(|now| !Arc::ptr_eq(now, &link)).cloned();
                        answer = match next {
                            Some(next) => Answer::Link(next, call),
                            None => self
                                .with_refusal(|refusal| router.hold_anyway(call, limits, refusal)),
                        };
                    }
                },
            }
        }
    }

    fn tell_called(&self) {
        let wake = self.router().next_deadline();
        self.happenings.tell(Happening::Command(Command::Called { key: self.key, wake }));
    }

    /// Takes back the calls whose tokens `wanted` names: those that wait, and those that were sent.
    pub(crate) fn cancel_where(&self, wanted: &dyn Fn(&Token) -> bool, reason: &'static str) {
        let (waiting, links) = {
            let mut router = self.router();
            (router.take_where(|call| wanted(&call.token)), router.links())
        };
        for call in waiting {
            let generation = lock(&self.seen).generation;
            call.cancel(Callee { plugin: &self.id, generation });
        }
        for link in links {
            link.cancel_where(wanted, reason);
        }
    }

    /// Ends the waiting calls whose deadline has passed.
    pub(crate) fn expire_held(&self) {
        let now = self.clock.now();
        let expired = self.router().take_expired(now);
        self.with_refusal(|refusal| expired.into_iter().for_each(|call| call.expire(refusal, now)));
    }

    /// Calls with `refusal` worded for the plugin as it is now.
    pub(crate) fn with_refusal<R>(&self, words: impl FnOnce(&Refusal<'_>) -> R) -> R {
        let (generation, retry_after, note) = {
            let seen = lock(&self.seen);
            let retry_after = seen.next_try.map(|at| at.since(self.clock.now()));
            (seen.generation, retry_after, note_of(&seen))
        };
        words(&Refusal { plugin: &self.id, generation, retry_after, note: note.as_deref() })
    }

    fn hold_limits(&self) -> HoldLimits {
        let manifest = lock(&self.manifest);
        HoldLimits {
            calls: manifest.calls.in_flight as usize,
            bytes: manifest.calls.queue_bytes,
            usual: manifest.policy.while_restarting,
        }
    }

    /// It takes one call at a time: by the manifest, or by what the live generation says of itself.
    #[must_use]
    pub(crate) fn takes_one(&self) -> bool {
        let link = self.router().link().cloned();
        let live = link.map(|link| link.concurrency());
        live.unwrap_or(lock(&self.manifest).calls.concurrency as usize) == 1
    }

    /// What calls do that say nothing of it themselves.
    #[must_use]
    pub(crate) fn while_restarting(&self) -> WhileRestarting {
        lock(&self.manifest).policy.while_restarting
    }

    /// Starts a plugin that rests until somebody calls: a client has come.
    pub(crate) fn rouse(&self) {
        if self.router().rouse() {
            self.tell_called();
        }
    }

    /// What its clients want beside calls has changed.
    pub(crate) fn wants_changed(&self) {
        let link = self.router().link().cloned();
        if let Some(link) = link {
            link.wants_changed();
        }
    }

    /// Sends one notification.
    ///
    /// # Errors
    /// No generation takes it now, or a bound is reached: nothing was sent.
    pub(crate) fn notify(&self, method: &str, params: &str) -> Result<(), CallError> {
        let (link, closed) = {
            let router = self.router();
            (router.link().cloned(), router.closed())
        };
        match link {
            Some(link) => link.notify(method, params),
            None => {
                let why = closed.unwrap_or(Unavailable::Down);
                Err(self.with_refusal(|refusal| refusal.unavailable(why)))
            }
        }
    }

    /// Keeps what the dialect learnt about the executable that this generation runs; `None` forgets it.
    pub(crate) fn learn(&self, generation: u64, hint: Option<String>) {
        let mut told = self.told();
        let digest = &told.of(generation).digest;
        let mut learnt = lock(&self.learnt);
        match hint {
            Some(hint) if learnt.get(digest) == Some(&hint) => {}
            Some(hint) => drop(learnt.insert(digest.clone(), hint)),
            None => drop(learnt.remove(digest)),
        }
    }

    /// The events of one generation that are still kept, oldest first.
    #[must_use]
    pub(crate) fn timeline(&self, generation: u64) -> Vec<EventRecord> {
        let history = self.history();
        let of_it = history.timeline.iter().filter(|moment| moment.generation == generation);
        of_it.map(|moment| moment.unpack(&self.id)).collect()
    }

    /// Adds an event to the timeline.
    pub(crate) fn remember(&self, record: &EventRecord) {
        let mut history = self.history();
        if history.timeline.len() == TIMELINE {
            history.timeline.pop_front();
        }
        history.timeline.push_back(Moment::pack(record));
    }

    /// Adds a failure, with the words that were heard until then.
    pub(crate) fn remember_failure(&self, failure: Failure, frames: Vec<Frame>) {
        let (last_words, words_at, lines) = {
            let words = self.words();
            let generation = failure.generation;
            let last = words.last(generation, usize::MAX, |text| self.log.mask(text));
            (last, words.times(generation), words.total(generation))
        };
        let at_us = self.clock.wall_us();
        let up = dossier::up_before(&self.timeline(failure.generation), at_us);
        let mut history = self.history();
        if history.failures.len() == FAILURES {
            history.failures.pop_front();
        }
        history.failures.push_back(PastFailure { failure, at_us: Some(at_us), up });
        history.frames = frames;
        history.words_at = words_at;
        history.last_words = last_words;
        history.stderr_lines = lines;
    }

    /// A new generation begins to speak; `still`: beside one that goes on.
    pub(crate) fn begin_generation(&self, generation: u64, still: Option<u64>) {
        self.words().begin(generation, still);
    }

    /// One call ended with its generation.
    pub(crate) fn remember_lost(&self, generation: u64, call: LostCall) {
        let lost = &mut self.history().lost;
        if lost.generation != generation {
            *lost = Lost { generation, ..Lost::default() };
        }
        lost.total += 1;
        if lost.calls.len() < LOST {
            lost.calls.push(call);
        }
    }
}

fn note_of(seen: &Snapshot) -> Option<String> {
    use outboard_core::StateName;
    match seen.state {
        StateName::Failed | StateName::Backoff => {
            seen.last_failure.as_ref().map(|failure| failure.detail.message.clone())
        }
        StateName::Registered if !seen.waiting_for.is_empty() => Some(seen.waiting_for.join(", ")),
        StateName::Registered
        | StateName::Starting
        | StateName::Loaded
        | StateName::Active
        | StateName::Degraded
        | StateName::Stopping
        | StateName::Unkillable => None,
    }
}

/// What a panic left here is one plugin's own, and the generation that it concerns is being ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
