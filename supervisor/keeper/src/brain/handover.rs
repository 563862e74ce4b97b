//! A keeper's line goes over to the brain's next image: same socket, same keeper.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::client::{Keeper, Letter};
use crate::pidfd::Pidfd;
use crate::reaper::RunMark;
use crate::settings::Containment;

/// The version of the messages between brain and keeper. Two builds that differ in it cannot go on with one keeper.
pub const MESSAGES: u16 = crate::protocol::VERSION;

/// A keeper's line taken apart; `F` stands for a descriptor.
#[derive(Clone, Debug)]
pub struct KeeperParts<F> {
    pub socket: F,
    pub pidfd: F,
    pub pid: u32,
    pub run: RunMark,
    pub containment: Containment,
    /// Orders that wait for room in the socket, in their order.
    pub letters: Vec<LetterParts<F>>,
    /// Spawn orders that were sent and are not answered.
    pub unanswered: usize,
    /// Keys of spawn orders that could not be sent, with their errno.
    pub refused: Vec<(u64, i32)>,
}

/// One order that waits.
#[derive(Clone, Debug)]
pub struct LetterParts<F> {
    pub bytes: Vec<u8>,
    pub fds: Vec<F>,
    pub spawns: Option<u64>,
}

impl Keeper {
    /// What it is made of. `fd` makes of each descriptor what is to stand for it.
    ///
    /// # Errors
    /// Those of `fd`.
    pub fn parts<F>(
        &self,
        mut fd: impl FnMut(BorrowedFd<'_>) -> io::Result<F>,
    ) -> io::Result<KeeperParts<F>> {
        let mut letters = Vec::with_capacity(self.queue.len());
        for letter in &self.queue {
            let fds = letter.fds.iter().map(|it| fd(it.as_fd())).collect::<io::Result<_>>()?;
            let (bytes, spawns) = (letter.bytes.clone(), letter.spawns);
            letters.push(LetterParts { bytes, fds, spawns });
        }
        Ok(KeeperParts {
            socket: fd(self.socket.as_fd())?,
            pidfd: fd(self.pidfd.as_fd())?,
            pid: self.pid,
            run: self.run,
            containment: self.containment.clone(),
            letters,
            unanswered: self.unanswered,
            refused: self.refused.iter().map(|(key, errno)| (*key, *errno as i32)).collect(),
        })
    }

    /// The line, put together again.
    #[must_use]
    pub fn from_parts(parts: KeeperParts<OwnedFd>) -> Self {
        let KeeperParts { socket, pidfd, pid, run, containment, letters, unanswered, refused } =
            parts;
        let mut keeper = Self::new(socket, Pidfd::from(pidfd), pid, run, containment);
        let letters = letters.into_iter();
        keeper.queue.extend(letters.map(|LetterParts { bytes, fds, spawns }| Letter {
            bytes,
            fds,
            spawns,
        }));
        keeper.unanswered = unanswered;
        let refused = refused.into_iter();
        keeper.refused.extend(refused.map(|(key, errno)| (key, Errno::from_raw(errno))));
        keeper
    }
}
