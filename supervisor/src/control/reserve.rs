//! Descriptors kept back, so that a socket still answers when the kernel has none left.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{UnixListener, UnixStream};

/// How long to wait after a connection was refused for want of a descriptor: long enough not to spin.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Why a connection is refused then, in words.
pub(super) const WHY: &str = "the supervisor has no descriptor left";

/// Some descriptors of one socket. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Reserve {
    kept: Arc<Mutex<Vec<File>>>,
    size: usize,
}

/// A connection that a kept descriptor has made room for.
#[derive(Debug)]
pub(super) enum Spent {
    /// More are kept: it may be served. The reserve is to be refilled when it has ended.
    Spare(UnixStream),
    /// It was the last: the connection is to be told why, and let go.
    Last(UnixStream),
}

impl Reserve {
    /// Keeps back that many descriptors, as far as they can be had.
    #[must_use]
    pub(super) fn of(size: usize) -> Self {
        let reserve = Self { kept: Arc::default(), size };
        reserve.refill();
        reserve
    }

    /// Whether an accept failed for want of what is kept here (`accept(2)`).
    #[must_use]
    pub(super) fn is_for(error: &io::Error) -> bool {
        let errno = error.raw_os_error().map(Errno::from_raw);
        matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
    }

    /// Gives one descriptor up and takes one waiting connection with it; `None` when nothing is kept or nobody waits.
    pub(super) fn spend(&self, listener: &UnixListener) -> Option<Spent> {
        let (given_up, left) = {
            let mut kept = self.kept();
            (kept.pop()?, kept.len())
        };
        drop(given_up);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match listener.poll_accept(&mut context) {
            std::task::Poll::Ready(Ok((stream, _))) if left > 0 => Some(Spent::Spare(stream)),
            std::task::Poll::Ready(Ok((stream, _))) => Some(Spent::Last(stream)),
            std::task::Poll::Ready(Err(_)) | std::task::Poll::Pending => {
                self.refill();
                None
            }
        }
    }

    /// Takes back what can be had.
    pub(super) fn refill(&self) {
        let mut kept = self.kept();
        while kept.len() < self.size {
            let Ok(file) = File::open("/dev/null") else { return };
            kept.push(file);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<File>> {
        self.kept.lock().expect("nothing panics while it holds this")
    }
}
