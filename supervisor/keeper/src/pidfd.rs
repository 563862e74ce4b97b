//! Process descriptors: signals that cannot reach the wrong process.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::switches;

/// A descriptor of a process. Readable once the process (all its threads) has ended.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

/// `PIDFD_SIGNAL_PROCESS_GROUP`, Linux 6.9.
const SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

impl Pidfd {
    /// Of the process that has this number now. `ESRCH` if there is none.
    pub fn open(pid: u32) -> nix::Result<Pidfd> {
        // SAFETY: pidfd_open takes two integers; on success the descriptor is ours, close-on-exec.
        unsafe {
            let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0))?;
            Ok(Pidfd(OwnedFd::from_raw_fd(fd as i32)))
        }
    }

    /// `ESRCH` once it has been reaped; a zombie takes signals without an error.
    pub fn send_signal(&self, signal: i32) -> nix::Result<()> {
        send(self.0.as_fd(), signal, 0)
    }

    /// To the process group that this process leads; a dead leader counts until it is reaped.
    ///
    /// # Errors
    ///
    /// `EINVAL` (or `ENOSYS`) before Linux 6.9: then the keeper has to do it, [`crate::Order::Terminate`]. `ESRCH`
    /// when it leads no group (yet).
    pub fn send_signal_group(&self, signal: i32) -> nix::Result<()> {
        if switches::no_group_flag() {
            return Err(Errno::ENOSYS);
        }
        send(self.0.as_fd(), signal, SIGNAL_PROCESS_GROUP)
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        let mut poll_fd = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut poll_fd, PollTimeout::ZERO), Ok(1..))
    }
}

fn send(fd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> nix::Result<()> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo asks the kernel to fill it in as kill(2) does.
    let r =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, info, flags) };
    Errno::result(r).map(drop)
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Pidfd {
    /// Takes over a descriptor that is known to be a pidfd; with any other the calls fail with `EBADF`.
    fn from(fd: OwnedFd) -> Pidfd {
        Pidfd(fd)
    }
}

impl From<Pidfd> for OwnedFd {
    fn from(pidfd: Pidfd) -> OwnedFd {
        pidfd.0
    }
}
