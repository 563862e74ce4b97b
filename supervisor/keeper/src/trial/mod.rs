//! Tries what this machine can do, with throw-away processes: what was tried is known, what was read may be wrong.
//!
//! A throw-away supervisor is started; it starts a keeper of its own as any other would, and throw-away plugins through it:
//! a nested tree, a memory eater, a forker, one that locks itself out of files, one that becomes somebody else. In the end it
//! is killed (SIGKILL), and what is left is counted from here. Nothing of it outlives [`run`]: the last step is the sweep
//! that follows a keeper's death.
//!
//! | module | holds |
//! | --- | --- |
//! | `actor` | the parts that throw-away processes play; entered from [`crate::entry`] |
//! | `stage` | the throw-away supervisor: its keeper, its plugins, what it finds |
//! | `sandbox` | Landlock, by its system calls |
//! | `lines` | what one process tells another, a line each, with a bound on the wait |

mod actor;
mod lines;
mod sandbox;
mod stage;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::brain::{SweepPlan, sweep_after_keeper};
use crate::fleets::forget;
use crate::pidfd::Pidfd;
use crate::reaper::RunMark;
use crate::settings::{ContainmentChoice, Controllers, Level};
use crate::sys::clock::now;
use crate::sys::process::become_subreaper;
use lines::Lines;

pub(crate) use actor::run_if_actor;

/// How long one throw-away process may take for what it does. Whatever takes longer counts as not done.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the throw-away processes showed.
#[derive(Clone, Debug)]
pub struct Findings {
    /// What holds plugins together here, or why no keeper could be started; then nothing else was tried.
    pub held: Result<Held, String>,
    /// A plugin's whole tree, killed by its keeper.
    pub tree: Ended,
    /// A supervisor killed with SIGKILL, and the plugins that its keeper ended then.
    pub killed: Ended,
    /// A process that uses more memory than its plugin may.
    pub memory: Limited,
    /// A process that forks more than its plugin may.
    pub processes: Limited,
    /// Whether a leaf with a share of a processor could be made.
    pub cpu: bool,
    /// A process that locks itself out of files: the version of the kernel's interface, or why not.
    pub sandbox: Result<u32, String>,
    /// A process that is started as another user; else why not.
    pub users: Result<(), String>,
}

/// How plugins are held together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub level: Level,
    pub controllers: Controllers,
    /// Why it is not more.
    pub shortfall: Option<String>,
    /// What can be typed for more.
    pub remedy: Option<String>,
    /// The cgroup in which it was tried; removed again.
    pub fleet: Option<PathBuf>,
}

/// What became of processes that were to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All of them, so long after the order or the signal.
    All { processes: u32, took: Duration },
    /// Some lived on, and were killed in the end.
    Left { processes: u32, left: u32 },
    /// It did not come to that.
    Untried { why: String },
}

/// What stops one that takes more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Its plugin's own limit.
    Plugin,
    /// Only a limit on all processes of one user.
    User,
    No,
    Untried,
}

/// Descriptors, as they could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The most that this process may have (the hard limit).
    pub allowed: u64,
    /// Whether as many as needed could be opened at once.
    pub enough: bool,
}

/// Tries everything, in a second or so; blocks its thread meanwhile.
///
/// For a process whose own business this is: it becomes a child subreaper, must have no children, and must call
/// [`crate::entry::run_if_keeper`] first thing in `main`.
///
/// # Errors
///
/// The throw-away supervisor could not be started.
pub fn run(containment: ContainmentChoice) -> io::Result<Findings> {
    become_subreaper()?;
    let run = RunMark::random()?;
    let mut stage = Stage::start(run, containment)?;
    let told = stage.listen();
    let killed = stage.kill(&told);
    let fleet = told.get("fleet").map(PathBuf::from);
    drop(stage);
    // Whatever happened above, nothing is left when this is over.
    let mut plan = SweepPlan::of_children(run);
    plan.fleet.clone_from(&fleet);
    sweep_after_keeper(plan);
    if let Some(fleet) = fleet {
        // The keeper has removed its own at its end, but not the leaf that its supervisor sat in.
        forget(&fleet, &run);
    }
    Ok(findings(&told, killed))
}

/// What the throw-away supervisor told, by name.
type Told = HashMap<String, String>;

/// The throw-away supervisor, seen from here.
struct Stage {
    child: Child,
    out: Lines,
    /// Its end tells the other side that this process is gone.
    _stdin: OwnedFd,
}

