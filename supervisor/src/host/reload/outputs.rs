//! What a build writes among the sources that it is made of: a change that is no reason to build again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use outboard_core::PluginId;

/// Sources that changed, and whose.
pub(super) type Changed = BTreeMap<PluginId, BTreeSet<PathBuf>>;

pub(super) fn add(changed: &mut Changed, plugins: &BTreeSet<PluginId>, path: &Path) {
    for plugin in plugins {
        changed.entry(plugin.clone()).or_default().insert(path.to_owned());
    }
}

pub(super) fn merge(changed: &mut Changed, more: Changed) {
    for (plugin, paths) in more {
        changed.entry(plugin).or_default().extend(paths);
    }
}

/// What has been learnt of builds: whatever two of them wrote is theirs. What only one did may have been somebody who went
/// on typing.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    known: BTreeSet<PathBuf>,
    /// Written during the build before.
    before: BTreeSet<PathBuf>,
}

impl Outputs {
    /// Of what was written during a build, what is a reason for the next one.
    pub(super) fn sort_out(&mut self, during: Changed) -> Changed {
        let now: BTreeSet<PathBuf> = during.values().flatten().cloned().collect();
        self.known.extend(self.before.intersection(&now).cloned());
        self.before = now;
        let mut left = during;
        left.retain(|_, paths| {
            paths.retain(|path| !self.known.contains(path));
            !paths.is_empty()
        });
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(paths: &[&str]) -> Changed {
        let mut changed = Changed::default();
        let geo = BTreeSet::from(["geo".into()]);
        paths.iter().for_each(|path| add(&mut changed, &geo, Path::new(path)));
        changed
    }

    #[test]
    fn what_two_builds_wrote_is_theirs_and_what_one_did_may_be_an_edit() {
        let mut outputs = Outputs::default();
        let during = |outputs: &mut Outputs, paths: &[&str]| outputs.sort_out(changed(paths));
        assert_eq!(during(&mut outputs, &["bin/geo"]), changed(&["bin/geo"]), "it may be an edit");
        assert_eq!(during(&mut outputs, &["bin/geo"]), changed(&[]), "it is not");
        assert_eq!(during(&mut outputs, &["bin/geo", "main.go"]), changed(&["main.go"]));
        assert_eq!(during(&mut outputs, &["bin/geo"]), changed(&[]));
        assert_eq!(during(&mut outputs, &[]), changed(&[]));
        assert_eq!(during(&mut outputs, &["bin/geo"]), changed(&[]), "it stays known");
    }
}
