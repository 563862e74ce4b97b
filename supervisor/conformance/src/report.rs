//! What came out.

use std::time::Duration;

use crate::rules::{Book, Level, Rule};

/// What became of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Ok,
    /// A SHOULD was not met.
    Warn,
    /// A MUST was not met.
    Fail,
    /// It does not apply to this plugin, or rests on a rule that was broken.
    Skip,
}

impl Outcome {
    /// `ok`, `warn`, `fail`, `skip`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// One rule, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    pub rule: &'static Rule,
    pub outcome: Outcome,
    /// What the plugin did, or why nothing was judged. One line; no secret of the plugin's surroundings is in it.
    pub seen: String,
    /// How long the story took that it is judged by.
    pub took: Duration,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it was checked against.
    pub book: &'static Book,
    /// In order of their rules' ids.
    pub checks: Vec<Checked>,
    pub took: Duration,
}

impl Report {
    /// How many checks ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }

    /// Whether no MUST is broken.
    #[must_use]
    pub fn conforms(&self) -> bool {
        self.count(Outcome::Fail) == 0
    }
}

/// What a judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is kept, with what was seen of it.
    Kept(String),
    Broken(String),
    /// The rule says nothing about this plugin, and why.
    Moot(String),
}

impl Verdict {
    pub(crate) fn kept(seen: impl Into<String>) -> Self {
        Self::Kept(seen.into())
    }

    pub(crate) fn broken(seen: impl Into<String>) -> Self {
        Self::Broken(seen.into())
    }

    pub(crate) fn moot(why: impl Into<String>) -> Self {
        Self::Moot(why.into())
    }

    /// Of a judge's findings: `Err` is what breaks the rule.
    pub(crate) fn of(found: Result<String, String>) -> Self {
        found.map_or_else(Self::Broken, Self::Kept)
    }

    pub(crate) fn outcome(&self, level: Level) -> Outcome {
        match (self, level) {
            (Self::Kept(_), _) => Outcome::Ok,
            (Self::Broken(_), Level::Must) => Outcome::Fail,
            (Self::Broken(_), Level::Should) => Outcome::Warn,
            (Self::Moot(_), _) => Outcome::Skip,
        }
    }

    pub(crate) fn into_seen(self) -> String {
        match self {
            Self::Kept(seen) | Self::Broken(seen) | Self::Moot(seen) => seen,
        }
    }
}
