//! A key nobody knows, and the nearest right thing.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, join};
use crate::keys::{Kind, MANIFEST, Section};
use crate::problem::{Problem, ticked};
use crate::suggest::nearest;

/// Names from elsewhere that no edit distance leads home.
const HABITS: [(&str, &str); 9] = [
    ("args", "arguments go into `command`, after the program"),
    ("arguments", "arguments go into `command`, after the program"),
    ("cmd", "did you mean `command`?"),
    ("program", "did you mean `command`?"),
    ("environment", "did you mean `env`?"),
    ("working_dir", "did you mean `cwd`?"),
    ("directory", "did you mean `cwd`?"),
    ("url", "outboard runs programs; a remote server needs none"),
    ("sandbox", "it is not there yet, and nothing would be held back"),
];

impl Reader<'_, '_> {
    pub(super) fn unknown(
        &mut self,
        section: &'static Section,
        path: &str,
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let word = name.get_ref();
        let is_section = match value.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(items) => items.first().is_some_and(|item| item.get_ref().is_table()),
            _ => false,
        };
        let what = match (is_section, path) {
            (true, _) => format!("unknown section {}", ticked(&join(path, word))),
            (false, "") => format!("unknown key {}", ticked(word)),
            (false, _) => format!("unknown key {} in [{path}]", ticked(word)),
        };
        let mut problem = Problem::error(what);
        if let Some(cause) = cause(section, word) {
            problem = problem.cause(cause);
        }
        self.problems.push(&name.span(), problem);
    }
}

fn cause(section: &'static Section, word: &str) -> Option<String> {
    if let Some((_, said)) = HABITS.iter().find(|(habit, _)| *habit == word) {
        return Some((*said).to_owned());
    }
    if let Some(near) = nearest(word, section.keys().map(|key| key.name)) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some(home) = home_of(word) {
        return Some(format!("it belongs to {home}"));
    }
    let known: Vec<&str> = section.keys().map(|key| key.name).collect();
    (known.len() <= 5).then(|| format!("known here: {}", known.join(", ")))
}

/// Where in a manifest a key of this name stands.
fn home_of(word: &str) -> Option<String> {
    if MANIFEST.key(word).is_some() {
        return Some("the top of the file".to_owned());
    }
    MANIFEST.keys().find_map(|key| match key.kind {
        Kind::Section(section) => section.key(word).map(|_| format!("[{}]", key.name)),
        _ => None,
    })
}
