//! Events of the journal, as it stores them.

use serde::Deserialize;
use serde_json::{Map, Value};

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub at: String,
    pub plugin: Option<String>,
    pub generation: u64,
    /// Its dotted name.
    pub event: String,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Event {
    /// Whether it is of this name and about this plugin.
    #[must_use]
    pub fn is(&self, name: &str, plugin: &str) -> bool {
        self.event == name && self.plugin.as_deref() == Some(plugin)
    }

    /// Whether it says that this plugin came into this state.
    #[must_use]
    pub fn is_state(&self, plugin: &str, state: &str) -> bool {
        self.is("plugin.state", plugin) && self.text("to") == state
    }

    /// A member that is text; empty when it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A member that is a number; 0 when it is not there.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.fields.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Any member.
    #[must_use]
    pub fn member(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plugin = self.plugin.as_deref().unwrap_or("-");
        write!(f, "{} {} {plugin}/{} {}", self.seq, self.at, self.generation, self.event)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
