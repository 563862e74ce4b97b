//! Orders out, reports in.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::launch;
use crate::blueprint;
use crate::book;
use crate::error::KeeperError;
use crate::order::{Order, Report, SpawnOrder, Step};
use crate::pidfd::Pidfd;
use crate::protocol::{FromKeeper, INLINE, SIZE, ToKeeper};
use crate::reaper::RunMark;
use crate::settings::{Containment, KeeperProgram, Settings};
use crate::sys::packet::{MAX_FDS, Take, receive, send};
use crate::sys::process::reap_by_pidfd;
use crate::sys::sealed::seal;

/// A running keeper, as its brain sees it.
///
/// Dropping it closes the socket: the keeper then kills everything that it has started and ends. So does the brain's
/// death in any way. Nothing here waits, except [`Keeper::spawn`].
#[derive(Debug)]
pub struct Keeper {
    pub(super) socket: OwnedFd,
    pub(super) pidfd: Pidfd,
    pub(super) pid: u32,
    pub(super) run: RunMark,
    pub(super) containment: Containment,
    pub(super) queue: VecDeque<Letter>,
    /// Spawn orders that were sent and not answered yet.
    pub(super) unanswered: usize,
    /// Spawn orders that could not be sent, and why: to be reported as failed.
    pub(super) refused: VecDeque<(u64, Errno)>,
}

/// An order that waits for room in the socket.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// The key of a spawn order.
    pub(super) spawns: Option<u64>,
}

/// Spawn orders that may be under way at once. Each has four descriptors or more in the socket, and the kernel bounds
/// the descriptors that a user has in sockets by its limit of open files, often 1,024 (`ETOOMANYREFS`).
const MOST_UNANSWERED: usize = 64;

impl Keeper {
    /// Starts a keeper and waits for its greeting, at most 5 s.
    ///
    /// With cgroup containment this process may be moved to a cgroup of its own, beside the plugins'. Any thread may
    /// call this, and end afterwards.
    ///
    /// # Errors
    ///
    /// Nothing is left running after an error.
    pub fn spawn(program: KeeperProgram, settings: Settings) -> Result<Keeper, KeeperError> {
        launch::launch(program, settings)
    }

    pub(super) fn new(
        socket: OwnedFd,
        pidfd: Pidfd,
        pid: u32,
        run: RunMark,
        containment: Containment,
    ) -> Keeper {
        Keeper {
            socket,
            pidfd,
            pid,
            run,
            containment,
            queue: VecDeque::new(),
            unanswered: 0,
            refused: VecDeque::new(),
        }
    }

