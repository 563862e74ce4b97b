//! Calls that plugins make of each other: what led to one, and where that has to end.
//!
//! A plugin does not say for which of its own calls it makes another one, unless it brings that call's trace context
//! along. So the host takes what it knows: with one call open it is that one, with several it is one of them. What
//! must be bounded (the depth of a chain, the deadline) then goes by the widest of them; what would refuse a call that
//! may be well (a circle into a plugin that takes one call at a time) by what is true of all.

use std::sync::Arc;

use outboard_core::{PluginId, Time};
use outboard_wire::json::{member, text_member};
use serde::{Deserialize, Serialize};

/// Plugins in one chain of calls, at most.
const DEPTH: usize = 16;

/// What led to a call that a plugin makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The plugins that wait for it, the first caller first.
    pub chain: Vec<PluginId>,
    pub trace: Trace,
}

/// W3C trace context, passed on as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub parent: Option<Box<str>>,
    pub state: Option<Box<str>>,
    pub baggage: Option<Box<str>>,
}

/// One call that a plugin has open, as far as the calls that it makes itself are concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    pub origin: Option<Arc<Origin>>,
    pub trace: Trace,
    pub deadline: Option<Time>,
}

/// What a plugin's own call inherits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inherited {
    pub origin: Origin,
    pub deadline: Option<Time>,
    /// Plugins that wait for this call's caller for certain, itself included.
    waiting: Vec<PluginId>,
}

impl Trace {
    /// The trace members of a `_meta` object; what is malformed is left out.
    #[must_use]
    pub(crate) fn of(meta: &str) -> Self {
        let text = |name| text_member(meta, name).filter(|text| text.is_ascii());
        let parent = text("traceparent").filter(|text| is_traceparent(text));
        let state = text("tracestate").filter(|text| parent.is_some() && text.len() <= LONGEST);
        let baggage = text("baggage").filter(|text| text.len() <= LONGEST);
        Self {
            parent: parent.as_deref().map(Into::into),
            state: state.as_deref().map(Into::into),
            baggage: baggage.as_deref().map(Into::into),
        }
    }

    /// The trace members of a call's params.
    #[must_use]
    pub(crate) fn of_params(params: &str) -> Self {
        member(params, "_meta").map(Self::of).unwrap_or_default()
    }

    fn id(&self) -> Option<&str> {
        self.parent.as_deref().and_then(|parent| parent.get(3..35))
    }

    /// These, and of `other` what is not there.
    fn or(self, other: Self) -> Self {
        if self.parent.is_some() {
            return Self { baggage: self.baggage.or(other.baggage), ..self };
        }
        Self { baggage: self.baggage.or(other.baggage), ..other }
    }
}

/// Bytes of `tracestate` and `baggage` that are passed on: what the W3C asks everybody to bear, eightfold.
const LONGEST: usize = 8192;

/// `00-32 hex-16 hex-2 hex`, lower case, not all zero.
fn is_traceparent(text: &str) -> bool {
    let hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let mut next = |len| parts.next().filter(|part| hex(part, len));
    let (Some(version), Some(trace), Some(span), Some(_flags)) =
        (next(2), next(32), next(16), next(2))
    else {
        return false;
    };
    let more = parts.next().is_some();
    version != "ff"
        && (version != "00" || !more)
        && trace.bytes().any(|b| b != b'0')
        && span.bytes().any(|b| b != b'0')
}

impl Open {
    fn chain(&self) -> &[PluginId] {
        self.origin.as_ref().map_or(&[], |origin| &origin.chain)
    }
}

