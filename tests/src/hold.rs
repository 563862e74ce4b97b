//! Holds a process at its exit: an unprivileged stand-in for one that the kernel will not let go.
//!
//! A tracer with `PTRACE_O_TRACEEXIT` (ptrace(2)) stops its tracee on the way out, SIGKILL or not: it lives on as state
//! `t`, no wait of its parent sees an end, and it is gone as soon as the tracer lets go.

use std::io;

use crate::clock::wait_until;

/// A held process. Only the thread that made it may let it go; when that thread ends, it is let go as well.
#[derive(Debug)]
pub struct Hold {
    pid: libc::pid_t,
    /// The tracer is a thread, not a process.
    _thread: std::marker::PhantomData<*const ()>,
}

impl Hold {
    /// Takes hold of a process of one thread. It runs on until it is to end.
    ///
    /// # Errors
    ///
    /// When tracing is forbidden here, or something else traces it.
    ///
    /// # Panics
    ///
    /// When `pid` is no pid.
    pub fn of(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).unwrap();
        let options = libc::PTRACE_O_TRACEEXIT;
        // SAFETY: a plain system call; this request takes no pointers.
        match unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, options) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(Self { pid, _thread: std::marker::PhantomData }),
        }
    }

    /// Waits until it has been killed and is held on its way out.
    ///
    /// # Panics
    ///
    /// When it does not come there within [`hang_bound`](crate::clock::hang_bound).
    #[track_caller]
    pub fn has_it(&self) {
        wait_until("the killed process is held", || {
            let mut status = 0;
            // SAFETY: a valid place for the status.
            let stopped =
                unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL | libc::WNOHANG) };
            stopped == self.pid && status >> 8 == libc::SIGTRAP | libc::PTRACE_EVENT_EXIT << 8
        });
    }

    /// Lets it go: it ends.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: a plain system call; this request takes no pointers. One that runs cannot be let go, and one that
        // has ended need not be.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid, 0, 0) };
    }
}
