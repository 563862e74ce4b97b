//! Fleets as folders: their names, who holds them, and which are forgotten.
//!
//! Brain and keeper hold a shared lock on their fleet's folder, through one open file that both have. So a folder that
//! can be locked exclusively has neither, and if nobody lives in it, it is what a double kill left of a run whose state
//! directory is gone.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::cgroup::{Fleet, errno, remove_tree};
use crate::reaper::RunMark;
use crate::settings::Controllers;

const PREFIX: &str = "outboard-";
const OWN_LEAF_SUFFIX: &str = ".self";

pub(crate) fn fleet_name(run: &RunMark) -> String {
    format!("{PREFIX}{run}")
}

/// The leaf of brain and keeper, beside the fleet, which `cgroup.kill` must not reach.
pub(crate) fn own_leaf(fleet: &Path) -> PathBuf {
    let mut name = fleet.as_os_str().to_owned();
    name.push(OWN_LEAF_SUFFIX);
    name.into()
}

/// Whether a folder is such a leaf.
pub(crate) fn is_own_leaf(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_suffix(OWN_LEAF_SUFFIX).and_then(run_of).is_some()
}

fn run_of(name: &str) -> Option<RunMark> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Makes and holds the fleet of a run; one that is there already is this run's own, from an earlier keeper.
pub(crate) fn make_fleet(path: &Path) -> nix::Result<File> {
    // Somebody who tidies up may hold the new folder for a moment, and remove it.
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        make_dir(path)?;
        match open_dir(path) {
            Ok(dir) if dir.try_lock_shared().is_ok() && is_still(path, &dir) => return Ok(dir),
            Ok(_) | Err(Errno::ENOENT) => crate::sys::clock::pause(MOMENT),
            Err(e) => return Err(e),
        }
    }
    Err(Errno::EWOULDBLOCK)
}

const MOMENT: std::time::Duration = std::time::Duration::from_millis(5);

/// Opens a fleet of this run, or of an earlier one, if it is there.
pub(crate) fn open_fleet(path: &Path) -> nix::Result<Fleet> {
    let fleet = Fleet::new(open_dir(path)?.into(), Controllers::default());
    // A folder that is no cgroup is not ours, whatever its name.
    fleet.is_populated()?;
    Ok(fleet)
}

/// Removes fleets that nobody holds and nobody lives in.
pub(crate) fn remove_forgotten(site: &Path) {
    let Ok(entries) = fs::read_dir(site) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if run_of(name).is_none() {
            continue;
        }
        // Held while it is removed: whoever wants this very folder meanwhile makes it again.
        if let Some(_held) = forgotten(&path) {
            remove_tree(path.clone(), 0);
            remove_tree(own_leaf(&path), 0);
        }
    }
}

/// Removes the leaf of a brain that has ended, if it is of this run.
pub(crate) fn forget(fleet: &Path, run: &RunMark) {
    if fleet.file_name().is_some_and(|name| name == fleet_name(run).as_str()) {
        remove_tree(own_leaf(fleet), 0);
    }
}

fn forgotten(path: &Path) -> Option<Fleet> {
    let dir = open_dir(path).ok()?;
    dir.try_lock().ok()?;
    let fleet = Fleet::new(dir.into(), Controllers::default());
    (fleet.is_populated() == Ok(false)).then_some(fleet)
}

/// Whether the folder that was opened is the one that is there: it may have been removed before it was locked.
fn is_still(path: &Path, dir: &File) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match (fs::metadata(path), dir.metadata()) {
        (Ok(there), Ok(opened)) => identity(there) == identity(opened),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

pub(crate) fn make_dir(dir: &Path) -> nix::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(errno),
    }
}

fn open_dir(path: &Path) -> nix::Result<File> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
    options.open(path).map_err(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_folder_is_no_fleet() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(open_fleet(folder.path()).expect_err("no cgroup"), Errno::ENOENT);
    }

    #[test]
    fn only_names_that_this_crate_makes_are_looked_at() {
        let run = RunMark::from_bytes([7; 16]);
        assert_eq!(run_of(&fleet_name(&run)), Some(run));
        assert!(is_own_leaf(&own_leaf(Path::new(&fleet_name(&run)))));
        for name in ["outboard-", "outboard-x", "outboard.service", "user.slice"] {
            assert_eq!(run_of(name), None);
            assert!(!is_own_leaf(Path::new(name)));
        }
    }

    #[test]
    fn a_folder_that_was_removed_and_made_again_is_another_one() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("fleet");
        let held = make_fleet(&path).expect("a folder");
        assert!(is_still(&path, &held));
        fs::remove_dir(&path).expect("empty");
        assert!(!is_still(&path, &held));
        fs::create_dir(&path).expect("again");
        assert!(!is_still(&path, &held));
    }

    #[test]
    fn a_fleet_that_is_held_is_not_forgotten() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(fleet_name(&RunMark::from_bytes([7; 16])));
        let held = make_fleet(&path).expect("a folder");
        // Stands in for the kernel's file: the lock alone is looked at here.
        fs::write(path.join("cgroup.events"), "populated 0\n").expect("a file");
        assert!(forgotten(&path).is_none());
        let copy = held.try_clone().expect("a copy");
        drop(held);
        assert!(forgotten(&path).is_none(), "the copy holds it");
        drop(copy);
        assert!(forgotten(&path).is_some());
        fs::write(path.join("cgroup.events"), "populated 1\n").expect("a file");
        assert!(forgotten(&path).is_none(), "somebody lives in it");
    }
}
