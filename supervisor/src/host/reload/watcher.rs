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
use outboard_core::PluginId;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::looked::{Looked, is_written_by_hand};
use super::outputs::{Changed, Outputs, add, merge};
use super::{ReloadError, ReloadRequest};
use crate::host::by::{By, Via};
use crate::host::supervisor::Supervisor;
use crate::host::watch::{Watched, register};

/// A burst is over when nothing has changed for this long: an editor's write, rename and clean-up are one.
const SETTLES: Duration = Duration::from_millis(150);

/// A burst that never ends is read this often all the same.
const AT_LEAST_EVERY: Duration = Duration::from_secs(2);

/// An installation is over when nothing has changed for this long. In between a package may be gone: the old version is
/// taken away before the new one is there.
const INSTALLED: Duration = Duration::from_secs(2);

/// How often a folder that has gone is looked for.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Reads the manifests again whenever one of them changes, a file that one of them runs, or what is installed in an
    /// environment; builds and swaps what its author has changed. Until the future is dropped. What comes of it are events,
    /// as with any reload; a file that is half written is refused, and read again with its next change.
    ///
    /// # Errors
    /// The kernel gives no watch.
    pub async fn watch_manifests(&self) -> io::Result<()> {
        let folders = folders(&self.shared.sources);
        let mut watch = Watch::new(&folders, self.looked().await)?;
        let (mut touched, mut outputs) = (self.unbuilt().await, Outputs::default());
        loop {
            let built = self.build(touched.keys()).await;
            if !touched.is_empty() {
                // Written while it was built, and perhaps too late for that.
                touched = outputs.sort_out(watch.so_far()?.sources);
            }
            // Before the first change too: something may have changed before the watch stood, at a start or while one build
            // took over from another.
            let request = || ReloadRequest::apply(By::own(Via::Watch));
            while let Err(ReloadError::Conflict { .. }) = self.reload(request()).await {}
            self.renew(built).await;
            let looked = self.looked().await;
            if looked != watch.looked {
                merge(&mut touched, watch_again(&mut watch, &folders, &looked).await?);
                continue;
            }
            if touched.is_empty() {
                let burst = watch.burst().await?;
                touched = burst.sources;
                if burst.lost {
                    merge(&mut touched, watch_again(&mut watch, &folders, &looked).await?);
                }
            }
        }
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

/// A folder has gone, or another one has taken its place, or other files are looked at. Gives the sources that changed
/// meanwhile: they are not forgotten with the watch before.
async fn watch_again(
    watch: &mut Watch,
    folders: &[PathBuf],
    looked: &Looked,
) -> io::Result<Changed> {
    loop {
        match Watch::new(folders, looked.clone()) {
            Ok(next) => return Ok(std::mem::replace(watch, next).so_far()?.sources),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOKS_AGAIN).await;
    }
}

/// What counts in a folder.
#[derive(Default)]
struct Counts {
    folder: PathBuf,
    manifests: bool,
    files: BTreeSet<OsString>,
    packages: bool,
    sources: HashMap<OsString, BTreeSet<PluginId>>,
    /// Whoever has all of it among its sources.
    tree: BTreeSet<PluginId>,
}

/// Changes that belong together.
#[derive(Debug, Default)]
struct Burst {
    /// A folder is lost, or one that was missing is there.
    lost: bool,
    /// Something that concerns us.
    any: bool,
    /// An installation is under way.
    packages: bool,
    sources: Changed,
}

struct Watch {
    events: AsyncFd<Watched<Inotify>>,
    counts: HashMap<WatchDescriptor, Counts>,
    looked: Looked,
    /// Folders of files that are run, which are not there: a build may have yet to make them.
    missing: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches folders of manifests, which have to be there, and whatever else is looked at, which need not.
    fn new(folders: &[PathBuf], looked: Looked) -> io::Result<Self> {
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
            let counts = counts.entry(inotify.add_watch(folder, mask)?).or_default();
            (counts.folder, counts.manifests) = (folder.clone(), true);
        }
        let mut missing = BTreeSet::new();
        // One that cannot be watched costs its own changes, and no manifest's.
        let mut add = |folder: &Path, count: &mut dyn FnMut(&mut Counts)| match inotify
            .add_watch(folder, mask)
        {
            Ok(watch) => {
                let counts = counts.entry(watch).or_default();
                folder.clone_into(&mut counts.folder);
                count(counts);
            }
            Err(_) => missing.extend([folder.to_owned()]),
        };
        for file in &looked.files {
            let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { continue };
            add(folder, &mut |counts| counts.files.extend([name.to_owned()]));
        }
        for folder in &looked.packages {
            add(folder, &mut |counts| counts.packages = true);
        }
        for (file, plugins) in &looked.sources {
            let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { continue };
            add(folder, &mut |counts| {
                counts.sources.entry(name.to_owned()).or_default().extend(plugins.clone());
            });
        }
        for (folder, plugins) in &looked.trees {
            add(folder, &mut |counts| counts.tree.extend(plugins.clone()));
        }
        let events = register(inotify, Interest::READABLE)?;
        Ok(Self { events, counts, looked, missing })
    }

    /// Waits for a change that concerns us and for the end of those that come with it.
    async fn burst(&mut self) -> io::Result<Burst> {
        let mut burst = Burst::default();
        self.until_a_change(&mut burst).await?;
        if !burst.any {
            return Ok(burst);
        }
        let until = Instant::now() + AT_LEAST_EVERY;
        loop {
            let settled = match burst.packages {
                true => Instant::now() + INSTALLED,
                false => (Instant::now() + SETTLES).min(until),
            };
            match tokio::time::timeout_at(settled, self.changes(&mut burst)).await {
                Ok(changed) => changed?,
                Err(_) => return Ok(burst),
            }
        }
    }

    /// Until something concerns us, or a folder that was missing is there instead.
    async fn until_a_change(&mut self, burst: &mut Burst) -> io::Result<()> {
        while !burst.any {
            if self.missing.is_empty() {
                self.changes(burst).await?;
                continue;
            }
            match tokio::time::timeout(LOOKS_AGAIN, self.changes(burst)).await {
                Ok(changed) => changed?,
                Err(_) if self.missing.iter().any(|folder| folder.is_dir()) => {
                    burst.lost = true;
                    return Ok(());
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// The next changes. Nothing is lost when it is dropped.
    async fn changes(&mut self, burst: &mut Burst) -> io::Result<()> {
        loop {
            let mut ready = self.events.readable().await?;
            match ready.get_inner().owner().read_events() {
                Ok(events) => {
                    events.iter().for_each(|event| self.count(event, burst));
                    return Ok(());
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What has changed by now.
    fn so_far(&self) -> io::Result<Burst> {
        let mut burst = Burst::default();
        loop {
            match self.events.get_ref().owner().read_events() {
                Ok(events) => events.iter().for_each(|event| self.count(event, &mut burst)),
                Err(Errno::EAGAIN) => return Ok(burst),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn count(&self, event: &InotifyEvent, burst: &mut Burst) {
        let over = is_the_end(event);
        burst.lost |= over;
        // What the kernel could not keep may have been anything.
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            burst.any = true;
            for (path, plugins) in self.looked.sources.iter().chain(&self.looked.trees) {
                add(&mut burst.sources, plugins, path);
            }
        }
        burst.any |= over;
        let Some((counts, name)) = self.counts.get(&event.wd).zip(event.name.as_ref()) else {
            return;
        };
        let path = counts.folder.join(name);
        let ran = counts.files.contains(name);
        let manifest = counts.manifests && concerns(Path::new(name));
        let named = counts.sources.get(name);
        // What is run was perhaps built, and then it is no source; and a manifest is none.
        let below = !ran && !manifest && is_written_by_hand(name) && !counts.tree.is_empty();
        if let Some(plugins) = named {
            add(&mut burst.sources, plugins, &path);
        }
        if below {
            add(&mut burst.sources, &counts.tree, &path);
        }
        burst.packages |= counts.packages;
        burst.any |= ran || counts.packages || manifest || named.is_some() || below;
    }
}

/// The folder itself is gone, or is another one.
fn is_the_end(event: &InotifyEvent) -> bool {
    event.mask.intersects(
        AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED,
    )
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
        let mut watch = Watch::new(std::slice::from_ref(&folder), Looked::default()).unwrap();
        // As editors write: beside it, then renamed over it.
        std::fs::write(folder.join("4913"), "").unwrap();
        std::fs::write(folder.join(".geo.toml.swp"), "x").unwrap();
        std::fs::write(folder.join("geo.toml~"), "x").unwrap();
        std::fs::rename(folder.join("geo.toml~"), folder.join("geo.toml")).unwrap();
        assert!(!watch.burst().await.unwrap().lost);
        let more = tokio::time::timeout(SETTLES * 2, watch.burst()).await;
        assert!(more.is_err(), "nothing is left of the burst");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(watch.burst().await.unwrap().lost);
    }

    #[tokio::test]
    async fn what_is_run_counts_and_a_folder_that_a_build_has_yet_to_make_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_owned();
        let files: BTreeSet<_> =
            ["geo.py", "dist/main.js"].map(|file| folder.join(file)).into_iter().collect();
        let files = Looked { files, ..Looked::default() };
        let mut watch = Watch::new(std::slice::from_ref(&folder), files.clone()).unwrap();
        std::fs::write(folder.join("other.py"), "").unwrap();
        let other = tokio::time::timeout(SETTLES, watch.burst()).await;
        assert!(other.is_err(), "nobody runs it");
        std::fs::write(folder.join("geo.py"), "").unwrap();
        assert!(!watch.burst().await.unwrap().lost);
        std::fs::create_dir(folder.join("dist")).unwrap();
        assert!(watch.burst().await.unwrap().lost, "it is there now");
        let mut watch = Watch::new(std::slice::from_ref(&folder), files).unwrap();
        std::fs::write(folder.join("dist/main.js"), "").unwrap();
        assert!(!watch.burst().await.unwrap().lost);
    }
}
