//! What was tried, in words.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use outboard_keeper::Level;
use outboard_keeper::trial::{Descriptors, Ended, Findings, Held, Limited};

use crate::cli::render::doctor::{Check, Verdict};
use crate::control::words::{count, span};

/// So many plugins are thought of where no manifests are given.
pub(super) const USUAL_PLUGINS: u64 = 100;

/// Three pipes and a pidfd.
const PER_PLUGIN: u64 = 4;

/// Sockets, files and clients.
const BESIDE: u64 = 64;

/// What container runtimes leave between SIGTERM and SIGKILL, unless they are told otherwise.
const CONTAINER_PATIENCE: Duration = Duration::from_secs(10);

/// The same, of Kubernetes.
const POD_PATIENCE: Duration = Duration::from_secs(30);

/// For the end itself, when all plugins are gone.
const LAST_STEPS: Duration = Duration::from_secs(1);

pub(super) fn descriptors_for(plugins: u64) -> u64 {
    plugins.saturating_mul(PER_PLUGIN).saturating_add(BESIDE)
}

/// A line for each thing that was tried.
pub(super) fn checks(
    found: &Findings,
    descriptors: Descriptors,
    plugins: u64,
    shutdown_cap: Duration,
) -> Vec<Check> {
    vec![
        tree(found),
        killed(found),
        memory(found),
        processes(found),
        match &found.sandbox {
            Ok(abi) => Check::new("file sandbox", Verdict::Yes, format!("landlock ABI {abi}")),
            Err(why) => Check::new("file sandbox", Verdict::No, why),
        },
        users(found),
        clients(),
        open(descriptors, plugins),
        stop(shutdown_cap, Surroundings::look()),
    ]
}

fn tree(found: &Findings) -> Check {
    let name = "kill a whole plugin";
    let held = match &found.held {
        Ok(held) => held,
        Err(why) => return Check::new(name, Verdict::No, format!("no keeper starts: {why}")),
    };
    let by = match held.level {
        Level::Cgroup => "cgroup v2 leaf",
        Level::Session => "session and descent",
    };
    match &found.tree {
        Ended::All { processes, took } => {
            let gone = format!("{by}; {processes} nested processes gone in {}", took_words(*took));
            Check::new(name, Verdict::Yes, gone)
        }
        Ended::Left { processes, left } => {
            let words = format!("{by}; {left} of {processes} nested processes lived on");
            Check::new(name, Verdict::No, words)
        }
        Ended::Untried { why } => Check::new(name, Verdict::Warn, format!("not tried: {why}")),
    }
}

fn killed(found: &Findings) -> Check {
    let name = "outboard killed (-9)";
    match &found.killed {
        Ended::All { processes, took } => {
            let plugins = count(u64::from(*processes), "test plugin", "test plugins");
            let words = format!("keeper ended {plugins} in {}", took_words(*took));
            Check::new(name, Verdict::Yes, words)
        }
        Ended::Left { processes, left } => {
            let words = format!("{left} of {} processes lived on", processes + 1);
            Check::new(name, Verdict::No, words)
        }
        Ended::Untried { why } => Check::new(name, Verdict::Warn, format!("not tried: {why}")),
    }
}

/// Less than a millisecond is no time that anybody believes.
fn took_words(took: Duration) -> String {
    span(took.max(Duration::from_millis(1)))
}

fn memory(found: &Findings) -> Check {
    let name = "memory limit";
    match found.memory {
        Limited::Plugin => {
            Check::new(name, Verdict::Yes, "one that used twice what it may was killed")
        }
        Limited::User | Limited::No => {
            Check::new(name, Verdict::No, shortfall(found)).maybe_help(remedy(found))
        }
        Limited::Untried => Check::new(name, Verdict::Warn, "not tried: no test plugin started"),
    }
}

fn processes(found: &Findings) -> Check {
    let name = "process limit";
    match found.processes {
        Limited::Plugin => Check::new(name, Verdict::Yes, "one that forked beyond it was stopped"),
        Limited::User => Check::new(name, Verdict::Partly, "per user only (rlimit)"),
        Limited::No => {
            let words = format!("{}; root has no rlimit either", shortfall(found));
            Check::new(name, Verdict::No, words)
        }
        Limited::Untried => Check::new(name, Verdict::Warn, "not tried: no test plugin started"),
    }
}