impl Stage {
    #[expect(
        clippy::disallowed_methods,
        reason = "the throw-away supervisor stands in for this process"
    )]
    fn start(run: RunMark, containment: ContainmentChoice) -> io::Result<Stage> {
        let part = format!("supervisor:{}:{run}", stage::choice_name(containment));
        let mut child = Command::new("/proc/self/exe")
            .arg0(actor::ARGV0)
            .env(actor::VARIABLE, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Stage { child, out: Lines::new(stdout.into()), _stdin: stdin.into() })
    }

    /// All that it says until it has nothing left to try, or says nothing more for too long.
    fn listen(&mut self) -> Told {
        let mut told = Told::new();
        // Each of its trials is bounded by itself; two of them in a row are not waited for.
        while let Some(line) = self.out.next(PATIENCE * 2) {
            let (name, value) = line.split_once(' ').unwrap_or((&line, ""));
            if name == "done" {
                break;
            }
            told.insert(name.to_owned(), value.to_owned());
        }
        told
    }

    /// Kills it, and waits for the end of its keeper and of the plugins that ran then.
    fn kill(&mut self, told: &Told) -> Ended {
        let untried = |why: &str| Ended::Untried { why: why.to_owned() };
        let pids = |name: &str| -> Vec<u32> {
            let list = told.get(name).map_or("", String::as_str);
            list.split(' ').filter_map(|pid| pid.parse().ok()).collect()
        };
        let plugins = pids("plugins");
        let watched: Vec<Pidfd> = plugins
            .iter()
            .chain(&pids("keeper"))
            .filter_map(|pid| Pidfd::open(*pid).ok())
            .collect();
        let began = now();
        // It may have ended by itself.
        self.child.kill().ok();
        if plugins.is_empty() || watched.len() != plugins.len() + 1 {
            return untried("the test plugins did not start");
        }
        let all = lines::wait_for_ends(&watched, PATIENCE);
        let processes = u32::try_from(plugins.len()).unwrap_or(u32::MAX);
        match all {
            0 => Ended::All { processes, took: now().saturating_duration_since(began) },
            left => Ended::Left { processes, left },
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It is dead or dies now; who waits for it is the sweep.
        self.child.kill().ok();
    }
}

fn findings(told: &Told, killed: Ended) -> Findings {
    let text = |name: &str| told.get(name).cloned();
    let held = match text("level") {
        Some(level) => Ok(Held {
            level: if level == "cgroup" { Level::Cgroup } else { Level::Session },
            controllers: stage::controllers_of(told.get("controllers").map_or("", String::as_str)),
            shortfall: text("shortfall"),
            remedy: text("remedy"),
            fleet: told.get("fleet").map(PathBuf::from),
        }),
        None => Err(text("failed").unwrap_or_else(|| "it said nothing".to_owned())),
    };
    Findings {
        held,
        tree: tree(told.get("tree")),
        killed,
        memory: limited(told.get("memory")),
        processes: limited(told.get("processes")),
        cpu: told.get("cpu").is_some_and(|word| word == "yes"),
        sandbox: match text("sandbox") {
            None => Err("it was not tried".to_owned()),
            Some(word) => word.parse().map_err(|_| word),
        },
        users: match text("users").as_deref() {
            Some("yes") => Ok(()),
            why => Err(why.unwrap_or("it was not tried").to_owned()),
        },
    }
}

/// `COUNT LEFT MICROSECONDS`.
fn tree(word: Option<&String>) -> Ended {
    let Some(word) = word else {
        return Ended::Untried { why: "the keeper was not ready".to_owned() };
    };
    let numbers: Vec<u64> = word.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [processes, left, took] = numbers[..] else { return Ended::Untried { why: word.clone() } };
    let [processes, left] = [processes, left].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    match left {
        0 => Ended::All { processes, took: Duration::from_micros(took) },
        left => Ended::Left { processes, left },
    }
}

fn limited(word: Option<&String>) -> Limited {
    match word.map(String::as_str) {
        Some("plugin") => Limited::Plugin,
        Some("user") => Limited::User,
        Some("no") => Limited::No,
        Some(_) | None => Limited::Untried,
    }
}

/// Descriptors that are opened at most to try it.
const MOST_OPENED: u64 = 1 << 16;

/// Opens as many descriptors as are needed, and closes them again. The limit is raised as the supervisor raises its own,
/// and put back.
pub fn descriptors(needed: u64) -> Descriptors {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let Ok((soft, hard)) = limits else { return Descriptors { allowed: 0, enough: false } };
    let enough = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).and_then(|()| open_many(needed));
    // A limit that could not be put back is no harm: it is higher than it was.
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).ok();
    Descriptors { allowed: hard, enough: enough.is_ok() && needed <= hard }
}

fn open_many(needed: u64) -> nix::Result<()> {
    let one = std::fs::File::open("/dev/null").map_err(crate::cgroup::errno)?;
    let mut held: Vec<OwnedFd> = Vec::new();
    for _ in 0..needed.min(MOST_OPENED) {
        held.push(one.as_fd().try_clone_to_owned().map_err(crate::cgroup::errno)?);
    }
    Ok(())
}

/// An error of the kernel, for people.
fn told_errno(errno: Errno) -> String {
    errno.desc().to_lowercase()
}
