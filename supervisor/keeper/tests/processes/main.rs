//! Real processes: what must be true of kernels, and not of values.
//!
//! This executable is everything that the tests need: runner, brain, keeper and misbehaving plugin, told apart by its
//! arguments. Each case runs in a process of its own; the runner and each case are child subreapers, so that whatever
//! survives a case is seen, fails it, and dies with it.
//!
//! `OUTBOARD_LONG=1` gives the rounds of the long form.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    unreachable_pub,
    reason = "a test program: it prints, panics to fail, starts processes, and reads the clock for its figures"
)]

mod brain;
mod cases;
mod plugin;
mod rig;
mod runner;
mod world;

fn main() {
    if cfg!(feature = "test-switches") && std::env::var_os("OUTBOARD_TEST_THREAD").is_some() {
        std::thread::spawn(std::thread::park);
    }
    outboard_keeper::entry::run_if_keeper();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = || args[1..].to_vec();
    match args.first().map(String::as_str) {
        Some("--plugin") => plugin::run(&rest()),
        Some("--brain") => brain::run(&rest()),
        Some("--case") => runner::run_case(&args[1]),
        Some(_) | None => runner::run(&args),
    }
}
