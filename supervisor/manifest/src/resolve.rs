//! What comes from the surroundings, at each start anew: variables, secrets, the home folder, the program's file.
//!
//! No message of this module holds a value: only names, places and reasons.

mod dotenv;
mod fill;
mod look_up;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub use dotenv::{Dotenv, dotenv};
pub use look_up::look_up;

use crate::glob::{self, Glob};
use crate::manifest::Manifest;
use crate::problem::{Problem, ticked};
use fill::Filler;

/// Patterns of the variables that every plugin is given when the supervisor has them.
pub const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
];

/// Variables whose value is no secret when `${…}` names them.
pub const OPEN: [&str; 5] = ["HOME", "USER", "PATH", "LANG", "TMPDIR"];

/// A value shorter than this many bytes cannot be masked: it would blank everything.
pub const SHORTEST_SECRET: usize = 6;

/// Where programs are looked for when a plugin has no PATH at all.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A start, ready to be ordered.
#[derive(Clone)]
pub struct Resolved {
    /// The program as the manifest names it (see [`look_up`]), and its arguments.
    pub argv: Vec<OsString>,
    /// The same for people: `(set)` stands where a value came from the surroundings.
    pub shown: Vec<String>,
    /// Absolute.
    pub cwd: PathBuf,
    /// Sorted by name, each name once.
    pub env: Vec<(OsString, OsString)>,
    /// What must be masked wherever outboard prints or stores: each at least [`SHORTEST_SECRET`] bytes, the longest
    /// first. Of a value of several lines each line is in it too, since streams are searched line by line.
    pub secrets: Vec<String>,
    /// The plugin's own PATH, for [`look_up`].
    pub path: OsString,
}

/// Never prints a value: those of `env` and `argv` may be secrets.
impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Resolved")
            .field("argv", &self.shown)
            .field("cwd", &self.cwd)
            .field("env", &names)
            .finish_non_exhaustive()
    }
}

/// Fills in what the manifest leaves to the surroundings.
///
/// `env` looks up one variable of the supervisor; `inherited` is its whole environment, of which names matching
/// [`INHERITED`] and `inherit_env` are passed on. `dotenv` is looked at after `env` and given to no plugin as a whole.
/// The only files read are those named by `from_file`: regular ones, without blocking, 64 KiB at most, one trailing
/// line end taken off.
///
/// # Errors
///
/// Everything that is missing or unfit, each with its place: class `config`.
pub fn resolve(
    manifest: &Manifest,
    env: &dyn Fn(&str) -> Option<OsString>,
    dotenv: &[(String, String)],
    inherited: &[(OsString, OsString)],
) -> Result<Resolved, Vec<Problem>> {
    let mut filler = Filler::new(manifest, env, dotenv);
    let process = &manifest.process;
    let mut argv = Vec::with_capacity(process.command.len());
    let mut shown = Vec::with_capacity(process.command.len());
    for template in &process.command {
        let (value, display) = filler.template(template);
        argv.push(OsString::from(value));
        shown.push(display);
    }
    let (cwd, _) = filler.template(&process.cwd);
    // Going through the components takes `.` out, which only looks odd in messages; `..` stays, it may pass links.
    let cwd: PathBuf = manifest.dir.join(cwd).components().collect();

    let mut variables: std::collections::BTreeMap<OsString, OsString> = inherited
        .iter()
        .filter(|(name, _)| passed_on(name, &process.inherit_env))
        .cloned()
        .collect();
    for (name, entry) in &process.env {
        if let Some(value) = filler.entry(name, entry) {
            variables.insert(name.into(), value.into());
        }
    }
    let own = variables.get(OsStr::new("PATH")).cloned();
    let mut path = own.clone().unwrap_or_else(|| DEFAULT_PATH.into());
    // The last prepended stands first, so that the manifest's folders come before those of outboard.toml.
    for folder in &process.path_prepend {
        let (folder, _) = filler.template(folder);
        let mut longer = manifest.dir.join(folder).into_os_string();
        longer.push(":");
        longer.push(&path);
        path = longer;
    }
    if own.is_some() || !process.path_prepend.is_empty() {
        variables.insert("PATH".into(), path.clone());
    }
    let env: Vec<(OsString, OsString)> = variables.into_iter().collect();
    filler.too_big(&argv, &env);
    let (secrets, problems) = filler.finish();
    if problems.is_empty() {
        Ok(Resolved { argv, shown, cwd, env, secrets, path })
    } else {
        Err(problems)
    }
}

/// Whether a variable of the supervisor is given to the plugin.
///
/// outboard's own variables mark whose a process is; no pattern passes them on, only their full name does.
fn passed_on(name: &OsStr, inherit: &[Glob]) -> bool {
    let name = name.to_string_lossy();
    if name.starts_with("OUTBOARD_") {
        let reserved = crate::read::RESERVED.contains(&name.as_ref());
        return !reserved && inherit.iter().any(|glob| glob.is_literal() && glob.matches(&name));
    }
    INHERITED.iter().any(|pattern| glob::matches(pattern, &name))
        || inherit.iter().any(|glob| glob.matches(&name))
}

/// Whether a variable of the supervisor is given to every plugin.
#[must_use]
pub fn is_inherited(name: &OsStr) -> bool {
    passed_on(name, &[])
}

/// Everything that `check` says about the surroundings of one plugin, as seen from here: secrets, and the program.
///
/// `inherited` is the environment it would be started with. Reads the plugin's `.env` file.
pub fn check(manifest: &Manifest, inherited: &[(OsString, OsString)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut vars = Vec::new();
    if let Some(path) = &manifest.env_file {
        match dotenv(path) {
            Ok(read) => {
                problems.extend(read.warnings);
                vars = read.vars;
            }
            Err(found) => problems.extend(found),
        }
    }
    let env = |name: &str| {
        inherited.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    match resolve(manifest, &env, &vars, inherited) {
        Ok(resolved) => {
            if !resolved.cwd.is_dir() {
                let what = format!("{} is not a folder", ticked(&resolved.cwd.to_string_lossy()));
                let spot = manifest.process.cwd.spot().unwrap_or(&manifest.process.spot);
                problems.push(Problem::error(what).at(spot.place()));
            } else if let Err(problem) = look_up(manifest, &resolved) {
                problems.push(*problem);
            }
        }
        Err(found) => problems.extend(found),
    }
    problems
}
