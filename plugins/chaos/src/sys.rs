//! The system calls, each under a safe name. All `unsafe` of this program is here.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

/// Our own descriptors are moved up here, out of the way of `close` and of what tests count.
pub(crate) const OWN_DESCRIPTORS: RawFd = 500;

/// What a signal does.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Default,
    Ignore,
}

pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(status) }
}

/// Prints a line about ourselves; where it cannot be printed nobody needs it.
pub(crate) fn complain(problem: &str) {
    write_all(2, format!("chaos: {problem}\n").as_bytes());
}

/// Writes everything, or stops at the first error: a script may well have closed `fd`.
pub(crate) fn write_all(fd: RawFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are those of a live slice.
        let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) => bytes = &bytes[written..],
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Reads what is there. Zero is end of file, and so is a descriptor that was closed.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> usize {
    loop {
        // SAFETY: the pointer and the length are those of a live slice that we may write to.
        let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(count) {
            Ok(count) => return count,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return 0,
        }
    }
}

/// Tries what a debugger may do to a process: what was tried, and `granted` or `refused`.
pub(crate) fn pry(pid: i32) -> [(&'static str, &'static str); 3] {
    // SAFETY: plain system calls; the requests take no pointers.
    let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } == 0;
    if attached {
        // SAFETY: as above. One that was seized can only be let go where it stands.
        unsafe {
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
            libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
            libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
        }
    }
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).is_ok();
    let said = |granted| if granted { "granted" } else { "refused" };
    [
        ("attach", said(attached)),
        ("memory", said(memory)),
        ("descriptor", said(copy_of(pid, 1).is_ok())),
    ]
}

/// A copy of what another process has open.
pub(crate) fn copy_of(pid: i32, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: both calls take numbers only; what they give is ours.
    unsafe {
        let pidfd = owned(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        owned(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0))
    }
}

/// # Safety
///
/// A descriptor that was just made, or an error.
unsafe fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(fd) {
        // SAFETY: the caller's promise.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(crate) fn close(fd: RawFd) {
    // SAFETY: closing any number is defined. Scripts name descriptors that no Rust value owns
    // (0, 1, 2 and what was inherited); our own are above `OWN_DESCRIPTORS`.
    unsafe { libc::close(fd) };
}

/// Waits until one of `fds` can be read, or has ended, or is not open. `timeout` is in milliseconds,
/// −1 for ever. `lifeline`, if given, only counts when its other end is closed.
///
/// Returns for each whether it is ready, and whether the lifeline has closed.
pub(crate) fn poll(fds: &[RawFd], lifeline: Option<RawFd>, timeout: i32) -> (Vec<bool>, bool) {
    let entry = |fd, events| libc::pollfd { fd, events, revents: 0 };
    let mut entries: Vec<_> = fds.iter().map(|&fd| entry(fd, libc::POLLIN)).collect();
    entries.push(entry(lifeline.unwrap_or(-1), 0));
    let count = entries.len() as libc::nfds_t;
    // SAFETY: `entries` is a live array of `count` elements. An error leaves all `revents` zero,
    // and the caller, who loops, asks again.
    unsafe { libc::poll(entries.as_mut_ptr(), count, timeout) };
    let mut ready: Vec<bool> = entries.iter().map(|entry| entry.revents != 0).collect();
    let gone = ready.pop() == Some(true);
    (ready, gone)
}

/// Opens `path` without waiting for its other end, close-on-exec, numbered out of the way.
pub(crate) fn open(path: &OsStr, flags: i32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_bytes())?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: `path` is a C string; the mode counts only with O_CREAT.
    let fd = cvt(unsafe { libc::open(path.as_ptr(), flags, 0o600) })?;
    // SAFETY: `fd` was opened above and belongs to nobody else.
    let low = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: duplicating a descriptor that we own.
    match cvt(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, OWN_DESCRIPTORS) }) {
        // SAFETY: the new number belongs to nobody else.
        Ok(high) => Ok(unsafe { OwnedFd::from_raw_fd(high) }),
        // A limit on open files below that number: then it stays where it is.
        Err(_) => Ok(low),
    }
}

/// Lets writes to `fd` wait for room again: [`open`] opened it so that opening would not wait.
pub(crate) fn set_blocking(fd: &OwnedFd) {
    // SAFETY: a flag change on a descriptor that we own.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, 0) };
}

