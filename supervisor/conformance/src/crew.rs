//! The keeper: every process is started, ended and counted by it, and ends with this process whatever happens to it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use outboard_keeper::pidfd::Pidfd;
use outboard_keeper::{
    ContainmentChoice, ExitStatus, Keeper, KeeperProgram, Order, Report, RunMark, Settings,
    SweepPlan, become_subreaper, sweep_after_keeper,
};

use crate::launch::Launch;
use crate::record::Gone;
use crate::run::Error;

/// How long the keeper may take to report what it has to report at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running keeper, and whoever hands out its reports.
#[derive(Debug)]
pub(crate) struct Crew {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    /// Closed, it ends the listener.
    wake: Option<OwnedFd>,
    run: RunMark,
}

#[derive(Debug)]
struct Shared {
    keeper: Mutex<Keeper>,
    /// Who hears about which process. Empty once the keeper is gone: whoever waits learns it by that.
    routes: Mutex<HashMap<u64, Sender<Report>>>,
    next_key: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// Starts a keeper. This process becomes a child subreaper and must have no children of its own; its `main` must
    /// begin with [`outboard_keeper::entry::run_if_keeper`].
    pub(crate) fn start() -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Keeper(error.to_string());
        become_subreaper().map_err(|error| failed(&error))?;
        let run = RunMark::random().map_err(|error| failed(&error))?;
        // Sessions alone: a plugin is looked at, and no cgroup of this machine has to change for that.
        let settings = Settings { run, containment: ContainmentChoice::Session };
        let keeper =
            Keeper::spawn(KeeperProgram::SelfExe, settings).map_err(|error| failed(&error))?;
        let socket = keeper.socket().try_clone_to_owned().map_err(|error| failed(&error))?;
        let (woken, wake) = pipe2(OFlag::O_CLOEXEC).map_err(|error| failed(&error))?;
        let shared = Arc::new(Shared {
            keeper: Mutex::new(keeper),
            routes: Mutex::default(),
            next_key: AtomicU64::new(1),
        });
        let theirs = Arc::clone(&shared);
        let listener = std::thread::spawn(move || theirs.listen(&socket, &woken));
        Ok(Self { shared, listener: Some(listener), wake: Some(wake), run })
    }

    /// Starts a process and waits until its program runs.
    pub(crate) fn spawn(&self, launch: &Launch) -> Result<Process, Error> {
        let pipe = |error: nix::Error| Error::Keeper(format!("no pipe can be had: {error}"));
        let (their_stdin, stdin) = pipe2(OFlag::O_CLOEXEC).map_err(pipe)?;
        let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC).map_err(pipe)?;
        let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC).map_err(pipe)?;
        for ours in [&stdin, &stdout, &stderr] {
            fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(pipe)?;
        }
        let key = self.shared.next_key.fetch_add(1, Ordering::Relaxed);
        let (sender, reports) = mpsc::channel();
        lock(&self.shared.routes).insert(key, sender);
        let order = launch.order(key, [their_stdin, their_stdout, their_stderr]);
        lock(&self.shared.keeper)
            .order(Order::Spawn(Box::new(order)))
            .map_err(|error| Error::Keeper(error.to_string()))?;
        let mut pidfd = None;
        loop {
            match reports.recv_timeout(PATIENCE) {
                Ok(Report::Spawned { pidfd: fd, .. }) => pidfd = Some(Pidfd::from(fd)),
                Ok(Report::SpawnFailed { step, errno, .. }) => {
                    lock(&self.shared.routes).remove(&key);
                    let reason = Report::errno_text(errno).to_owned();
                    return Err(Error::Start { step: step.name(), reason });
                }
                Ok(Report::Execed { .. }) => break,
                // Nobody but the keeper's own end kills it so early.
                Ok(Report::Died { .. } | Report::Gone { .. }) => {
                    return Err(Error::Keeper("a process was killed before it ran".to_owned()));
                }
                Ok(
                    Report::Stray { .. }
                    | Report::Pong { .. }
                    | Report::Reexecuted { .. }
                    | Report::Kept { .. },
                ) => {}
                Err(_) => return Err(Error::Keeper("it does not answer".to_owned())),
            }
        }
        let pidfd = pidfd.ok_or_else(|| Error::Keeper("a process without a pidfd".to_owned()))?;
        Ok(Process {
            key,
            shared: Arc::clone(&self.shared),
            reports,
            pidfd,
            stdin: Some(stdin.into()),
            stdout: stdout.into(),
            stderr: stderr.into(),
            exit: None,
            gone: None,
        })
    }
}

