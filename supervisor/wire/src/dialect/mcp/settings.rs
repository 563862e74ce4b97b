//! What a manifest's `[mcp]` section says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which of the two ways of opening is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Era {
    /// `initialize`, and `server/discover` where that is refused.
    #[default]
    Auto,
    Legacy,
    Modern,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct McpSettings {
    pub era: Era,
    /// Capabilities declared to the server, an object; none by default, which changes what servers offer. `roots` may
    /// be the list itself: `{"roots": [{"uri": "file:///srv"}]}`.
    pub client_capabilities: Value,
    /// `debug`, `info`, …, `emergency`: asked for where the server has log levels.
    pub log_level: Option<String>,
    /// Deadline, caller, attempt and key go along as `dev.outboard/…`.
    pub send_meta: bool,
    /// Open a subscription to changes of the lists (modern era).
    pub change_events: bool,
}

impl McpSettings {
    /// The capabilities as the server is told them, as JSON text.
    pub(super) fn declared(&self) -> String {
        let mut declared = self.client_capabilities.as_object().cloned().unwrap_or_default();
        if let Some(roots) = declared.get_mut("roots")
            && !roots.is_object()
        {
            *roots = Value::Object(Map::new());
        }
        Value::Object(declared).to_string()
    }

    pub(super) fn declares(&self, capability: &str) -> bool {
        self.client_capabilities
            .get(capability)
            .is_some_and(|value| !value.is_null() && *value != false)
    }

    /// The fixed list of roots, as JSON text, if roots are declared.
    pub(super) fn roots(&self) -> Option<String> {
        let roots = self.client_capabilities.get("roots").filter(|_| self.declares("roots"))?;
        Some(if roots.is_array() { roots.to_string() } else { "[]".to_owned() })
    }
}
