//! Request ids.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest integer that a double holds exactly; ids beyond it would be changed by some peers.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// Bytes of the longest string id that is taken from a peer.
const MAX_STRING: usize = 256;

/// The id of a request, as its sender chose it. Each direction of a link has its own ids.
///
/// Integers are within ±(2^53 − 1) and cost no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Id {
    Num(i64),
    Str(Box<str>),
}

impl Id {
    /// The id as one of the host's own, which are 1 to 2147483647.
    #[must_use]
    pub fn as_own(&self) -> Option<u32> {
        match self {
            Self::Num(n @ 1..=0x7fff_ffff) => u32::try_from(*n).ok(),
            Self::Num(_) | Self::Str(_) => None,
        }
    }

    /// Reads the text of one JSON value. `None` for everything that is no legal id, invalid JSON included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with('"') {
            let id: Box<str> = serde_json::from_str(text).ok()?;
            return (id.len() <= MAX_STRING).then_some(Self::Str(id));
        }
        parse_integer(text.as_bytes()).filter(|n| n.abs() <= MAX_SAFE).map(Self::Num)
    }
}

impl From<u32> for Id {
    fn from(id: u32) -> Self {
        Self::Num(i64::from(id))
    }
}

/// As it stands in a message: strings quoted and escaped.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Num(n) => write!(f, "{n}"),
            Self::Str(s) => f.write_str(&crate::json::quoted(s)),
        }
    }
}

/// JSON's own grammar for integers: no leading zero, no sign but one minus, no fraction. `-0` is no integer.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [] => return None,
        [b'0'] if negative => return None,
        [b'0', _, ..] => return None,
        _ => {}
    }
    let mut value = 0i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?;
    }
    // Counted downwards, so that the smallest value fits.
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_follow_the_grammar_of_json() {
        for (text, want) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("01", None),
            ("-0", None),
            ("-", None),
            ("", None),
            ("+1", None),
            ("1.0", None),
            ("1e3", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn string_ids_are_bounded_and_printed_as_json() {
        assert_eq!(Id::parse("\"a\\u0041\""), Some(Id::Str("aA".into())));
        assert_eq!(Id::parse(&format!("\"{}\"", "x".repeat(257))), None);
        assert_eq!(Id::parse("9007199254740992"), None);
        assert_eq!(Id::Str("a\"b\n".into()).to_string(), r#""a\"b\n""#);
    }

    #[test]
    fn own_ids_are_positive_and_fit_31_bits() {
        assert_eq!(Id::Num(1).as_own(), Some(1));
        assert_eq!(Id::Num(0).as_own(), None);
        assert_eq!(Id::Num(1 << 31).as_own(), None);
        assert_eq!(Id::Str("1".into()).as_own(), None);
    }
}
