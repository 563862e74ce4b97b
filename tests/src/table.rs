//! The fault table as data: its rows, the listed skips, the guards, and where the tests are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::runtimes::repository;

/// One row of `tests/faults/README.md`.
#[derive(Clone, Debug)]
pub struct Fault {
    pub id: String,
    /// What happens.
    pub what: String,
}

impl Fault {
    /// How its tests' names begin: `spawn_01_`.
    #[must_use]
    pub fn prefix(&self) -> String {
        prefix(&self.id)
    }
}

/// How the names of a row's tests begin.
#[must_use]
pub fn prefix(id: &str) -> String {
    format!("{}_", id.to_lowercase().replace('-', "_"))
}

/// A row, or a part of one, that is not made; `tests/faults/skips.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    pub id: String,
    pub reason: String,
    /// The part that is skipped, when the rest of the row is made.
    pub part: Option<String>,
}

/// A place of the code that makes rows hold; `tests/faults/guards/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    pub name: String,
    /// The file it stands in, from the top of the repository.
    pub file: PathBuf,
    /// The text that is the guard. It stands there exactly once.
    pub guard: String,
    /// What stands there when the guard is broken on purpose.
    pub broken: String,
    /// The rows that go red then.
    pub rows: Vec<String>,
}

/// A test that makes a row.
#[derive(Clone, Debug)]
pub struct Test {
    pub name: String,
    /// The package it is in.
    pub package: String,
}

fn folder() -> PathBuf {
    repository().join("tests/faults")
}

/// Every row, as the table says them.
///
/// # Panics
///
/// When the table cannot be read.
#[must_use]
pub fn faults() -> Vec<Fault> {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (id, what) = (cells.next()?, cells.next()?);
        let (family, number) = id.split_once('-')?;
        let is_id = family.bytes().all(|byte| byte.is_ascii_uppercase())
            && number.bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| Fault { id: id.to_owned(), what: what.to_owned() })
    };
    text.lines().filter_map(row).collect()
}

/// The listed skips.
///
/// # Panics
///
/// When the list cannot be read.
#[must_use]
pub fn skips() -> Vec<Skip> {
    #[derive(Deserialize)]
    struct List {
        skip: Vec<Skip>,
    }
    let text = fs::read_to_string(folder().join("skips.toml")).unwrap();
    toml::from_str::<List>(&text).unwrap_or_else(|error| panic!("skips.toml: {error}")).skip
}

/// The listed guards.
///
/// # Panics
///
/// When the list cannot be read.
#[must_use]
pub fn guards() -> Vec<Guard> {
    #[derive(Deserialize)]
    struct List {
        guard: Vec<Guard>,
    }
    let mut files: Vec<_> =
        fs::read_dir(folder().join("guards")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        toml::from_str::<List>(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .guard
    };
    files.iter().flat_map(read).collect()
}

/// Every test that is named after a row, by the row's id. Found in the source, so in every package.
///
/// # Panics
///
/// When the sources cannot be read.
#[must_use]
pub fn tests() -> BTreeMap<String, Vec<Test>> {
    let families: BTreeSet<String> = faults()
        .iter()
        .map(|fault| prefix(&fault.id)[..fault.id.find('-').unwrap() + 1].to_owned())
        .collect();
    let mut found = BTreeMap::<String, Vec<Test>>::new();
    for (folder, package) in [
        ("supervisor/core", "outboard-core"),
        ("supervisor/wire", "outboard-wire"),
        ("supervisor/keeper", "outboard-keeper"),
        ("supervisor/manifest", "outboard-manifest"),
        ("supervisor/src", "outboard"),
        ("tests", "outboard-tests"),
    ] {
        for file in sources(&repository().join(folder)) {
            for name in named(&fs::read_to_string(&file).unwrap(), &families) {
                let mut parts = name.splitn(3, '_');
                let id =
                    format!("{}-{}", parts.next().unwrap().to_uppercase(), parts.next().unwrap());
                found.entry(id).or_default().push(Test { name, package: package.to_owned() });
            }
        }
    }
    found
}

/// Names of test functions that begin with a family and a number.
fn named(source: &str, families: &BTreeSet<String>) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
            let name = rest.split('(').next().unwrap_or_default();
            let (family, rest) = name.split_at(name.find('_').map_or(0, |at| at + 1));
            let numbered = rest.len() > 3 && rest.as_bytes()[..2].iter().all(u8::is_ascii_digit);
            if std::mem::take(&mut is_test) && numbered && families.contains(family) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
