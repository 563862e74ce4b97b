//! `_meta`: what the host says beside the caller's params.

use std::borrow::Cow;
use std::time::Duration;

use super::CallRefusal;
use crate::json::{member, quoted, with_member, with_members};

/// What the host knows of a call. Only what is there is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta<'a> {
    /// `cli`, `api:NAME` or `plugin:ID`.
    pub caller: Option<&'a str>,
    /// W3C trace context and baggage, passed through untouched.
    pub traceparent: Option<&'a str>,
    pub tracestate: Option<&'a str>,
    pub baggage: Option<&'a str>,
    /// Minted by the host for each call, so that tokens of different callers cannot collide.
    pub progress_token: Option<&'a str>,
    /// The same key has the same effect.
    pub idempotency_key: Option<&'a str>,
    /// 1, and 2 on a replay.
    pub attempt: Option<u32>,
}

/// Members of `_meta`: name and JSON text.
pub(super) type Entry<'a> = (&'a str, Cow<'a, str>);

impl<'a> Meta<'a> {
    /// Trace context, under the names it has everywhere.
    pub(super) fn trace(&self) -> impl Iterator<Item = Entry<'a>> {
        [
            ("traceparent", self.traceparent),
            ("tracestate", self.tracestate),
            ("baggage", self.baggage),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, quoted(value).into())))
    }

    pub(super) fn progress_entry(&self) -> Option<Entry<'a>> {
        self.progress_token.map(|token| ("progressToken", quoted(token).into()))
    }

    /// What is the host's own: deadline, caller, attempt, key.
    pub(super) fn own(&self, remaining: Option<Duration>) -> impl Iterator<Item = Entry<'a>> {
        [
            remaining.map(|left| ("deadlineMs", left.as_millis().to_string())),
            self.caller.map(|caller| ("caller", quoted(caller))),
            self.attempt.map(|attempt| ("attempt", attempt.to_string())),
            self.idempotency_key.map(|key| ("idempotencyKey", quoted(key))),
        ]
        .into_iter()
        .flatten()
        .map(|(name, value)| (name, value.into()))
    }
}

/// Puts members into `params._meta`. The caller's own stay unless the host says the same name; all other params keep
/// their bytes.
pub(super) fn splice(params: &str, entries: &[Entry<'_>]) -> Result<String, CallRefusal> {
    let params = if params.is_empty() { "{}" } else { params };
    let entries: Vec<(&str, &str)> =
        entries.iter().map(|(name, value)| (*name, &**value)).collect();
    let own = member(params, "_meta").filter(|meta| meta.starts_with('{')).unwrap_or("{}");
    with_members(own, &entries)
        .and_then(|meta| with_member(params, "_meta", &meta))
        .ok_or(CallRefusal::BadParams("an object is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_written() {
        let meta = Meta {
            caller: Some("cli"),
            traceparent: Some("00-a-b-01"),
            attempt: Some(1),
            ..Meta::default()
        };
        let entries: Vec<_> =
            meta.trace().chain(meta.own(Some(Duration::from_millis(1950)))).collect();
        assert_eq!(
            splice(r#"{"ip":"192.0.2.1"}"#, &entries).unwrap(),
            r#"{"ip":"192.0.2.1","_meta":{"traceparent":"00-a-b-01","deadlineMs":1950,"caller":"cli","attempt":1}}"#
        );
        assert!(Meta::default().own(None).next().is_none());
    }

    #[test]
    fn payloads_keep_their_bytes_and_the_callers_members_pass() {
        let entries = [("caller", "\"cli\"".into())];
        assert_eq!(
            splice(r#"{ "n" : 1e400, "_meta":{"x": 12345678901234567890123, "caller":"me"}, "s":"\ud800"}"#, &entries)
                .unwrap(),
            r#"{"n" : 1e400,"s":"\ud800","_meta":{"x": 12345678901234567890123,"caller":"cli"}}"#
        );
        assert_eq!(splice("", &entries).unwrap(), r#"{"_meta":{"caller":"cli"}}"#);
        assert_eq!(splice(r#"{"_meta":null}"#, &entries).unwrap(), r#"{"_meta":{"caller":"cli"}}"#);
        assert!(splice("[1]", &entries).is_err());
    }
}
