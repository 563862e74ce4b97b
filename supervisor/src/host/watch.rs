//! Descriptors that are only watched: no bytes are read from them here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use outboard_core::Key;
use outboard_keeper::pidfd::Pidfd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::happening::{Happening, Happenings};

/// Something that owns a descriptor for as long as it is watched.
pub(crate) struct Watched<T>(T);

impl<T: AsFd> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T> Watched<T> {
    /// What is watched.
    pub(crate) fn owner(&self) -> &T {
        &self.0
    }
}

/// Watches a descriptor with the runtime's poll.
///
/// # Errors
/// The poll refuses it.
#[expect(
    deprecated,
    reason = "sound for what owns its descriptor, and the replacement is unsafe to call"
)]
pub(crate) fn register<T: AsFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<Watched<T>>> {
    AsyncFd::with_interest(Watched(owner), interest)
}

/// Says `Ended` once the process has ended, whatever the keeper does. The keeper's word comes without this too, so a
/// failure to watch is no failure of the plugin.
pub(crate) fn watch(pidfd: Arc<Pidfd>, happenings: Happenings, key: Key, generation: u64) {
    let Ok(watched) = register(pidfd, Interest::READABLE) else { return };
    tokio::spawn(async move {
        if watched.readable().await.is_ok() {
            happenings.tell(Happening::Ended { key, generation });
        }
    });
}
