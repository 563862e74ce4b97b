//! Signal dispositions and masks, straight from the kernel.
//!
//! The C library keeps two real-time signals to itself: it neither blocks nor ignores them, and hides that they are
//! ignored already. The keeper needs the whole set.

use std::ptr::null_mut;

use nix::errno::Errno;

/// All of Linux's signals.
pub(crate) const ALL: std::ops::RangeInclusive<i32> = 1..=64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    Default,
    /// The default, and no SIGCHLD for children that stop or go on.
    DefaultWithoutStops,
}

/// The kernel's `struct sigaction`: handler, flags, and from there on fields that differ between architectures and are
/// all zero here.
type Action = [usize; 4];

/// Bytes in the kernel's signal set.
pub(crate) const SET_SIZE: usize = 8;

pub(crate) fn is_changeable(signal: i32) -> bool {
    signal != libc::SIGKILL && signal != libc::SIGSTOP
}

pub(crate) fn set(signal: i32, disposition: Disposition) -> nix::Result<()> {
    let action: Action = match disposition {
        Disposition::Default => [libc::SIG_DFL, 0, 0, 0],
        Disposition::DefaultWithoutStops => [libc::SIG_DFL, libc::SA_NOCLDSTOP as usize, 0, 0],
    };
    let old: *mut Action = null_mut();
    // SAFETY: the structure is at least as large as any architecture's, and its handler runs no code; nothing is
    // written back.
    let r =
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), old, SET_SIZE) };
    Errno::result(r).map(drop)
}

/// Blocks all signals.
pub(crate) fn block_all() -> nix::Result<()> {
    let set = u64::MAX;
    let old: *mut u64 = null_mut();
    // SAFETY: the set lives through the call; nothing is written back.
    let r = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const set, old, SET_SIZE)
    };
    Errno::result(r).map(drop)
}
