//! System calls that touch no memory but what they are given: no `errno`, no lock of the C library.
//!
//! A child that shares its parent's memory until `exec` may make no others: the C library's wrappers write `errno`,
//! and that lies in memory which the parent uses at the same moment.

use nix::errno::Errno;

/// Whether [`clone_sharing`] exists here. Elsewhere children get a copy of the memory, and the C library's calls.
pub(crate) const SHARES: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// The first version of `struct clone_args` that can join a cgroup (clone3(2), Linux 5.7).
#[repr(C)]
#[derive(Default)]
pub(super) struct CloneArgs {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

/// A call with up to five arguments.
///
/// # Safety
///
/// That of the call.
#[inline]
pub(crate) unsafe fn call(number: libc::c_long, args: [usize; 5]) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let r = unsafe { arch::call(number, args) };
    // The kernel answers with -4095 to -1 for errors.
    if (-4095..0).contains(&r) { Err(Errno::from_raw((-r) as i32)) } else { Ok(r.cast_unsigned()) }
}

/// `clone3` with the stack that `args` names, on which the child calls `entry(data)`. Gives the child's number.
///
/// # Safety
///
/// That of `clone3`. Where memory is shared, `data` and the stack live until the child has called `exec` or has
/// ended, and `entry` makes no calls but those of this module.
pub(super) unsafe fn clone_sharing(
    args: &CloneArgs,
    entry: unsafe extern "C" fn(*mut ()) -> !,
    data: *mut (),
) -> Result<i32, Errno> {
    // SAFETY: the caller's promise.
    let r = unsafe { arch::clone_sharing(args, entry, data) };
    if r < 0 { Err(Errno::from_raw((-r) as i32)) } else { Ok(r as i32) }
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::asm;

    use super::CloneArgs;

    pub(super) unsafe fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
        let mut r = number as isize;
        // SAFETY: the kernel's calling convention, syscall(2): it changes rcx and r11 alone.
        unsafe {
            asm!("syscall", inlateout("rax") r, in("rdi") a, in("rsi") b, in("rdx") c,
                in("r10") d, in("r8") e, lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        r
    }

    pub(super) unsafe fn clone_sharing(
        args: &CloneArgs,
        entry: unsafe extern "C" fn(*mut ()) -> !,
        data: *mut (),
    ) -> isize {
        let mut r = libc::SYS_clone3 as isize;
        // SAFETY: in the parent nothing changes but the result. The child has a fresh stack, aligned as a call wants
        // it, no frame above, and never comes back.
        unsafe {
            asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r9",
                "call r8",
                "ud2",
                "2:",
                inlateout("rax") r, in("rdi") args, in("rsi") size_of::<CloneArgs>(), in("r8") entry, in("r9") data,
                lateout("rcx") _, lateout("r11") _,
            );
        }
        r
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use std::arch::asm;

    use super::CloneArgs;

    pub(super) unsafe fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
        let r: isize;
        // SAFETY: the kernel's calling convention, syscall(2).
        unsafe {
            asm!("svc 0", in("x8") number, inlateout("x0") a => r, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
                options(nostack));
        }
        r
    }

    pub(super) unsafe fn clone_sharing(
        args: &CloneArgs,
        entry: unsafe extern "C" fn(*mut ()) -> !,
        data: *mut (),
    ) -> isize {
        let r: isize;
        // SAFETY: in the parent nothing changes but the result. The child has a fresh stack, no frame above, and never
        // comes back.
        unsafe {
            asm!(
                "svc 0",
                "cbnz x0, 2f",
                "mov x29, xzr",
                "mov x30, xzr",
                "mov x0, x10",
                "blr x9",
                "brk 1",
                "2:",
                in("x8") libc::SYS_clone3, inlateout("x0") args => r, in("x1") size_of::<CloneArgs>(),
                in("x9") entry, in("x10") data,
            );
        }
        r
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    use super::CloneArgs;

    /// In a copy of the memory `errno` is the child's own.
    pub(super) unsafe fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
        // SAFETY: the caller's promise.
        let r = unsafe { libc::syscall(number, a, b, c, d, e) } as isize;
        if r == -1 { -(nix::errno::Errno::last_raw() as isize) } else { r }
    }

    /// Unknown here: the caller goes the other way.
    pub(super) unsafe fn clone_sharing(
        _args: &CloneArgs,
        _entry: unsafe extern "C" fn(*mut ()) -> !,
        _data: *mut (),
    ) -> isize {
        -(libc::ENOSYS as isize)
    }
}
