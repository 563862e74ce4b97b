//! `cargo xtask demo`: from a fresh clone to supervised plugins.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::setup;
use crate::shell::{Failure, cannot_start, cargo, command, run as run_command, target};

/// Sets up, builds, and becomes `outboard run`, so that Ctrl-C and the exit status are its own.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    setup::mcp_servers()?;
    run_command("the build", cargo("build --release -p outboard -p outboard-echo"))?;
    let plugins = target().join("release");
    let mut outboard = command(plugins.join("outboard"));
    outboard
        .args(["run", "manifests/", "manifests/mcp/"])
        .args(args)
        // Where manifests/echo.toml finds its plugin, wherever cargo was told to build.
        .env("OUTBOARD_PLUGINS", &plugins)
        .stdin(Stdio::inherit());
    let error = outboard.exec();
    Err(cannot_start("the demo", &outboard, &error))
}
