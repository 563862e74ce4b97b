//! Carries a plan out: whole, or not at all.

use std::sync::Arc;

use outboard_core::plan::Action;
use outboard_core::{Event, Key, StopReason};
use outboard_manifest::{Manifest, Refused, Set, Settings};
use serde_json::json;
use tokio::sync::oneshot;

use super::plan::KnownBad;
use super::{Plan, Reading, ReloadError, ReloadRequest, Reloaded, Step};
use crate::host::by::Via;
use crate::host::command::Change;
use crate::host::dispatch::Dispatcher;
use crate::host::view::Outcome;

/// The configuration in force, beside the manifests that plugins hold themselves.
#[derive(Debug, Default)]
pub(in crate::host) struct InForce {
    pub(super) settings: Settings,
    /// Files that were refused, and have a row for it.
    pub(super) refused: Vec<KnownBad>,
}

impl InForce {
    pub(in crate::host) fn new(settings: Settings) -> Self {
        Self { settings, refused: Vec::new() }
    }

    /// For the supervisor's next build.
    pub(in crate::host) fn parts(&self) -> (&Settings, &[KnownBad]) {
        (&self.settings, &self.refused)
    }

    /// What was in force in the build before.
    pub(in crate::host) fn from_parts(settings: Settings, refused: Vec<KnownBad>) -> Self {
        Self { settings, refused }
    }

    /// These are refused, and known to be.
    pub(in crate::host) fn refused(&mut self, refused: &[Refused]) {
        self.refused.extend(refused.iter().map(KnownBad::of));
    }
}

/// What each plugin's part will have come to.
pub(super) type Outcomes = oneshot::Receiver<Vec<Outcome>>;

