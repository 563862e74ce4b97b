//! Which calls may be made again on the next generation after this one died of them.

use outboard_manifest::Glob;
use outboard_wire::dialect::Facts;
use outboard_wire::json::{member, text_member};

/// A key that is longer is none.
const LONGEST_KEY: usize = 128;

/// What is known to do no harm when it is done twice: what the manifest names, what the opening declares, and what its
/// caller gave a key that the plugin understands.
#[derive(Debug, Default)]
pub(super) struct Again {
    named: Vec<Glob>,
    /// Sorted.
    declared: Vec<String>,
    keys: bool,
}

impl Again {
    /// With `named` by the manifest, and what the opening told.
    #[must_use]
    pub(super) fn new(named: &[Glob], facts: &Facts) -> Self {
        let methods = facts.methods.iter().flatten().filter(|method| method.idempotent);
        let mut declared: Vec<String> = methods.map(|method| method.name.clone()).collect();
        declared.sort_unstable();
        Self { named: named.to_vec(), declared, keys: facts.supports.idempotency }
    }

    /// The manifest names others now.
    pub(super) fn rename(&mut self, named: &[Glob]) {
        self.named = named.to_vec();
    }

    /// What the opening declared, for the supervisor's next build.
    #[must_use]
    pub(super) fn kept(&self) -> (Vec<String>, bool) {
        (self.declared.clone(), self.keys)
    }

    /// With `named` by the manifest, and what [`Again::kept`] gave.
    #[must_use]
    pub(super) fn restore(named: &[Glob], (declared, keys): (Vec<String>, bool)) -> Self {
        Self { named: named.to_vec(), declared, keys }
    }

    /// Whether this call may be made twice; `key` is what came beside its params.
    #[must_use]
    pub(super) fn covers(&self, method: &str, params: &str, key: Option<&str>) -> bool {
        if self.declared.binary_search_by(|known| (**known).cmp(method)).is_ok()
            || self.names(method, params)
        {
            return true;
        }
        self.keys && (key.is_some_and(is_key) || key_in(params).is_some())
    }

    fn names(&self, method: &str, params: &str) -> bool {
        if self.named.is_empty() {
            return false;
        }
        let named = |name: &str| self.named.iter().any(|glob| glob.matches(name));
        // A tool of an MCP server goes by its own name, as `tool:NAME`; calling tools at large says nothing.
        named(method)
            || method == "tools/call"
                && text_member(params, "name").is_some_and(|tool| named(&format!("tool:{tool}")))
    }
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len())
}

fn key_in(params: &str) -> Option<String> {
    let key = text_member(member(params, "_meta")?, "idempotencyKey")?;
    is_key(&key).then(|| key.into_owned())
}

#[cfg(test)]
mod tests {
    use outboard_wire::dialect::{Method, Supports};
    use serde_json::value::RawValue;

    use super::*;

    fn again(named: &[&str], declared: &[&str], keys: bool) -> Again {
        let method = |name: &&str, idempotent| Method {
            name: (*name).to_owned(),
            idempotent,
            timeout: None,
        };
        let mut methods: Vec<Method> = declared.iter().map(|name| method(name, true)).collect();
        methods.push(method(&"write", false));
        let facts = Facts {
            name: None,
            version: None,
            protocol: "1".to_owned(),
            offers: None,
            methods: Some(methods),
            events: Vec::new(),
            subscribe: Vec::new(),
            concurrency: None,
            supports: Supports { idempotency: keys, meta: keys, ..Supports::default() },
            ready: true,
            raw: RawValue::from_string("{}".to_owned()).unwrap(),
        };
        Again::new(&named.iter().map(|name| Glob::new(name)).collect::<Vec<_>>(), &facts)
    }

    #[test]
    fn manifest_and_opening_name_methods() {
        let again = again(&["forecast.*"], &["zoo", "read"], false);
        for (method, covered) in [
            ("forecast.today", true),
            ("read", true),
            ("zoo", true),
            ("write", false),
            ("r", false),
        ] {
            assert_eq!(again.covers(method, "{}", Some("key")), covered, "{method}");
        }
    }

    #[test]
    fn a_key_counts_where_the_plugin_knows_keys() {
        let keyed = r#"{"_meta":{"idempotencyKey":"k"}}"#;
        assert!(again(&[], &[], true).covers("write", keyed, None));
        assert!(again(&[], &[], true).covers("write", "", Some("k")));
        assert!(!again(&[], &[], false).covers("write", keyed, Some("k")));
        let long = "k".repeat(129);
        for (params, key) in [
            ("{}", None),
            (r#"{"idempotencyKey":"k"}"#, None),
            (r#"{"_meta":{"idempotencyKey":7}}"#, None),
            (r#"{"_meta":{"idempotencyKey":""}}"#, Some("")),
            ("{}", Some(&*long)),
        ] {
            assert!(!again(&[], &[], true).covers("write", params, key), "{params}");
        }
    }

    #[test]
    fn a_tool_goes_by_its_own_name() {
        let tools = again(&["tool:get_*"], &[], false);
        assert!(tools.covers("tools/call", r#"{"name":"get_time","arguments":{}}"#, None));
        assert!(!tools.covers("tools/call", r#"{"name":"set_time"}"#, None));
        assert!(!tools.covers("tools/list", "", None));
        assert!(tools.covers("tool:get_time", "", None));
    }
}
