//! Bytes as text, one character for each byte (Latin-1): what a supervisor hands to its next build stays readable, and
//! costs little more than the bytes, which are JSON most of the time.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// For `#[serde(with = "…")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    to.serialize_str(&text)
}

/// For `#[serde(with = "…")]`.
///
/// # Errors
/// What is read is no text, or holds a character that is no byte.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    text.chars()
        .map(|c| u8::try_from(c).map_err(|_| D::Error::custom("a character that is no byte")))
        .collect()
}

/// For `#[serde(with = "…")]` on boxed bytes.
pub mod boxed {
    use serde::{Deserializer, Serializer};

    /// As [`serialize`](super::serialize).
    ///
    /// # Errors
    /// The same.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        super::serialize(bytes, to)
    }

    /// As [`deserialize`](super::deserialize).
    ///
    /// # Errors
    /// The same.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<[u8]>, D::Error> {
        super::deserialize(from).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, Deserialize)]
    struct Bytes(#[serde(with = "super")] Vec<u8>);

    #[test]
    fn every_byte_comes_back_and_what_is_none_is_refused() {
        let all: Vec<u8> = (0..=255).collect();
        let text = serde_json::to_string(&Bytes(all.clone())).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap().0, all);
        assert!(serde_json::from_str::<Bytes>("\"\u{100}\"").is_err());
    }
}