impl Dispatcher {
    /// Makes a plan and, if that is asked for, carries it out.
    ///
    /// # Errors
    /// Nothing has changed then: see [`ReloadError`].
    pub(in crate::host) fn reload(
        &mut self,
        reading: Reading,
        request: &ReloadRequest,
    ) -> Result<Reloaded, ReloadError> {
        let plan =
            self.plan(&reading, &request.except).and_then(|plan| match request.if_revision {
                Some(meant) if meant != plan.revision => {
                    Err(ReloadError::Conflict { plan: Box::new(plan) })
                }
                _ => Ok(plan),
            });
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                if request.apply {
                    self.tell_rejected(&error, request);
                }
                return Err(error);
            }
        };
        let mut reloaded = Reloaded {
            revision: plan.revision,
            applied: request.apply,
            plan,
            outcomes: Vec::new(),
        };
        if request.apply {
            if !reloaded.plan.is_empty() {
                reloaded.revision = self.shared.next_revision();
            }
            reloaded.outcomes = self.carry_out_plan(&reloaded, reading.set, request);
            // A file that was touched and says the same is no news.
            if !(reloaded.plan.is_empty() && request.by.via == Via::Watch) {
                self.tell_applied(&reloaded, request);
            }
        }
        Ok(reloaded)
    }

    fn tell_rejected(&self, error: &ReloadError, request: &ReloadRequest) {
        let problems = match error {
            ReloadError::Rejected { problems, .. } => problems.clone(),
            other => vec![other.to_string()],
        };
        let fields = json!({"problems": problems, "by": request.by.to_json()});
        self.shared.recorder.supervisor("config.rejected", fields);
    }

    fn tell_applied(&self, reloaded: &Reloaded, request: &ReloadRequest) {
        let ids = |fits: &dyn Fn(Action) -> bool| -> Vec<&str> {
            let steps = reloaded.plan.steps.iter();
            steps.filter(|step| fits(step.action)).map(|step| &*step.id).collect()
        };
        let settings: Vec<&str> =
            reloaded.plan.settings.iter().map(|(_, change)| &*change.key).collect();
        let fields = json!({
            "revision": reloaded.revision,
            "added": ids(&|action| action == Action::Add),
            "removed": ids(&|action| action == Action::Remove),
            "changed": ids(&|action| !matches!(action, Action::Add | Action::Remove)),
            "restarted": ids(&|action| action == Action::Restart),
            "settings": settings,
            "by": request.by.to_json(),
        });
        self.shared.recorder.supervisor("config.applied", fields);
    }

    /// What is new is there before anybody is stopped that others need no more.
    fn carry_out_plan(
        &mut self,
        reloaded: &Reloaded,
        set: Set,
        request: &ReloadRequest,
    ) -> Vec<Outcomes> {
        let Plan { steps, settings, .. } = &reloaded.plan;
        let kept =
            |refused: &&Refused| refused.id.as_ref().is_none_or(|id| !request.except.contains(id));
        self.in_force.refused = set.refused.iter().filter(kept).map(KnownBad::of).collect();
        self.take_settings(set.settings, settings);
        let mut waits = Vec::new();
        let mut manifests: std::collections::BTreeMap<_, Manifest> =
            set.manifests.into_iter().map(|manifest| (manifest.id.clone(), manifest)).collect();
        for step in steps.iter().filter(|step| step.action != Action::Remove) {
            let Some(manifest) = manifests.remove(&step.id) else { continue };
            match self.fleet.by_id(&step.id) {
                Some(key) => self.take(key, step, manifest, reloaded.revision, &mut waits),
                None => {
                    let key = self.add(&Arc::new(manifest));
                    if !step.rests {
                        self.wait_for(key, Change::Start, &mut waits);
                    }
                    let effects = self.fleet.start_if_enabled(self.clock.now(), key);
                    self.publish(key);
                    self.carry_out(effects);
                }
            }
        }
        for step in steps.iter().filter(|step| step.action == Action::Remove) {
            let Some(key) = self.fleet.by_id(&step.id) else { continue };
            self.leaving.insert(key);
            self.wait_for(key, Change::Stop { now: false }, &mut waits);
            self.step(key, 0, Event::Stop { now: false, reason: StopReason::Config });
        }
        waits
    }

    fn wait_for(&mut self, key: Key, change: Change, waits: &mut Vec<Outcomes>) {
        let (done, wait) = oneshot::channel();
        let now = self.clock.now();
        self.waiters.add(&self.fleet, change, vec![key], Vec::new(), done, now);
        waits.push(wait);
    }

    /// What `outboard.toml` says for the supervisor itself, as far as that counts before the next `run`.
    fn take_settings(
        &mut self,
        settings: Settings,
        changes: &[(bool, outboard_core::plan::Difference)],
    ) {
        let fleet = &settings.fleet;
        let mut policy = self.fleet.policy().clone();
        // Only what changed: the command line may have said otherwise about the rest.
        for (_, change) in changes {
            match &*change.key {
                "supervisor.start_concurrency" => {
                    policy.start_concurrency = fleet.start_concurrency
                }
                "supervisor.shutdown_cap" => policy.shutdown_cap = fleet.shutdown_cap,
                "supervisor.storm.restarts" | "supervisor.storm.within" => {
                    policy.storm = fleet.storm
                }
                _ => {}
            }
        }
        let effects = self.fleet.set_policy(self.clock.now(), policy);
        self.carry_out(effects);
        self.in_force.settings = settings;
    }

    /// Puts another manifest in force for a plugin that is there.
    fn take(
        &mut self,
        key: Key,
        step: &Step,
        manifest: Manifest,
        revision: u64,
        waits: &mut Vec<Outcomes>,
    ) {
        let Some(slot) = self.slots.get(&key).cloned() else { return };
        let comes_back = self.leaving.remove(&key);
        let (policy, config) = (manifest.policy.clone(), manifest.config.clone());
        let wanted = policy.enabled && !policy.lazy;
        slot.told().refused = None;
        let keys: Vec<&str> = step.changes.iter().map(|change| &*change.key).collect();
        let fields = json!({"action": crate::observe::action(step.action), "keys": keys});
        let generation = self.fleet.generation(key);
        self.shared.recorder.plugin(&slot, generation, "plugin.reconfigured", fields);
        if step.action == Action::Swap {
            // What is in force goes on being that until the new version has proven itself.
            waits.push(self.swap_for_reload(key, &slot, manifest));
            return;
        }
        slot.set_manifest(Arc::new(manifest));
        slot.told().stands_for = None;
        self.persist.forget_version(&slot.id, self.clock.now());
        match step.action {
            Action::Start if wanted => {
                slot.told().held_since = None;
                self.wait_for(key, Change::Start, waits);
            }
            Action::Restart => self.wait_for(key, Change::Restart { now: false }, waits),
            Action::Stop => self.wait_for(key, Change::Stop { now: false }, waits),
            Action::Start
            | Action::Add
            | Action::Remove
            | Action::InPlace
            | Action::Tell
            | Action::Swap
            | Action::Hold
            | Action::Rest => {}
        }
        let link = self.serving(key).map(|live| live.link.clone());
        if let Some(link) = &link {
            link.set_bounds(&slot.manifest());
        }
        let effects = self.fleet.reconfigure(self.clock.now(), key, policy);
        self.publish(key);
        self.carry_out(effects);
        match step.action {
            // What comes back stands as it was left: stopping, or down.
            Action::Start if comes_back => {
                let effects = self.fleet.start_if_enabled(self.clock.now(), key);
                self.carry_out(effects);
            }
            Action::Restart => self.step(key, 0, Event::Restart { now: false }),
            Action::Tell => {
                if link.is_none_or(|link| !link.reconfigure(&config, revision)) {
                    self.step(key, 0, Event::Restart { now: false });
                }
            }
            Action::Start
            | Action::Stop
            | Action::Add
            | Action::Remove
            | Action::InPlace
            | Action::Swap
            | Action::Hold
            | Action::Rest => {}
        }
    }

    /// A plugin has answered its changed configuration. One that does not take it gets it the way every process does.
    pub(in crate::host) fn reconfigured(&mut self, key: Key, generation: u64, applied: bool) {
        let lives = self.live.contains_key(&(key, generation));
        let Some(slot) = self.slots.get(&key).filter(|_| lives) else { return };
        let fields = json!({"applied": applied});
        self.shared.recorder.plugin(slot, generation, "config.answered", fields);
        if !applied {
            self.step(key, 0, Event::Restart { now: false });
        }
    }

    /// Forgets the plugins whose manifests are gone, once they are down.
    pub(in crate::host) fn let_leave(&mut self) {
        for key in self.leaving.clone() {
            if self.fleet.remove(key) {
                self.leaving.remove(&key);
                self.forget(key);
            }
        }
    }
}
