//! A case as a brain: a keeper, plugins, and their reports.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use outboard_keeper::pidfd::Pidfd;
use outboard_keeper::{
    ContainmentChoice, ExitStatus, Keeper, KeeperProgram, Level, Order, Report, RunMark, Rusage,
    Settings, SpawnOrder, Step,
};

use crate::world;

pub struct Rig {
    pub keeper: Keeper,
    pub run: RunMark,
    reports: VecDeque<Report>,
    next: u64,
    /// Of plugins that have been spawned.
    pub started: HashMap<u64, (u32, Pidfd)>,
    /// Plugins whose program ran.
    pub execed: HashSet<u64>,
}

/// A plugin that says things.
pub struct Plugin {
    pub key: u64,
    pub pid: u32,
    pub out: BufReader<File>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Gone {
    pub exit: Option<ExitStatus>,
    pub swept: u32,
    pub rusage: Rusage,
    pub took: Duration,
}

pub fn keeper(run: RunMark, containment: ContainmentChoice) -> Keeper {
    Keeper::spawn(KeeperProgram::SelfExe, Settings { run, containment }).expect("a keeper")
}

pub fn myself() -> CString {
    let path = std::env::current_exe().expect("own path");
    CString::new(path.into_os_string().into_encoded_bytes()).expect("a path")
}

pub fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").expect("null").into()
}

/// An order for a plugin of this program, and what it writes.
pub fn order(key: u64, args: &[&str]) -> (SpawnOrder, File) {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("pipe");
    let stderr =
        File::options().write(true).open("/dev/stderr").map_or_else(|_| null(), OwnedFd::from);
    let mut order = SpawnOrder::new(key, myself(), [null(), writer, stderr]);
    order.argv.push(c"--plugin".to_owned());
    order.argv.extend(args.iter().map(|arg| CString::new(*arg).expect("text")));
    order.env = vec![c"PATH=/usr/bin:/bin".to_owned()];
    order.name = args[0].to_owned();
    (order, File::from(reader))
}

impl Rig {
    pub fn new(containment: ContainmentChoice) -> Rig {
        let run = RunMark::random().expect("random");
        Rig {
            keeper: keeper(run, containment),
            run,
            reports: VecDeque::new(),
            next: 1,
            started: HashMap::new(),
            execed: HashSet::new(),
        }
    }

    pub fn key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn send(&mut self, order: Order) {
        self.keeper.order(order).expect("an order");
    }

    /// Starts a plugin and waits until it says that it is ready.
    pub fn spawn(&mut self, args: &[&str]) -> Plugin {
        self.spawn_with(args, |_| {})
    }

    pub fn spawn_with(&mut self, args: &[&str], change: impl FnOnce(&mut SpawnOrder)) -> Plugin {
        let mut plugin = self.spawn_silent(args, change);
        let mut line = String::new();
        plugin.out.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        plugin
    }

    /// Starts a plugin and waits until it executes.
    pub fn spawn_silent(&mut self, args: &[&str], change: impl FnOnce(&mut SpawnOrder)) -> Plugin {
        let key = self.key();
        let (mut order, out) = order(key, args);
        change(&mut order);
        self.send(Order::Spawn(Box::new(order)));
        let pid = self.pid_of(key);
        let failed = self.take(|report| match report {
            Report::Execed { key: k } if *k == key => Some(None),
            Report::SpawnFailed { key: k, step, errno } if *k == key => Some(Some((*step, *errno))),
            _ => None,
        });
        assert_eq!(failed, None);
        Plugin { key, pid, out: BufReader::new(out) }
    }

    pub fn pid_of(&mut self, key: u64) -> u32 {
        while !self.started.contains_key(&key) {
            self.pump();
            assert!(
                !self
                    .reports
                    .iter()
                    .any(|r| matches!(r, Report::SpawnFailed { key: k, .. } if *k == key)),
                "{:?}",
                self.reports
            );
        }
        self.started[&key].0
    }

