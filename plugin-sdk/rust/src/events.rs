//! Events that others published.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Raw;
use crate::error::Error;

/// Events that wait for those before them. Beyond that the newest is dropped, and counted in the next one's
/// [`missed`](Event::missed).
pub(crate) const WAITING: usize = 1024;

/// Something that another plugin, or the host, published.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub topic: String,
    /// Who published it.
    pub source: String,
    /// Counts up from 1 for this run of the plugin.
    #[serde(default)]
    pub seq: u64,
    /// When it was published, in milliseconds since 1970.
    #[serde(default)]
    pub time_ms: i64,
    /// How many events were lost between the last one and this.
    #[serde(default)]
    pub missed: u64,
    /// What was published, as it came.
    #[serde(default = "null")]
    pub data: Raw,
}

fn null() -> Raw {
    serde_json::value::RawValue::NULL.to_owned()
}

impl Event {
    /// The data as a `T`.
    ///
    /// # Errors
    ///
    /// It does not read as one.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_str(self.data.get())?)
    }
}

/// Whether a topic is one of those that were asked for; `*` is any run of characters.
pub(crate) fn matches(pattern: &str, topic: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == topic };
    let Some(mut left) = topic.strip_prefix(head) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some((_, behind)) = left.split_once(part) else { return false };
        left = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, topic) in [
            ("*", "a"),
            ("net.*", "net."),
            ("n*t.*p", "net.up"),
            ("net.up", "net.up"),
            ("a*a", "aa"),
        ] {
            assert!(matches(pattern, topic), "{pattern} {topic}");
        }
        for (pattern, topic) in [("net", "net.up"), ("net.*", "ne"), ("a*a", "a"), ("*b", "ba")] {
            assert!(!matches(pattern, topic), "{pattern} {topic}");
        }
    }
}
