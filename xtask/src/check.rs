//! `cargo xtask check`: what must hold before any test is worth running.

use std::path::PathBuf;

use crate::shell::{Failure, ask, cargo, command, run as run_command, target};

/// Pinned, so that a new release changes nothing by itself.
const DENY_VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result<(), Failure> {
    run_command("cargo fmt", cargo("fmt --all -- --check"))?;
    let clippy = cargo("clippy --workspace --all-targets -- -D warnings");
    run_command("clippy", clippy)?;
    deny()
}

/// Licences, bans and sources of everything depended upon. Builds the tool first if it is not there.
pub(crate) fn deny() -> Result<(), Failure> {
    install_deny()?;
    let mut deny = command(deny_path());
    deny.args(["--log-level", "error", "check", "--hide-inclusion-graph"]);
    deny.args(["licenses", "bans", "sources"]);
    run_command("cargo-deny", deny)
}

/// Builds cargo-deny into a folder of its own below `target/`, in some minutes, once.
fn install_deny() -> Result<(), Failure> {
    let mut version = command(deny_path());
    version.arg("--version");
    if ask(version).is_some_and(|found| found.ends_with(DENY_VERSION)) {
        return Ok(());
    }
    println!("check: building cargo-deny {DENY_VERSION} (once; some minutes)");
    let mut install = cargo("install --quiet --locked --force cargo-deny --version");
    install.arg(DENY_VERSION).arg("--root").arg(tools());
    // Not the workspace's own folder: its lock would hold up every other build meanwhile.
    install.arg("--target-dir").arg(tools().join("build"));
    run_command("building cargo-deny", install)
}

fn tools() -> PathBuf {
    target().join("tools")
}

fn deny_path() -> PathBuf {
    tools().join("bin/cargo-deny")
}
