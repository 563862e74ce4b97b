//! The agreed revision on its way to the supervisor's next build.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::{LEGACY, Revision};

pub(super) fn serialize<S: Serializer>(revision: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(revision)
}

/// A build that does not know the revision cannot go on with the session.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Revision, D::Error> {
    let text = String::deserialize(from)?;
    let known = LEGACY.iter().find(|known| **known == text).copied();
    known.ok_or_else(|| D::Error::custom(format!("the MCP revision {text} is not known")))
}
