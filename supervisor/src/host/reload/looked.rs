//! What `run --watch` looks at beside the folders of manifests: what plugins run, where their packages are installed, and
//! what their authors write.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outboard_core::PluginId;
use outboard_manifest::Manifest;

use super::fingerprint::authored;
use super::outputs::Changed;
use crate::host::launch;
use crate::host::supervisor::Supervisor;

/// Whose.
pub(super) type Owners = BTreeMap<PathBuf, BTreeSet<PluginId>>;

/// Files and folders to look at, as the manifests in force have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Files that run. When one is another a reload swaps it in.
    pub(super) files: BTreeSet<PathBuf>,
    /// Folders that packages are installed in.
    pub(super) packages: BTreeSet<PathBuf>,
    /// Files that a plugin is built of, or reads: `watch` of its manifest.
    pub(super) sources: Owners,
    /// The same, of whole folders. Each folder below one is there itself.
    pub(super) trees: Owners,
}

/// Folders that are looked at for one plugin, at most: what has more is not somebody's source.
const MOST_FOLDERS: usize = 1_000;

impl Supervisor {
    /// What there is to look at now. Looks at names on the disk.
    pub(super) async fn looked(&self) -> Looked {
        let manifests = self.manifests();
        let groups = self.shared.settings.python.iter().map(|group| group.environment.clone());
        let mut environments: BTreeSet<PathBuf> = groups.collect();
        environments.extend(self.environments());
        let look = move || {
            let packages = environments.iter().flat_map(|e| crate::discover::packages(e)).collect();
            let mut looked = Looked { packages, ..Looked::default() };
            for (id, manifest) in manifests {
                looked.add(&id, &manifest);
            }
            looked
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Those who have yet to be built, at the very beginning.
    pub(super) async fn unbuilt(&self) -> Changed {
        let manifests = self.manifests();
        let look = move || {
            let mut unbuilt = Changed::default();
            for (id, manifest) in manifests.iter().filter(|(_, m)| !m.build.is_empty()) {
                let Ok(launch) = launch::prepare(manifest) else { continue };
                for file in authored(&launch).filter(|file| !file.exists()) {
                    unbuilt.entry(id.clone()).or_default().insert(file);
                }
            }
            unbuilt
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    fn manifests(&self) -> Vec<(PluginId, Arc<Manifest>)> {
        self.shared.slots().iter().map(|slot| (slot.id.clone(), slot.manifest())).collect()
    }
}

impl Looked {
    fn add(&mut self, id: &PluginId, manifest: &Manifest) {
        let Ok(launch) = launch::prepare(manifest) else { return };
        let own: BTreeSet<PathBuf> = authored(&launch).collect();
        let builds = !manifest.build.is_empty();
        let mut listed = 0;
        for path in &manifest.watch {
            let path = launch.cwd.join(&path.value);
            // What a build writes is none of what it is made of.
            if builds && own.contains(&path) {
                continue;
            }
            listed += 1;
            if path.is_dir() {
                self.tree(id, &path, &BTreeSet::new());
            } else {
                self.sources.entry(path).or_default().insert(id.clone());
            }
        }
        if builds && listed == 0 {
            // Folders for what is built, `dist` or `bin`, are no source.
            let built = own.iter().filter_map(|file| file.parent());
            let built = built.filter(|folder| *folder != launch.cwd).map(Path::to_owned).collect();
            self.tree(id, &launch.cwd, &built);
        }
        self.files.extend(own);
    }

    /// A folder and those below it.
    fn tree(&mut self, id: &PluginId, root: &Path, without: &BTreeSet<PathBuf>) {
        let mut left = vec![root.to_owned()];
        let mut found = 0;
        while let Some(folder) = left.pop() {
            found += 1;
            if found > MOST_FOLDERS {
                return;
            }
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let folders = folders.filter(|entry| is_written_by_hand(&entry.file_name()));
            left.extend(folders.map(|entry| entry.path()).filter(|path| !without.contains(path)));
            self.trees.entry(folder).or_default().insert(id.clone());
        }
    }
}

/// Whether a name in a folder of sources is one of them, as far as a name tells: no editor's own file, and nothing that
/// tools put beside what people write.
pub(super) fn is_written_by_hand(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let of_tools: [&[u8]; 3] = [b"node_modules", b"target", b"__pycache__"];
    let of_editors = name.starts_with(b".") || name.ends_with(b"~") || name == b"4913";
    // Beside what `go build` writes, while it does.
    let of_go = name.ends_with(b"-go-tmp-umask");
    !of_editors && !of_go && !of_tools.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(folder: &Path, text: &str) -> Looked {
        let file = folder.join("geo.toml");
        std::fs::write(&file, text).unwrap();
        let set = outboard_manifest::load(&[folder.to_owned()], None).unwrap();
        let mut looked = Looked::default();
        for manifest in &set.manifests {
            looked.add(&manifest.id, manifest);
        }
        looked
    }

    fn below(folder: &Path, owners: &Owners) -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        owners.keys().map(|path| name(path)).collect()
    }

    #[test]
    fn what_is_built_is_no_source_and_without_a_list_the_folder_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        for sub in ["src/deep", "bin", ".git", "node_modules/x"] {
            std::fs::create_dir_all(folder.join(sub)).unwrap();
        }
        std::fs::write(folder.join("bin/geo"), "").unwrap();
        let process = "[process]\ncommand = [\"bin/geo\"]\n";
        let build = "build = [\"make\"]\n";
        for (keys, trees, sources) in [
            ("", vec![], vec![]),
            ("watch = [\"bin/geo\", \"src/a.c\"]\n", vec![], vec!["bin/geo", "src/a.c"]),
            (build, vec!["", "src", "src/deep"], vec![]),
            ("watch = [\"bin/geo\"]\nbuild = [\"make\"]\n", vec!["", "src", "src/deep"], vec![]),
            (
                "watch = [\"src\", \"x.h\"]\nbuild = [\"make\"]\n",
                vec!["src", "src/deep"],
                vec!["x.h"],
            ),
        ] {
            let looked = looked(folder, &format!("{keys}{process}"));
            assert_eq!(below(folder, &looked.trees), trees, "{keys}");
            assert_eq!(below(folder, &looked.sources), sources, "{keys}");
            assert_eq!(looked.files, BTreeSet::from([folder.join("bin/geo")]), "{keys}");
        }
    }

    #[test]
    fn what_tools_write_counts_for_nothing() {
        for name in ["main.go", "Makefile", "a b"] {
            assert!(is_written_by_hand(OsStr::new(name)), "{name}");
        }
        for name in [".main.go.swp", "main.go~", "4913", "node_modules", "target", "__pycache__"] {
            assert!(!is_written_by_hand(OsStr::new(name)), "{name}");
        }
    }
}
