//! Notifications that belong to a call.

use crate::id::Id;
use crate::json::{member, with_member};

/// The call that a notification of the plugin belongs to. The plugin knows it by what the host minted for it; its
/// caller by a token or an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belongs {
    /// The host's id of the call.
    pub call: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The call's progress token, which is its id as a string.
    Token(&'static str),
    Id(&'static str),
    /// The id, as a member of `_meta`.
    Meta(&'static str),
}

impl Belongs {
    /// `name` holds a progress token. `None` when that is none of the host's.
    #[must_use]
    pub(super) fn by_token(params: &str, name: &'static str) -> Option<Self> {
        let token = member(params, name)?.strip_prefix('"')?.strip_suffix('"')?;
        let call = crate::id::parse_integer(token.as_bytes()).map(Id::Num)?.as_own()?;
        Some(Self { call, place: Place::Token(name) })
    }

    /// `name` holds the id of the call.
    #[must_use]
    pub(super) fn by_id(params: &str, name: &'static str) -> Option<Self> {
        let call = member(params, name).and_then(Id::parse)?.as_own()?;
        Some(Self { call, place: Place::Id(name) })
    }

    /// `name` in `_meta` holds the id of the call.
    #[must_use]
    pub(super) fn by_meta_id(params: &str, name: &'static str) -> Option<Self> {
        let call = member(member(params, "_meta")?, name).and_then(Id::parse)?.as_own()?;
        Some(Self { call, place: Place::Meta(name) })
    }

    /// The progress token of a call, as it is minted.
    #[must_use]
    pub fn token(call: u32) -> String {
        call.to_string()
    }

    /// The params as the caller is told them, who knows the call by `id`, and by `token` (JSON text) if it gave one.
    /// `None` when it did not ask to be told.
    #[must_use]
    pub fn told(&self, params: &str, id: &Id, token: Option<&str>) -> Option<String> {
        match self.place {
            Place::Token(name) => with_member(params, name, token?),
            Place::Id(name) => with_member(params, name, &id.to_string()),
            Place::Meta(name) => {
                let meta = with_member(member(params, "_meta")?, name, &id.to_string())?;
                with_member(params, "_meta", &meta)
            }
        }
    }
}

/// The progress token that a caller has put into its params, as JSON text.
///
/// Nearly all params have none, and are only looked through for its name.
#[must_use]
pub fn own_token(params: &str) -> Option<&str> {
    let bytes = params.as_bytes();
    // A name may be spelt with escapes.
    let may_have = |what: &[u8]| memchr::memmem::find(bytes, what).is_some();
    if bytes.len() < 20 || !(may_have(b"progressToken") || may_have(b"\\u")) {
        return None;
    }
    member(member(params, "_meta")?, "progressToken").filter(|token| Id::parse(token).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_minted_becomes_what_the_caller_gave() {
        let params = r#"{"progress":1e400,"progressToken":"7","x":"\ud800"}"#;
        let belongs = Belongs::by_token(params, "progressToken").unwrap();
        assert_eq!(belongs.call, 7);
        let id = Id::Str("a\"b".into());
        assert_eq!(
            belongs.told(params, &id, Some("0")).unwrap(),
            r#"{"progress":1e400,"x":"\ud800","progressToken":0}"#
        );
        assert_eq!(belongs.told(params, &id, None), None, "it did not ask");

        let cancelled = r#"{"requestId":7}"#;
        let belongs = Belongs::by_id(cancelled, "requestId").unwrap();
        assert_eq!(belongs.told(cancelled, &id, None).unwrap(), r#"{"requestId":"a\"b"}"#);

        let event = r#"{"_meta":{"s":7,"t":1}}"#;
        let belongs = Belongs::by_meta_id(event, "s").unwrap();
        assert_eq!(belongs.told(event, &id, None).unwrap(), r#"{"_meta":{"t":1,"s":"a\"b"}}"#);
    }

    #[test]
    fn a_token_that_the_host_did_not_mint_belongs_to_nobody() {
        for token in ["7", "\"\"", "\"07\"", "\"-7\"", "\"initialize\"", "\"2147483648\"", "null"] {
            let params = format!("{{\"token\":{token}}}");
            assert_eq!(Belongs::by_token(&params, "token"), None, "{token}");
        }
    }

    #[test]
    fn a_callers_token_is_found_however_it_is_spelt() {
        for (params, token) in [
            ("{}", None),
            (r#"{"name":"progressToken","arguments":{}}"#, None),
            (r#"{"_meta":{"progressToken":0},"name":"echo"}"#, Some("0")),
            (r#"{"name":"echo","_meta":{"x":1,"progressToken":"abc"}}"#, Some("\"abc\"")),
            (r#"{"_meta":{"progress\u0054oken":5},"name":"e"}"#, Some("5")),
            (r#"{"_meta":{"progressToken":null},"name":"echo"}"#, None),
            (r#"{"_meta":{"progressToken":{}},"name":"echo"}"#, None),
        ] {
            assert_eq!(own_token(params), token, "{params}");
        }
    }
}
