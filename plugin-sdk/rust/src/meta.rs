//! `_meta`: what host and caller say beside the params.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use outboard_wire::json;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Trace context, in its W3C forms: passed on to what a call calls.
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

#[derive(Default)]
pub(crate) struct Meta {
    pub(crate) caller: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) deadline: Option<Duration>,
    members: BTreeMap<String, Box<RawValue>>,
}

impl Meta {
    /// Takes `_meta` out of params. Every other member stays as it is, byte for byte.
    pub(crate) fn split(params: &str) -> (Cow<'_, str>, Self) {
        match json::take_member(params, "_meta") {
            Some((own, meta)) => (own.into(), Self::read(meta)),
            None => (params.into(), Self::read("{}")),
        }
    }

    /// What is no object, or of another type than expected, says nothing.
    fn read(text: &str) -> Self {
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(text).unwrap_or_default();
        Self {
            caller: value(&members, "caller"),
            idempotency_key: value(&members, "idempotencyKey"),
            attempt: value(&members, "attempt").unwrap_or(1).max(1),
            deadline: value(&members, "deadlineMs").map(Duration::from_millis),
            members,
        }
    }

    pub(crate) fn member(&self, name: &str) -> Option<&RawValue> {
        self.members.get(name).map(Box::as_ref).filter(|member| member.get() != "null")
    }

    /// What goes along with a request that is made for this call.
    pub(crate) fn trace(&self) -> BTreeMap<&'static str, &RawValue> {
        TRACE.into_iter().filter_map(|key| Some((key, self.member(key)?))).collect()
    }
}

fn value<'a, T: Deserialize<'a>>(
    members: &'a BTreeMap<String, Box<RawValue>>,
    name: &str,
) -> Option<T> {
    serde_json::from_str(members.get(name)?.get()).ok()
}
