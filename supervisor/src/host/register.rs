//! Manifests become plugins: registered, shown, and started by nobody yet.

use std::path::Path;
use std::sync::Arc;

use outboard_core::{Detail, Key, PluginId};
use outboard_manifest::{Manifest, Refused};
use serde_json::json;

use super::dispatch::Dispatcher;
use super::slot::{Slot, Ways};

impl Dispatcher {
    pub(super) fn register(&mut self, manifests: Vec<Manifest>, refused: Vec<Refused>) {
        for manifest in manifests {
            if self.fleet.by_id(&manifest.id).is_some() {
                continue;
            }
            // A version that a swap put in its place goes on, over runs too.
            let manifest = Arc::new(self.stands_in(&manifest).unwrap_or(manifest));
            let key = self.add(&manifest);
            if let Some(slot) = self.slots.get(&key) {
                slot.told().stands_for = self.persist.folder_of(&slot.id);
            }
            let source = manifest.source.display().to_string();
            let fields = json!({"manifest": source, "dialect": manifest.dialect.name()});
            if let Some(slot) = self.slots.get(&key) {
                self.shared.recorder.plugin(slot, 0, "plugin.registered", fields);
            }
        }
        self.in_force.refused(&refused);
        for one in refused {
            self.add_refused(&one);
        }
        self.publish_all();
    }

    pub(super) fn add(&mut self, manifest: &Arc<Manifest>) -> Key {
        let now = self.clock.now();
        let generation = self.persist.last_generation(&manifest.id);
        let key =
            self.fleet.register(now, manifest.id.clone(), manifest.policy.clone(), generation);
        let ways = Ways {
            clock: self.clock,
            happenings: self.happenings.clone(),
            learnt: self.persist.learnt(),
            openings: self.persist.openings(),
        };
        let log = self.shared.recorder.logs.plugin(manifest.id.clone());
        let slot = Arc::new(Slot::new(key, manifest.clone(), self.fleet.snapshot(key), log, ways));
        self.slots.insert(key, slot.clone());
        self.shared
            .plugins
            .write()
            .expect("nothing panics while it holds this")
            .insert(manifest.id.clone(), slot);
        key
    }

    /// A manifest that was refused is a row like any other: failed, class `config`, with the caret text in `why`.
    fn add_refused(&mut self, refused: &Refused) {
        let Some(id) = refused.id.clone().filter(|id| self.fleet.by_id(id).is_none()) else {
            return;
        };
        let Some(manifest) = placeholder(&id, &refused.source) else { return };
        let key = self.add(&manifest);
        let errors = refused.problems.iter().filter(|problem| problem.is_error());
        let sentences: Vec<String> = errors.map(|problem| problem.sentence()).collect();
        let base = std::env::current_dir().unwrap_or_default();
        if let Some(slot) = self.slots.get(&key) {
            slot.told().refused = Some(refused.render(&base));
            let fields = json!({
                "manifest": refused.source.display().to_string(),
                "problems": sentences,
            });
            self.shared.recorder.plugin(slot, 0, "config.rejected", fields);
        }
        let detail = Detail { detail: "manifest", message: sentences.join("; ") };
        let effects = self.fleet.refuse(self.clock.now(), key, detail);
        self.publish(key);
        self.carry_out(effects);
    }

    /// Forgets a plugin that the fleet has forgotten.
    pub(super) fn forget(&mut self, key: Key) {
        if let Some(slot) = self.slots.remove(&key) {
            self.shared
                .plugins
                .write()
                .expect("nothing panics while it holds this")
                .remove(&slot.id);
            self.shared.recorder.plugin(&slot, 0, "plugin.removed", json!({}));
            slot.guests.dismiss("removed", "its manifest is gone, so it is no plugin any more");
        }
    }
}

/// What stands in for a manifest that was refused: a name and a place, and nothing that is ever started.
fn placeholder(id: &PluginId, source: &Path) -> Option<Arc<Manifest>> {
    let text = "[process]\ncommand = [\"-\"]";
    let (mut manifest, _) = outboard_manifest::parse_manifest(source, text).ok()?;
    manifest.id = id.clone();
    Some(Arc::new(manifest))
}
