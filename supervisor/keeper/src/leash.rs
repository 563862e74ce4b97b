//! A helper process that must not outlive whoever started it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Has the kernel kill the process that `command` starts as soon as the thread that starts it ends, and with it this
/// process (`PR_SET_PDEATHSIG`, prctl(2)). What that process starts itself is not meant.
pub fn ends_with_thread(command: &mut Command) {
    let parent = std::process::id();
    let hold = move || -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before it was asked for.
        match u32::try_from(getppid().as_raw()) {
            Ok(now) if now == parent => Ok(()),
            _ => Err(Errno::ESRCH.into()),
        }
    };
    // SAFETY: two system calls; nothing is allocated and no lock is taken between fork and exec.
    unsafe { command.pre_exec(hold) };
}
