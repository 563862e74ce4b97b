//! The witness process: one thread, one poll.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::below::{descendants, look_at};
use super::protocol::{Answer, Ended, Moment, Order, Request};
use super::start::{Terminal, start};
use crate::clock::{Deadline, Stopwatch};

/// How long the end may take. A process that outlives it cannot be killed by anybody.
const LAST_BOUND: Duration = Duration::from_secs(20);

/// Between two looks at what is left, when nothing tells of a change.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Serves orders from standard input until its end, or until the test dies; then ends everything below.
///
/// # Errors
///
/// When the process cannot be made a witness at all.
pub fn serve() -> io::Result<()> {
    // SAFETY: plain system calls.
    unsafe {
        // A keyboard interrupt is for the tests, which end us by closing our input.
        libc::setsid();
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) != 0
            || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    let mut server = Server::new()?;
    while server.turn()? {}
    server.end()
}

struct Server {
    clock: Stopwatch,
    signals: OwnedFd,
    /// Not the standard handle: its buffer would keep bytes of which `poll` knows nothing.
    orders: File,
    /// Bytes of an order that is not complete yet.
    input: Vec<u8>,
    started: HashMap<u32, Option<Ended>>,
    terminals: HashMap<u32, Terminal>,
    /// Orders that wait for an exit.
    exits: Vec<(u64, u32)>,
    /// Orders that wait until nothing is left.
    empties: Vec<u64>,
    /// Signals to be sent at a moment: its microsecond, the order, whom, what.
    later: BTreeMap<(u64, u64), (u32, i32)>,
}

impl Server {
    fn new() -> io::Result<Self> {
        Ok(Self {
            clock: Stopwatch::new(),
            signals: signal_descriptor()?,
            orders: io::stdin().as_fd().try_clone_to_owned()?.into(),
            input: Vec::new(),
            started: HashMap::new(),
            terminals: HashMap::new(),
            exits: Vec::new(),
            empties: Vec::new(),
            later: BTreeMap::new(),
        })
    }

    /// Waits for one thing and handles it; false when it is time to end.
    fn turn(&mut self) -> io::Result<bool> {
        let terminals: Vec<(u32, RawFd)> =
            self.terminals.iter().map(|(pid, t)| (*pid, t.master.as_raw_fd())).collect();
        let mut fds = vec![entry(self.orders.as_raw_fd()), entry(self.signals.as_raw_fd())];
        fds.extend(terminals.iter().map(|(_, fd)| entry(*fd)));
        wait(&mut fds, self.until_next());
        self.send_due();
        for ((pid, _), entry) in terminals.iter().zip(&fds[2..]) {
            if entry.revents != 0 {
                self.copy_screen(*pid);
            }
        }
        if fds[1].revents != 0 {
            if take_signals(&self.signals).contains(&libc::SIGTERM) {
                return Ok(false);
            }
            self.reap();
        }
        if fds[0].revents != 0 { self.read_orders() } else { Ok(true) }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn until_next(&self) -> Option<Duration> {
        let ((at, _), _) = self.later.first_key_value()?;
        Some(Duration::from_micros(at.saturating_sub(self.now_us())))
    }

    fn read_orders(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let read = self.orders.read(&mut buffer)?;
        if read == 0 {
            return Ok(false);
        }
        self.input.extend_from_slice(&buffer[..read]);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let Request { id, order } = serde_json::from_slice(&line)?;
            self.obey(id, order)?;
        }
        Ok(true)
    }

    fn obey(&mut self, id: u64, order: Order) -> io::Result<()> {
        match order {
            Order::Spawn(spawn) => match start(&spawn) {
                Ok(started) => {
                    self.started.insert(started.pid, None);
                    if let Some(terminal) = started.terminal {
                        self.terminals.insert(started.pid, terminal);
                    }
                    answer(id, Ok(json!(started.pid)))
                }
                Err(error) => answer(id, Err(format!("cannot start {:?}: {error}", spawn.argv))),
            },
            Order::Below => {
                self.reap();
                answer(id, Ok(value(descendants())))
            }
            Order::WaitExit { pid } => {
                if !self.started.contains_key(&pid) {
                    return answer(id, Err(format!("{pid} was not started here")));
                }
                self.exits.push((id, pid));
                self.tell()
            }
            Order::WaitEmpty => {
                self.empties.push(id);
                self.reap();
                Ok(())
            }
            Order::Signal { pid, signal, after_us } => {
                self.later.insert((self.now_us() + after_us, id), (pid, signal));
                self.send_due();
                Ok(())
            }
            Order::Type { pid, text } => {
                let typed = match self.terminals.get_mut(&pid) {
                    Some(terminal) => terminal.master.write_all(text.as_bytes()),
                    None => Err(io::Error::other("it has no terminal")),
                };
                answer(id, typed.map(|()| Value::Null).map_err(|error| error.to_string()))
            }
        }
    }

    fn send_due(&mut self) {
        while let Some(first) = self.later.first_entry() {
            let ((at, id), (pid, signal)) = (*first.key(), *first.get());
            if at > self.now_us() {
                return;
            }
            self.later.remove(&(at, id));
            let sent = send(pid, signal).map(|()| value(Moment { at_us: self.now_us() }));
            drop(answer(id, sent));
        }
    }

