//! The manifests are read again: what runs becomes what they say now, or nothing changes at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outboard_core::{Event, Key, PluginId, StopReason};
use outboard_manifest::{Manifest, Set};
use serde_json::json;

use super::dispatch::Dispatcher;

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The configuration in force; it rises only when something changed.
    pub revision: u64,
    pub added: Vec<PluginId>,
    pub removed: Vec<PluginId>,
    /// Running ones were restarted for it.
    pub changed: Vec<PluginId>,
    /// Why nothing was done: every error of the set.
    pub refused: Vec<String>,
}

impl Dispatcher {
    /// Applies a set whole, or refuses it whole.
    pub(super) fn reload(&mut self, set: Set) -> Reloaded {
        let revision = self.shared.revision.load(Ordering::Relaxed);
        if set.has_errors() {
            let problems = set.problems();
            let refused: Vec<String> =
                problems.iter().filter(|p| p.is_error()).map(|p| p.sentence()).collect();
            self.shared.recorder.supervisor("config.rejected", json!({"problems": refused}));
            return Reloaded { revision, refused, ..Reloaded::default() };
        }
        let mut wanted: BTreeMap<PluginId, Manifest> =
            set.manifests.into_iter().map(|manifest| (manifest.id.clone(), manifest)).collect();
        let mut done = Reloaded { revision, ..Reloaded::default() };
        let known: Vec<(Key, PluginId)> =
            self.slots.iter().map(|(key, slot)| (*key, slot.id.clone())).collect();
        for (key, id) in known {
            match wanted.remove(&id) {
                Some(manifest) => {
                    if self.change(key, manifest) {
                        done.changed.push(id);
                    }
                }
                None if !self.leaving.insert(key) => {}
                None => {
                    self.step(key, 0, Event::Stop { now: false, reason: StopReason::Config });
                    done.removed.push(id);
                }
            }
        }
        for (id, manifest) in wanted {
            let key = self.add(&Arc::new(manifest));
            let effects = self.fleet.start_if_enabled(self.clock.now(), key);
            self.publish(key);
            self.carry_out(effects);
            done.added.push(id);
        }
        for list in [&mut done.added, &mut done.removed, &mut done.changed] {
            list.sort();
        }
        if !(done.added.is_empty() && done.removed.is_empty() && done.changed.is_empty()) {
            done.revision = self.shared.revision.fetch_add(1, Ordering::Relaxed) + 1;
        }
        let fields = json!({
            "revision": done.revision,
            "added": names(&done.added),
            "removed": names(&done.removed),
            "changed": names(&done.changed),
        });
        self.shared.recorder.supervisor("config.applied", fields);
        done
    }

    /// Puts another manifest in force; a running plugin is restarted for it. False when it says the same.
    fn change(&mut self, key: Key, manifest: Manifest) -> bool {
        let Some(slot) = self.slots.get(&key).cloned() else { return false };
        let was_refused = slot.told().refused.take().is_some();
        let back = self.leaving.remove(&key);
        if slot.manifest().digest == manifest.digest && !was_refused && !back {
            return false;
        }
        let policy = manifest.policy.clone();
        // What waited for a retry is started by the new policy alone, and with the new manifest.
        let ran = self.live.contains_key(&key);
        slot.set_manifest(Arc::new(manifest));
        let effects = self.fleet.reconfigure(self.clock.now(), key, policy);
        self.publish(key);
        self.carry_out(effects);
        if ran {
            self.step(key, 0, Event::Restart { now: false });
        } else if back {
            let effects = self.fleet.start_if_enabled(self.clock.now(), key);
            self.carry_out(effects);
        }
        true
    }

    /// Forgets the plugins whose manifests are gone, once they are down.
    pub(super) fn let_leave(&mut self) {
        for key in self.leaving.clone() {
            if self.fleet.remove(key) {
                self.leaving.remove(&key);
                self.forget(key);
            }
        }
    }
}

fn names(ids: &[PluginId]) -> Vec<&str> {
    ids.iter().map(|id| &**id).collect()
}
