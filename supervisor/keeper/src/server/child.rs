//! What happens between fork and exec, in order.
//!
//! The child is a copy of a single-threaded process, but even so nothing here allocates: everything was prepared by
//! the parent. A step that fails is reported by number and errno through the close-on-exec pipe; `exec` closes it.

use std::ffi::{CStr, c_char};
use std::os::fd::RawFd;
use std::ptr::null_mut;

use nix::errno::Errno;

use crate::order::{Credentials, Rlimit, Step};
use crate::switches::Hold;
use crate::sys::signals::{self, Disposition};

/// All that a child needs; lives in the parent's memory, and so in its copy.
pub(super) struct ChildPlan<'a> {
    /// The keeper's number.
    pub(super) parent: i32,
    /// The end of the pipe to write to.
    pub(super) pipe: RawFd,
    /// To write `0` into, where the child could not be born in its cgroup.
    pub(super) door: Option<RawFd>,
    pub(super) subreaper: bool,
    pub(super) stdio: [RawFd; 3],
    pub(super) extra: &'a mut [(RawFd, RawFd)],
    pub(super) cwd: Option<&'a CStr>,
    pub(super) umask: Option<u32>,
    pub(super) rlimits: &'a [Rlimit],
    pub(super) user: Option<&'a Credentials>,
    pub(super) no_new_privs: bool,
    pub(super) program: &'a CStr,
    /// Ends with a null pointer, as does `envp`.
    pub(super) argv: &'a [*const c_char],
    pub(super) envp: &'a [*const c_char],
    pub(super) hold: Hold,
}

/// Bytes of a failure in the pipe: step and errno.
pub(super) const FAILURE_SIZE: usize = 8;

/// Reads a failure back.
pub(super) fn failure(bytes: [u8; FAILURE_SIZE]) -> (Step, i32) {
    let [a, b, c, d, errno @ ..] = bytes;
    let step = Step::from_number(u32::from_ne_bytes([a, b, c, d]).into()).unwrap_or(Step::Exec);
    (step, i32::from_ne_bytes(errno))
}

/// Sets the child up and executes the program.
///
/// # Safety
///
/// Only in a child that has just been forked from a process with one thread. The pointers in `argv` and `envp` are
/// valid texts.
pub(super) unsafe fn run(mut plan: ChildPlan<'_>) -> ! {
    // SAFETY: the caller's promise is passed on.
    let Err((step, errno)) = unsafe { steps(&mut plan) };
    let mut bytes = [0; FAILURE_SIZE];
    bytes[..4].copy_from_slice(&(step as u32).to_ne_bytes());
    bytes[4..].copy_from_slice(&(errno as i32).to_ne_bytes());
    // SAFETY: the buffer is live; so few bytes go into an empty pipe in one piece. `_exit` runs no destructors.
    unsafe {
        libc::write(plan.pipe, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(127);
    }
}

enum Never {}

/// # Safety
///
/// As for [`run`].
unsafe fn steps(plan: &mut ChildPlan<'_>) -> Result<Never, (Step, Errno)> {
    let check = |step: Step, result: i32| Errno::result(result).map_err(|e| (step, e));
    // SAFETY: for this whole block: system calls on descriptors and texts that the plan holds and that stay valid in
    // this copy of the parent's memory; no allocation, no lock, no destructor of the parent's values.
    unsafe {
        if let Some(door) = plan.door {
            check(Step::Cgroup, libc::write(door, c"0".as_ptr().cast(), 1) as i32)?;
        }
        hold_if(plan.hold == Hold::BeforeSession);
        check(Step::Session, libc::setsid())?;
        if plan.subreaper {
            check(Step::Subreaper, libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
        }
        place_descriptors(plan).map_err(|e| (Step::Stdio, e))?;
        default_signals().map_err(|e| (Step::Signals, e))?;
        if let Some(cwd) = plan.cwd {
            check(Step::Cwd, libc::chdir(cwd.as_ptr()))?;
        }
        if let Some(umask) = plan.umask {
            libc::umask(umask);
        }
        for limit in plan.rlimits {
            let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
            let old: *mut libc::rlimit64 = null_mut();
            let r = libc::syscall(libc::SYS_prlimit64, 0, limit.resource, &raw const new, old);
            check(Step::Rlimits, r as i32)?;
        }
        if let Some(user) = plan.user {
            check(Step::Groups, libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
            check(Step::Gid, libc::setresgid(user.gid, user.gid, user.gid))?;
            check(Step::Uid, libc::setresuid(user.uid, user.uid, user.uid))?;
        }
        if plan.no_new_privs {
            check(Step::NoNewPrivs, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        }
        // After the change of user, which clears it.
        check(Step::Pdeathsig, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() != plan.parent {
            return Err((Step::Pdeathsig, Errno::ESRCH));
        }
        hold_if(plan.hold == Hold::BeforeExec);
        let flags = libc::CLOSE_RANGE_CLOEXEC as i32;
        check(Step::CloseFds, libc::close_range(3, libc::c_uint::MAX, flags))?;
        for &(_, target) in plan.extra.iter() {
            check(Step::CloseFds, libc::fcntl(target, libc::F_SETFD, 0))?;
        }
        check(
            Step::Exec,
            libc::execve(plan.program.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr()),
        )?;
        Err((Step::Exec, Errno::UnknownErrno))
    }
}

/// Puts the passed descriptors where the program expects them. Sources and targets may overlap, so everything is first
/// lifted above the highest target.
///
/// # Safety
///
/// As for [`run`].
unsafe fn place_descriptors(plan: &mut ChildPlan<'_>) -> nix::Result<()> {
    let highest = plan.extra.iter().map(|&(_, target)| target).max().unwrap_or(2);
    // SAFETY: duplicates descriptors of this process; see `steps`.
    unsafe {
        let lift = |fd: RawFd| Errno::result(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, highest + 1));
        if highest > 2 {
            plan.pipe = lift(plan.pipe)?;
            for fd in &mut plan.stdio {
                *fd = lift(*fd)?;
            }
            for (fd, _) in plan.extra.iter_mut() {
                *fd = lift(*fd)?;
            }
        }
        for (target, &fd) in (0..).zip(&plan.stdio) {
            Errno::result(libc::dup2(fd, target))?;
        }
        for &(fd, target) in plan.extra.iter() {
            Errno::result(libc::dup2(fd, target))?;
        }
    }
    Ok(())
}

/// Default dispositions, then an empty mask: what has come since the fork is delivered here, with its default action.
fn default_signals() -> nix::Result<()> {
    for signal in signals::ALL.filter(|&signal| signals::is_changeable(signal)) {
        signals::set(signal, Disposition::Default)?;
    }
    signals::block_all(false)
}

fn hold_if(held: bool) {
    if held {
        loop {
            // SAFETY: waits for a signal; before the dispositions are reset, that can only be SIGKILL.
            unsafe { libc::pause() };
        }
    }
}