    /// Orders a start that must fail; says how it did.
    pub fn fail(&mut self, change: impl FnOnce(&mut SpawnOrder)) -> (Step, i32) {
        let key = self.key();
        let (mut order, _) = order(key, &["sleep"]);
        change(&mut order);
        self.send(Order::Spawn(Box::new(order)));
        let failure = self.take(|report| match report {
            Report::SpawnFailed { key: k, step, errno } if *k == key => Some((*step, *errno)),
            Report::Execed { key: k } if *k == key => panic!("it runs"),
            _ => None,
        });
        // It was the last word: what is asked afterwards is answered next.
        self.ping();
        assert!(
            !self.reports.iter().any(|report| key_of(report) == Some(key)),
            "{:?}",
            self.reports
        );
        failure
    }

    pub fn ping(&mut self) {
        self.next += 1;
        let n = self.next as u32;
        self.send(Order::Ping { n });
        self.take(|report| matches!(report, Report::Pong { n: m } if *m == n).then_some(()));
    }

    pub fn died(&mut self, key: u64) -> ExitStatus {
        self.take(|report| match report {
            Report::Died { key: k, exit } if *k == key => Some(*exit),
            _ => None,
        })
    }

    pub fn gone(&mut self, key: u64) -> Gone {
        let (swept, rusage, took) = self.take(|report| match report {
            Report::Gone { key: k, swept, rusage, took } if *k == key => {
                Some((*swept, *rusage, *took))
            }
            _ => None,
        });
        let exit = self.reports.iter().find_map(|report| match report {
            Report::Died { key: k, exit } if *k == key => Some(*exit),
            _ => None,
        });
        self.reports.retain(|report| key_of(report) != Some(key));
        Gone { exit, swept, rusage, took }
    }

    /// Who is still below the keeper. A cgroup counts no zombies: those are reaped in the keeper's next turns.
    pub fn left(&self) -> Vec<u32> {
        match self.keeper.containment().level {
            Level::Cgroup => world::living_below(self.keeper.pid()),
            Level::Session => world::below(self.keeper.pid()),
        }
    }

    pub fn kill(&mut self, key: u64) -> Gone {
        self.send(Order::Kill { key });
        self.gone(key)
    }

    /// The first report that fits, now or later; others are kept.
    pub fn take<T>(&mut self, fits: impl Fn(&Report) -> Option<T>) -> T {
        let mut looked = 0;
        loop {
            while looked < self.reports.len() {
                if let Some(found) = fits(&self.reports[looked]) {
                    self.reports.remove(looked);
                    return found;
                }
                looked += 1;
            }
            self.pump();
        }
    }

    pub fn seen(&self, fits: impl Fn(&Report) -> bool) -> bool {
        self.reports.iter().any(fits)
    }

    /// Waits for something to be sent or received, and does it.
    fn pump(&mut self) {
        let full = self.keeper.flush().expect("flush");
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, full);
        let mut waiting = [PollFd::new(self.keeper.socket(), flags)];
        poll(&mut waiting, PollTimeout::NONE).expect("poll");
        while let Some(report) = self.keeper.receive().expect("a report") {
            match report {
                Report::Spawned { key, pid, pidfd } => {
                    self.started.insert(key, (pid, Pidfd::from(pidfd)));
                }
                report => {
                    if let Report::Execed { key } = report {
                        self.execed.insert(key);
                    }
                    self.reports.push_back(report);
                }
            }
        }
    }
}

impl Plugin {
    /// All that it writes until its pipe is closed.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.out.read_to_end(&mut all).expect("read");
        all
    }
}

pub fn key_of(report: &Report) -> Option<u64> {
    match report {
        Report::Spawned { key, .. }
        | Report::Execed { key }
        | Report::SpawnFailed { key, .. }
        | Report::Died { key, .. }
        | Report::Gone { key, .. } => Some(*key),
        Report::Stray { .. }
        | Report::Pong { .. }
        | Report::Reexecuted { .. }
        | Report::Kept { .. } => None,
    }
}
