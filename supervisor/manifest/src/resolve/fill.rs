//! Fills templates and variables in, and keeps the books on secrets.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};

use super::{OPEN, SHORTEST_SECRET};
use crate::file;
use crate::manifest::Manifest;
use crate::problem::{Problem, ticked};
use crate::source::Spot;
use crate::template::{Part, Template};
use crate::value::{EnvEntry, EnvValue};

/// The longest file that `from_file` reads. A variable may have 128 KiB (MAX_ARG_STRLEN), a secret needs less.
const LONGEST_SECRET_FILE: u64 = 64 << 10;

/// One argument or `NAME=value` with its NUL, as Linux takes it: MAX_ARG_STRLEN of execve(2), 32 pages of 4 KiB.
const LONGEST_STRING: usize = 128 << 10;

pub(super) struct Filler<'a> {
    manifest: &'a Manifest,
    env: &'a dyn Fn(&str) -> Option<OsString>,
    dotenv: &'a [(String, String)],
    secrets: BTreeSet<String>,
    problems: Vec<Problem>,
}

/// A variable that was looked for.
enum Found {
    Value(String),
    Unset,
    /// The problem has been noted.
    Unfit,
}

impl<'a> Filler<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        env: &'a dyn Fn(&str) -> Option<OsString>,
        dotenv: &'a [(String, String)],
    ) -> Self {
        Self { manifest, env, dotenv, secrets: BTreeSet::new(), problems: Vec::new() }
    }

    /// The filled-in text, and what people may see of it.
    pub(super) fn template(&mut self, template: &Template) -> (String, String) {
        let (mut text, mut shown) = (String::new(), String::new());
        for part in template.parts() {
            match part {
                Part::Text(plain) => {
                    text.push_str(plain);
                    shown.push_str(plain);
                }
                Part::Home => {
                    if let Some(home) = self.home(template.spot()) {
                        text.push_str(&home);
                        shown.push_str(&home);
                    }
                }
                Part::Variable { name, default } => {
                    let found = self.variable(name, template.spot());
                    match (found, default) {
                        (Found::Value(value), None) => self.add(name, value, &mut text, &mut shown),
                        (Found::Value(value), Some(_)) if !value.is_empty() => {
                            self.add(name, value, &mut text, &mut shown);
                        }
                        (Found::Value(_) | Found::Unset, Some(default)) => {
                            text.push_str(default);
                            shown.push_str(default);
                        }
                        (Found::Unset, None) => self.unset(name, template.spot()),
                        (Found::Unfit, _) => {}
                    }
                }
            }
        }
        (text, shown)
    }

    fn add(&mut self, name: &str, value: String, text: &mut String, shown: &mut String) {
        text.push_str(&value);
        if OPEN.contains(&name) {
            shown.push_str(&value);
        } else {
            shown.push_str("(set)");
            self.remember(&value);
        }
    }

    /// The value of one variable of `[process] env`.
    pub(super) fn entry(&mut self, name: &str, entry: &EnvEntry) -> Option<String> {
        match &entry.value {
            EnvValue::Text(template) => Some(self.template(template).0),
            EnvValue::FromEnv(from) => match self.variable(from, Some(&entry.spot)) {
                Found::Value(value) => self.secret(name, value, &entry.spot),
                Found::Unset => {
                    self.unset(from, Some(&entry.spot));
                    None
                }
                Found::Unfit => None,
            },
            EnvValue::FromFile(path) => {
                let value = self.file(path, &entry.spot)?;
                self.secret(name, value, &entry.spot)
            }
        }
    }

    fn file(&mut self, path: &Path, spot: &Spot) -> Option<String> {
        let whole = match path.strip_prefix("~") {
            Ok(rest) => Path::new(&self.home(Some(spot))?).join(rest),
            Err(_) => self.manifest.dir.join(path),
        };
        let shown = ticked(&path.to_string_lossy());
        let (bytes, _) = match file::read(&whole, LONGEST_SECRET_FILE) {
            Ok(read) => read,
            Err(why) => {
                let problem = Problem::error(format!("{shown} cannot be read")).cause(why);
                self.problem(problem, Some(spot));
                return None;
            }
        };
        let mut text = match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text,
            _ => {
                let what = format!("what is in {shown} cannot be a variable");
                self.problem(Problem::error(what).cause("it is not text"), Some(spot));
                return None;
            }
        };
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Some(text)
    }

    /// What is too short cannot be masked, so it is not taken as a secret.
    fn secret(&mut self, name: &str, value: String, spot: &Spot) -> Option<String> {
        if value.len() < SHORTEST_SECRET {
            let problem = Problem::error(format!(
                "the secret {} is shorter than {SHORTEST_SECRET} bytes",
                ticked(name)
            ))
            .cause("to mask it would blank every such text in logs; is it set rightly?");
            self.problem(problem, Some(spot));
            return None;
        }
        self.remember(&value);
        Some(value)
    }

    fn remember(&mut self, value: &str) {
        let lines = value.lines().filter(|line| line.len() >= SHORTEST_SECRET);
        self.secrets.extend(lines.map(str::to_owned));
        if value.len() >= SHORTEST_SECRET {
            self.secrets.insert(value.to_owned());
        }
    }

    /// The supervisor's own environment first, then the `.env` file.
    fn variable(&mut self, name: &str, spot: Option<&Spot>) -> Found {
        if let Some(value) = (self.env)(name) {
            return match value.into_string() {
                Ok(value) => Found::Value(value),
                Err(_) => {
                    let what = format!("{} holds what is not UTF-8", ticked(name));
                    self.problem(Problem::error(what), spot);
                    Found::Unfit
                }
            };
        }
        // As in a shell that reads the file, the last one counts.
        match self.dotenv.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => Found::Value(value.clone()),
            None => Found::Unset,
        }
    }

    fn home(&mut self, spot: Option<&Spot>) -> Option<String> {
        match self.variable("HOME", spot) {
            Found::Value(home) if !home.is_empty() => Some(home.trim_end_matches('/').to_owned()),
            Found::Value(_) | Found::Unset => {
                self.problem(Problem::error("`~/` needs HOME, which is not set"), spot);
                None
            }
            Found::Unfit => None,
        }
    }

    fn unset(&mut self, name: &str, spot: Option<&Spot>) {
        let mut problem = Problem::error(format!("{name} is not set"));
        if let Some(path) = &self.manifest.env_file {
            let folder = self.manifest.source.parent().unwrap_or(Path::new(""));
            // The short form of the path where it is the usual one.
            let path = match path.strip_prefix(&self.manifest.dir) {
                Ok(name) => folder.join(name),
                Err(_) => path.clone(),
            };
            let shown = crate::problem::shown(&path, "".as_ref());
            problem =
                problem.help(format!("put {name}=… into {shown}; it is read again at each start"));
        }
        self.problem(problem, spot);
    }

    /// What execve(2) would refuse with E2BIG: one string too long, or all of them too long.
    pub(super) fn too_big(&mut self, argv: &[OsString], env: &[(OsString, OsString)]) {
        const FIX: &str = "pass a large value in a file";
        let process = &self.manifest.process;
        let mut total = 0;
        for (index, argument) in argv.iter().enumerate() {
            let length = argument.len() + 1;
            total += length + size_of::<usize>();
            if length > LONGEST_STRING {
                let what = format!("argument {index} is longer than {LONGEST_STRING} bytes");
                let spot = process.command.get(index).and_then(Template::spot);
                self.problem(Problem::error(what).cause(FIX), spot);
            }
        }
        for (name, value) in env {
            let length = name.len() + value.len() + 2;
            total += length + size_of::<usize>();
            if length > LONGEST_STRING {
                let shown = ticked(&name.to_string_lossy());
                let what = format!("{shown} is longer than {LONGEST_STRING} bytes");
                let spot =
                    name.to_str().and_then(|name| process.env.get(name)).map(|entry| &entry.spot);
                self.problem(Problem::error(what).cause(FIX), spot);
            }
        }
        let limit = longest_total();
        if total > limit {
            let largest = env.iter().max_by_key(|(_, value)| value.len());
            let mut problem = Problem::error(format!(
                "arguments and environment have {total} bytes; {limit} are allowed here"
            ));
            if let Some((name, value)) = largest {
                let shown = ticked(&name.to_string_lossy());
                problem =
                    problem.cause(format!("the largest is {shown} with {} bytes", value.len()));
            }
            self.problem(problem, Some(&process.spot));
        }
        let nul =
            argv.iter().map(OsString::as_os_str).chain(env.iter().map(|(_, v)| v.as_os_str()));
        if nul.map(OsStr::as_bytes).any(|bytes| bytes.contains(&0)) {
            let what = "a NUL character in what would be passed on";
            self.problem(Problem::error(what), Some(&process.spot));
        }
    }

    fn problem(&mut self, problem: Problem, spot: Option<&Spot>) {
        let place = spot.unwrap_or(&self.manifest.process.spot).place();
        let problem = problem.at(place);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn finish(self) -> (Vec<String>, Vec<Problem>) {
        let mut secrets: Vec<String> = self.secrets.into_iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        (secrets, self.problems)
    }
}

/// A quarter of the stack limit, at most three quarters of 8 MiB, at least 128 KiB: execve(2), "Limits on size of
/// arguments and environment". A page is left for what the kernel adds.
fn longest_total() -> usize {
    let stack = getrlimit(Resource::RLIMIT_STACK).map_or(8 << 20, |(soft, _)| soft);
    let quarter = usize::try_from(stack / 4).unwrap_or(usize::MAX);
    quarter.clamp(128 << 10, 6 << 20) - 4096
}
