//! Project commands: `cargo xtask NAME`. Each does all its own set-up.
//!
//! Only the standard library, so that the first command on a fresh machine compiles in a second.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what these commands do")]

mod bench;
mod check;
mod demo;
mod faults;
mod setup;
mod shell;
mod suite;

use std::process::ExitCode;

use shell::Failure;

const USAGE: &str = "\
cargo xtask demo [--once-active] […]   supervise everything in manifests/ until Ctrl-C; the rest goes to `outboard run`
cargo xtask test                       every test, in tiers, with what each took
cargo xtask faults [ID…] [--long]      the fault table, made and printed: all of it, a family (WIRE) or a row (WIRE-03)
cargo xtask guards [NAME…]             breaks what makes the rows hold, one at a time, and asks that they go red
cargo xtask check                      formatting, lints, licences and sources of dependencies
cargo xtask deny                       the last of these alone
cargo xtask bench [ROUNDS]             figures beside a floor in C (needs `cc`)
cargo xtask bench load                 a steady load on a healthy plugin, alone and beside five bad ones
cargo xtask setup                      the servers that manifests/mcp* and manifests/lsp run (Node 20+, Python 3.10+)";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match verb.as_str() {
        "demo" => demo::run(&rest),
        "test" => suite::run(),
        "bench" => bench::run(&rest),
        "faults" => faults::table(&rest),
        "guards" => faults::guards(&rest),
        "check" => check::run(),
        "setup" => setup::run(),
        "deny" => check::deny(),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return if verb.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
        other => Err(Failure::new(format!("no command `{other}`")).help(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