impl Inherited {
    /// What a call of plugin `id` inherits that has these calls open, and says this trace itself.
    #[must_use]
    pub(crate) fn from(id: &PluginId, open: &[Open], own: Trace) -> Self {
        let same_trace =
            |one: &&Open| own.id().is_some() && known_trace(one).and_then(Trace::id) == own.id();
        let named: Vec<&Open> = open.iter().filter(same_trace).collect();
        let for_these = if named.is_empty() { open.iter().collect() } else { named };
        let mut longest =
            for_these.iter().map(|one| one.chain()).max_by_key(|c| c.len()).unwrap_or(&[]).to_vec();
        let mut waiting: Vec<PluginId> = match for_these.split_first() {
            Some((first, rest)) => first
                .chain()
                .iter()
                .filter(|id| rest.iter().all(|one| one.chain().contains(id)))
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        longest.push(id.clone());
        // With nothing open it makes the call of its own accord, and nobody waits for it.
        if !open.is_empty() {
            waiting.push(id.clone());
        }
        let trace = match for_these.as_slice() {
            [one] => own.or(known_trace(one).cloned().unwrap_or_default()),
            _ => own,
        };
        let deadline = match for_these.iter().map(|one| one.deadline).collect::<Option<Vec<_>>>() {
            Some(all) => all.into_iter().max(),
            None => None,
        };
        Self { origin: Origin { chain: longest, trace }, deadline, waiting }
    }

    /// Whether a call to `callee` would close a circle that cannot end, or make the chain too long.
    #[must_use]
    pub(crate) fn closes_circle(&self, callee: &PluginId, takes_one: bool) -> bool {
        self.origin.chain.len() > DEPTH || takes_one && self.waiting.contains(callee)
    }
}

/// The trace of a call: its own `_meta`, or what the plugin that made it inherited.
fn known_trace(open: &Open) -> Option<&Trace> {
    if open.trace.parent.is_some() || open.trace.baggage.is_some() {
        return Some(&open.trace);
    }
    open.origin.as_ref().map(|origin| &origin.trace)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OTHER: &str = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-00";

    fn id(name: &str) -> PluginId {
        name.into()
    }

    fn open(chain: &[&str], deadline: Option<u64>, trace: &str) -> Open {
        let chain = chain.iter().map(|name| id(name)).collect();
        let parent = Some(trace).filter(|text| !text.is_empty()).map(Into::into);
        Open {
            origin: Some(Arc::new(Origin { chain, trace: Trace::default() })),
            trace: Trace { parent, ..Trace::default() },
            deadline: deadline.map(|s| Time::from_start(Duration::from_secs(s))),
        }
    }

    fn at(s: u64) -> Option<Time> {
        Some(Time::from_start(Duration::from_secs(s)))
    }

    #[test]
    fn with_nothing_open_nothing_is_inherited() {
        let inherited = Inherited::from(&id("a"), &[], Trace::default());
        assert_eq!(inherited.origin.chain, [id("a")]);
        assert_eq!(inherited.deadline, None);
        assert!(!inherited.closes_circle(&id("a"), true), "nobody waits for it");
    }

    #[test]
    fn the_one_open_call_is_what_it_is_made_for() {
        let inherited =
            Inherited::from(&id("b"), &[open(&["a"], Some(5), PARENT)], Trace::default());
        assert_eq!(inherited.origin.chain, [id("a"), id("b")]);
        assert_eq!(inherited.deadline, at(5));
        assert_eq!(inherited.origin.trace.parent.as_deref(), Some(PARENT));
        assert!(inherited.closes_circle(&id("a"), true));
        assert!(inherited.closes_circle(&id("b"), true));
        assert!(!inherited.closes_circle(&id("a"), false));
        assert!(!inherited.closes_circle(&id("c"), true));
    }

    #[test]
    fn among_several_bounds_go_by_the_widest_and_circles_by_all() {
        let calls = [open(&["a", "x"], Some(5), PARENT), open(&["a"], Some(9), OTHER)];
        let inherited = Inherited::from(&id("b"), &calls, Trace::default());
        assert_eq!(inherited.origin.chain, [id("a"), id("x"), id("b")]);
        assert_eq!(inherited.deadline, at(9));
        assert_eq!(inherited.origin.trace, Trace::default(), "nobody knows which");
        assert!(inherited.closes_circle(&id("a"), true));
        assert!(!inherited.closes_circle(&id("x"), true), "it may be for the other one");
        let endless = [calls[0].clone(), open(&[], None, "")];
        assert_eq!(Inherited::from(&id("b"), &endless, Trace::default()).deadline, None);
    }

    #[test]
    fn the_trace_that_it_says_tells_which() {
        let calls = [open(&["a"], Some(5), PARENT), open(&["x"], Some(9), OTHER)];
        let own = Trace {
            parent: Some(PARENT.replace("00f067aa0ba902b7", "1111111111111111").into()),
            ..Trace::default()
        };
        let inherited = Inherited::from(&id("b"), &calls, own.clone());
        assert_eq!((inherited.origin.chain.len(), inherited.deadline), (2, at(5)));
        assert_eq!(inherited.origin.trace, own);
        assert!(inherited.closes_circle(&id("a"), true));
    }

    #[test]
    fn a_chain_has_sixteen_plugins_at_most() {
        let chain: Vec<String> = (0..15).map(|n| format!("p{n}")).collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let calls = |n: usize| [open(&chain[..n], None, "")];
        let of = |n| Inherited::from(&id("last"), &calls(n), Trace::default());
        assert!(!of(15).closes_circle(&id("next"), false));
        let deeper = Inherited::from(
            &id("deeper"),
            &[Open { origin: Some(Arc::new(of(15).origin)), ..Open::default() }],
            Trace::default(),
        );
        assert!(deeper.closes_circle(&id("next"), false));
    }

    #[test]
    fn malformed_trace_members_are_dropped() {
        let meta =
            |parent: &str| format!(r#"{{"traceparent":"{parent}","tracestate":"a=1","x":1}}"#);
        assert_eq!(Trace::of(&meta(PARENT)).parent.as_deref(), Some(PARENT));
        assert_eq!(Trace::of(&meta(PARENT)).state.as_deref(), Some("a=1"));
        for bad in [
            "",
            "00-4bf9-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(Trace::of(&meta(bad)), Trace::default(), "{bad}");
        }
        assert_eq!(Trace::of(r#"{"traceparent":7}"#), Trace::default());
        assert_eq!(
            Trace::of_params(r#"{"_meta":{"baggage":"k=v"}}"#).baggage.as_deref(),
            Some("k=v")
        );
    }
}