    /// Readable when a report can be received; writable when [`Keeper::flush`] can go on.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Readable when the keeper has ended. Its last reports may still be in the socket.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn containment(&self) -> &Containment {
        &self.containment
    }

    /// Kills the keeper itself: for one that does not answer a ping. What it leaves is for [`Sweep`].
    pub fn kill(&self) -> nix::Result<()> {
        self.pidfd.send_signal(libc::SIGKILL)
    }

    /// Takes an order. It is sent at once if there is room, else by [`Keeper::flush`] and [`Keeper::receive`]; orders
    /// never overtake each other.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Order`] when the order itself cannot be put into a message (no memory file to be had, too many
    /// descriptors): nothing was sent and the order's descriptors are closed. [`KeeperError::Closed`] when the keeper
    /// is gone.
    pub fn order(&mut self, order: Order) -> Result<(), KeeperError> {
        let letter = match order {
            Order::Spawn(order) => self.spawn_letter(*order)?,
            Order::Terminate { key } => Letter::plain(ToKeeper::Terminate { key }),
            Order::Kill { key } => Letter::plain(ToKeeper::Kill { key }),
            Order::Ping { n } => Letter::plain(ToKeeper::Ping { n }),
            Order::Reexec { image } => {
                let order = ToKeeper::Reexec { oldest: book::OLDEST, newest: book::VERSION };
                Letter { fds: vec![image], ..Letter::plain(order) }
            }
        };
        self.queue.push_back(letter);
        match self.flush() {
            Ok(_) => Ok(()),
            Err(_) => Err(KeeperError::Closed),
        }
    }

    /// Sends what is queued. `true`: the socket is full, call again when it is writable. `false` also when spawn orders
    /// wait for earlier ones to be answered: [`Keeper::receive`] sends them. To be followed by a `receive`: an order that
    /// the kernel refuses is reported there as a failed start.
    pub fn flush(&mut self) -> io::Result<bool> {
        while let Some(letter) = self.queue.front() {
            if letter.spawns.is_some() && self.unanswered >= MOST_UNANSWERED {
                return Ok(false);
            }
            let mut fds = [-1; MAX_FDS];
            for (place, fd) in fds.iter_mut().zip(&letter.fds) {
                *place = fd.as_raw_fd();
            }
            let fds: &[RawFd] = &fds[..letter.fds.len()];
            match send(&self.socket, &letter.bytes, fds) {
                Ok(()) => {
                    self.unanswered += usize::from(letter.spawns.is_some());
                    self.queue.pop_front();
                }
                // Others of this user have filled the kernel's account; the answers under way make room.
                Err(Errno::ETOOMANYREFS) if self.unanswered > 0 => return Ok(false),
                // Nothing would announce when there is room again.
                Err(e @ Errno::ETOOMANYREFS) => {
                    self.refused.extend(letter.spawns.map(|key| (key, e)));
                    self.queue.pop_front();
                }
                Err(Errno::EAGAIN) => return Ok(true),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(false)
    }

    /// The next report; `None` when there is none now.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` at the end of the socket. `InvalidData` for what is no message of this version, and for a report
    /// whose descriptor did not arrive because this process is out of them: in both cases this keeper is of no use any
    /// more.
    pub fn receive(&mut self) -> io::Result<Option<Report>> {
        if let Some((key, errno)) = self.refused.pop_front() {
            let (step, errno) = (Step::Order, errno as i32);
            return Ok(Some(Report::SpawnFailed { key, step, errno }));
        }
        let mut buffer = [0; SIZE];
        let received = match receive(&self.socket, &mut buffer, Take::Remove) {
            Ok(received) => received,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::ECONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) => return Err(e.into()),
        };
        if received.len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if received.fds_lost {
            return Err(invalid("a report's descriptor did not arrive: out of descriptors"));
        }
        let packet = FromKeeper::decode(&buffer[..received.len])
            .map_err(|_| invalid("not a report of this version"))?;
        let report = self.report(packet, received.fds)?;
        if matches!(report, Report::Spawned { .. }) && !self.queue.is_empty() {
            // A failure shows at the next order or receive.
            self.flush().ok();
        }
        Ok(Some(report))
    }

    fn report(&mut self, packet: FromKeeper, fds: Vec<OwnedFd>) -> io::Result<Report> {
        Ok(match packet {
            FromKeeper::Spawned { key, pid } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                let pidfd = fds.into_iter().next().ok_or_else(|| invalid("no pidfd"))?;
                Report::Spawned { key, pid, pidfd }
            }
            FromKeeper::SpawnFailed { key, step, errno } => {
                if step.is_before_spawned() {
                    self.unanswered = self.unanswered.saturating_sub(1);
                    self.flush().ok();
                }
                Report::SpawnFailed { key, step, errno }
            }
            FromKeeper::Execed { key } => Report::Execed { key },
            FromKeeper::Died { key, exit } => Report::Died { key, exit },
            FromKeeper::Gone { key, swept, rusage, took } => {
                Report::Gone { key, swept, rusage, took }
            }
            FromKeeper::Stray { pid } => Report::Stray { pid },
            FromKeeper::Pong { n } => Report::Pong { n },
            FromKeeper::Reexecuted { version } => Report::Reexecuted { version },
            FromKeeper::Kept { errno } => Report::Kept { errno: (errno != 0).then_some(errno) },
            FromKeeper::Ready { .. } | FromKeeper::Refused { .. } => {
                return Err(invalid("a second greeting"));
            }
        })
    }

    fn spawn_letter(&self, order: SpawnOrder) -> Result<Letter, KeeperError> {
        let refuse = |what, source| KeeperError::Order { what, source };
        // The blueprint, where it comes as a file, and the three standard ones come first.
        if order.extra_fds.len() + 4 > MAX_FDS {
            return Err(refuse("extra descriptors", Errno::E2BIG.into()));
        }
        if order.extra_fds.iter().any(|&(_, target)| target < 3) {
            return Err(refuse("number of an extra descriptor", Errno::EBADF.into()));
        }
        let bytes = blueprint::encode(&order, &self.run);
        if bytes.len() as u64 > blueprint::LIMIT {
            return Err(refuse("arguments and environment", Errno::E2BIG.into()));
        }
        let mut message = ToKeeper::Spawn { key: order.key }.encode().to_vec();
        let mut fds = Vec::with_capacity(4 + order.extra_fds.len());
        if bytes.len() <= INLINE {
            message.extend_from_slice(&bytes);
        } else {
            fds.push(seal(c"outboard-spawn", &bytes).map_err(|e| refuse("memory file", e))?);
        }
        fds.extend(order.stdio);
        fds.extend(order.extra_fds.into_iter().map(|(fd, _)| fd));
        Ok(Letter { bytes: message, fds, spawns: Some(order.key) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // One that has ended is reaped here, whoever else reaps in this process. One that lives ends now, and is reaped
        // with whatever else this process adopts.
        reap_by_pidfd(&self.pidfd).ok();
    }
}

impl Letter {
    fn plain(order: ToKeeper) -> Letter {
        Letter { bytes: order.encode().to_vec(), fds: Vec::new(), spawns: None }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
