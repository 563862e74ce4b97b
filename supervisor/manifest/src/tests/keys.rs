//! The key tables themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use insta::assert_snapshot;
use outboard_core::{
    Backoff, Budget, HealthPolicy, OnUnhealthy, Policy, RestartPolicy, RestartWhen, RetryAfter,
    StartPolicy, StopPolicy, WhileRestarting,
};

use super::{manifest, said};
use crate::keys::{Key, Kind, MANIFEST, SETTINGS, Section};
use crate::{Settings, json_schema};

const SMALLEST: &str = "[process]\ncommand = [\"geo\"]\n";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_smallest_manifest_has_every_default() {
    let geo = manifest(SMALLEST);
    assert_eq!(&*geo.id, "geo");
    assert_eq!(
        geo.policy,
        Policy {
            enabled: true,
            lazy: false,
            after: vec![],
            requires: vec![],
            start: StartPolicy {
                spawn_timeout: s(5),
                first_byte_timeout: s(30),
                first_byte_cap: s(300),
                handshake_timeout: s(30),
                ready_timeout: s(60),
            },
            health: HealthPolicy {
                interval: s(10),
                timeout: s(5),
                misses: 3,
                suspect_interval: s(2),
                busy_cap: s(120),
                on_unhealthy: OnUnhealthy::Report,
                unhealthy_after: 3,
            },
            restart: RestartPolicy {
                policy: RestartWhen::Always,
                backoff: Backoff {
                    initial: Duration::from_millis(100),
                    max: s(30),
                    factor: 2.0,
                    jitter: 0.2
                },
                budget: Budget { restarts: 10, within: s(300) },
                reset_after: s(60),
                retry_after: RetryAfter::Growing { initial: s(15), max: s(300) },
            },
            stop: StopPolicy {
                drain: s(5),
                shutdown: s(5),
                exit: s(2),
                term: s(5),
                kill: s(2),
                total: None
            },
            while_restarting: WhileRestarting::Wait,
            idle_after: None,
        }
    );
    assert_eq!(geo.config, serde_json::json!({}));
    let mut rest = String::new();
    for part in [
        format!("{:?}", geo.calls),
        format!("{:?}", geo.wire),
        format!("{:?}", geo.limits),
        format!("{:?}", geo.swap),
        format!("{:?}", geo.mcp),
        format!("{:?}", geo.lsp),
        format!("Idle {{ stop_after: {:?} }}", geo.policy.idle_after),
        format!("{:?}", geo.attach),
    ] {
        rest.push_str(&part);
        rest.push('\n');
    }
    assert_snapshot!(rest);
    assert_snapshot!("settings_without_a_file", format!("{:#?}", Settings::default()));
}

#[test]
fn the_reference_manifest_is_read_whole() {
    let text = include_str!("reference.toml");
    assert_snapshot!(said(text));
    let weather = manifest(&text.replace("require = true", "require = false"));
    assert_eq!(&*weather.id, "weather");
    assert_eq!(weather.process.command[1].as_written(), "weather.py");
    assert_eq!(weather.process.env.len(), 2);
    assert_eq!(weather.limits.cpu, Some(50));
    assert_eq!(weather.policy.after, ["cache".into()]);
    assert_eq!(weather.policy.requires, ["auth".into()]);
    assert_eq!(weather.config, serde_json::json!({"units": "metric"}));
}

/// Each key of the tables, with a value that is not its default, lands in the manifest and in its digest: else nobody
/// would read it, or a reload would not see it.
#[test]
fn every_key_makes_a_difference() {
    // Protecting keys without effect are refused, so no manifest can show them.
    let refused = ["process.sha256", "process.user", "process.group"];
    // What is judged and thrown away is the same manifest again.
    let plain = |text: &str| {
        let mut manifest = manifest(text);
        let digest = std::mem::take(&mut manifest.digest);
        (format!("{manifest:?}"), digest)
    };
    walk(&MANIFEST, "", &mut |path, key| {
        if refused.contains(&path) {
            return;
        }
        let extra = match path {
            "process.command" => return,
            "start.first_byte_cap" => "start.first_byte_timeout = \"1s\"\n",
            _ => "",
        };
        let text = format!("process.command = [\"geo\"]\n{extra}");
        let (before, digest) = plain(&text);
        let (after, changed) = plain(&format!("{text}{path} = {}\n", another_value(key)));
        assert_ne!(after, before, "{path} does not land in the manifest");
        assert_ne!(changed, digest, "{path} does not land in the digest");
    });
}

