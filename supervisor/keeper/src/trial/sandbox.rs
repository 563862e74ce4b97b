//! Landlock (kernel documentation: userspace-api/landlock): a process gives up rights to files, for itself and its children.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: libc::c_uint = 1;

/// `LANDLOCK_ACCESS_FS_READ_FILE`.
const READ_FILE: u64 = 1 << 2;

/// The first version of `struct landlock_ruleset_attr`.
#[repr(C)]
struct Ruleset {
    handled_access_fs: u64,
}

/// The version of the interface. `ENOSYS`: the kernel has none. `EOPNOTSUPP`: it is switched off.
pub(super) fn abi() -> nix::Result<u32> {
    let none: *const Ruleset = std::ptr::null();
    // SAFETY: with this flag the kernel takes no structure: null and zero are what it asks for.
    let version = Errno::result(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION)
    })?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// This process can open no file for reading from now on. It must have no way to more rights (`no_new_privs`).
pub(super) fn close_all_files() -> nix::Result<()> {
    let rules = Ruleset { handled_access_fs: READ_FILE };
    // SAFETY: the structure lives through the call and is as long as is said.
    let fd = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const rules,
            size_of::<Ruleset>(),
            0 as libc::c_uint,
        )
    })?;
    // SAFETY: on success the descriptor is ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: takes two integers.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_landlock_restrict_self, fd.as_raw_fd(), 0 as libc::c_uint)
    })
    .map(drop)
}
