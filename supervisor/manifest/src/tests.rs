//! Text in, text out: what each file says, and what is said about it.

mod changes;
mod discover;
mod files;
mod keys;
mod never_panics;
mod problems;
mod resolving;
mod sets;
mod together;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::file::Trust;
use crate::load::load_as;
use crate::{Manifest, Set, parse_manifest};

/// Nothing is installed anywhere.
pub(crate) const NOTHING_FOUND: &crate::Look<'static> = &|_| Ok(Vec::new());

/// The supervisor of these tests: nobody special, so that root and others see the same.
pub(crate) const NOBODY_SPECIAL: fn() -> Trust =
    || Trust { refuse: false, user: nix::unistd::Uid::effective().as_raw() };

/// A folder of manifests that goes away with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a writable folder");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn load(&self) -> Set {
        self.load_trusting(NOBODY_SPECIAL())
    }

    pub(crate) fn load_trusting(&self, trust: Trust) -> Set {
        load_as(&[self.0.path().to_owned()], None, trust, NOTHING_FOUND).expect("a readable folder")
    }

    /// The screen of `check`, with the folder called `manifests`.
    pub(crate) fn check(&self) -> String {
        self.screen(&self.load())
    }

    pub(crate) fn screen(&self, set: &Set) -> String {
        let screen = format!("{}{}\n", set.render("".as_ref()), set.summary());
        screen.replace(&*self.0.path().to_string_lossy(), "manifests")
    }
}

/// A sound manifest.
pub(crate) fn manifest(text: &str) -> Manifest {
    match parse_manifest(Path::new("geo.toml"), text) {
        Ok((manifest, _)) => manifest,
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// Everything that is said about one file.
pub(crate) fn said(text: &str) -> String {
    let problems = match parse_manifest(Path::new("geo.toml"), text) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    problems.iter().map(|problem| problem.render("".as_ref())).collect()
}

/// A table of texts and what is said about each.
pub(crate) fn table(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let said = said(text);
        let said = if said.is_empty() { "fine\n" } else { &said };
        writeln!(out, "{}\n{said}", "-".repeat(40)).expect("a String takes everything");
    }
    out
}

/// The same for lines of a section, in a manifest that is sound otherwise.
pub(crate) fn lines(section: &str, lines: &[&str]) -> String {
    let texts: Vec<String> = lines
        .iter()
        .map(|line| match section {
            "" => format!("{line}\n[process]\ncommand = [\"geo\"]\n"),
            "process" => format!("[process]\ncommand = [\"geo\"]\n{line}\n"),
            _ => format!("[process]\ncommand = [\"geo\"]\n[{section}]\n{line}\n"),
        })
        .collect();
    table(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}