/// A value of the key's kind that is not its default.
pub(super) fn another_value(key: &Key) -> String {
    match key.kind {
        Kind::Bool => (key.default != Some("true")).to_string(),
        Kind::Text | Kind::Id | Kind::Template | Kind::PathOrFalse | Kind::Json => {
            "\"other\"".into()
        }
        Kind::Ids | Kind::Argv | Kind::Templates | Kind::Globs | Kind::Paths | Kind::Command => {
            "[\"other\"]".into()
        }
        Kind::Duration { .. } | Kind::RetryAfter => "\"25s\"".into(),
        Kind::Size { .. } => "\"2MiB\"".into(),
        Kind::Count { .. } => "77".into(),
        Kind::Counts { .. } => "[7]".into(),
        Kind::Factor { .. } => "1".into(),
        Kind::Percent => "\"7%\"".into(),
        Kind::Umask => "\"027\"".into(),
        Kind::Sha256 => format!("\"{}\"", "0".repeat(64)),
        Kind::Choice(words) => {
            let free = |word: &&&str| Some(**word) != key.default && !key.not_yet.contains(word);
            format!("{:?}", words.iter().find(free).expect("a choice has another"))
        }
        Kind::Env => "{ A = \"b\" }".into(),
        Kind::Object => "{ a = 1 }".into(),
        Kind::Section(_) | Kind::Tables(_) => unreachable!("walked into"),
    }
}

#[test]
fn the_digest_sees_meaning_and_not_spelling() {
    let digest = |text: &str| manifest(text).digest;
    assert_eq!(
        digest(SMALLEST),
        digest(
            "# a comment\nprocess = { command = ['geo'] }\nlazy = false\n[health]\ninterval = \"10000ms\"\n"
        ),
    );
    assert_ne!(digest(SMALLEST), digest("[process]\ncommand = [\"geo\", \"\"]\n"));
    assert_ne!(
        digest("[process]\ncommand = [\"a\", \"b\"]\n"),
        digest("[process]\ncommand = [\"a b\"]\n")
    );
    assert_ne!(
        digest("[process]\ncommand = [\"a\"]\nenv = { A = \"B\" }\n"),
        digest("[process]\ncommand = [\"a\"]\nenv = { A = { from_env = \"B\" } }\n"),
    );
}

#[test]
fn names_are_unique_and_documented() {
    for table in [&MANIFEST, &SETTINGS] {
        documented(table, "");
    }
}

fn documented(section: &'static Section, path: &str) {
    let mut names: Vec<&str> = section.keys().map(|key| key.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "[{path}]");
    for key in section.keys() {
        assert!(key.doc.ends_with('.'), "{path}.{}: {:?}", key.name, key.doc);
        if let Kind::Section(inner) | Kind::Tables(inner) = key.kind {
            documented(inner, &format!("{path}.{}", key.name));
        }
    }
}

/// Calls `see` with every key that holds a value.
pub(super) fn walk(section: &'static Section, path: &str, see: &mut dyn FnMut(&str, &Key)) {
    for key in section.keys() {
        let path =
            if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        match key.kind {
            Kind::Section(inner) => walk(inner, &path, see),
            _ => see(&path, key),
        }
    }
}

#[test]
fn the_schema_is_made_from_the_same_tables() {
    let schema = json_schema();
    walk(&MANIFEST, "", &mut |path, _| {
        let pointer: String = path.split('.').map(|name| format!("/properties/{name}")).collect();
        assert!(schema.pointer(&pointer).is_some(), "{path}");
    });
    assert_snapshot!(serde_json::to_string_pretty(&sorted(schema)).expect("JSON"));
}

/// Another crate of the build may make serde_json keep the order of insertion; the snapshot must not depend on it.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let members: BTreeMap<_, _> =
                map.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            serde_json::Value::Object(members.into_iter().collect())
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
