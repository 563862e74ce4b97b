//! The throw-away supervisor: a keeper as any other, throw-away plugins through it, and what they show.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use super::actor::{ARGV0, VARIABLE};
use super::lines::{Lines, say, timeout, wait_for_ends};
use super::{PATIENCE, told_errno};
use crate::brain::Keeper;
use crate::order::{CgroupLimits, Credentials, ExitStatus, Order, Report, Rlimit, SpawnOrder};
use crate::pidfd::Pidfd;
use crate::settings::{ContainmentChoice, Controllers, KeeperProgram, Level, Settings};
use crate::sys::clock::now;
use crate::sys::process::{become_subreaper, leave};

/// The memory limit that is tried, in MiB; twice as much is used.
const MEMORY: u32 = 32;

/// Processes that a plugin may have in the trial, its first one included, and how often it forks.
const PROCESSES: u32 = 4;

/// A user that owns nothing, on every Linux.
const NOBODY: u32 = 65_534;

pub(super) fn choice_name(choice: ContainmentChoice) -> &'static str {
    match choice {
        ContainmentChoice::Auto => "auto",
        ContainmentChoice::Cgroup => "cgroup",
        ContainmentChoice::Session => "session",
    }
}

pub(super) fn controllers_of(letters: &str) -> Controllers {
    let has = |letter| letters.contains(letter);
    Controllers { memory: has('m'), pids: has('p'), cpu: has('c') }
}

/// Argument: `CHOICE:RUN`. Says what it finds, then `done`, and waits to be killed.
pub(super) fn play(argument: &str) {
    let (choice, run) = argument.split_once(':').unwrap_or((argument, ""));
    let choice = match choice {
        "cgroup" => ContainmentChoice::Cgroup,
        "session" => ContainmentChoice::Session,
        _ => ContainmentChoice::Auto,
    };
    let Ok(run) = run.parse() else { return };
    // Dies with whoever tries things; the keeper then ends the rest.
    if prctl::set_pdeathsig(Signal::SIGKILL).and_then(|()| become_subreaper()).is_err() {
        return;
    }
    let keeper = match Keeper::spawn(KeeperProgram::SelfExe, Settings { run, containment: choice })
    {
        Ok(keeper) => keeper,
        Err(e) => return say(&format!("failed {e}")),
    };
    let mut stage = Stage { keeper, next: 1 };
    stage.introduce();
    stage.tree();
    stage.memory();
    stage.processes();
    stage.cpu();
    stage.sandbox();
    stage.users();
    stage.be_killed();
}

struct Stage {
    keeper: Keeper,
    next: u64,
}

/// A throw-away plugin that runs.
struct Plugin {
    key: u64,
    out: Lines,
}

impl Stage {
    fn introduce(&self) {
        let held = self.keeper.containment();
        if let Some(fleet) = &held.fleet {
            say(&format!("fleet {}", fleet.display()));
        }
        let Controllers { memory, pids, cpu } = held.controllers;
        let letters = [(memory, 'm'), (pids, 'p'), (cpu, 'c')];
        let letters: String = letters.iter().filter(|(on, _)| *on).map(|(_, c)| *c).collect();
        say(&format!("controllers {letters}"));
        if let Some(shortfall) = held.shortfall {
            say(&format!("shortfall {}", shortfall.reason()));
            if let Some(remedy) = shortfall.remedy() {
                say(&format!("remedy {remedy}"));
            }
        }
        let level = match held.level {
            Level::Cgroup => "cgroup",
            Level::Session => "session",
        };
        say(&format!("level {level}"));
    }

    /// Kills a plugin with processes below it, and counts.
    fn tree(&mut self) {
        const PROCESSES: u32 = 3;
        let plugin = self.start(&format!("nest:{PROCESSES}"), |_| {});
        let Ok(mut plugin) = plugin.map_err(|why| say(&format!("tree {why}"))) else { return };
        let watched = members(&mut plugin, PROCESSES);
        if watched.len() != PROCESSES as usize {
            say("tree the test plugin did not start its processes");
            return self.end(&plugin);
        }
        let began = now();
        self.end(&plugin);
        let left = wait_for_ends(&watched, PATIENCE);
        let took = now().saturating_duration_since(began).as_micros();
        say(&format!("tree {PROCESSES} {left} {took}"));
    }

    fn memory(&mut self) {
        let limits =
            CgroupLimits { memory: Some(u64::from(MEMORY) << 20), ..CgroupLimits::default() };
        let part = format!("eat:{}", 2 * MEMORY);
        let Ok(plugin) = self.start(&part, |order| order.limits = limits) else { return };
        let held = match self.died(&plugin) {
            Some(ExitStatus::Signal { oom: true, .. }) => "plugin",
            Some(ExitStatus::Code(0)) => "no",
            // It ended for another reason: nothing is known.
            Some(_) | None => "unknown",
        };
        self.end(&plugin);
        say(&format!("memory {held}"));
    }

    fn processes(&mut self) {
        let limits = CgroupLimits { pids: Some(PROCESSES), ..CgroupLimits::default() };
        let by_plugin = self.crowd(|order| order.limits = limits);
        // The kernel counts what the user has already: with no more than one, there is no room for any.
        let limit = Rlimit { resource: libc::RLIMIT_NPROC, soft: 1, hard: 1 };
        let mut by_user = || self.crowd(|order| order.rlimits = vec![limit]);
        let held = match by_plugin {
            None => "unknown",
            Some(born) if born < 2 * PROCESSES => "plugin",
            Some(_) if by_user().is_some_and(|born| born < 2 * PROCESSES) => "user",
            Some(_) => "no",
        };
        say(&format!("processes {held}"));
    }

