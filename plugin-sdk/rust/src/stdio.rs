//! The process's own stdin and stdout, taken away from everybody else.

#![expect(unsafe_code, reason = "putting another file under a descriptor's number")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Takes stdin and stdout for frames, as private close-on-exec descriptors. What else reads number 0 from now on
/// finds end of file, and what else writes to number 1 writes to stderr: print macros, C libraries, children.
///
/// # Errors
///
/// A descriptor is closed, or there is none left. Then nothing has been replaced, or stdin alone.
pub(crate) fn take() -> io::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let nothing = OwnedFd::from(File::open("/dev/null")?);
    replace(nothing.as_raw_fd(), libc::STDIN_FILENO)?;
    replace(libc::STDERR_FILENO, libc::STDOUT_FILENO)?;
    Ok((input.into(), output.into()))
}

fn replace(source: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: `dup2` on any two numbers is defined. `target` is a standard stream, which no Rust value owns and
    // which the standard library expects to be open; it stays open.
    if unsafe { libc::dup2(source, target) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
