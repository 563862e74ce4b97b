//! Reports on their way to the brain. None is ever dropped.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use nix::errno::Errno;

use crate::protocol::FromKeeper;
use crate::sys::packet::send;

/// Bounded by the plugins: each has at most one report of each kind (spawned, executed or failed, died, gone), each
/// process is a stray once, and of pongs the last one counts.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<(FromKeeper, Option<Rc<OwnedFd>>)>,
    pong: Option<u32>,
}

/// What became of a try to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    All,
    /// Wait until the socket is writable.
    Full,
    /// Too many descriptors of this user are in sockets; nothing announces when there is room.
    Crowded,
    Closed,
}

impl Outbox {
    pub(super) fn push(&mut self, report: FromKeeper) {
        self.queue.push_back((report, None));
    }

    pub(super) fn push_with(&mut self, report: FromKeeper, fd: Rc<OwnedFd>) {
        self.queue.push_back((report, Some(fd)));
    }

    pub(super) fn pong(&mut self, n: u32) {
        self.pong = Some(n);
    }

    pub(super) fn flush(&mut self, socket: impl AsFd) -> Flushed {
        if let Some(n) = self.pong {
            match outcome(send(&socket, &FromKeeper::Pong { n }.encode(), &[])) {
                Flushed::All => self.pong = None,
                other => return other,
            }
        }
        while let Some((report, fd)) = self.queue.front() {
            let fd: Option<RawFd> = fd.as_ref().map(|fd| fd.as_raw_fd());
            match outcome(send(&socket, &report.encode(), fd.as_slice())) {
                Flushed::All => self.queue.pop_front(),
                other => return other,
            };
        }
        Flushed::All
    }
}

fn outcome(sent: nix::Result<()>) -> Flushed {
    match sent {
        Ok(()) => Flushed::All,
        Err(Errno::EAGAIN | Errno::ENOBUFS) => Flushed::Full,
        Err(Errno::ETOOMANYREFS) => Flushed::Crowded,
        Err(_) => Flushed::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{SIZE, ToKeeper};
    use crate::sys::packet::{Take, pair, receive};

    #[test]
    fn a_full_socket_keeps_every_report_in_order_and_only_the_last_pong() {
        let (ours, theirs) = pair().expect("pair");
        let mut outbox = Outbox::default();
        for key in 0..1000 {
            outbox.push(FromKeeper::Execed { key });
        }
        assert_eq!(outbox.flush(&ours), Flushed::Full);
        outbox.pong(1);
        outbox.pong(2);
        assert_eq!(outbox.flush(&ours), Flushed::Full);
        let mut keys = Vec::new();
        let mut pongs = Vec::new();
        let mut buffer = [0; SIZE];
        while keys.len() < 1000 {
            match receive(&theirs, &mut buffer, Take::Remove) {
                Ok(_) => match FromKeeper::decode(&buffer).expect("a report") {
                    FromKeeper::Execed { key } => keys.push(key),
                    FromKeeper::Pong { n } => pongs.push(n),
                    other => panic!("{other:?}"),
                },
                Err(_) => {
                    outbox.flush(&ours);
                }
            }
        }
        assert!(keys.is_sorted());
        assert_eq!(pongs, [2]);
    }

    #[test]
    fn a_brain_that_is_gone_is_noticed() {
        let (ours, theirs) = pair().expect("pair");
        drop(theirs);
        let mut outbox = Outbox::default();
        outbox.push(FromKeeper::Stray { pid: 1 });
        assert_eq!(outbox.flush(&ours), Flushed::Closed);
        assert_eq!(ToKeeper::decode(&[]), Err(crate::protocol::Malformed::Length));
    }
}
