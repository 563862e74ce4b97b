//! `cargo xtask faults` and `cargo xtask guards`: the fault table, and the proof that it can fail.

use crate::shell::{Failure, cargo, command, run as run_command, target};

/// Makes rows of the fault table and prints it.
pub(crate) fn table(args: &[String]) -> Result<(), Failure> {
    run_command("the build", cargo("build --quiet --workspace --bins"))?;
    run("table", args)
}

/// Breaks what makes the rows hold, one place at a time, in a copy below `target/`.
pub(crate) fn guards(args: &[String]) -> Result<(), Failure> {
    run_command("the build", cargo("build --quiet -p outboard-tests --bins"))?;
    run("guards", args)
}

fn run(verb: &str, args: &[String]) -> Result<(), Failure> {
    let mut faults = command(target().join("debug/outboard-faults"));
    faults.arg(verb).args(args);
    run_command("the fault table", faults)
}
