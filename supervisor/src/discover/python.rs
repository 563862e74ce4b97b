//! The entry points of a virtual environment, as its own Python reads them.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use outboard_manifest::resolve::is_inherited;
use outboard_manifest::{Listed, Problem, PythonGroup};
use serde::Deserialize;

use super::bounded::{self, Silent};

/// What lists them. It imports nothing of the packages.
const PROGRAM: &str = include_str!("list.py");

/// How long it may take: reading the metadata of a thousand packages takes a tenth of that.
const WITHIN: Duration = Duration::from_secs(10);

/// Its answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Points {
        points: Vec<Point>,
    },
    Problem {
        problem: String,
        #[serde(default)]
        version: String,
    },
}

#[derive(Deserialize)]
struct Point {
    name: String,
    value: String,
    distribution: String,
    version: String,
    installed: String,
}

/// Asks the environment's Python for the entry points of the group. Blocks.
pub(super) fn look(group: &PythonGroup) -> Result<Vec<Listed>, Box<Problem>> {
    let (environment, python) = (group.environment.display(), group.python());
    if !group.environment.is_dir() {
        return Err(Problem::error(format!("there is no environment {environment}"))
            .help(format!("python3 -m venv {environment}"))
            .into());
    }
    if !is_program(&python) {
        return Err(Problem::error(format!("{environment} has no bin/python that can be run"))
            .cause("a virtual environment breaks when the Python that it was made with goes")
            .help(format!("python3 -m venv --clear {environment}, and install the packages again"))
            .into());
    }
    let said = bounded::run(&mut listing(&python, &group.group), WITHIN);
    let asked = format!("{} cannot list the packages of {environment}", python.display());
    let said = said.map_err(|silent| {
        Problem::error(&asked).cause(match silent {
            Silent::NotStarted(error) => format!("it cannot be started: {error}"),
            Silent::Late => format!("it took more than {} s, and was ended", WITHIN.as_secs()),
            Silent::Babbles => "it writes without end, and was ended".to_owned(),
        })
    })?;
    let lines = String::from_utf8_lossy(&said.stdout);
    // Code that an environment runs at each start may print before.
    match serde_json::from_str(lines.lines().next_back().unwrap_or_default()) {
        Ok(Answer::Points { points }) => Ok(points.into_iter().map(Listed::from).collect()),
        Ok(Answer::Problem { problem, version }) => Err(Box::new(match problem.as_str() {
            "old" => Problem::error(format!("{environment} has Python {version}"))
                .cause("entry points are run by outboard-plugin, which needs 3.10 or later"),
            _ => Problem::error(format!("outboard-plugin is not installed in {environment}"))
                .cause("it is what runs entry points as plugins")
                .help(format!("{} -m pip install outboard-plugin", python.display())),
        })),
        Err(_) => {
            let words = String::from_utf8_lossy(&said.stderr);
            let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
            let last = last.map(|line| format!(": {}", shortened(line))).unwrap_or_default();
            let how = how(said.status);
            Err(Problem::error(asked).cause(format!("it ended with {how}{last}")).into())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is asked what there is, and is no plugin")]
fn listing(python: &Path, group: &str) -> Command {
    let mut command = Command::new(python);
    command
        // Isolated: neither this folder nor PYTHONPATH nor a user's own packages are looked at.
        .args(["-I", "-c", PROGRAM, group])
        // Environments run code of their packages at each start: it gets what a plugin gets.
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_inherited(name)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl From<Point> for Listed {
    fn from(point: Point) -> Self {
        let Point { name, value, distribution, version, installed } = point;
        Self { name, value, distribution, version, installed }
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "nobody knows what".to_owned(),
    }
}
