//! Finding the id of a message that cannot be read whole.
//!
//! A too-long or too-deep answer must fail its call and not leave it to its deadline. What is known of such a line is
//! its first [`HEAD`] and last [`TAIL`] bytes.

use crate::id::Id;
use crate::json::{Members, unescape};

/// Bytes kept of the beginning of a line that is skipped.
pub(crate) const HEAD: usize = 4096;

/// Bytes kept of its end.
pub(crate) const TAIL: usize = 256;

/// What could be made out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Salvaged {
    pub(crate) id: Option<Id>,
    /// It is the peer's request (a `method` was met), not an answer.
    pub(crate) request: bool,
}

/// Looks in the head for `id` as a member of the outer object; else in the tail for an id as the last member,
/// or the last but one before `"jsonrpc":"2.0"`.
///
/// The second place is sound, because what stands before the last brace belongs to the outer object; it is needed,
/// because one widespread SDK writes `result` first and `id` last.
pub(crate) fn salvage(head: &[u8], tail: &[u8]) -> Salvaged {
    let mut found = Salvaged::default();
    let Some(mut members) = Members::new(head, u32::MAX) else { return found };
    loop {
        match members.next() {
            Ok(Some(member)) => match unescape(&head[member.name]).as_deref() {
                Some("id") if found.id.is_none() => {
                    found.id = std::str::from_utf8(&head[member.value]).ok().and_then(Id::parse);
                }
                Some("method") => found.request = true,
                _ => {}
            },
            // The object ended within the head: what follows is no part of it.
            Ok(None) => return found,
            Err(_) => break,
        }
    }
    if found.id.is_none() {
        found.id = id_in_tail(tail);
    }
    found
}

fn id_in_tail(tail: &[u8]) -> Option<Id> {
    let mut rest = strip(tail.trim_ascii_end(), b"}")?;
    if let Some(before) = strip(rest, br#""2.0""#) {
        rest = strip(before, b":")?;
        rest = strip(rest, br#""jsonrpc""#)?;
        rest = strip(rest, b",")?;
    }
    let value_at = if rest.ends_with(b"\"") {
        // The opening quote of an id without escapes; one with escapes is not looked for.
        let open = memchr::memrchr(b'"', &rest[..rest.len() - 1])?;
        if rest[open..].contains(&b'\\') {
            return None;
        }
        open
    } else {
        rest.len() - rest.iter().rev().take_while(|b| b.is_ascii_digit() || **b == b'-').count()
    };
    let id = Id::parse(std::str::from_utf8(&rest[value_at..]).ok()?)?;
    let before = strip(rest[..value_at].trim_ascii_end(), b":")?;
    let before = strip(before, br#""id""#)?;
    // Else the name is longer, or this is the end of a string.
    matches!(before.last(), Some(b',' | b'{')).then_some(id)
}

/// `text` without `suffix` and without the blanks before it.
fn strip<'a>(text: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    Some(text.strip_suffix(suffix)?.trim_ascii_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(head: &str, tail: &str) -> Option<String> {
        salvage(head.as_bytes(), tail.as_bytes()).id.map(|id| id.to_string())
    }

    #[test]
    fn the_head_gives_an_id_of_the_outer_object_only() {
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":42,"result":"xxx"#, "").as_deref(), Some("42"));
        assert_eq!(id(r#"{"result":{"id":5,"x":"xxx"#, ""), None);
        assert_eq!(id(r#"{"result":"\"id\":5,","x":"#, ""), None);
        assert_eq!(id(r#"{"\u0069d":"a b","result":"#, "").as_deref(), Some("\"a b\""));
    }

    #[test]
    fn a_number_cut_off_by_the_end_of_the_head_is_no_id() {
        assert_eq!(id(r#"{"id":42"#, ""), None);
    }

    #[test]
    fn the_tail_gives_the_last_member_of_the_line() {
        let head = r#"{"result":{"id":5,"x":"xxx"#;
        for (tail, want) in [
            (r#"xx"},"id":44}"#, Some("44")),
            (r#"xx"},"jsonrpc":"2.0","id":44}"#, Some("44")),
            (r#"xx"}, "id": 44, "jsonrpc": "2.0"} "#, Some("44")),
            (r#"xx"},"id":"a-1"}"#, Some("\"a-1\"")),
            (r#"xx"},"no id":44}"#, None),
            (r#"xx"},"x\"id":44}"#, None),
            (r#"xx","id":44}}"#, None),
            (r#"xx"},"id":4.4}"#, None),
            (r#""id":44}"#, None),
            (r#"xx"},"id":"a\"b"}"#, None),
        ] {
            assert_eq!(id(head, tail).as_deref(), want, "{tail}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_id() {
        assert_eq!(id("yyyy", r#","id":44}"#), None);
        assert_eq!(id(r#"{"a":1} and more"#, r#","id":44}"#), None);
    }

    #[test]
    fn a_method_in_the_head_makes_it_a_request() {
        assert!(salvage(br#"{"id":1,"method":"x","params":"#, b"").request);
        assert!(!salvage(br#"{"id":1,"result":{"method":"x""#, b"").request);
    }
}
