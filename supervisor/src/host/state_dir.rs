//! The state directory: one supervisor at a time, and what outlives it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

/// A state directory that this process holds. Released when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Locked for as long as its description is open: here, or in whoever goes on with this directory.
    lock: File,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("another supervisor runs on {}: {holder}", path.display())]
    InUse { path: PathBuf, holder: Holder },
    #[error("cannot use the state directory {}: {what}: {source}", path.display())]
    Io { path: PathBuf, what: &'static str, source: io::Error },
    #[error("the state directory {} belongs to user {owner}, not to {me}", path.display())]
    Foreign { path: PathBuf, owner: u32, me: u32 },
}

/// Who holds a state directory, as it wrote of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    pub pid: u32,
    /// The folders and files it was given.
    pub sources: Vec<PathBuf>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sources: Vec<String> = self.sources.iter().map(|s| s.display().to_string()).collect();
        write!(f, "pid {} with {}", self.pid, sources.join(" "))
    }
}

/// The version of what is written here. A file of a later one is not understood, whatever it has in common with this.
pub(super) const VERSION: u32 = 1;

/// What is kept over runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    pub(super) version: u32,
    /// The last generation of each plugin.
    pub generations: BTreeMap<String, u64>,
    /// What was learnt about an executable, by launch digest.
    pub learnt: BTreeMap<String, String>,
    /// Versions in force that stand in for a manifest in the folder, by plugin.
    pub versions: BTreeMap<String, KeptVersion>,
}

/// A version that a swap put in force, and that the folder does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptVersion {
    /// The digest of the manifest that it stands in for: once that changes, the folder counts again.
    pub of: u64,
    /// The file that it stands in for.
    pub folder: PathBuf,
    /// The file that it was read from, which may be gone.
    pub source: PathBuf,
    pub text: String,
}

impl StateDir {
    /// Makes the directory (mode 0700) where it is missing, and takes it for this process.
    ///
    /// # Errors
    /// It is another supervisor's, or cannot be used; nothing in it has been changed then.
    pub fn take(path: &Path, sources: &[PathBuf]) -> Result<Self, StateDirError> {
        let io = |what, source| StateDirError::Io { path: path.to_owned(), what, source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| io("make it", e))?;
        let meta = fs::metadata(path).map_err(|e| io("look at it", e))?;
        let me = nix::unistd::geteuid().as_raw();
        if meta.uid() != me {
            return Err(StateDirError::Foreign { path: path.to_owned(), owner: meta.uid(), me });
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path.join("lock"))
            .map_err(|e| io("open its lock", e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateDirError::InUse {
                    path: path.to_owned(),
                    holder: wait_for_holder(lock),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io("lock it", error)),
        }
        let holder = Holder { pid: std::process::id(), sources: sources.to_vec() };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        lock.set_len(0)
            .and_then(|()| lock.write_all(text.as_bytes()))
            .map_err(|e| io("write its lock", e))?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.join("logs"))
            .map_err(|e| io("make its logs folder", e))?;
        // Before anything runs whose words would be lost.
        access(&path.join("logs"), AccessFlags::W_OK | AccessFlags::X_OK)
            .map_err(|e| io("write to its logs folder", e.into()))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Who holds `path` now; `None` when nobody does.
    #[must_use]
    pub fn holder(path: &Path) -> Option<Holder> {
        let file = File::open(path.join("lock")).ok()?;
        match file.try_lock_shared() {
            Ok(()) => None,
            Err(_) => Some(read_holder(&file)),
        }
    }

    /// Goes on with a directory that the image before this one has locked.
    #[must_use]
    pub(crate) fn go_on(path: PathBuf, lock: OwnedFd) -> Self {
        Self { path, lock: lock.into() }
    }

    /// What holds the lock.
    #[must_use]
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What an earlier run left in a file. What makes no sense, or is no plain file, is set aside for whoever wants to see it:
    /// nothing is done on its word, and no link is followed.
    pub(super) fn read_left<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Left<T> {
        let path = self.file(name);
        let read = || -> io::Result<Vec<u8>> {
            // O_NONBLOCK: a FIFO without a writer must not hold anybody up.
            let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
            if !file.metadata()?.is_file() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut bytes = Vec::new();
            file.take(LARGEST).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => {
                if let Some(left) = parse(&bytes) {
                    return Left::Sound(left);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Left::Nothing,
            Err(_) => {}
        }
        let aside = format!("{name}.unreadable");
        // Where even this fails the next write replaces it.
        fs::rename(&path, self.file(&aside)).unwrap_or_default();
        Left::SetAside(aside)
    }
}

/// What an earlier run left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left<T> {
    Nothing,
    Sound(T),
    /// It is under this name now.
    SetAside(String),
}

/// The largest file that is read; those of a thousand plugins have some 100 KiB.
const LARGEST: u64 = 64 * 1024 * 1024;

impl Kept {
    /// Of a file as this version or an older one writes it.
    #[must_use]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let kept: Self = serde_json::from_slice(bytes).ok()?;
        (kept.version <= VERSION).then_some(Self { version: VERSION, ..kept })
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            version: VERSION,
            generations: BTreeMap::new(),
            learnt: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }
}

/// How often, and with which pause, whoever holds the lock is given time to write who it is.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Who holds the lock, also when it has only just taken it: what is written there then is of nobody, or of the one
/// before, who has ended.
fn wait_for_holder(mut file: File) -> Holder {
    let mut holder = Holder::default();
    for _ in 0..LOOKS {
        file.rewind().unwrap_or_default();
        holder = read_holder(&file);
        if holder.pid != 0 && Path::new("/proc").join(holder.pid.to_string()).exists() {
            break;
        }
        pause();
    }
    holder
}

#[expect(
    clippy::disallowed_methods,
    reason = "before there is a runtime, and the kernel tells nobody of a change behind a lock"
)]
fn pause() {
    std::thread::sleep(BETWEEN_LOOKS);
}

fn read_holder(mut file: &File) -> Holder {
    let mut text = String::new();
    // A holder that has not written yet is a holder all the same.
    file.read_to_string(&mut text).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/state");
        let sources = vec![PathBuf::from("manifests")];
        let held = StateDir::take(&path, &sources).unwrap();
        let before = fs::read(path.join("lock")).unwrap();
        let error = StateDir::take(&path, &[]).unwrap_err();
        let StateDirError::InUse { holder, .. } = error else { panic!("{error}") };
        assert_eq!(holder, Holder { pid: std::process::id(), sources });
        assert_eq!(fs::read(path.join("lock")).unwrap(), before);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(StateDir::holder(&path).is_some());
        drop(held);
        assert_eq!(StateDir::holder(&path), None);
        StateDir::take(&path, &[]).unwrap();
    }

    #[test]
    fn an_unreadable_state_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::take(dir.path(), &[]).unwrap();
        let read = |text: &str| {
            fs::write(state.file("state.json"), text).unwrap();
            state.read_left("state.json", Kept::parse)
        };
        let Left::Sound(kept) = read("{\"generations\":{\"a\":3},\"from_later\":1}") else {
            panic!("what is not known is left out")
        };
        assert_eq!(kept.generations["a"], 3);
        let aside = Left::SetAside("state.json.unreadable".to_owned());
        assert_eq!(read("{\"generations\":"), aside);
        assert_eq!(read("{\"version\":999,\"generations\":{}}"), aside);
        assert!(state.file("state.json.unreadable").exists());
        assert_eq!(state.read_left("state.json", Kept::parse), Left::Nothing);
    }
}
