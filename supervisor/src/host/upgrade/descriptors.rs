//! The descriptors that go along, by the numbers under which the state knows them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use outboard_keeper::inherit::{Inheritance, outlives_exec};
use serde::{Deserialize, Serialize};

/// A descriptor in a state: its number in the process, the same on both sides of `execve(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Fd(RawFd);

/// Where descriptors are put, or taken from.
#[derive(Debug)]
pub(crate) enum Descriptors {
    /// Second ones of what the running supervisor holds: it loses nothing by that, and need not go on.
    Held(BTreeMap<Fd, OwnedFd>),
    /// Those that the image before left open.
    Inherited(Inheritance),
    /// None: for a rehearsal. The state gets numbers that stand for nothing.
    None { next: RawFd },
}

impl Descriptors {
    /// To be filled.
    pub(crate) fn to_hold() -> Self {
        Self::Held(BTreeMap::new())
    }

    /// Counts and touches nothing.
    pub(crate) fn none() -> Self {
        Self::None { next: 0 }
    }

    /// Holds a second descriptor of the same thing.
    ///
    /// # Errors
    /// None is to be had.
    pub(crate) fn hold(&mut self, fd: &impl AsFd) -> io::Result<Fd> {
        match self {
            Self::Held(held) => {
                let second = fd.as_fd().try_clone_to_owned()?;
                let number = Fd(second.as_raw_fd());
                held.insert(number, second);
                Ok(number)
            }
            Self::None { next } => {
                *next += 1;
                Ok(Fd(*next))
            }
            Self::Inherited(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes what was held under this number.
    ///
    /// # Errors
    /// There is none, or it was taken already.
    pub(crate) fn take(&mut self, fd: Fd) -> io::Result<OwnedFd> {
        match self {
            Self::Held(held) => held.remove(&fd).ok_or_else(|| io::ErrorKind::NotFound.into()),
            Self::Inherited(inherited) => inherited.take(fd.0),
            Self::None { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Makes all that is held outlive `exec`, or not.
    pub(crate) fn outlive_exec(&self, outlive: bool) -> io::Result<()> {
        let Self::Held(held) = self else { return Ok(()) };
        held.values().try_for_each(|fd| outlives_exec(fd.as_fd(), outlive))
    }
}
