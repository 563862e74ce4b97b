//! Plugins that no file describes: what is installed somewhere is looked up, and joins the manifests of the folders.
//!
//! Whoever reads manifests reads them through [`load`]. A look runs a program for a bounded time, so that it is not for
//! a thread that others wait for.
//!
//! **Absent by design:** plugins. Nothing that is found is imported or started here, and what is wrong with it is told by
//! its own process.

pub(crate) mod bounded;
mod python;

use std::path::{Path, PathBuf};

use outboard_manifest::{Listed, LoadError, Problem, PythonGroup, Set};

/// Reads folders and files, and what `[[discover.python]]` of their `outboard.toml` finds.
///
/// # Errors
/// A folder or file that cannot be read at all. What cannot be looked up is in [`Set::refused`].
pub fn load(sources: &[PathBuf]) -> Result<Set, LoadError> {
    outboard_manifest::load_with(sources, None, &python::look)
}

/// The entry points of one group, from the metadata of installed packages.
///
/// # Errors
/// Why the environment cannot be asked, and what to do about that.
pub fn look(group: &PythonGroup) -> Result<Vec<Listed>, Box<Problem>> {
    python::look(group)
}

/// The folders that the packages of an environment are installed in. A look at names, without running anything.
pub(crate) fn packages(environment: &Path) -> Vec<PathBuf> {
    let versions = std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("site-packages")).filter(|p| p.is_dir()).collect()
}
