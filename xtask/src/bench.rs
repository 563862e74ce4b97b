//! `cargo xtask bench`: figures beside a floor in C, in one run.

use crate::shell::{Failure, cargo, command, run as run_command, target};

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    run_command(
        "the build",
        cargo("build --release -p outboard-bench -p outboard -p outboard-echo -p outboard-chaos"),
    )?;
    let mut bench = command(target().join("release/outboard-bench"));
    bench.args(args);
    run_command("the benchmark", bench)
}
