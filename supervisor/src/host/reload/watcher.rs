//! Reloads by itself when a manifest changes on the disk, or a program that one of them runs.
//!
//! Folders are watched and not files: editors write beside a file and rename, and a new file is a change too. What comes
//! in a burst is read once, when it is over.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::fingerprint::authored;
use super::{ReloadError, ReloadRequest};
use crate::host::by::{By, Via};
use crate::host::launch;
use crate::host::supervisor::Supervisor;
use crate::host::watch::{Watched, register};

/// A burst is over when nothing has changed for this long: an editor's write, rename and clean-up are one.
const SETTLES: Duration = Duration::from_millis(150);

/// A burst that never ends is read this often all the same.
const AT_LEAST_EVERY: Duration = Duration::from_secs(2);

/// How often a folder that has gone is looked for.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Reads the manifests again whenever one of them changes, or a file that one of them runs, until the future is dropped.
    /// What comes of it are events, as with any reload; a file that is half written is refused, and read again with its next
    /// change.
    ///
    /// # Errors
    /// The kernel gives no watch.
    pub async fn watch_manifests(&self) -> io::Result<()> {
        let folders = folders(&self.shared.sources);
        let mut watch = Watch::new(&folders, self.authored().await)?;
        loop {
            // Before the first change too: something may have changed before the watch stood, at a start or while one build
            // took over from another.
            let request = || ReloadRequest::apply(By::own(Via::Watch));
            while let Err(ReloadError::Conflict { .. }) = self.reload(request()).await {}
            let files = self.authored().await;
            if files != watch.files || watch.burst().await? {
                watch = watch_again(&folders, &files).await?;
            }
        }
    }

    /// What the plugins run and their authors write, as the manifests in force have it.
    async fn authored(&self) -> BTreeSet<PathBuf> {
        let manifests: Vec<_> = {
            let plugins = self.shared.plugins.read().expect("nothing panics while it holds this");
            plugins.values().map(|slot| slot.manifest()).collect()
        };
        let files = move || {
            let launches = manifests.iter().filter_map(|manifest| launch::prepare(manifest).ok());
            launches.flat_map(|launch| authored(&launch).collect::<Vec<_>>()).collect()
        };
        tokio::task::spawn_blocking(files).await.unwrap_or_default()
    }
}

/// Whether a change of this file can change what a reload reads.
pub(super) fn concerns(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name == b".env" || (name.ends_with(b".toml") && !name.starts_with(b"."))
}

