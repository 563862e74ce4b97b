//! What a start takes from its surroundings, as hashes: to see that the next one would take something else.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use outboard_core::plan::{Asks, Difference};
use outboard_manifest::Manifest;
use outboard_manifest::digest::digest_of;
use serde::{Deserialize, Serialize};

use crate::host::diagnose::FileIdentity;
use crate::host::launch::Launch;
use crate::host::upgrade::path_text;

/// Programs whose first argument is the program that people mean.
const INTERPRETERS: [&str; 13] = [
    "python", "node", "deno", "bun", "ruby", "perl", "php", "lua", "bash", "dash", "zsh", "sh",
    "awk",
];

/// What a plan calls a change of the file that is executed.
const EXECUTABLE: &str = "executable";

/// The same of the file that an interpreter runs.
const SCRIPT: &str = "script";

/// One start. Values of variables are in it as hashes alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    argv: u64,
    cwd: u64,
    path: u64,
    /// Of `[process] env`.
    env: Box<[(Box<str>, u64)]>,
    #[serde(with = "path_text")]
    program: PathBuf,
    identity: Option<FileIdentity>,
    /// What an interpreter runs.
    script: Option<(PathBuf, FileIdentity)>,
}

impl Fingerprint {
    /// Looks at the files that would run, and reads nothing.
    pub(in crate::host) fn of(
        manifest: &Manifest,
        launch: &Launch,
        identity: Option<FileIdentity>,
    ) -> Self {
        let value = |name: &str| {
            let found = launch.env.iter().find(|(known, _)| known.as_bytes() == name.as_bytes());
            found.map_or(0, |(_, value)| hash(value))
        };
        let names = manifest.process.env.keys();
        let argv: Vec<u64> = launch.argv.iter().map(|arg| hash(arg)).collect();
        Self {
            argv: digest_of(&format!("{argv:?}")),
            cwd: hash(launch.cwd.as_os_str()),
            path: value("PATH"),
            env: names.map(|name| (name.as_str().into(), value(name))).collect(),
            program: launch.program.clone(),
            identity,
            script: script(launch),
        }
    }

    /// The files whose change is another version: what is executed, and what an interpreter reads.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let script = self.script.iter().map(|(script, _)| (SCRIPT, &**script));
        [(EXECUTABLE, &*self.program)].into_iter().chain(script)
    }

    /// What `now` would take otherwise, as far as `known` does not say so already.
    pub(super) fn differences(
        &self,
        now: &Self,
        known: &[(Asks, Difference)],
    ) -> Vec<(Asks, Difference)> {
        let mut list = Vec::new();
        let is_known = |key: &str| known.iter().any(|(_, difference)| difference.key == key);
        let mut found = |asks, key: String, files: Option<(&Path, &Path)>| {
            if is_known(&key) {
                return;
            }
            let text = |path: &Path| path.display().to_string();
            let files = files.filter(|(from, to)| from != to);
            let (from, to) = files.map(|(from, to)| (text(from), text(to))).unzip();
            list.push((asks, Difference { key: key.into(), from, to }));
        };
        for (name, value) in &now.env {
            // One that is new or gone is a change of the manifest, and known as such.
            if self.env.iter().any(|(other, before)| other == name && before != value) {
                found(Asks::Restarting, format!("process.env.{name}"), None);
            }
        }
        let command = self.argv != now.argv;
        for (differs, key) in [
            (command, "process.command"),
            (self.cwd != now.cwd, "process.cwd"),
            (self.path != now.path && !is_known("process.path_prepend"), "process.env.PATH"),
        ] {
            if differs {
                found(Asks::Restarting, key.to_owned(), None);
            }
        }
        // Another command runs another file, and that is said.
        if !command {
            if (&self.program, self.identity) != (&now.program, now.identity) {
                let files = Some((&*self.program, &*now.program));
                found(Asks::Swapping, EXECUTABLE.to_owned(), files);
            }
            if let (Some(before), Some(now)) = (&self.script, &now.script)
                && before != now
            {
                found(Asks::Swapping, SCRIPT.to_owned(), Some((&before.0, &now.0)));
            }
        }
        list
    }
}

/// The files of a start that its author may write anew: the script of an interpreter, and a program that is named by its
/// path. One that PATH finds is the machine's. They need not be there.
pub(super) fn authored(launch: &Launch) -> impl Iterator<Item = PathBuf> {
    let by_path = launch.argv.first().is_some_and(|name| name.as_bytes().contains(&b'/'));
    by_path.then(|| launch.program.clone()).into_iter().chain(script_of(launch))
}

/// `weather.py` of `python3 -u weather.py`, where that is a file.
fn script(launch: &Launch) -> Option<(PathBuf, FileIdentity)> {
    let file = script_of(launch)?;
    let identity = FileIdentity::of(&file).filter(|_| file.is_file())?;
    Some((file, identity))
}

/// The first argument of an interpreter that is no option.
fn script_of(launch: &Launch) -> Option<PathBuf> {
    let name = launch.program.file_name()?.to_str()?;
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !INTERPRETERS.contains(&name) {
        return None;
    }
    let is_option = |arg: &&std::ffi::OsString| arg.as_bytes().starts_with(b"-");
    let argument = launch.argv.iter().skip(1).find(|arg| !is_option(arg))?;
    Some(launch.cwd.join(argument))
}

fn hash(text: &OsStr) -> u64 {
    digest_of(&String::from_utf8_lossy(text.as_bytes()))
}
