//! The keeper's one wait.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

/// What a descriptor in the poll stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Socket,
    Brain,
    Children,
    /// A plugin's pidfd.
    Leader(u32),
    /// The pipe with the outcome of a plugin's `exec`.
    Exec(u32),
    /// The events of a plugin's cgroup.
    Leaf(u32),
}

impl Source {
    fn token(self) -> u64 {
        let (kind, slot) = match self {
            Source::Socket => (0, 0),
            Source::Brain => (1, 0),
            Source::Children => (2, 0),
            Source::Leader(slot) => (3, slot),
            Source::Exec(slot) => (4, slot),
            Source::Leaf(slot) => (5, slot),
        };
        u64::from(slot) << 8 | kind
    }

    fn of(token: u64) -> Source {
        let slot = (token >> 8) as u32;
        match token & 0xff {
            0 => Source::Socket,
            1 => Source::Brain,
            2 => Source::Children,
            3 => Source::Leader(slot),
            4 => Source::Exec(slot),
            _ => Source::Leaf(slot),
        }
    }
}

pub(super) struct Poller {
    epoll: Epoll,
}

/// Events taken in one turn.
const AT_ONCE: usize = 64;

impl Poller {
    pub(super) fn new() -> nix::Result<Poller> {
        Ok(Poller { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    pub(super) fn add(&self, fd: impl AsFd, source: Source) -> nix::Result<()> {
        let flags = match source {
            Source::Leaf(_) => EpollFlags::EPOLLPRI,
            Source::Socket
            | Source::Brain
            | Source::Children
            | Source::Leader(_)
            | Source::Exec(_) => EpollFlags::EPOLLIN,
        };
        self.epoll.add(fd, EpollEvent::new(flags, source.token()))
    }

    /// To be called before closing a descriptor whose copy others hold: the kernel forgets an open file, not a number.
    pub(super) fn remove(&self, fd: impl AsFd) {
        // Only possible failure: it is not in there.
        self.epoll.delete(fd).ok();
    }

    /// Whether to wake up when the socket takes messages again.
    pub(super) fn want_writable(&self, socket: impl AsFd, wanted: bool) -> nix::Result<()> {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, wanted);
        self.epoll.modify(socket, &mut EpollEvent::new(flags, Source::Socket.token()))
    }

    /// Waits; `None` is for ever.
    pub(super) fn wait(&self, time: Option<Duration>) -> nix::Result<Vec<Source>> {
        let whole = match time {
            None => EpollTimeout::NONE,
            Some(time) if time < Duration::from_millis(1) => {
                if !time.is_zero() {
                    let mut only = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
                    // Whatever it says, the look below decides.
                    ppoll(&mut only, Some(TimeSpec::from_duration(time)), None).ok();
                }
                EpollTimeout::ZERO
            }
            // Rounded up: waking a little late is cheaper than waking twice.
            Some(time) => EpollTimeout::try_from(time + Duration::from_micros(999))
                .unwrap_or(EpollTimeout::MAX),
        };
        let mut events = [EpollEvent::empty(); AT_ONCE];
        match self.epoll.wait(&mut events, whole) {
            Ok(n) => Ok(events[..n].iter().map(|event| Source::of(event.data())).collect()),
            Err(Errno::EINTR) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_survives_the_kernel() {
        for source in [
            Source::Socket,
            Source::Brain,
            Source::Children,
            Source::Leader(u32::MAX),
            Source::Exec(0),
            Source::Leaf(7),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
