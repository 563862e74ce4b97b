//! What a set changes, compared with what is in force. Nothing is changed here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use outboard_core::plan::{Action, Asks, Difference, Standing, decide};
use outboard_core::{Key, PluginId, StateName, WhileRestarting};
use outboard_manifest::{Manifest, Refused};

use super::{Plan, Reading, ReloadError, Step};
use crate::host::dispatch::Dispatcher;

impl Dispatcher {
    /// # Errors
    /// The set is refused, or `except` names what there is not.
    pub(super) fn plan(&self, reading: &Reading, except: &[PluginId]) -> Result<Plan, ReloadError> {
        self.know(reading, except)?;
        self.judge(reading, except)?;
        let set = &reading.set;
        let mut plan = Plan {
            revision: self.shared.revision(),
            settings: self.in_force.settings.differences(&set.settings),
            warnings: set
                .warnings
                .iter()
                .chain(&set.settings_problems)
                .map(|p| p.sentence())
                .collect(),
            ..Plan::default()
        };
        let mut put = |step: Option<Step>, id: &PluginId| match step {
            None => plan.untouched += 1,
            Some(_) if except.contains(id) => plan.excepted.push(id.clone()),
            Some(step) => plan.steps.push(step),
        };
        for manifest in &set.manifests {
            let step = match self.fleet.by_id(&manifest.id) {
                Some(key) => self.change(key, manifest, reading),
                None => Some(step(manifest, Action::Add)),
            };
            put(step, &manifest.id);
        }
        // A file that was refused before, or is to be left alone, keeps its row.
        let refused = set.refused.iter().filter_map(|refused| refused.id.as_ref());
        let named: BTreeSet<&PluginId> =
            set.manifests.iter().map(|manifest| &manifest.id).chain(refused).collect();
        for (key, slot) in &self.slots {
            if !named.contains(&slot.id) && !self.leaving.contains(key) {
                let clients = u32::try_from(slot.guests.count()).unwrap_or(u32::MAX);
                let gone = Step { clients, ..step(&slot.manifest(), Action::Remove) };
                put(Some(gone), &slot.id);
            } else if !set.manifests.iter().any(|manifest| manifest.id == slot.id) {
                put(None, &slot.id);
            }
        }
        plan.steps.sort_by(|a, b| a.id.cmp(&b.id));
        plan.excepted.sort();
        Ok(plan)
    }

    /// Whoever is to be left alone has to be somebody.
    fn know(&self, reading: &Reading, except: &[PluginId]) -> Result<(), ReloadError> {
        let set = &reading.set;
        let known: BTreeSet<&PluginId> = self
            .slots
            .values()
            .map(|slot| &slot.id)
            .chain(set.manifests.iter().map(|manifest| &manifest.id))
            .chain(set.refused.iter().filter_map(|refused| refused.id.as_ref()))
            .collect();
        match except.iter().find(|id| !known.contains(id)) {
            None => Ok(()),
            Some(id) => Err(ReloadError::UnknownId {
                id: id.to_string(),
                known: known.into_iter().map(|id| id.to_string()).collect(),
            }),
        }
    }

    /// A set with an error is refused whole. What was refused before and has not been touched since holds up nobody.
    fn judge(&self, reading: &Reading, except: &[PluginId]) -> Result<(), ReloadError> {
        let set = &reading.set;
        let excepted =
            |refused: &Refused| refused.id.as_ref().is_some_and(|id| except.contains(id));
        let blocks = |refused: &&Refused| {
            !excepted(refused) && !self.in_force.refused.iter().any(|known| is_same(known, refused))
        };
        let of_all = set.settings_problems.iter().filter(|problem| problem.is_error());
        let of_files = set.refused.iter().filter(blocks).flat_map(|refused| &refused.problems);
        let guilty: Vec<_> = of_all.chain(of_files).filter(|problem| problem.is_error()).collect();
        if guilty.is_empty() {
            return Ok(());
        }
        // In the order in which `check` shows them, and each once.
        let here = std::env::current_dir().unwrap_or_default();
        let mut shown = set.problems();
        shown.retain(|problem| guilty.contains(problem));
        Err(ReloadError::Rejected {
            problems: shown.iter().map(|problem| problem.sentence()).collect(),
            text: shown.iter().map(|problem| problem.render(&here)).collect(),
            files: shown
                .iter()
                .filter_map(|problem| Some(problem.place.as_ref()?.file.clone()))
                .collect(),
        })
    }

