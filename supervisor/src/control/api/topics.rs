//! What plugins publish, as the management API tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// One event that a plugin published.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// A dotted name.
    pub topic: String,
    /// The plugin that published it.
    pub source: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// As the plugin wrote it.
    #[schemars(with = "Value")]
    pub data: Box<RawValue>,
}

/// One item of `subscribe_topics`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicItem {
    Published(Published),
    /// This many went by unread: the reader was too slow.
    Missed(u64),
}