fn held(found: &Findings) -> Option<&Held> {
    found.held.as_ref().ok()
}

fn shortfall(found: &Findings) -> String {
    let why = held(found).and_then(|held| held.shortfall.clone());
    why.unwrap_or_else(|| "no controller holds it".to_owned())
}

fn remedy(found: &Findings) -> Option<String> {
    held(found).and_then(|held| held.remedy.clone())
}

fn users(found: &Findings) -> Check {
    let name = "separate users";
    match &found.users {
        // What the machine can do is not what manifests can ask for yet.
        Ok(()) => {
            let words = "a test plugin ran as `nobody`; plugins share one user all the same (isolation: shared-user)";
            Check::new(name, Verdict::Partly, words)
        }
        Err(why) if why == "operation not permitted" => {
            let words =
                "needs root; plugins of one user can read each other (isolation: shared-user)";
            Check::new(name, Verdict::No, words)
        }
        Err(why) => Check::new(name, Verdict::No, why),
    }
}

/// Whether a plugin that comes as a client is known for sure.
fn clients() -> Check {
    let name = "know a client";
    match outboard_keeper::peer::by_pidfd() {
        Ok(()) => {
            Check::new(name, Verdict::Yes, "a plugin at the sockets is known by pidfd and descent")
        }
        Err(Errno::ENOPROTOOPT) => {
            let words = "by number and descent: Linux 6.5 gives pidfds of clients; one that ends at once may be mistaken";
            Check::new(name, Verdict::Partly, words)
        }
        Err(why) => Check::new(name, Verdict::No, why.desc()),
    }
}

fn open(descriptors: Descriptors, plugins: u64) -> Check {
    let Descriptors { allowed, enough } = descriptors;
    let plugins_ = count(plugins, "plugin", "plugins");
    let verb = if plugins == 1 { "needs" } else { "need" };
    let words = format!(
        "{allowed} allowed, {plugins_} {verb} about {}",
        plugins.saturating_mul(PER_PLUGIN)
    );
    let check = Check::new("descriptors", if enough { Verdict::Yes } else { Verdict::No }, words);
    let help = format!("ulimit -Hn {}", descriptors_for(plugins));
    check.maybe_help(Some(help).filter(|_| !enough))
}

/// Who may kill a supervisor that takes long to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surroundings {
    Pod,
    Container,
    Plain,
}

impl Surroundings {
    fn look() -> Self {
        let there = |path: &str| Path::new(path).exists();
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Self::Pod
        } else if std::process::id() == 1
            || there("/.dockerenv")
            || there("/run/.containerenv")
            || std::env::var_os("container").is_some()
        {
            Self::Container
        } else {
            Self::Plain
        }
    }
}

fn stop(cap: Duration, surroundings: Surroundings) -> Check {
    let name = "stop in time";
    let may = format!("stop may take {}", span(cap));
    let (who, patience) = match surroundings {
        Surroundings::Plain => {
            return Check::new(name, Verdict::Yes, format!("{may}; no container is around it"));
        }
        Surroundings::Container => ("the container runtime's default", CONTAINER_PATIENCE),
        Surroundings::Pod => ("the pod's default", POD_PATIENCE),
    };
    let words = format!("{may}; {who} is {}", span(patience));
    if cap + LAST_STEPS <= patience {
        return Check::new(name, Verdict::Yes, words);
    }
    let fits = span(patience.saturating_sub(LAST_STEPS));
    Check::new(name, Verdict::Warn, words)
        .maybe_help(Some(format!("shutdown_cap = \"{fits}\" in outboard.toml")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runtime_that_is_less_patient_is_a_warning() {
        let verdict = |secs, around| stop(Duration::from_secs(secs), around).verdict;
        assert_eq!(verdict(25, Surroundings::Plain), Verdict::Yes);
        assert_eq!(verdict(25, Surroundings::Pod), Verdict::Yes);
        assert_eq!(verdict(30, Surroundings::Pod), Verdict::Warn);
        assert_eq!(verdict(25, Surroundings::Container), Verdict::Warn);
        assert_eq!(verdict(9, Surroundings::Container), Verdict::Yes);
    }
}
