//! The manifests as they are on the disk now, and what their plugins would take from their surroundings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use outboard_core::PluginId;
use outboard_manifest::{LoadError, Set};

use super::fingerprint::Fingerprint;
use crate::host::diagnose::FileIdentity;
use crate::host::launch;

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
        Ok(Self::of_set(outboard_manifest::load(sources, None)?))
    }

    /// The same for a set that has been read.
    pub(crate) fn of_set(set: Set) -> Self {
        let print = |manifest: &outboard_manifest::Manifest| {
            let launch = launch::prepare(manifest).ok()?;
            let identity = FileIdentity::of(&launch.program);
            Some((manifest.id.clone(), Fingerprint::of(manifest, &launch, identity)))
        };
        let prints = set.manifests.iter().filter_map(print).collect();
        Self { set, prints }
    }
}