    /// How often a plugin could fork.
    fn crowd(&mut self, change: impl FnOnce(&mut SpawnOrder)) -> Option<u32> {
        let mut plugin = self.start(&format!("crowd:{}", 2 * PROCESSES), change).ok()?;
        let line = plugin.out.next(PATIENCE);
        self.end(&plugin);
        line?.strip_prefix("crowd ")?.parse().ok()
    }

    fn cpu(&mut self) {
        let limits = CgroupLimits { cpu_millis: Some(500), ..CgroupLimits::default() };
        let started = self.start("nest:1", |order| order.limits = limits);
        let held = started.is_ok() && self.keeper.containment().controllers.cpu;
        if let Ok(plugin) = started {
            self.end(&plugin);
        }
        say(if held { "cpu yes" } else { "cpu no" });
    }

    fn sandbox(&mut self) {
        let Ok(mut plugin) = self.start("sandbox", |_| {}) else { return };
        if let Some(line) = plugin.out.next(PATIENCE) {
            say(&line);
        }
        self.end(&plugin);
    }

    fn users(&mut self) {
        let nobody = Credentials { uid: NOBODY, gid: NOBODY, groups: Vec::new() };
        match self.start("user", |order| order.user = Some(nobody)) {
            Ok(mut plugin) => {
                let expected = format!("user {NOBODY}");
                let became = plugin.out.next(PATIENCE).is_some_and(|line| line == expected);
                say(if became { "users yes" } else { "users it was started as somebody else" });
                self.end(&plugin);
            }
            Err(why) => say(&format!("users {why}")),
        }
    }

    /// Starts two plugins, says who is there, and waits to be killed.
    fn be_killed(&mut self) {
        let plugins: Vec<Plugin> =
            (0..2).filter_map(|_| self.start("nest:1", |_| {}).ok()).collect();
        let mut pids = Vec::new();
        let mut held = Vec::new();
        for mut plugin in plugins {
            let line = plugin.out.next(PATIENCE);
            pids.extend(line.and_then(|line| line.strip_prefix("pid ").map(str::to_owned)));
            held.push(plugin);
        }
        say(&format!("plugins {}", pids.join(" ")));
        say(&format!("keeper {}", self.keeper.pid()));
        say("done");
        // The other side holds our standard input and closes it when it ends.
        let mut byte = [0];
        while matches!(nix::unistd::read(std::io::stdin(), &mut byte), Err(Errno::EINTR)) {}
        drop(held);
    }

    /// Starts this program in a part; waits until it executes.
    fn start(
        &mut self,
        part: &str,
        change: impl FnOnce(&mut SpawnOrder),
    ) -> Result<Plugin, String> {
        self.next += 1;
        let key = self.next;
        let (ours, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(told_errno)?;
        let null = || open(c"/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
        let stdio: [OwnedFd; 3] =
            [null().map_err(told_errno)?, theirs, null().map_err(told_errno)?];
        let text = |text: &str| CString::new(text).map_err(|_| "a NUL byte".to_owned());
        // In the child of the keeper, which is this very program.
        let mut order = SpawnOrder::new(key, c"/proc/self/exe".to_owned(), stdio);
        order.argv = vec![text(ARGV0)?];
        order.env = vec![text(&format!("{VARIABLE}={part}"))?];
        order.linger = Duration::ZERO;
        order.name = "trial".to_owned();
        change(&mut order);
        self.keeper.order(Order::Spawn(Box::new(order))).map_err(|e| e.to_string())?;
        let executes = self.take(|report| match report {
            Report::Execed { key: k } if *k == key => Some(Ok(())),
            Report::SpawnFailed { key: k, errno, .. } if *k == key => {
                Some(Err(told_errno(Errno::from_raw(*errno))))
            }
            _ => None,
        });
        executes.unwrap_or_else(|| Err("the keeper did not answer".to_owned()))?;
        Ok(Plugin { key, out: Lines::new(ours) })
    }

    fn died(&mut self, plugin: &Plugin) -> Option<ExitStatus> {
        self.take(|report| match report {
            Report::Died { key, exit } if *key == plugin.key => Some(*exit),
            _ => None,
        })
    }

    /// Kills it with all that is below it, and waits for the keeper's word that nothing is left.
    fn end(&mut self, plugin: &Plugin) {
        if self.keeper.order(Order::Kill { key: plugin.key }).is_ok() {
            self.take(|report| {
                matches!(report, Report::Gone { key, .. } if *key == plugin.key).then_some(())
            });
        }
    }

    /// The next report that fits; others are passed over. `None` when none comes in time, or the keeper is gone.
    fn take<T>(&mut self, fits: impl Fn(&Report) -> Option<T>) -> Option<T> {
        let until = now() + PATIENCE;
        loop {
            while let Some(report) = self.keeper.receive().ok()? {
                if let Some(found) = fits(&report) {
                    return Some(found);
                }
            }
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, self.keeper.flush().ok()?);
            let mut waiting = [PollFd::new(self.keeper.socket(), flags)];
            match poll(&mut waiting, timeout(until.saturating_duration_since(now()))) {
                Ok(0) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => leave(1),
            }
        }
    }
}

/// The processes of a nested plugin, once all of them have said their number.
fn members(plugin: &mut Plugin, processes: u32) -> Vec<Pidfd> {
    let pids = (0..processes).map_while(|_| plugin.out.next(PATIENCE));
    let pids: Vec<String> = pids.collect();
    let numbers = pids.iter().filter_map(|line| line.strip_prefix("pid ")?.parse().ok());
    numbers.filter_map(|pid| Pidfd::open(pid).ok()).collect()
}
