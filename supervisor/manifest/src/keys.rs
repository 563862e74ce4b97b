//! The one definition of every key: name, type, default, range, meaning, and whether it has an effect yet.
//!
//! The reader, its messages and the JSON Schema are all made from these tables. A feature that lands changes the
//! [`Effect`] of its keys here and nowhere else.

mod manifest;
mod settings;

pub(crate) use manifest::{DEFAULTS, MANIFEST};
pub(crate) use settings::SETTINGS;

/// A table of keys.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) doc: &'static str,
    keys: &'static [Key],
    /// Keys that several tables share.
    more: &'static [Key],
}

impl Section {
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().chain(self.more)
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

const fn table(doc: &'static str, keys: &'static [Key]) -> Section {
    Section { doc, keys, more: &[] }
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// In the words of the file, without quotes; `None` where absence has a meaning of its own.
    pub(crate) default: Option<&'static str>,
    pub(crate) effect: Effect,
    /// Choices that are part of the contract and not there yet: naming one is an error.
    pub(crate) not_yet: &'static [&'static str],
    pub(crate) doc: &'static str,
}

/// Whether setting a key changes anything today. A key set to its default never matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Now,
    /// Accepted with a warning.
    Later,
    /// Something that protects, and would not: an error.
    Protects,
    /// `Protects` when `[limits] require` is set, else `Later`.
    ProtectsIfRequired,
}

/// The type of a key, and with it how it is read, which values it takes and what a message gives as an example.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    /// Any text, not empty.
    Text,
    Id,
    Ids,
    /// Bounds in milliseconds; `none` is the word for "without".
    Duration {
        min: u64,
        max: u64,
        none: Option<&'static str>,
    },
    /// Bounds in bytes.
    Size {
        min: u64,
        max: u64,
    },
    Count {
        min: u64,
        max: u64,
    },
    /// File descriptors and the like.
    Counts {
        min: u64,
        max: u64,
    },
    Factor {
        min: f64,
        max: f64,
    },
    Percent,
    Umask,
    Sha256,
    Choice(&'static [&'static str]),
    /// A program with its arguments; holes are filled in at each start.
    Command,
    /// A program with its arguments, taken as it stands.
    Argv,
    Template,
    Templates,
    Env,
    /// Patterns over names, `*` and `?`.
    Globs,
    Paths,
    PathOrFalse,
    /// Free for the plugin: a table that becomes a JSON object.
    Object,
    /// Free for the plugin: any value.
    Json,
    RetryAfter,
    Section(&'static Section),
    /// An array of tables; only its shape is checked.
    Tables(&'static Section),
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: None, effect: Effect::Now, not_yet: &[], doc }
}

const fn section(name: &'static str, section: &'static Section) -> Key {
    key(name, Kind::Section(section), section.doc)
}

impl Key {
    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn later(mut self) -> Self {
        self.effect = Effect::Later;
        self
    }

    const fn protects(mut self) -> Self {
        self.effect = Effect::Protects;
        self
    }

    const fn protects_if_required(mut self) -> Self {
        self.effect = Effect::ProtectsIfRequired;
        self
    }

    const fn not_yet(mut self, choices: &'static [&'static str]) -> Self {
        self.not_yet = choices;
        self
    }
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// A duration between two bounds in milliseconds.
const fn duration(min: u64, max: u64) -> Kind {
    Kind::Duration { min, max, none: None }
}

/// The same, or the word for "without".
const fn duration_or(min: u64, max: u64, none: &'static str) -> Kind {
    Kind::Duration { min, max, none: Some(none) }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}