    /// What a manifest changes for a plugin that is there; `None` when nothing.
    fn change(&self, key: Key, now: &Manifest, reading: &Reading) -> Option<Step> {
        let slot = self.slots.get(&key)?;
        let seen = self.fleet.snapshot(key);
        let (refused, ran, held_since, reloads) = {
            let told = slot.told();
            let shown = &told.shown;
            (told.refused.is_some(), shown.ran.clone(), told.held_since, shown.reloads)
        };
        let manifest = slot.manifest();
        let runs = self.runs(key);
        let mut changes = if refused { Vec::new() } else { manifest.differences(now) };
        if let (true, Some(ran), Some(next)) = (runs, &ran, reading.prints.get(&now.id)) {
            let more = ran.differences(next, &changes);
            changes.extend(more);
        }
        let comes_back = self.leaving.contains(&key);
        if changes.is_empty() && !refused && !comes_back {
            return None;
        }
        let stands = Standing {
            runs,
            retries: matches!(seen.state, StateName::Failed | StateName::Backoff),
            held: held_since.is_some() && !seen.wanted_up,
            reloads,
            swaps: self.can_swap(key),
        };
        let asks = changes.iter().map(|(asks, _)| *asks).max().unwrap_or(Asks::InPlace);
        let action = match comes_back {
            true if runs => Action::Restart,
            true => Action::Start,
            false => decide(asks, switched(&manifest, now, runs), stands),
        };
        let held_for = held_since.filter(|_| action == Action::Hold);
        Some(Step {
            changes: changes.into_iter().map(|(_, change)| change).collect(),
            held_for: held_for.map(|since| self.clock.now().since(since)),
            mended: refused,
            start_took: seen.start_took,
            ..step(now, action)
        })
    }

    /// Whether another version can take over from the one that runs.
    fn can_swap(&self, key: Key) -> bool {
        let seen = self.fleet.snapshot(key);
        seen.swap.is_none() && matches!(seen.state, StateName::Active | StateName::Degraded)
    }
}

/// Whether `enabled` and `lazy` want it up that was not, or down that was not.
fn switched(before: &Manifest, now: &Manifest, runs: bool) -> Option<bool> {
    let starts = |manifest: &Manifest| manifest.policy.enabled && !manifest.policy.lazy;
    match (before.policy.enabled, now.policy.enabled) {
        (true, false) => Some(false),
        (false, true) if !now.policy.lazy => Some(true),
        // One that rested until the first call is wanted up now.
        _ if !runs && !starts(before) && starts(now) => Some(true),
        _ => None,
    }
}

fn step(manifest: &Manifest, action: Action) -> Step {
    Step {
        id: manifest.id.clone(),
        action,
        manifest: manifest.source.clone(),
        changes: Vec::<Difference>::new(),
        clients: 0,
        held_for: None,
        mended: false,
        rests: manifest.policy.lazy || !manifest.policy.enabled,
        calls_wait: manifest.policy.while_restarting == WhileRestarting::Wait,
        start_took: None,
    }
}

/// A refused file, to be known again.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::host) struct KnownBad {
    #[serde(with = "crate::host::upgrade::path_text")]
    source: PathBuf,
    text: u64,
    /// For what could not even be read there is no other mark.
    problems: Vec<String>,
}

impl KnownBad {
    pub(in crate::host) fn of(refused: &Refused) -> Self {
        Self {
            source: refused.source.clone(),
            text: refused.text,
            problems: refused.problems.iter().map(|problem| problem.sentence()).collect(),
        }
    }
}

fn is_same(known: &KnownBad, refused: &Refused) -> bool {
    let problems = || refused.problems.iter().map(|problem| problem.sentence());
    known.source == refused.source
        && known.text == refused.text
        && (refused.text != 0 || problems().eq(known.problems.iter().cloned()))
}
