//! A gate in the way of `exec`: as if the file lay on a file system that does not answer.
//!
//! fanotify(7) asks us before the kernel executes a file (`FAN_OPEN_EXEC_PERM`); until we answer, the process that wants
//! to waits in state D, and nothing but SIGKILL takes it out of there.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::clock::{Deadline, readable};

/// Holds every `exec` of one file until it is let through. Dropped, it lets all through.
#[derive(Debug)]
pub struct ExecGate {
    group: OwnedFd,
}

/// A process that waits at the gate.
#[derive(Debug)]
pub struct Waiting {
    pub pid: u32,
    /// The file as the kernel opened it for us; names the question that is answered.
    file: OwnedFd,
}

impl ExecGate {
    /// Puts a gate in the way of a file, which should be the test's own.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_SYS_ADMIN`, `ENOSYS` or `EINVAL` where the kernel has none (fanotify_init(2)).
    pub fn on(file: &Path) -> io::Result<Self> {
        let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        let events = (libc::O_RDONLY | libc::O_CLOEXEC).cast_unsigned();
        let path = CString::new(file.as_os_str().as_bytes())?;
        let mask = libc::FAN_OPEN_EXEC_PERM;
        // SAFETY: plain system calls on a C string; the descriptor is owned before anything else can fail.
        unsafe {
            let group = libc::fanotify_init(flags, events);
            if group < 0 {
                return Err(io::Error::last_os_error());
            }
            let group = OwnedFd::from_raw_fd(group);
            let add = libc::FAN_MARK_ADD;
            match libc::fanotify_mark(group.as_raw_fd(), add, mask, libc::AT_FDCWD, path.as_ptr()) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(Self { group }),
            }
        }
    }

    /// The next process that wants to execute the file; it waits until it is let through.
    ///
    /// # Panics
    ///
    /// When none comes within [`hang_bound`](crate::clock::hang_bound).
    #[must_use]
    #[track_caller]
    pub fn next(&self) -> Waiting {
        assert!(readable(&self.group, Deadline::hang()), "nobody executes the file");
        // SAFETY: all zeroes are a valid value.
        let mut event: libc::fanotify_event_metadata = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::fanotify_event_metadata>();
        // SAFETY: one event of that size is read into memory of that size: without other flags they have no more.
        let read = unsafe { libc::read(self.group.as_raw_fd(), (&raw mut event).cast(), size) };
        assert_eq!(read, size.cast_signed(), "{}", io::Error::last_os_error());
        assert_eq!(event.mask, libc::FAN_OPEN_EXEC_PERM);
        // SAFETY: the event hands the descriptor over to us.
        let file = unsafe { OwnedFd::from_raw_fd(event.fd) };
        Waiting { pid: event.pid.cast_unsigned(), file }
    }

    /// Lets one through. That it may be dead meanwhile is no matter.
    ///
    /// # Panics
    ///
    /// When the kernel takes no answer.
    pub fn let_through(&self, waiting: Waiting) {
        let answer =
            libc::fanotify_response { fd: waiting.file.as_raw_fd(), response: libc::FAN_ALLOW };
        let size = size_of::<libc::fanotify_response>();
        // SAFETY: the answer is live and of that size.
        let written =
            unsafe { libc::write(self.group.as_raw_fd(), (&raw const answer).cast(), size) };
        let error = io::Error::last_os_error();
        // Who was killed has taken his question with him.
        let gone = written == -1 && error.raw_os_error() == Some(libc::ENOENT);
        assert!(gone || written == size.cast_signed(), "{error}");
    }
}
