//! Reading `/proc` without allocating for each file: a sweep reads thousands.

use std::ffi::CStr;
use std::fmt::{self, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

/// A `/proc` path on the stack.
pub(crate) struct ProcPath {
    bytes: [u8; ProcPath::CAPACITY],
    len: usize,
}

impl ProcPath {
    /// The longest is `/proc/4294967295/task/4294967295/children` and its NUL.
    const CAPACITY: usize = 64;

    pub(crate) fn new(path: fmt::Arguments<'_>) -> ProcPath {
        let mut it = ProcPath { bytes: [0; ProcPath::CAPACITY], len: 0 };
        it.write_fmt(path).expect("proc paths are shorter than the buffer");
        it
    }

    pub(crate) fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).expect("write_str leaves the last byte zero")
    }
}

impl Write for ProcPath {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        if end >= ProcPath::CAPACITY {
            return Err(fmt::Error);
        }
        self.bytes[self.len..end].copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// A buffer that is kept between files.
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        Reader { buffer: vec![0; 4096] }
    }

    /// The whole file. Errors are the kernel's: `ENOENT` and `ESRCH` when the process is gone.
    pub(crate) fn read(&mut self, path: &CStr) -> nix::Result<&[u8]> {
        let file = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        self.read_fd(file.as_fd())
    }

    /// What is left of an open file.
    pub(crate) fn read_fd(&mut self, file: impl AsFd) -> nix::Result<&[u8]> {
        let mut len = 0;
        loop {
            if len == self.buffer.len() {
                self.buffer.resize(len * 2, 0);
            }
            match read(file.as_fd(), &mut self.buffer[len..]) {
                Ok(0) => return Ok(&self.buffer[..len]),
                Ok(n) => len += n,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) fn stat(&mut self, pid: i32) -> Option<Stat> {
        let path = ProcPath::new(format_args!("/proc/{pid}/stat"));
        Stat::parse(self.read(path.as_cstr()).ok()?)
    }

    /// The environment of a process, as it is in its memory now.
    pub(crate) fn environ(&mut self, pid: i32) -> nix::Result<&[u8]> {
        let path = ProcPath::new(format_args!("/proc/{pid}/environ"));
        self.read(path.as_cstr())
    }
}

/// The fields of `/proc/PID/stat` that are used here (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: State,
    pub(crate) ppid: i32,
    pub(crate) session: i32,
    flags: u64,
    pub(crate) threads: u32,
    /// Clock ticks since boot. Together with the number, the identity of a process.
    pub(crate) start: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Runs, sleeps, or waits where it can be interrupted.
    Running,
    /// Uninterruptible: a device, or the child of its own `vfork`.
    Uninterruptible,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Ended and not yet waited for.
    Ended,
}

impl Stat {
    /// `PF_FORKNOEXEC` of the kernel's `sched.h`: forked, and no `exec` since. Still there in a zombie.
    const FORKED_ONLY: u64 = 0x40;

    pub(crate) fn parse(text: &[u8]) -> Option<Stat> {
        // The name may hold anything, blanks and brackets included; the last bracket ends it.
        let after = text.iter().rposition(|&b| b == b')')? + 2;
        let mut fields = text.get(after..)?.split(|&b| b == b' ');
        let state = match fields.next()?.first()? {
            b'Z' | b'X' | b'x' => State::Ended,
            b'T' | b't' => State::Stopped,
            b'D' => State::Uninterruptible,
            _ => State::Running,
        };
        let ppid = number(fields.next()?)?;
        let session = number(fields.nth(1)?)?;
        let flags = number(fields.nth(2)?)?;
        let threads = number(fields.nth(10)?)?;
        let start = number(fields.nth(1)?)?;
        Some(Stat { state, ppid, session, flags, threads, start })
    }

    /// Nothing of it can run any more. A leading thread that has ended while others live shows as ended, too.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Ended && self.threads <= 1
    }

    pub(crate) fn has_execed(&self) -> bool {
        self.flags & Stat::FORKED_ONLY == 0
    }
}

pub(crate) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

/// The value of `NAME=` in an environment block; `name` includes the equals sign.
pub(crate) fn variable<'a>(environ: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    environ.split(|&b| b == 0).find_map(|entry| entry.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = b"77 (a) S 1 (b) c) T 5 77 66 0 -1 4194368 1 2 3 4 5 6 7 8 20 0 3 0 9876 1 1";
        let stat = Stat::parse(line).expect("a whole line");
        assert_eq!(stat.state, State::Stopped);
        assert_eq!((stat.ppid, stat.session, stat.threads, stat.start), (5, 66, 3, 9876));
        assert!(!stat.has_execed());
    }

    #[test]
    fn a_cut_line_is_nobody() {
        assert_eq!(Stat::parse(b"77 (a) S 1 2"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn this_process_is_its_own_witness() {
        let me = std::process::id() as i32;
        let stat = Reader::new().stat(me).expect("own stat");
        assert!(stat.has_execed());
        assert_eq!(stat.ppid, nix::unistd::getppid().as_raw());
        assert!(!stat.is_over());
    }

    #[test]
    fn a_variable_is_found_whole_and_only_at_the_start_of_an_entry() {
        let block = b"XRUN=no\0RUN=yes\0RUN=later\0";
        assert_eq!(variable(block, b"RUN="), Some(&b"yes"[..]));
        assert_eq!(variable(block, b"UN="), None);
    }
}
