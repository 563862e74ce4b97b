//! The parameters of the management API's methods.
//!
//! All of them may be left out unless said otherwise. One that is not known is refused, as a misspelt `ids` must not
//! mean everybody; so a client leaves out what it does not use, and an older supervisor understands it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Source;

/// Which plugins to show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Ids or globs; none: every plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
}

/// Which plugins to start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Start {
    /// Ids or globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// Every plugin there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// `false`: answer at once, with no outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// Which plugins to stop, or to stop and start, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stopping {
    /// Ids or globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// Every plugin there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Go straight to the kill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// `false`: answer at once, with no outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// Which version is to take over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwapIn {
    /// The plugin's id; no globs here.
    pub id: String,
    /// Path of the new version's manifest, as the supervisor sees it; without, the plugin's own as it is now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<String>,
}

/// How the supervisor ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Go straight to the kill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
}

/// One failure of one plugin; without more than the `id` the last one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfFailure {
    /// Its id; no globs here.
    pub id: String,
    /// Counted from the end: 1 is the last one, 2 the one before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<u32>,
    /// That of this run of the plugin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<u64>,
}

/// A page of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventPage {
    /// Only events with a number above this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// At most this many; 1,000 without, and at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where a subscription to events begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventsFrom {
    /// First those with a number above this one that are still there; without, only what happens from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A page of log lines, or what a subscription to them is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogsOf {
    /// Which lines are wanted; without, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<LogFilter>,
}

/// Which topics to hear.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TopicsOf {
    /// Topics, or patterns of them (`net.*`); none: every topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

/// Which log lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogFilter {
    /// `null`: of every plugin.
    pub plugin: Option<String>,
    /// At most this many, the newest (ignored by `subscribe_logs`).
    pub lines: Option<u32>,
    /// Not older than this: RFC 3339.
    pub since: Option<String>,
    pub generation: Option<u64>,
    /// Empty: from every source.
    pub sources: Vec<Source>,
}

/// What to read again, and on top of what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reloading {
    /// `true`: make the plan, and change nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<bool>,
    /// Only on top of this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_revision: Option<u64>,
    /// Ids of plugins that stay as they are, whatever is said about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<String>>,
    /// `false`: answer at once, with no outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// Nothing is to be said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nothing {}
