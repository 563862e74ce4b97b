//! What the reader makes of a key: a typed value, by path, with its place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use outboard_core::RetryAfter;
use serde_json::Map;

use crate::source::{Placed, Spot};
use crate::template::Template;

/// A validated value of one key.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Text(String),
    Texts(Vec<Placed<String>>),
    /// `None` is `"none"` or `"never"`.
    Duration(Option<Duration>),
    Size(u64),
    Count(u64),
    Counts(Vec<u64>),
    Factor(f64),
    Percent(u32),
    Umask(u32),
    Choice(&'static str),
    Template(Template),
    Templates(Vec<Template>),
    Env(BTreeMap<String, EnvEntry>),
    Object(Map<String, serde_json::Value>),
    Json(serde_json::Value),
    RetryAfter(RetryAfter),
    /// A path, or `false`.
    PathOrFalse(Option<PathBuf>),
}

/// One variable of `[process] env`.
#[derive(Clone, Debug)]
pub struct EnvEntry {
    pub value: EnvValue,
    pub spot: Spot,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug)]
pub enum EnvValue {
    /// Written in the manifest, holes allowed.
    Text(Template),
    /// A variable of the supervisor or of the `.env` file; a secret.
    FromEnv(String),
    /// The content of a file, relative to the manifest (`~/` is the home folder); a secret.
    FromFile(PathBuf),
}

impl Value {
    /// A text that is the same for two values exactly when they mean the same.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Texts(texts) => {
                format!("{:?}", texts.iter().map(|text| &text.value).collect::<Vec<_>>())
            }
            Self::Duration(duration) => format!("{duration:?}"),
            Self::Size(number) | Self::Count(number) => number.to_string(),
            Self::Counts(numbers) => format!("{numbers:?}"),
            Self::Factor(factor) => format!("{factor:?}"),
            Self::Percent(number) | Self::Umask(number) => number.to_string(),
            Self::Choice(word) => (*word).to_owned(),
            Self::Template(template) => format!("{:?}", template.as_written()),
            Self::Templates(templates) => {
                format!("{:?}", templates.iter().map(Template::as_written).collect::<Vec<_>>())
            }
            Self::Env(variables) => variables
                .iter()
                .map(|(name, entry)| match &entry.value {
                    EnvValue::Text(template) => format!("{name:?}={:?}\n", template.as_written()),
                    EnvValue::FromEnv(from) => format!("{name:?}=env {from:?}\n"),
                    EnvValue::FromFile(path) => format!("{name:?}=file {path:?}\n"),
                })
                .collect(),
            Self::Object(map) => canonical_object(map),
            Self::Json(value) => canonical_json(value),
            Self::RetryAfter(after) => format!("{after:?}"),
            Self::PathOrFalse(path) => format!("{path:?}"),
        }
    }
}

/// Compact JSON with sorted members, whatever order the map type keeps.
fn canonical_json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => canonical_object(map),
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn canonical_object(map: &Map<String, serde_json::Value>) -> String {
    let mut members: Vec<String> =
        map.iter().map(|(name, value)| format!("{name:?}:{}", canonical_json(value))).collect();
    members.sort_unstable();
    format!("{{{}}}", members.join(","))
}

/// A value with its place; built-in defaults have none.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) spot: Option<Spot>,
}

/// Every key that is set, by its dotted path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(BTreeMap<String, Entry>);

/// The getters are total: each path they are called with is a key of the table, whose kind says which value it
/// holds, and the built-in defaults lie below everything. `every_key_can_be_read` keeps the two in step.
const IN_STEP: &str = "the key table and its reader are in step";

impl Values {
    pub(crate) fn insert(&mut self, path: String, value: Value, spot: Option<Spot>) {
        self.0.insert(path, Entry { value, spot });
    }

