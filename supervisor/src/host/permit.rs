//! What `[permissions]` let a plugin ask of the host.

use outboard_manifest::{Glob, Permissions};

/// Whether it may call this method of that plugin.
#[must_use]
pub(super) fn may_call(permissions: &Permissions, plugin: &str, method: &str) -> bool {
    let name = format!("{plugin}.{method}");
    permissions.call.iter().any(|pattern| pattern.matches(&name))
}

#[must_use]
pub(super) fn may_publish(permissions: &Permissions, topic: &str) -> bool {
    permissions.publish.iter().any(|pattern| pattern.matches(topic))
}

/// Whether it may call anything of that plugin.
#[must_use]
pub(super) fn may_know(permissions: &Permissions, plugin: &str) -> bool {
    let start = format!("{plugin}.");
    permissions.call.iter().any(|pattern| begins(pattern, &start))
}

/// Whether something that the pattern names begins with this text.
fn begins(pattern: &Glob, start: &str) -> bool {
    let pattern = pattern.as_str();
    let fixed = pattern.find(['*', '?']).unwrap_or(pattern.len());
    let (fixed, open) = (&pattern[..fixed], fixed < pattern.len());
    // Behind its first star a pattern may go on as it likes.
    fixed.starts_with(start) || open && start.starts_with(fixed)
}

/// The patterns as they are told to the plugin.
#[must_use]
pub(super) fn patterns(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(|glob| glob.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(call: &[&str]) -> Permissions {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(text)).collect();
        Permissions { call: globs(call), publish: globs(&["geo.*"]) }
    }

    #[test]
    fn what_is_named_is_allowed_and_nothing_else() {
        let some = permissions(&["kv.get", "cache.*", "a.b.c"]);
        for (plugin, method, may) in [
            ("kv", "get", true),
            ("kv", "put", false),
            ("cache", "put", true),
            ("cache2", "put", false),
            ("a", "b.c", true),
            ("a.b", "c", true),
        ] {
            assert_eq!(may_call(&some, plugin, method), may, "{plugin} {method}");
        }
        assert!(may_publish(&some, "geo.updated") && !may_publish(&some, "net.up"));
        assert!(!may_call(&permissions(&[]), "kv", "get"));
    }

    #[test]
    fn peers_are_those_of_whom_something_may_be_called() {
        let some = permissions(&["kv.get", "ca*.put"]);
        for (plugin, may) in [("kv", true), ("k", false), ("cache", true), ("other", false)] {
            assert_eq!(may_know(&some, plugin), may, "{plugin}");
        }
        assert!(may_know(&permissions(&["*"]), "anything"));
    }
}
