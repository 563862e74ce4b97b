//! Notices the end of a process by its pidfd, whatever the keeper does.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use outboard_core::Key;
use outboard_keeper::pidfd::Pidfd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::happening::{Happening, Happenings};

struct Watched(Arc<Pidfd>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Says `Ended` once the process has ended. The keeper's word comes without this too, so a failure to watch is no
/// failure of the plugin.
pub fn watch(pidfd: Arc<Pidfd>, happenings: Happenings, key: Key, generation: u64) {
    let Ok(watched) = AsyncFd::with_interest(Watched(pidfd), Interest::READABLE) else { return };
    tokio::spawn(async move {
        if watched.readable().await.is_ok() {
            happenings.tell(Happening::Ended { key, generation });
        }
    });
}