    /// Collects every exit, ours and what was orphaned below, and tells those who wait for it.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: a valid place for the status.
            match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
                -1 => {
                    let now = Moment { at_us: self.now_us() };
                    for id in std::mem::take(&mut self.empties) {
                        drop(answer(id, Ok(value(now))));
                    }
                    break;
                }
                0 => break,
                pid => {
                    let ended = Ended {
                        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
                        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
                        core: libc::WIFSIGNALED(status) && libc::WCOREDUMP(status),
                        at_us: self.now_us(),
                    };
                    let known = self.started.get_mut(&(pid.unsigned_abs()));
                    if let Some(end) = known {
                        *end = Some(ended);
                    }
                }
            }
        }
        drop(self.tell());
    }

    fn tell(&mut self) -> io::Result<()> {
        let (started, exits) = (&self.started, &mut self.exits);
        let mut told = Ok(());
        exits.retain(|(id, pid)| match started.get(pid) {
            Some(Some(ended)) => {
                told = answer(*id, Ok(value(ended)));
                false
            }
            _ => true,
        });
        told
    }

    fn copy_screen(&mut self, pid: u32) {
        let Some(terminal) = self.terminals.get_mut(&pid) else { return };
        let mut buffer = [0; 4096];
        loop {
            match terminal.master.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    if let Some(screen) = &mut terminal.screen {
                        // A test that removed its folder no longer looks at it.
                        drop(screen.write_all(&buffer[..read]));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // EIO: nobody has the other end any more.
                _ => break,
            }
        }
        self.terminals.remove(&pid);
    }

    /// Ends everything below: stops it first, so that nothing goes on forking, then kills, until there is no child.
    fn end(mut self) -> io::Result<()> {
        let deadline = Deadline::after(LAST_BOUND);
        // A terminal that hangs up says so to those on it.
        self.terminals.clear();
        while deadline.left().is_some() {
            let left = descendants();
            for signal in [libc::SIGSTOP, libc::SIGKILL] {
                for process in &left {
                    // Gone meanwhile, and so done.
                    drop(send(process.pid, signal));
                }
            }
            loop {
                // SAFETY: no status is asked for.
                match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
                    -1 => return Ok(()),
                    0 => break,
                    _ => {}
                }
            }
            let mut fds = [entry(self.signals.as_raw_fd())];
            wait(&mut fds, Some(LOOK_AGAIN));
            if fds[0].revents != 0 {
                take_signals(&self.signals);
            }
        }
        Err(io::Error::other(format!("cannot be killed: {:?}", descendants())))
    }
}

/// Signals a process, if it is below us: a number that was used again belongs to somebody else.
fn send(pid: u32, signal: i32) -> Result<(), String> {
    let gone = |error: io::Error| format!("pid {pid}: {error}");
    let number = i32::try_from(pid).map_err(|error| error.to_string())?;
    // SAFETY: a plain system call; the descriptor is owned from then on.
    let pidfd = unsafe {
        match libc::syscall(libc::SYS_pidfd_open, number, 0) {
            -1 => return Err(gone(io::Error::last_os_error())),
            fd => OwnedFd::from_raw_fd(RawFd::try_from(fd).map_err(|error| error.to_string())?),
        }
    };
    if !is_below(pid) {
        return Err(format!("pid {pid} is not below the witness"));
    }
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a plain system call on a descriptor of ours.
    match unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0)
    } {
        0 => Ok(()),
        _ => Err(gone(io::Error::last_os_error())),
    }
}

fn is_below(pid: u32) -> bool {
    let own = std::process::id();
    let mut at = pid;
    while let Some(process) = look_at(at) {
        if process.ppid == own {
            return true;
        }
        at = process.ppid;
    }
    false
}

/// SIGCHLD and SIGTERM as something to read.
fn signal_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: the set is filled before it is used; the descriptor is owned from then on.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

fn take_signals(descriptor: &OwnedFd) -> Vec<i32> {
    let mut taken = Vec::new();
    // SAFETY: a read of at most one structure into one structure.
    unsafe {
        let mut info: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of_val(&info);
        while libc::read(descriptor.as_raw_fd(), (&raw mut info).cast(), size).unsigned_abs()
            == size
        {
            taken.extend(i32::try_from(info.ssi_signo));
        }
    }
    taken
}

fn entry(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Waits for any of them, at most that long. Interrupted or not, the caller looks at what there is.
fn wait(fds: &mut [libc::pollfd], at_most: Option<Duration>) {
    let span = at_most.map(|span| libc::timespec {
        tv_sec: span.as_secs().cast_signed(),
        tv_nsec: span.subsec_nanos().into(),
    });
    let span = span.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = fds.len() as libc::nfds_t;
    // SAFETY: `fds` holds `count` entries, and the time is valid or null.
    unsafe { libc::ppoll(fds.as_mut_ptr(), count, span, std::ptr::null()) };
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn answer(id: u64, result: Result<Value, String>) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Answer { id, result })?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
