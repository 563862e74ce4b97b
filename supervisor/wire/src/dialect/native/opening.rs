//! What a native plugin answers to `initialize`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::VERSIONS;
use crate::dialect::{Facts, Method, Supports, is_legal_method};

/// The result of `initialize`, payloads of its members kept apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opening<'a> {
    #[serde(borrow)]
    protocol_version: Option<&'a RawValue>,
    name: Option<String>,
    version: Option<String>,
    #[serde(borrow)]
    methods: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    subscribe: Option<Vec<String>>,
    concurrency: Option<u32>,
    ready: Option<bool>,
    supports: Option<BTreeMap<String, bool>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodMembers {
    idempotent: Option<bool>,
    timeout_ms: Option<u64>,
}

/// Reads an opening strictly: what is there must be of the right type, so that its author learns of a slip at once.
pub(super) fn read_opening(result: &RawValue) -> Result<Facts, (&'static str, String)> {
    let malformed = |what: String| {
        ("malformed", format!("the plugin's answer to initialize is malformed: {what}"))
    };
    // A derived struct would take an array of values in order.
    if !result.get().starts_with('{') {
        return Err(malformed("it is no object".to_owned()));
    }
    let opening: Opening<'_> =
        serde_json::from_str(result.get()).map_err(|e| malformed(e.to_string()))?;
    let version = opening.protocol_version.map_or("nothing", RawValue::get);
    match version.parse::<u32>() {
        Ok(chosen) if VERSIONS.contains(&chosen) => {}
        Ok(chosen) => {
            let message = format!(
                "the plugin chose protocol version {chosen}, the host offered {VERSIONS:?}"
            );
            return Err(("version", message));
        }
        Err(_) => {
            return Err(malformed(format!("protocolVersion is {version}, an integer is needed")));
        }
    }
    if opening.concurrency == Some(0) {
        return Err(malformed("concurrency is 0".to_owned()));
    }
    let mut methods = None;
    if let Some(listed) = opening.methods {
        let mut all = Vec::with_capacity(listed.len());
        for (name, raw) in listed {
            if !is_legal_method(&name) {
                return Err(malformed(format!("{name:?} is no legal method name")));
            }
            if !raw.get().starts_with('{') {
                return Err(malformed(format!("method {name} is no object")));
            }
            let members: MethodMembers = serde_json::from_str(raw.get())
                .map_err(|e| malformed(format!("method {name}: {e}")))?;
            all.push(Method {
                name,
                idempotent: members.idempotent.unwrap_or(false),
                timeout: members.timeout_ms.map(Duration::from_millis),
            });
        }
        methods = Some(all);
    }
    let supports = opening.supports.unwrap_or_default();
    let says = |name: &str| supports.get(name).copied().unwrap_or(false);
    let meta = says("meta");
    Ok(Facts {
        name: opening.name,
        version: opening.version,
        protocol: version.to_owned(),
        offers: methods.as_ref().map(|all| match all.len() {
            1 => "1 method".to_owned(),
            n => format!("{n} methods"),
        }),
        methods,
        events: opening.events.unwrap_or_default(),
        subscribe: opening.subscribe.unwrap_or_default(),
        concurrency: opening.concurrency,
        supports: Supports {
            cancel: says("cancel"),
            drain: says("drain"),
            reload: says("configReload"),
            // These two travel in `_meta`.
            progress: meta && says("progress"),
            idempotency: meta && says("idempotency"),
            meta,
        },
        ready: opening.ready.unwrap_or(true),
        raw: result.to_owned(),
    })
}