    /// Lays `over` on top: objects and variables merge by name, everything else is replaced.
    pub(crate) fn merge(&mut self, over: &Self) {
        for (path, entry) in &over.0 {
            let mut entry = entry.clone();
            if let Some(below) = self.0.get(path) {
                match (&below.value, &mut entry.value) {
                    (Value::Env(below), Value::Env(above)) => {
                        for (name, variable) in below {
                            above.entry(name.clone()).or_insert_with(|| variable.clone());
                        }
                    }
                    (Value::Object(below), Value::Object(above)) => merge_objects(above, below),
                    _ => {}
                }
            }
            self.0.insert(path.clone(), entry);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.0.get(path).map(|entry| &entry.value)
    }

    pub(crate) fn spot(&self, path: &str) -> Option<&Spot> {
        self.0.get(path).and_then(|entry| entry.spot.as_ref())
    }

    pub(crate) fn flag(&self, path: &str) -> bool {
        match self.get(path) {
            Some(Value::Bool(value)) => *value,
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }

    pub(crate) fn choice(&self, path: &str) -> &'static str {
        match self.get(path) {
            Some(Value::Choice(word)) => word,
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }

    pub(crate) fn maybe_choice(&self, path: &str) -> Option<&'static str> {
        self.get(path).map(|_| self.choice(path))
    }

    pub(crate) fn maybe_duration(&self, path: &str) -> Option<Duration> {
        match self.get(path) {
            Some(Value::Duration(duration)) => *duration,
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }

    pub(crate) fn duration(&self, path: &str) -> Duration {
        match self.maybe_duration(path) {
            Some(duration) => duration,
            None => unreachable!("{path}: {IN_STEP}"),
        }
    }

    /// Counts and sizes are limited by their ranges, all below `usize` and, for counts, below `u32`.
    pub(crate) fn number(&self, path: &str) -> u64 {
        match self.get(path) {
            Some(Value::Count(number) | Value::Size(number)) => *number,
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }

    pub(crate) fn count(&self, path: &str) -> u32 {
        u32::try_from(self.number(path)).unwrap_or(u32::MAX)
    }

    pub(crate) fn size(&self, path: &str) -> usize {
        usize::try_from(self.number(path)).unwrap_or(usize::MAX)
    }

    pub(crate) fn maybe_number(&self, path: &str) -> Option<u64> {
        match self.get(path) {
            Some(Value::Count(number) | Value::Size(number)) => Some(*number),
            Some(Value::Percent(number) | Value::Umask(number)) => Some(u64::from(*number)),
            _ => None,
        }
    }

    pub(crate) fn maybe_count(&self, path: &str) -> Option<u32> {
        self.maybe_number(path).and_then(|number| u32::try_from(number).ok())
    }

    pub(crate) fn counts(&self, path: &str) -> Vec<u64> {
        match self.get(path) {
            Some(Value::Counts(numbers)) => numbers.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn factor(&self, path: &str) -> f64 {
        match self.get(path) {
            Some(Value::Factor(factor)) => *factor,
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        match self.get(path) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, path: &str) -> &[Placed<String>] {
        match self.get(path) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    pub(crate) fn template(&self, path: &str) -> Template {
        match self.get(path) {
            Some(Value::Template(template)) => template.clone(),
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }

    pub(crate) fn templates(&self, path: &str) -> &[Template] {
        match self.get(path) {
            Some(Value::Templates(templates)) => templates,
            _ => &[],
        }
    }

    pub(crate) fn env(&self, path: &str) -> BTreeMap<String, EnvEntry> {
        match self.get(path) {
            Some(Value::Env(variables)) => variables.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub(crate) fn object(&self, path: &str) -> serde_json::Value {
        match self.get(path) {
            Some(Value::Object(map)) => serde_json::Value::Object(map.clone()),
            _ => serde_json::Value::Object(Map::new()),
        }
    }

    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        match self.get(path) {
            Some(Value::Json(value)) => value.clone(),
            _ => serde_json::Value::Null,
        }
    }

    pub(crate) fn retry_after(&self, path: &str) -> RetryAfter {
        match self.get(path) {
            Some(Value::RetryAfter(after)) => *after,
            _ => unreachable!("{path}: {IN_STEP}"),
        }
    }
}

/// Adds to `above` what only `below` has, at every depth.
fn merge_objects(
    above: &mut Map<String, serde_json::Value>,
    below: &Map<String, serde_json::Value>,
) {
    for (name, value) in below {
        match above.get_mut(name) {
            Some(serde_json::Value::Object(above)) => {
                if let serde_json::Value::Object(below) = value {
                    merge_objects(above, below);
                }
            }
            Some(_) => {}
            None => {
                above.insert(name.clone(), value.clone());
            }
        }
    }
}
