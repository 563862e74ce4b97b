//! What happens between clone and exec, in order.
//!
//! The child runs in its parent's memory where the machine allows it: copying that costs more than all the rest of a
//! start. So nothing here allocates, calls the C library, or writes to anything but the plan and its own stack;
//! everything was prepared by the parent, which keeps it until the child has left for its program. A step that fails
//! is reported by number and errno through the close-on-exec pipe; `exec` closes it.

use std::ffi::c_char;
use std::os::fd::RawFd;

use nix::errno::Errno;

use crate::order::{Credentials, Rlimit, Step};
use crate::switches::Hold;
use crate::sys::raw::call;
use crate::sys::signals::SET_SIZE;

/// All that a child needs.
pub(super) struct ChildPlan {
    /// What the texts below point into.
    #[expect(dead_code, reason = "kept for the pointers")]
    pub(super) texts: Vec<u8>,
    /// The keeper's number.
    pub(super) parent: i32,
    /// The end of the pipe to write to.
    pub(super) pipe: RawFd,
    /// To write `0` into, where the child could not be born in its cgroup.
    pub(super) door: Option<RawFd>,
    pub(super) subreaper: bool,
    pub(super) stdio: [RawFd; 3],
    pub(super) extra: Vec<(RawFd, RawFd)>,
    pub(super) cwd: Option<*const c_char>,
    pub(super) umask: Option<u32>,
    pub(super) rlimits: Vec<Rlimit>,
    pub(super) user: Option<Credentials>,
    pub(super) no_new_privs: bool,
    pub(super) program: *const c_char,
    /// Ends with a null pointer, as does `envp`.
    pub(super) argv: Vec<*const c_char>,
    pub(super) envp: Vec<*const c_char>,
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
/// Only in a child that has just been cloned from a process with one thread; `plan` is a [`ChildPlan`] that nobody
/// else touches, whose pointers are valid texts.
pub(super) unsafe extern "C" fn run(plan: *mut ()) -> ! {
    // SAFETY: the caller's promise.
    let plan = unsafe { &mut *plan.cast::<ChildPlan>() };
    // SAFETY: the caller's promise.
    let Err((step, errno)) = unsafe { steps(plan) };
    let failure = [step as i32, errno as i32];
    loop {
        // SAFETY: the buffer is live; so few bytes go into an empty pipe in one piece.
        unsafe {
            call(
                libc::SYS_write,
                [plan.pipe as usize, failure.as_ptr() as usize, FAILURE_SIZE, 0, 0],
            )
            .ok();
            call(libc::SYS_exit_group, [127, 0, 0, 0, 0]).ok();
        }
    }
}

enum Never {}

/// # Safety
///
/// As for [`run`].
unsafe fn steps(plan: &mut ChildPlan) -> Result<Never, (Step, Errno)> {
    let make = |step: Step, number, args| {
        // SAFETY: each is a call on descriptors and texts that the plan holds.
        unsafe { call(number, args) }.map_err(|e| (step, e))
    };
    let prctl = |step, option: i32, value: usize| {
        make(step, libc::SYS_prctl, [option as usize, value, 0, 0, 0])
    };
    if let Some(door) = plan.door {
        make(Step::Cgroup, libc::SYS_write, [door as usize, c"0".as_ptr() as usize, 1, 0, 0])?;
    }
    hold_if(plan.hold == Hold::BeforeSession);
    make(Step::Session, libc::SYS_setsid, [0; 5])?;
    if plan.subreaper {
        prctl(Step::Subreaper, libc::PR_SET_CHILD_SUBREAPER, 1)?;
    }
    place_descriptors(plan).map_err(|e| (Step::Stdio, e))?;
    default_signals().map_err(|e| (Step::Signals, e))?;
    if let Some(cwd) = plan.cwd {
        make(Step::Cwd, libc::SYS_chdir, [cwd as usize, 0, 0, 0, 0])?;
    }
    if let Some(umask) = plan.umask {
        make(Step::Session, libc::SYS_umask, [umask as usize, 0, 0, 0, 0])?;
    }
    for limit in &plan.rlimits {
        let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
        let args = [0, limit.resource as usize, &raw const new as usize, 0, 0];
        make(Step::Rlimits, libc::SYS_prlimit64, args)?;
    }
    if let Some(user) = &plan.user {
        let groups = [user.groups.len(), user.groups.as_ptr() as usize, 0, 0, 0];
        let (uid, gid) = (user.uid as usize, user.gid as usize);
        make(Step::Groups, libc::SYS_setgroups, groups)?;
        make(Step::Gid, libc::SYS_setresgid, [gid, gid, gid, 0, 0])?;
        make(Step::Uid, libc::SYS_setresuid, [uid, uid, uid, 0, 0])?;
    }
    if plan.no_new_privs {
        prctl(Step::NoNewPrivs, libc::PR_SET_NO_NEW_PRIVS, 1)?;
    }
    // After the change of user, which clears it.
    prctl(Step::Pdeathsig, libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize)?;
    if make(Step::Pdeathsig, libc::SYS_getppid, [0; 5])? != plan.parent as usize {
        return Err((Step::Pdeathsig, Errno::ESRCH));
    }
    hold_if(plan.hold == Hold::BeforeExec);
    let from_three = [3, libc::c_uint::MAX as usize, libc::CLOSE_RANGE_CLOEXEC as usize, 0, 0];
    make(Step::CloseFds, libc::SYS_close_range, from_three)?;
    for &(_, target) in &plan.extra {
        make(Step::CloseFds, libc::SYS_fcntl, [target as usize, libc::F_SETFD as usize, 0, 0, 0])?;
    }
    let (argv, envp) = (plan.argv.as_ptr() as usize, plan.envp.as_ptr() as usize);
    make(Step::Exec, libc::SYS_execve, [plan.program as usize, argv, envp, 0, 0])?;
    Err((Step::Exec, Errno::UnknownErrno))
}

/// Puts the passed descriptors where the program expects them. Sources and targets may overlap, so everything is first
/// lifted above the highest target. (Without further descriptors nothing overlaps: the keeper's own 0 to 2 are taken.)
fn place_descriptors(plan: &mut ChildPlan) -> nix::Result<()> {
    let highest = plan.extra.iter().map(|&(_, target)| target).max().unwrap_or(2);
    let lift = |fd: RawFd| {
        let from = (highest + 1) as usize;
        let args = [fd as usize, libc::F_DUPFD_CLOEXEC as usize, from, 0, 0];
        // SAFETY: duplicates a descriptor of this process.
        unsafe { call(libc::SYS_fcntl, args) }.map(|fd| fd as RawFd)
    };
    let place = |fd: RawFd, target: RawFd| {
        // SAFETY: duplicates a descriptor of this process.
        unsafe { call(libc::SYS_dup3, [fd as usize, target as usize, 0, 0, 0]) }.map(drop)
    };
    if highest > 2 {
        plan.pipe = lift(plan.pipe)?;
        for fd in &mut plan.stdio {
            *fd = lift(*fd)?;
        }
        for (fd, _) in &mut plan.extra {
            *fd = lift(*fd)?;
        }
    }
    for (target, &fd) in (0..).zip(&plan.stdio) {
        place(fd, target)?;
    }
    for &(fd, target) in &plan.extra {
        place(fd, target)?;
    }
    Ok(())
}

/// An empty mask: what has come since the clone is delivered here. Dispositions are the keeper's, which are the default
/// ones, save a flag of SIGCHLD.
fn default_signals() -> nix::Result<()> {
    let action = [0_usize; 4];
    let nothing = 0_u64;
    let chld = [libc::SIGCHLD as usize, action.as_ptr() as usize, 0, SET_SIZE, 0];
    let mask = [libc::SIG_SETMASK as usize, &raw const nothing as usize, 0, SET_SIZE, 0];
    // SAFETY: both structures live through their calls, and an action of zeros is the default one.
    unsafe {
        call(libc::SYS_rt_sigaction, chld)?;
        call(libc::SYS_rt_sigprocmask, mask)?;
    }
    Ok(())
}

fn hold_if(held: bool) {
    if held {
        loop {
            // SAFETY: waits for a signal that ends it, on nothing.
            unsafe { call(libc::SYS_ppoll, [0; 5]) }.ok();
        }
    }
}
