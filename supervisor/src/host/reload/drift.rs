//! What lies on the disk and is not in force: looked at when somebody asks, and again only once a file has moved, be it a
//! manifest or what a plugin runs.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use outboard_core::PluginId;

use super::{Difference, ReloadError, ReloadRequest, Step};
use crate::host::by::{By, Via};
use crate::host::supervisor::Supervisor;

/// What a reload would change, or what keeps it from changing anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Files, by name.
    pub files: BTreeSet<String>,
    /// Plugins whose manifests say something else than what runs.
    pub plugins: BTreeSet<PluginId>,
}

/// The last look, and what it was of.
#[derive(Debug, Default)]
pub(in crate::host) struct Seen {
    of: Option<(u64, u64)>,
    drift: Drift,
}

impl Supervisor {
    /// What lies on the disk and is not in force. Costs a look at each file, and reading them when one has moved.
    pub async fn drift(&self) -> Drift {
        let (sources, environments) = (self.shared.sources.clone(), self.environments());
        let programs = self.programs();
        let look = move || look(&sources, &environments, &programs);
        let look = tokio::task::spawn_blocking(look).await;
        let Ok(look) = look else { return Drift::default() };
        let now = (self.shared.revision(), look);
        {
            let seen = self.shared.drift();
            if seen.of == Some(now) {
                return seen.drift.clone();
            }
        }
        let drift = self.read_drift().await;
        let mut seen = self.shared.drift();
        *seen = Seen { of: Some(now), drift: drift.clone() };
        drift
    }

    /// Where plugins were found that no file describes.
    pub(super) fn environments(&self) -> BTreeSet<PathBuf> {
        let slots = self.shared.slots();
        let points = slots.iter().filter_map(|slot| slot.manifest().entry_point.clone());
        points.map(|point| point.environment.into()).collect()
    }

    /// What runs, and what interpreters run.
    fn programs(&self) -> BTreeSet<PathBuf> {
        let mut programs = BTreeSet::new();
        for slot in self.shared.slots() {
            let told = slot.told();
            let files = told.shown.ran.iter().flat_map(|ran| ran.files());
            programs.extend(files.map(|(_, file)| file.to_owned()));
        }
        programs
    }

    /// The files that a step of a plan is about: its manifest, or the program alone where only that is another.
    fn files_of(&self, step: &Step) -> Vec<String> {
        let slot = self.shared.slot(&step.id);
        let ran = slot.and_then(|slot| slot.told().shown.ran.clone());
        let file = |change: &Difference| {
            let (_, file) = ran.as_ref()?.files().find(|(what, _)| *what == &*change.key)?;
            name(file)
        };
        let programs: Option<Vec<_>> = step.changes.iter().map(file).collect();
        match programs.filter(|programs| !programs.is_empty()) {
            Some(programs) => programs,
            None => name(&step.manifest).into_iter().collect(),
        }
    }

    async fn read_drift(&self) -> Drift {
        let request = ReloadRequest { apply: false, ..ReloadRequest::apply(By::own(Via::Api)) };
        let mut drift = Drift::default();
        match self.reload(request).await {
            Ok(planned) => {
                for step in planned.plan.steps {
                    drift.files.extend(self.files_of(&step));
                    drift.plugins.insert(step.id);
                }
                if !planned.plan.settings.is_empty() {
                    drift.files.insert(outboard_manifest::SETTINGS_FILE.to_owned());
                }
            }
            Err(ReloadError::Rejected { files, .. }) => {
                drift.files.extend(files.iter().filter_map(|file| name(file)));
            }
            Err(ReloadError::Unreadable(error)) => {
                drift.files.insert(error.to_string());
            }
            Err(
                ReloadError::Conflict { .. } | ReloadError::UnknownId { .. } | ReloadError::Ended,
            ) => {}
        }
        drift
    }
}

/// Names, sizes and times of all that a reload would read. Of environments that is the folder of their packages: an
/// installation moves it.
fn look(
    sources: &[PathBuf],
    environments: &BTreeSet<PathBuf>,
    programs: &BTreeSet<PathBuf>,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    for folder in environments.iter().flat_map(|environment| crate::discover::packages(environment))
    {
        std::fs::metadata(&folder)
            .ok()
            .map(|meta| (meta.mtime(), meta.mtime_nsec()))
            .hash(&mut hasher);
        folder.hash(&mut hasher);
    }
    let mut look_at = |file: &Path| {
        let mark = std::fs::metadata(file).ok().map(|meta| {
            let (size, changed) = (meta.size(), meta.ctime_nsec());
            (meta.dev(), meta.ino(), size, meta.mtime(), meta.mtime_nsec(), changed)
        });
        (file, mark).hash(&mut hasher);
    };
    for source in sources {
        let mut files = match std::fs::read_dir(source) {
            Ok(entries) => {
                let entries = entries.filter_map(Result::ok).map(|entry| entry.path());
                entries.filter(|path| super::watcher::concerns(path)).collect()
            }
            Err(_) => vec![source.clone()],
        };
        files.sort_unstable();
        files.iter().for_each(|file| look_at(file));
    }
    programs.iter().for_each(|file| look_at(file));
    hasher.finish()
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}
