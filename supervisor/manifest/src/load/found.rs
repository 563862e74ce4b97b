//! Which files the sources hold.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{LoadError, SETTINGS_FILE, of_io};
use crate::problem::{Problem, shown};
use crate::set::Set;

/// What else a plugin's own folder may have beside its manifest: files of the tools that it is built with.
const NO_MANIFESTS: [&str; 2] = ["Cargo.toml", "pyproject.toml"];

/// What the sources hold, each file once.
#[derive(Default)]
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
}

impl Found {
    pub(super) fn source(&mut self, source: &Path) -> Result<(), LoadError> {
        let metadata = fs::metadata(source).map_err(|error| of_io(source, error))?;
        if metadata.is_dir() {
            return self.folder(source);
        }
        if source.file_name() == Some(OsStr::new(SETTINGS_FILE)) {
            let why = format!("{SETTINGS_FILE} is never a manifest; its folder is named instead");
            return Err(LoadError::NoSource { path: source.to_owned(), why });
        }
        let folder = match source.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.remember(folder);
        self.file(source.to_owned());
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<(), LoadError> {
        self.remember(folder);
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| of_io(folder, error))? {
            let name = entry.map_err(|error| of_io(folder, error))?.file_name();
            let path = Path::new(&name);
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let other = name == SETTINGS_FILE || NO_MANIFESTS.iter().any(|no| name == *no);
            let manifest = path.extension() == Some(OsStr::new("toml")) && !other;
            if manifest && !hidden {
                files.push(folder.join(&name));
            }
        }
        files.sort_unstable();
        for file in files {
            self.file(file);
        }
        Ok(())
    }

    fn remember(&mut self, folder: &Path) {
        let known = self.folders.iter().any(|known| same_folder(known, folder));
        if !known {
            self.folders.push(folder.to_owned());
        }
    }

    fn file(&mut self, path: PathBuf) {
        let folder = path
            .parent()
            .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let folder = folder.and_then(|folder| fs::canonicalize(folder).ok()).unwrap_or_default();
        let key = folder.join(path.file_name().unwrap_or_default());
        if self.seen.insert(key) {
            self.files.push(path);
        }
    }

    /// The `outboard.toml` beside the manifests; of several the first counts, and the others are an error.
    pub(super) fn settings(&self, set: &mut Set) -> Option<PathBuf> {
        let mut files = self
            .folders
            .iter()
            .map(|folder| folder.join(SETTINGS_FILE))
            .filter(|path| fs::symlink_metadata(path).is_ok());
        let first = files.next()?;
        for other in files {
            let (first, other) = (shown(&first, "".as_ref()), shown(&other, "".as_ref()));
            set.settings_problems.push(
                Problem::error(format!("two {SETTINGS_FILE}: {first} and {other}"))
                    .help("name the one that counts with --config"),
            );
        }
        Some(first)
    }
}

fn same_folder(a: &Path, b: &Path) -> bool {
    a == b || fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
}
