//! What a process inherits from the image that ran in it before `execve(2)`: descriptors, by their numbers, and a sealed
//! memory file that says what they are.

use std::collections::BTreeSet;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::sys::sealed::{seal, unseal};

/// Bytes of a memory file that is read; every byte that is owed to a client or a plugin may be in it.
pub const LARGEST: u64 = 4 << 30;

/// Puts bytes into a sealed memory file that is closed by `exec`, and that reads from its start.
///
/// # Errors
/// No descriptor or no memory is to be had.
pub fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(seal(c"outboard-state", bytes)?);
    file.rewind()?;
    Ok(file.into())
}

/// Makes a descriptor outlive `exec`, or not.
///
/// # Errors
/// Those of `fcntl(2)`; none for a descriptor that is open.
pub fn outlives_exec(fd: BorrowedFd<'_>, outlives: bool) -> io::Result<()> {
    let flags = if outlives { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// The descriptors that the image before has left open, each to be taken once.
#[derive(Debug)]
pub struct Inheritance {
    taken: BTreeSet<RawFd>,
}

/// There is one inheritance in a process: what has been taken from it belongs to somebody.
static BEGUN: AtomicBool = AtomicBool::new(false);

impl Inheritance {
    /// Reads the memory file that is open as `number`. Gives what lies in it, and the way to the other descriptors.
    ///
    /// # Errors
    /// `AlreadyExists` the second time; `InvalidData` for what is no sealed memory file; else those of the kernel.
    pub fn begin(number: RawFd) -> io::Result<(Vec<u8>, Self)> {
        if BEGUN.swap(true, Ordering::Relaxed) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut this = Self { taken: BTreeSet::new() };
        let bytes = unseal(this.take(number)?, LARGEST)?;
        Ok((bytes, this))
    }

    /// Takes the descriptor of this number; from now on `exec` closes it.
    ///
    /// # Errors
    /// `InvalidInput` for a standard one and for one that has been taken; `EBADF` for one that is not open.
    pub fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        if number <= 2 || !self.taken.insert(number) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: borrowed for the check only; whether it is open at all is what is asked.
        let candidate = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(candidate, FcntlArg::F_GETFD)?;
        // SAFETY: it is open, the image before left it open for whoever asks for its number, and each number is given
        // out once: what this image has opened itself has other numbers, since this one was taken when it began.
        let owned = unsafe { OwnedFd::from_raw_fd(number) };
        outlives_exec(owned.as_fd(), false)?;
        Ok(owned)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn each_descriptor_is_taken_once_and_there_is_one_inheritance() {
        // Made first: a number that has been taken may be given out again by the kernel, to anybody in this process.
        let left = memory_file(b"").expect("memory");
        outlives_exec(left.as_fd(), true).expect("open");
        let file = memory_file(b"what is where").expect("memory");
        let number = file.as_raw_fd();
        std::mem::forget(file);
        let (bytes, mut inherited) = Inheritance::begin(number).expect("sealed");
        assert_eq!(bytes, b"what is where");
        assert!(Inheritance::begin(number).is_err(), "one in a process");
        assert!(inherited.take(number).is_err(), "taken already");
        assert!(inherited.take(1).is_err(), "a standard one");
        assert!(inherited.take(i32::MAX).is_err(), "not open");
        let number = left.as_raw_fd();
        std::mem::forget(left);
        let taken = inherited.take(number).expect("left open");
        let flags = fcntl(&taken, FcntlArg::F_GETFD).expect("open");
        assert_eq!(flags, FdFlag::FD_CLOEXEC.bits(), "closed by the next exec");
    }
}
