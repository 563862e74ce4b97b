//! The manifests as they are on the disk now, and what their plugins would take from their surroundings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use outboard_core::PluginId;
use outboard_manifest::{LoadError, Manifest, Problem, Set};

use super::fingerprint::Fingerprint;
use crate::host::diagnose::FileIdentity;
use crate::host::launch;
use crate::host::supervisor::Supervisor;
use crate::host::swap::NoVersion;

/// A set, and what each of its plugins would start with; missing where that is not to be had.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(super) set: Set,
    pub(super) prints: BTreeMap<PluginId, Fingerprint>,
}

impl Reading {
    /// Reads folders and files. Waits for the disk: not for a thread that others wait for.
    ///
    /// # Errors
    /// A folder or file that cannot be read at all.
    pub(crate) fn of(sources: &[PathBuf]) -> Result<Self, LoadError> {
        Ok(Self::of_set(crate::discover::load(sources)?))
    }

    /// The same for a set that has been read.
    pub(crate) fn of_set(set: Set) -> Self {
        let print = |manifest: &Manifest| {
            let launch = launch::prepare(manifest).ok()?;
            let identity = FileIdentity::of(&launch.program);
            Some((manifest.id.clone(), Fingerprint::of(manifest, &launch, identity)))
        };
        let prints = set.manifests.iter().filter_map(print).collect();
        Self { set, prints }
    }
}

impl Supervisor {
    /// The plugin as a look at everything finds it now.
    ///
    /// # Errors
    /// It is not found, or what it needs cannot be read.
    pub(in crate::host) async fn found_again(&self, id: &PluginId) -> Result<Manifest, NoVersion> {
        let sources = self.shared.sources.clone();
        let read = tokio::task::spawn_blocking(move || crate::discover::load(&sources)).await;
        let wrong = |error: String| NoVersion::Wrong(vec![Problem::error(error)]);
        let set = match read {
            Ok(set) => set.map_err(|error| wrong(error.to_string()))?,
            Err(_) => return Err(NoVersion::Unknown),
        };
        let found = set.manifests.into_iter().find(|manifest| manifest.id == *id);
        found.ok_or_else(|| {
            let problems = set.refused.into_iter().flat_map(|refused| refused.problems);
            let problems: Vec<Problem> =
                set.settings_problems.into_iter().chain(problems).collect();
            match problems.iter().any(Problem::is_error) {
                true => NoVersion::Wrong(problems),
                false => {
                    wrong(format!("no installed package has the entry point of {id} any more"))
                }
            }
        })
    }
}