/// Makes a FIFO; that there is something already is fine.
pub(crate) fn make_fifo(path: &OsStr) -> io::Result<()> {
    let path = CString::new(path.as_bytes())?;
    // SAFETY: `path` is a C string.
    match cvt(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

pub(crate) fn set_action(signal: i32, action: Action) {
    let handler = match action {
        Action::Default => libc::SIG_DFL,
        Action::Ignore => libc::SIG_IGN,
    };
    // SAFETY: neither disposition runs code of ours. KILL and STOP give an error, as they should.
    unsafe { libc::signal(signal, handler) };
}

/// Sends `signal` to this process, which waits here until it has arrived: for a moment, unless it kills.
pub(crate) fn raise(signal: i32) {
    // SAFETY: plain system calls; the set lives on this stack. The signal may be blocked by whoever
    // started us, and this step promises that it takes effect.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
}

/// Forks. This program has one thread, so the child may go on as any program would.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: there is no other thread that could hold a lock in the child.
    match cvt(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent { child: pid }),
    }
}

pub(crate) enum Fork {
    Child,
    Parent { child: i32 },
}

pub(crate) fn wait_for(child: i32) {
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

pub(crate) fn setsid() {
    // SAFETY: no arguments; a group leader gets an error and nothing changes.
    unsafe { libc::setsid() };
}

/// `pid ppid pgid sid uid gid umask`, in this order.
pub(crate) fn identity() -> [i64; 7] {
    // SAFETY: none of these touches memory. The mask is put back at once; there is one thread.
    unsafe {
        let mask = libc::umask(0o077);
        libc::umask(mask);
        [
            libc::getpid().into(),
            libc::getppid().into(),
            libc::getpgrp().into(),
            libc::getsid(0).into(),
            libc::getuid().into(),
            libc::getgid().into(),
            mask.into(),
        ]
    }
}

/// Seconds of the monotonic clock, for the one thing here that ends by itself.
pub(crate) fn seconds() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec
}

/// Overwrites the environment strings that the kernel gave us, where `/proc/PID/environ` reads them.
/// Nothing of this program looks at its environment after the start.
pub(crate) fn scrub_environment() {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: `environ` is a null-terminated array of C strings on the initial stack, which is
    // writable, and nobody changed it or holds a reference into it: there is one thread, and the
    // values were copied at the start.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let length = libc::strlen(*entry);
            std::ptr::write_bytes(*entry, 0, length);
            entry = entry.add(1);
        }
    }
}

/// Signal masks as the kernel prints them, from before this program changed any.
#[derive(Clone, Default)]
pub(crate) struct SignalSets {
    pub(crate) blocked: String,
    pub(crate) ignored: String,
    pub(crate) caught: String,
    pub(crate) groups: String,
}

impl SignalSets {
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        Self {
            blocked: field("SigBlk:"),
            ignored: field("SigIgn:"),
            caught: field("SigCgt:"),
            groups: field("Groups:"),
        }
    }
}

/// A signal's number, by name with or without `SIG`, or by number.
pub(crate) fn signal_number(name: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 26] = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ILL", libc::SIGILL),
        ("TRAP", libc::SIGTRAP),
        ("ABRT", libc::SIGABRT),
        ("BUS", libc::SIGBUS),
        ("FPE", libc::SIGFPE),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("SEGV", libc::SIGSEGV),
        ("USR2", libc::SIGUSR2),
        ("PIPE", libc::SIGPIPE),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("CHLD", libc::SIGCHLD),
        ("CONT", libc::SIGCONT),
        ("STOP", libc::SIGSTOP),
        ("TSTP", libc::SIGTSTP),
        ("TTIN", libc::SIGTTIN),
        ("TTOU", libc::SIGTTOU),
        ("XCPU", libc::SIGXCPU),
        ("XFSZ", libc::SIGXFSZ),
        ("VTALRM", libc::SIGVTALRM),
        ("WINCH", libc::SIGWINCH),
        ("SYS", libc::SIGSYS),
    ];
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let named = NAMES.iter().find(|(known, _)| *known == short).map(|&(_, number)| number);
    named.or_else(|| name.parse().ok().filter(|number| (1..=64).contains(number)))
}

fn cvt(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
