//! Making, waiting for and marking processes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;

use crate::order::{ExitStatus, Rusage};
use crate::sys::raw::{CloneArgs, clone_sharing};

/// Makes this process the one that its orphaned descendants land on (`PR_SET_CHILD_SUBREAPER`). It survives `exec`
/// and is not inherited by children.
pub fn become_subreaper() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Closes `/proc/PID/{fd,environ,mem,…}` of this process to others of its user, and with it to its plugins.
pub fn set_non_dumpable() -> nix::Result<()> {
    nix::sys::prctl::set_dumpable(false)
}

/// The two sides of a fork.
pub(crate) enum Forked {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks; the pidfd is made in the same step, and the child is born in the cgroup.
///
/// Container runtimes refuse `clone3` with `ENOSYS` because they cannot look into its arguments. `ENOSYS` is returned
/// as it is when a cgroup was asked for: then the caller has another way to join it. Otherwise plain `fork` is used.
///
/// # Safety
///
/// As for fork(2): in a process with more than one thread the child may only do what is async-signal-safe until it
/// calls `exec` or `_exit`.
pub(crate) unsafe fn fork(cgroup: Option<BorrowedFd<'_>>) -> nix::Result<Forked> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no stack is given and no memory shared, so that the child runs on a copy of this one, as after fork(2);
    // the arguments live through the call. The rest is the caller's promise.
    let r = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match Errno::result(r) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) => {
            // SAFETY: on success the kernel has put a descriptor that is ours into `pidfd`.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: pid as i32, pidfd })
        }
        // SAFETY: the caller's promise.
        Err(Errno::ENOSYS) if cgroup.is_none() => unsafe { fork_without_clone3() },
        Err(e) => Err(e),
    }
}

/// The stack of a child that runs in this process's memory until it calls `exec`. Given back only when the child is known to have left: see [`Loan`].
pub(crate) struct Stack {
    base: *mut libc::c_void,
}

impl Stack {
    /// Bytes. A few frames of plain system calls; in a build without optimisation they are larger.
    const SIZE: usize = 64 * 1024;
    /// Below it, so that growing too far ends the child and overwrites nothing.
    const GUARD: usize = 4096;

    pub(crate) fn new() -> nix::Result<Stack> {
        let size = Stack::GUARD + Stack::SIZE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let stack = Stack { base };
        // SAFETY: the first page of what has just been mapped.
        Errno::result(unsafe { libc::mprotect(base, Stack::GUARD, libc::PROT_NONE) })?;
        Ok(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this size; nobody runs on it any more.
        unsafe { libc::munmap(self.base, Stack::GUARD + Stack::SIZE) };
    }
}

/// What a child was given to run with. Where it shares this process's memory, that has to stay until it has called
/// `exec` or is dead: dropped earlier, it is not given back at all.
pub(crate) struct Loan<T> {
    plan: *mut T,
    stack: Option<Stack>,
}

impl<T> Loan<T> {
    /// Gives the memory back, and the stack for another use.
    ///
    /// # Safety
    ///
    /// The child has called `exec` with success, or has ended.
    pub(crate) unsafe fn return_it(mut self) -> Option<Stack> {
        // SAFETY: made by `Box::into_raw`, and the child is gone: the caller's promise.
        drop(unsafe { Box::from_raw(std::mem::replace(&mut self.plan, std::ptr::null_mut())) });
        self.stack.take()
    }
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        // Somebody may still run on it.
        std::mem::forget(self.stack.take());
    }
}

/// Starts a child that runs `entry(plan)`. With a stack it shares this process's memory until it calls `exec`, where the
/// kernel allows it; else it has a copy. The pidfd is made in the same step, and the child is born in the cgroup.
///
/// `ENOSYS` is as for [`fork`].
///
/// # Safety
///
/// This process has one thread, and every signal is blocked. `entry` makes no calls but those of [`raw`](super::raw),
/// touches nothing but the plan, and does not return.
pub(crate) unsafe fn start<T>(
    cgroup: Option<BorrowedFd<'_>>,
    entry: unsafe extern "C" fn(*mut ()) -> !,
    plan: Box<T>,
    stack: Option<Stack>,
) -> nix::Result<(i32, OwnedFd, Loan<T>)> {
    let loan = Loan { plan: Box::into_raw(plan), stack };
    let Some(stack) = &loan.stack else {
        // SAFETY: the caller's promise, and the copy holds a copy of the plan.
        return unsafe { start_in_a_copy(cgroup, entry, loan) };
    };
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD | libc::CLONE_VM as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.base as u64 + Stack::GUARD as u64,
        stack_size: Stack::SIZE as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the caller's promise; plan and stack live as long as the loan says.
    match unsafe { clone_sharing(&args, entry, loan.plan.cast()) } {
        Ok(pid) => {
            // SAFETY: on success the kernel has put a descriptor that is ours into `pidfd`.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok((pid, pidfd, loan))
        }
        // SAFETY: as above.
        Err(Errno::ENOSYS) if cgroup.is_none() => unsafe { start_in_a_copy(None, entry, loan) },
        Err(e) => {
            // SAFETY: there is no child.
            drop(unsafe { loan.return_it() });
            Err(e)
        }
    }
}

