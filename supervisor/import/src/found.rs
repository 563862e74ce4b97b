//! What was found in a file, in words that no format owns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::json::Node;
use crate::words::Words;

/// One entry of a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// As the file calls it.
    pub name: String,
    /// From 1; 0 where the file was evaluated and lines mean nothing.
    pub line: usize,
    /// The file that it stands in, where the one that was read only names that.
    pub file: Option<PathBuf>,
    /// What of it could not be carried over.
    pub lost: Vec<Lost>,
    pub(crate) fate: Fate,
    /// The entry as a client's file has it, for [`crate::attach()`].
    pub(crate) entry: Option<Node>,
}

/// Something that a manifest cannot say, or that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The file that it stands in, where the one that was read only names that.
    pub file: Option<PathBuf>,
    /// From 1; 0 where lines mean nothing.
    pub line: usize,
    pub what: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Program(Box<Program>),
    /// Not something that outboard runs, and why.
    LeftAlone(String),
    /// It is `outboard attach` already.
    Attached,
}

/// A program to run, before it has a name of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// `native` when empty.
    pub(crate) dialect: &'static str,
    pub(crate) description: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) command: Vec<Words>,
    pub(crate) cwd: Option<Words>,
    /// The project's folder: where it runs unless `cwd` says otherwise.
    pub(crate) project: Option<PathBuf>,
    pub(crate) env: Vec<(String, Words)>,
    /// Keys of other sections, their values as TOML.
    pub(crate) sections: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    /// Comments for whoever opens the manifest.
    pub(crate) notes: Vec<String>,
}

impl Program {
    pub(crate) fn new(dialect: &'static str) -> Self {
        Self { dialect, enabled: true, ..Self::default() }
    }

    pub(crate) fn set(&mut self, section: &'static str, key: &'static str, toml: String) {
        self.sections.entry(section).or_default().insert(key, toml);
    }
}

impl Found {
    pub(crate) fn new(name: &str, line: usize) -> Self {
        let fate = Fate::LeftAlone(String::new());
        Self { name: name.to_owned(), line, file: None, lost: Vec::new(), fate, entry: None }
    }

    pub(crate) fn left_alone(mut self, why: impl Into<String>) -> Self {
        self.fate = Fate::LeftAlone(why.into());
        self
    }

    pub(crate) fn program(mut self, program: Program) -> Self {
        self.fate = Fate::Program(Box::new(program));
        self
    }

    pub(crate) fn lose(&mut self, line: usize, what: impl Into<String>) {
        self.lost.push(Lost { file: self.file.clone(), line, what: what.into() });
    }

    /// The same of another file that the entry names.
    pub(crate) fn lose_in(&mut self, file: &Path, line: usize, what: impl Into<String>) {
        self.lost.push(Lost { file: Some(file.to_owned()), line, what: what.into() });
    }

    /// Why it is left as it is; `None` for a program.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match &self.fate {
            Fate::Program(_) => None,
            Fate::LeftAlone(why) => Some(why),
            Fate::Attached => Some("it is reached through `outboard attach` already"),
        }
    }

    /// Whether the file starts `outboard attach` for it.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        matches!(self.fate, Fate::Attached)
    }
}
