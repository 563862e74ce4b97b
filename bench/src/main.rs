//! Measures outboard beside the floor: a C host and a C plugin over the same pipes, in the same run.
//!
//! `cargo xtask bench [ROUNDS]` builds everything and runs this. Each line is one measurement; the table at the end has
//! medians over the rounds, each ratio taken against the floor of its own round.
#![expect(clippy::print_stdout, reason = "a tool for people: it prints what it measured")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and starts the programs it compares"
)]

mod attach;
mod calls;
mod cli;
mod floor;
mod load;
mod many;
mod report;
mod starts;
mod world;

use std::process::{Command, ExitCode};

use report::{Sample, Table};

fn main() -> ExitCode {
    outboard::keeper_entry();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["one", what, pinned] => {
            if *pinned == "pinned" {
                pin();
            }
            for sample in one(what) {
                println!("{}", sample.to_line());
            }
            ExitCode::SUCCESS
        }
        ["load"] => {
            if load::run() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        [] => all(3),
        [rounds] => match rounds.parse() {
            Ok(rounds) => all(rounds),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    println!("usage: outboard-bench [ROUNDS | load]");
    ExitCode::from(2)
}

const KINDS: [(&str, &[&str]); 5] = [
    ("calls", &["pinned", "free"]),
    ("attach", &["pinned", "free"]),
    ("starts", &["pinned", "free"]),
    ("cli", &["free"]),
    ("many", &["free"]),
];

/// Each measurement is a process of its own, so that none inherits another's memory or threads.
fn all(rounds: u32) -> ExitCode {
    floor::build();
    let mut table = Table::default();
    for round in 1..=rounds {
        for (what, places) in KINDS {
            for place in places {
                let output = Command::new("/proc/self/exe").args(["one", what, place]).output();
                let output = output.expect("this program itself can be started");
                let text = String::from_utf8_lossy(&output.stdout);
                let samples: Vec<Sample> = text.lines().filter_map(Sample::parse).collect();
                if samples.is_empty() {
                    println!("{what} {place}: failed: {}", String::from_utf8_lossy(&output.stderr));
                    return ExitCode::FAILURE;
                }
                for sample in samples {
                    println!("{round} {place} {}", sample.to_line());
                    table.add(round, what, place, sample);
                }
            }
        }
    }
    println!("\n{}", table.markdown());
    ExitCode::SUCCESS
}

fn one(what: &str) -> Vec<Sample> {
    match what {
        "calls" => calls::measure(),
        "attach" => attach::measure(),
        "starts" => starts::measure(),
        "cli" => cli::measure(),
        "many" => many::measure(),
        _ => Vec::new(),
    }
}

/// Binds this process, and all that it starts, to the last processor.
fn pin() {
    use nix::sched::{CpuSet, sched_setaffinity};
    let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    let mut set = CpuSet::new();
    set.set(last).expect("a processor that exists");
    sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).expect("one's own affinity may be set");
}
