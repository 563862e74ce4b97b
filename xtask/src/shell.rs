//! Running programs, and saying in a sentence why that did not work.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What went wrong, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    help: Option<String>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// The repository's top folder.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the top folder").to_owned()
}

/// Where cargo puts what it builds: this program lies in `debug/` there.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().ok();
    let found = own.and_then(|path| Some(path.parent()?.parent()?.to_owned()));
    found.unwrap_or_else(|| root().join("target"))
}

/// Whether this is a CI run, in which nothing may be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"))
}

/// A command in the top folder that reads nothing.
#[expect(clippy::disallowed_methods, reason = "project commands run tools, not plugins")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs us, with arguments as written in a shell.
pub(crate) fn cargo(args: &str) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args.split_whitespace());
    cargo
}

/// Runs to the end with our own output streams.
///
/// # Errors
///
/// It cannot be started, or did not end well. `what` names it in the sentence.
pub(crate) fn run(what: &str, mut command: Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure::new(format!("{what} failed ({status}); the lines above say why")))
        }
        Err(error) => Err(cannot_start(what, &command, &error)),
    }
}

/// Runs to the end and gives what it printed on stdout; `None` when it is not there or did not end well.
pub(crate) fn ask(mut command: Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

pub(crate) fn cannot_start(what: &str, command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::new(format!("{what}: {program} cannot be started: {error}"))
}
