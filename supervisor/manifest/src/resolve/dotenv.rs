//! The `.env` file beside the manifests.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Uid;

use crate::file;
use crate::problem::{Place, Problem, shown, ticked};

/// What a `.env` file holds.
#[derive(Clone, Default)]
pub struct Dotenv {
    /// In the order of the file; of a name that is there twice the last one counts.
    pub vars: Vec<(String, String)>,
    pub warnings: Vec<Problem>,
}

/// Never prints a value.
impl std::fmt::Debug for Dotenv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.vars.iter().map(|(name, _)| name)).finish()
    }
}

/// Reads a `.env` file; one that is not there is empty.
///
/// Lines are `NAME=value`, with `export` in front allowed; `#` begins a comment at the start of a line or after a
/// space. A value in single quotes is taken as it stands, one in double quotes knows `\n`, `\t`, `\"` and `\\`. Nothing
/// is filled in, and a value ends with its line.
///
/// A file that others can read (wider than 0600) is a warning, and refused as root. No problem shows a value.
///
/// # Errors
///
/// All that is wrong with it, each with its line.
pub fn dotenv(path: &Path) -> Result<Dotenv, Vec<Problem>> {
    read(path, Uid::effective().is_root())
}

fn read(path: &Path, privileged: bool) -> Result<Dotenv, Vec<Problem>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Dotenv::default()),
        _ => {}
    }
    let (bytes, metadata) = file::read(path, file::MAX_FILE).map_err(|why| {
        vec![Problem::error(format!("cannot be read: {why}")).at(Place::whole(path))]
    })?;
    let mut warnings = Vec::new();
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("holds secrets and is open to others (mode {mode:04o})");
        let help = format!("chmod 600 {}", shown(path, "".as_ref()));
        if privileged {
            return Err(vec![Problem::error(what).at(Place::whole(path)).help(help)]);
        }
        warnings.push(Problem::warning(what).at(Place::whole(path)).help(help));
    }
    let source = file::text(path, bytes).map_err(|problem| vec![without_excerpt(*problem)])?;
    let mut vars = Vec::new();
    let mut problems = Vec::new();
    let mut at = 0;
    for line in source.text().split_inclusive('\n') {
        let refuse = |what: String| {
            let place = hidden(source.place(&(at..at)));
            Problem::error(what).at(place)
        };
        match variable(line.trim()) {
            Ok(Some((name, value))) => vars.push((name.to_owned(), value)),
            Ok(None) => {}
            Err(Wrong::NoAssignment) => {
                problems.push(refuse("not NAME=value".to_owned()));
            }
            Err(Wrong::Name(name)) => {
                // What stands before `=` may be half of a value that was broken over lines.
                let what = if name.len() <= 40 && name.bytes().all(|b| b.is_ascii_graphic()) {
                    format!("{} cannot be the name of a variable", ticked(name))
                } else {
                    "what stands before `=` cannot be the name of a variable".to_owned()
                };
                problems.push(refuse(what));
            }
            Err(Wrong::Quote(name)) => {
                problems
                    .push(refuse(format!("the value of {} has no closing quote", ticked(name))));
            }
            Err(Wrong::Rest(name)) => {
                problems
                    .push(refuse(format!("more text behind the quoted value of {}", ticked(name))));
            }
        }
        at += line.len();
    }
    if problems.is_empty() { Ok(Dotenv { vars, warnings }) } else { Err(problems) }
}

/// The place without the line itself, which may hold a secret.
fn hidden(place: Place) -> Place {
    Place { excerpt: String::new(), caret: 0..0, ..place }
}

fn without_excerpt(mut problem: Problem) -> Problem {
    problem.place = problem.place.map(hidden);
    problem
}

/// Why a line is no variable.
enum Wrong<'a> {
    NoAssignment,
    Name(&'a str),
    Quote(&'a str),
    Rest(&'a str),
}

fn variable(line: &str) -> Result<Option<(&str, String)>, Wrong<'_>> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let (name, value) = line.split_once('=').ok_or(Wrong::NoAssignment)?;
    let name = name.trim_end();
    let good = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if !good {
        return Err(Wrong::Name(name));
    }
    let value = value.trim_start();
    let (value, rest) = if let Some(quoted) = value.strip_prefix('\'') {
        let (value, rest) = quoted.split_once('\'').ok_or(Wrong::Quote(name))?;
        (value.to_owned(), rest)
    } else if let Some(quoted) = value.strip_prefix('"') {
        unescape(quoted).ok_or(Wrong::Quote(name))?
    } else {
        let end = [" #", "\t#"].iter().filter_map(|mark| value.find(mark)).min();
        (value[..end.unwrap_or(value.len())].trim_end().to_owned(), "")
    };
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(Some((name, value)))
    } else {
        Err(Wrong::Rest(name))
    }
}

/// The text up to the closing double quote, and what follows it.
fn unescape(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => {
                    value.push('\\');
                    value.push(c);
                }
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests;