impl Shared {
    /// Hands out reports until the keeper is gone or the other end of `woken` is closed.
    fn listen(&self, socket: &OwnedFd, woken: &OwnedFd) {
        loop {
            let mut fds = [
                PollFd::new(socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(woken.as_fd(), PollFlags::POLLIN),
            ];
            let polled = poll(&mut fds, PollTimeout::NONE);
            let over = fds[1].any().unwrap_or(true);
            if over || !(polled.is_ok() || polled == Err(nix::Error::EINTR)) || !self.hand_out() {
                lock(&self.routes).clear();
                return;
            }
        }
    }

    /// Says whether there is more to come.
    fn hand_out(&self) -> bool {
        loop {
            let report = lock(&self.keeper).receive();
            let report = match report {
                Ok(Some(report)) => report,
                Ok(None) => return true,
                Err(_) => return false,
            };
            let (key, last) = match &report {
                Report::Spawned { key, .. } | Report::Execed { key } | Report::Died { key, .. } => {
                    (*key, false)
                }
                Report::SpawnFailed { key, .. } | Report::Gone { key, .. } => (*key, true),
                Report::Stray { .. }
                | Report::Pong { .. }
                | Report::Reexecuted { .. }
                | Report::Kept { .. } => continue,
            };
            let mut routes = lock(&self.routes);
            if let Some(route) = routes.get(&key) {
                // Whoever asked may have given up.
                route.send(report).ok();
            }
            if last {
                routes.remove(&key);
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(listener) = self.listener.take() {
            // It panicked, or it did not: it is over.
            listener.join().ok();
        }
        // The keeper and all that it may have started. Nothing of it is left when this is over.
        let containment = lock(&self.shared.keeper).containment().clone();
        sweep_after_keeper(SweepPlan::new(self.run, &containment));
    }
}

/// One process of the plugin, with our ends of its pipes.
#[derive(Debug)]
pub(crate) struct Process {
    key: u64,
    shared: Arc<Shared>,
    reports: Receiver<Report>,
    pub(crate) pidfd: Pidfd,
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
    exit: Option<ExitStatus>,
    gone: Option<Gone>,
}

impl Process {
    /// SIGTERM to its group.
    pub(crate) fn terminate(&self) {
        self.order(Order::Terminate { key: self.key });
    }

    /// How it ended, once its pidfd says that it has.
    pub(crate) fn exit(&mut self) -> Option<ExitStatus> {
        self.take_until(|process| process.exit.is_some());
        self.exit
    }

    /// What became of the rest of it, once its leader has ended: the keeper gives it 500 ms, and kills what is left.
    pub(crate) fn gone(&mut self) -> Option<Gone> {
        self.take_until(|process| process.gone.is_some());
        self.gone
    }

    fn order(&self, order: Order) {
        // A keeper that is gone has taken the process along.
        lock(&self.shared.keeper).order(order).ok();
    }

    fn take_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            match self.reports.recv_timeout(PATIENCE) {
                Ok(Report::Died { exit, .. }) => self.exit = Some(exit),
                Ok(Report::Gone { swept, took, .. }) => self.gone = Some(Gone { swept, took }),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.gone.is_none() {
            self.order(Order::Kill { key: self.key });
            self.gone();
        }
    }
}

/// Reads what there is; `None` when there is nothing now.
pub(crate) fn read_now(file: &mut File, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match io::Read::read(file, buffer) {
            Ok(count) => return Some(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => return Some(0),
        }
    }
}
