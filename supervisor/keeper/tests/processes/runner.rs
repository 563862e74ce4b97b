//! A small test harness: `--list`, `--exact` and filters as the standard one has them.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, exit};

use outboard_keeper::ContainmentChoice;

use crate::cases::{CASES, Case, Levels};
use crate::world;

const SKIPPED: i32 = 77;
/// A case that takes longer hangs. Generous: the machine may be busy.
const SECONDS: u32 = 180;

pub fn run(args: &[String]) {
    let names = names();
    let exact = args.iter().any(|arg| arg == "--exact");
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let matches = |name: &String| {
        let hit = |filter: &&String| if exact { name == *filter } else { name.contains(*filter) };
        filters.is_empty() || filters.iter().any(hit)
    };
    let chosen: Vec<&String> = names.iter().filter(|name| matches(name)).collect();
    if args.iter().any(|arg| arg == "--list") {
        // Nothing is ignored by default, and a runner that asks for ignored tests alone gets none.
        for name in chosen.iter().filter(|_| !args.iter().any(|arg| arg == "--ignored")) {
            println!("{name}: test");
        }
        return;
    }
    outboard_keeper::become_subreaper().expect("subreaper");
    let (mut failed, mut skipped) = (Vec::new(), 0);
    for name in &chosen {
        let outcome = run_in_process(name);
        let word = match &outcome {
            Ok(word) => word,
            Err(why) => why.as_str(),
        };
        println!("test {name} ... {word}");
        match outcome {
            Ok(word) => skipped += u32::from(word == "skipped"),
            Err(_) => failed.push(name.as_str()),
        }
    }
    println!("{} run, {skipped} skipped, {} failed", chosen.len(), failed.len());
    if !failed.is_empty() {
        println!("failed:\n    {}", failed.join("\n    "));
        exit(101);
    }
}

fn run_in_process(name: &str) -> Result<&'static str, String> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--case", name]);
    // SAFETY: one async-signal-safe call.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        })
    };
    let status = command.status().expect("start a case");
    let is_over = status.success() && !world::reap();
    let left = world::end_all();
    if status.success() && !is_over {
        return Err(format!("FAILED: left alive: {left:?}"));
    }
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok("ok"),
        (Some(SKIPPED), _) => Ok("skipped"),
        (_, Some(libc::SIGALRM)) => Err(format!("FAILED: hung for {SECONDS} s")),
        _ => Err(format!("FAILED: {status}")),
    }
}

/// Ends a case that cannot be run here, with the condition that is not met.
pub fn skip(why: &str) -> ! {
    println!("    skipped: {why}");
    exit(SKIPPED)
}

pub fn run_case(name: &str) {
    outboard_keeper::become_subreaper().expect("subreaper");
    // SAFETY: sets a timer. Its default action ends a case that hangs; the runner ends the rest.
    unsafe { libc::alarm(SECONDS) };
    let (case, choice) = find(name).expect("a case of this name");
    if choice == ContainmentChoice::Cgroup
        && let Err(why) = outboard_keeper::probe::site()
    {
        skip(&format!("{why}"));
    }
    (case.run)(choice);
    // The keeper of a case that has ended has ended everything; a child that stays would show here.
    world::wait_for_nobody();
}

fn names() -> Vec<String> {
    all().map(|(name, ..)| name).collect()
}

fn find(name: &str) -> Option<(&'static Case, ContainmentChoice)> {
    all().find(|(n, ..)| n == name).map(|(_, case, choice)| (case, choice))
}

fn all() -> impl Iterator<Item = (String, &'static Case, ContainmentChoice)> {
    use ContainmentChoice::{Cgroup, Session};
    CASES.iter().flat_map(|cases| cases.iter()).flat_map(|case| {
        let at = |label: &str, choice| (format!("{}@{label}", case.name), case, choice);
        match case.levels {
            Levels::Both => vec![at("session", Session), at("cgroup", Cgroup)],
            Levels::Session => vec![at("session", Session)],
            Levels::Cgroup => vec![at("cgroup", Cgroup)],
        }
    })
}