/// # Safety
///
/// As for [`start`].
unsafe fn start_in_a_copy<T>(
    cgroup: Option<BorrowedFd<'_>>,
    entry: unsafe extern "C" fn(*mut ()) -> !,
    loan: Loan<T>,
) -> nix::Result<(i32, OwnedFd, Loan<T>)> {
    // SAFETY: the caller's promise.
    match unsafe { fork(cgroup) } {
        // SAFETY: the caller's promise.
        Ok(Forked::Child) => unsafe { entry(loan.plan.cast()) },
        Ok(Forked::Parent { pid, pidfd }) => Ok((pid, pidfd, loan)),
        Err(e) => {
            // SAFETY: there is no child.
            drop(unsafe { loan.return_it() });
            Err(e)
        }
    }
}

/// The way for where `clone3` is refused.
///
/// # Safety
///
/// As for [`fork`].
pub(crate) unsafe fn fork_without_clone3() -> nix::Result<Forked> {
    // SAFETY: the caller's promise.
    let pid = Errno::result(unsafe { libc::fork() })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    match crate::pidfd::Pidfd::open(pid as u32) {
        Ok(pidfd) => Ok(Forked::Parent { pid, pidfd: pidfd.into() }),
        Err(e) => {
            // Without a pidfd nobody could watch it; it has not run anything yet.
            // SAFETY: it is this process's child and has not been waited for, so the number is its own.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
            Err(e)
        }
    }
}

/// How a child ended, without reaping it, so that its number stays taken. `None` while it lives.
pub(crate) fn peek_exit(pidfd: impl AsFd) -> nix::Result<Option<ExitStatus>> {
    // SAFETY: all zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let fd = pidfd.as_fd().as_raw_fd() as libc::id_t;
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is live and writable.
    Errno::result(unsafe { libc::waitid(libc::P_PIDFD, fd, &raw mut info, flags) })?;
    // SAFETY: waitid has filled the fields for SIGCHLD, or left everything zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(match info.si_code {
        libc::CLD_EXITED => ExitStatus::Code(status),
        code => ExitStatus::Signal { signal: status, core: code == libc::CLD_DUMPED, oom: false },
    }))
}

/// Reaps a child if it has ended; `ECHILD` if somebody else has.
pub(crate) fn reap_by_pidfd(pidfd: impl AsFd) -> nix::Result<()> {
    // SAFETY: all zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let fd = pidfd.as_fd().as_raw_fd() as libc::id_t;
    let flags = libc::WEXITED | libc::WNOHANG;
    // SAFETY: `info` is live and writable.
    Errno::result(unsafe { libc::waitid(libc::P_PIDFD, fd, &raw mut info, flags) }).map(drop)
}

/// One of this process's ended children, without reaping it. It is the same one until it is reaped.
/// `ECHILD` when there are no children at all.
pub(crate) fn peek_any() -> nix::Result<Option<i32>> {
    // SAFETY: all zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is live and writable.
    Errno::result(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) })?;
    // SAFETY: waitid has filled the fields for SIGCHLD, or left everything zero.
    let pid = unsafe { info.si_pid() };
    Ok((pid != 0).then_some(pid))
}

/// Reaps one child if it has ended; `Ok(None)` while it lives.
pub(crate) fn reap(pid: i32) -> nix::Result<Option<Rusage>> {
    // SAFETY: all zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a null status is allowed; `usage` is live and writable.
    let r = unsafe { libc::wait4(pid, std::ptr::null_mut(), libc::WNOHANG, &raw mut usage) };
    Ok((Errno::result(r)? != 0).then(|| Rusage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }))
}

fn duration(t: libc::timeval) -> Duration {
    Duration::new(
        u64::try_from(t.tv_sec).unwrap_or(0),
        u32::try_from(t.tv_usec).unwrap_or(0).saturating_mul(1000),
    )
}

/// Signals the group that `pid` leads. The caller must hold `pid` unreaped, else the number may be somebody else's.
pub(crate) fn signal_group(pid: i32, signal: i32) {
    // SAFETY: kill(2) touches no memory. An empty group is ESRCH, and what there is no right to signal is EPERM:
    // both are what a sweep finds out by itself.
    unsafe { libc::kill(-pid, signal) };
}

/// Signals one process. The caller must hold `pid` unreaped.
pub(crate) fn signal(pid: i32, signal: i32) {
    // SAFETY: as for `signal_group`.
    unsafe { libc::kill(pid, signal) };
}

/// Real-time scheduling while a tree is swept, where that is allowed: a sweeper that shares the processor equally
/// with hundreds of forkers does not catch up. Children do not inherit it (`SCHED_RESET_ON_FORK`).
pub(crate) fn boost(on: bool) {
    let (policy, priority) = if on { (libc::SCHED_RR, 1) } else { (libc::SCHED_OTHER, 0) };
    // SAFETY: all zero is a valid sched_param.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = priority;
    // SAFETY: `param` lives through the call. A refusal (no CAP_SYS_NICE) leaves everything as it was.
    unsafe { libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &raw const param) };
}

/// Ends this process at once: an embedding application's exit handlers are not the keeper's business.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: never returns; everything that must be done is done.
    unsafe { libc::_exit(code) }
}