fn folders(sources: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = sources
        .iter()
        .map(|source| match source.parent() {
            Some(folder) if source.is_file() => folder.to_owned(),
            _ => source.clone(),
        })
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// A folder has gone, or another one has taken its place, or other files are run.
async fn watch_again(folders: &[PathBuf], files: &BTreeSet<PathBuf>) -> io::Result<Watch> {
    loop {
        match Watch::new(folders, files.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        tokio::time::sleep(LOOKS_AGAIN).await;
    }
}

/// What counts in a folder.
#[derive(Default)]
struct Counts {
    manifests: bool,
    files: BTreeSet<OsString>,
}

struct Watch {
    events: AsyncFd<Watched<Inotify>>,
    counts: HashMap<WatchDescriptor, Counts>,
    /// What is run.
    files: BTreeSet<PathBuf>,
    /// Folders of files that are run, which are not there: a build may have yet to make them.
    missing: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches folders of manifests, which have to be there, and files that they run, which need not.
    fn new(folders: &[PathBuf], files: BTreeSet<PathBuf>) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mask = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let mut counts: HashMap<_, Counts> = HashMap::new();
        for folder in folders {
            counts.entry(inotify.add_watch(folder, mask)?).or_default().manifests = true;
        }
        let mut missing = BTreeSet::new();
        for file in &files {
            let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { continue };
            // One that cannot be watched costs its own changes, and no manifest's.
            match inotify.add_watch(folder, mask) {
                Ok(watch) => drop(counts.entry(watch).or_default().files.insert(name.to_owned())),
                Err(_) => drop(missing.insert(folder.to_owned())),
            }
        }
        let events = register(inotify, Interest::READABLE)?;
        Ok(Self { events, counts, files, missing })
    }

    /// Waits for a change that concerns us and for the end of those that come with it; whether a folder is lost or found.
    async fn burst(&mut self) -> io::Result<bool> {
        let mut lost = false;
        if self.until_a_change(&mut lost).await? {
            return Ok(true);
        }
        let until = Instant::now() + AT_LEAST_EVERY;
        loop {
            let settled = (Instant::now() + SETTLES).min(until);
            match tokio::time::timeout_at(settled, self.changes(&mut lost)).await {
                Ok(changed) => drop(changed?),
                Err(_) => return Ok(lost),
            }
        }
    }

    /// Whether a folder that was missing is there instead.
    async fn until_a_change(&mut self, lost: &mut bool) -> io::Result<bool> {
        loop {
            if self.missing.is_empty() {
                if self.changes(lost).await? {
                    return Ok(false);
                }
                continue;
            }
            match tokio::time::timeout(LOOKS_AGAIN, self.changes(lost)).await {
                Ok(changed) => {
                    if changed? {
                        return Ok(false);
                    }
                }
                Err(_) if self.missing.iter().any(|folder| folder.is_dir()) => return Ok(true),
                Err(_) => {}
            }
        }
    }

    /// The next changes; whether one of them concerns us. Nothing is lost when it is dropped.
    async fn changes(&mut self, lost: &mut bool) -> io::Result<bool> {
        loop {
            let mut ready = self.events.readable().await?;
            match ready.get_inner().owner().read_events() {
                Ok(events) => {
                    *lost |= events.iter().any(is_the_end);
                    return Ok(events.iter().any(|event| is_ours(&self.counts, event)));
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The folder itself is gone, or is another one.
fn is_the_end(event: &InotifyEvent) -> bool {
    event.mask.intersects(
        AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED,
    )
}

fn is_ours(counts: &HashMap<WatchDescriptor, Counts>, event: &InotifyEvent) -> bool {
    // What the kernel could not keep may have been anything.
    let overflow = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
    let counts = counts.get(&event.wd);
    let named = counts.zip(event.name.as_ref()).is_some_and(|(counts, name)| {
        counts.manifests && concerns(Path::new(name)) || counts.files.contains(name)
    });
    overflow || named || is_the_end(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_settings_and_variables_count_and_an_editors_own_files_do_not() {
        for name in ["m/geo.toml", "outboard.toml", "m/.env"] {
            assert!(concerns(Path::new(name)), "{name}");
        }
        for name in ["m/.geo.toml.swp", "m/.geo.toml", "4913", "geo.toml~", "geo.py", ""] {
            assert!(!concerns(Path::new(name)), "{name}");
        }
    }

    #[tokio::test]
    async fn a_burst_is_one_change_and_a_lost_folder_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("m");
        std::fs::create_dir(&folder).unwrap();
        let mut watch = Watch::new(std::slice::from_ref(&folder), BTreeSet::new()).unwrap();
        // As editors write: beside it, then renamed over it.
        std::fs::write(folder.join("4913"), "").unwrap();
        std::fs::write(folder.join(".geo.toml.swp"), "x").unwrap();
        std::fs::write(folder.join("geo.toml~"), "x").unwrap();
        std::fs::rename(folder.join("geo.toml~"), folder.join("geo.toml")).unwrap();
        assert!(!watch.burst().await.unwrap());
        let more = tokio::time::timeout(SETTLES * 2, watch.burst()).await;
        assert!(more.is_err(), "nothing is left of the burst");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(watch.burst().await.unwrap());
    }

    #[tokio::test]
    async fn what_is_run_counts_and_a_folder_that_a_build_has_yet_to_make_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_owned();
        let files: BTreeSet<_> =
            ["geo.py", "dist/main.js"].map(|file| folder.join(file)).into_iter().collect();
        let mut watch = Watch::new(std::slice::from_ref(&folder), files.clone()).unwrap();
        std::fs::write(folder.join("other.py"), "").unwrap();
        let other = tokio::time::timeout(SETTLES, watch.burst()).await;
        assert!(other.is_err(), "nobody runs it");
        std::fs::write(folder.join("geo.py"), "").unwrap();
        assert!(!watch.burst().await.unwrap());
        std::fs::create_dir(folder.join("dist")).unwrap();
        assert!(watch.burst().await.unwrap(), "it is there now");
        let mut watch = Watch::new(std::slice::from_ref(&folder), files).unwrap();
        std::fs::write(folder.join("dist/main.js"), "").unwrap();
        assert!(!watch.burst().await.unwrap());
    }
}
