//! The few things that the standard library does not do.

use std::io::Write;

pub(crate) fn ignore_sigterm() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// Whether a short write to stdout would not wait.
pub(crate) fn stdout_has_room() -> bool {
    let mut fd = libc::pollfd { fd: 1, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd, which lives as long as the call.
    unsafe { libc::poll(&raw mut fd, 1, 0) == 1 }
}

/// A child that stays, whatever becomes of its parent.
pub(crate) fn leave_a_child() {
    // SAFETY: the child calls nothing but `pause`, which is safe after a fork in a program with threads.
    unsafe {
        if libc::fork() == 0 {
            loop {
                libc::pause();
            }
        }
    }
}

pub(crate) fn complain(text: &str) {
    // Nobody to read it is no reason to behave in another way.
    drop(writeln!(std::io::stderr(), "outboard-wrong: {text}"));
}

/// Writes to stdout; a host that does not read any more ends the plugin.
pub(crate) fn write(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(1);
    }
}
