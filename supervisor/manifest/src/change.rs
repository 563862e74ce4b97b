//! What changed between two states of a manifest or of `outboard.toml`, and what each change asks.
//!
//! Every key stands in exactly one class, here and nowhere else; a test holds the classes against the key tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use outboard_core::plan::{Asks, Difference};

use crate::digest::digest_of as digest;
use crate::keys::{MANIFEST, SETTINGS};
use crate::manifest::Manifest;
use crate::read::built_in;
use crate::settings::Settings;
use crate::value::{EnvValue, Value, Values};

/// The class of every key of a manifest. `id` is in none: another id is another plugin.
pub(crate) const CLASSES: [(Asks, &[&str]); 4] = [
    (
        Asks::InPlace,
        &[
            "description",
            "enabled",
            "lazy",
            "watch",
            "build",
            "start.spawn_timeout",
            "start.first_byte_timeout",
            "start.first_byte_cap",
            "start.handshake_timeout",
            "start.ready_timeout",
            "start.after",
            "start.requires",
            "health.interval",
            "health.timeout",
            "health.misses",
            "health.suspect_interval",
            "health.busy_cap",
            "health.on_unhealthy",
            "health.unhealthy_after",
            "health.hang_signal",
            "restart.policy",
            "restart.backoff.initial",
            "restart.backoff.max",
            "restart.backoff.factor",
            "restart.backoff.jitter",
            "restart.budget.restarts",
            "restart.budget.within",
            "restart.reset_after",
            "restart.retry_after",
            "stop.drain",
            "stop.shutdown",
            "stop.exit",
            "stop.term",
            "stop.kill",
            "stop.total",
            "calls.deadline",
            "calls.attach_deadline",
            "calls.concurrency",
            "calls.in_flight",
            "calls.queue_bytes",
            "calls.queue_frames",
            "calls.queue_calls",
            "calls.plugin_requests",
            "calls.validate",
            "calls.while_restarting",
            "calls.idempotent",
            "attach.clients",
            "idle.stop_after",
            "permissions.call",
            "permissions.publish",
            "swap.mode",
            "swap.canary.probes",
            "swap.canary.within",
            "conformance.slow_method",
            "conformance.slow_params",
        ],
    ),
    (Asks::Telling, &["config"]),
    (
        // Another version of the same program.
        Asks::Swapping,
        &[
            "entry_point.environment",
            "entry_point.group",
            "entry_point.name",
            "entry_point.value",
            "entry_point.distribution",
            "entry_point.version",
            "entry_point.installed",
        ],
    ),
    (
        Asks::Restarting,
        &[
            "dialect",
            "process.command",
            "process.cwd",
            "process.env",
            "process.inherit_env",
            "process.path_prepend",
            "process.sha256",
            "process.user",
            "process.group",
            "process.umask",
            "process.pass_fds",
            "process.orphans",
            // The opening says these to the plugin, which keeps to them from then on.
            "wire.transport",
            "wire.stdout_junk",
            "wire.max_frame",
            "wire.max_send",
            "wire.max_depth",
            "mcp.era",
            "mcp.client_capabilities",
            "mcp.log_level",
            "mcp.send_meta",
            "mcp.change_events",
            "lsp.root",
            "lsp.folders",
            "lsp.settings",
            "lsp.initialization_options",
            "lsp.capabilities",
            // What holds a process is set up before it executes.
            "limits.memory",
            "limits.processes",
            "limits.cpu",
            "limits.open_files",
            "limits.require",
        ],
    ),
];

/// The keys of `outboard.toml` that count at once, and those that count from the next `run` on. What it says for all
/// plugins (`env_file`, `path_prepend`, `[defaults]`, `[[discover.python]]`) is part of their manifests, and counts there.
pub(crate) const SETTINGS_CLASSES: [(bool, &[&str]); 2] = [
    (
        true,
        &[
            "env_file",
            "path_prepend",
            "supervisor.start_concurrency",
            "supervisor.shutdown_cap",
            "supervisor.storm.restarts",
            "supervisor.storm.within",
            "supervisor.foreign_manifests",
            "discover.python",
        ],
    ),
    (
        false,
        &[
            "name",
            "supervisor.containment",
            "supervisor.watch",
            "control.refuse_plugins",
            "control.group",
            "control.read_group",
            "logs.files.size",
            "logs.files.keep",
            "logs.journal",
            "logs.dossiers",
            "logs.total",
            "service.ready",
        ],
    ),
];

/// Texts longer than this say nothing more in a plan.
const LONGEST_SHOWN: usize = 40;

/// Everything that is not at its built-in default, small enough to keep for each plugin.
#[derive(Clone, Default)]
pub(crate) struct Said(Box<[Word]>);

/// One key, or one member of a table that is somebody else's.
#[derive(Clone)]
struct Word {
    key: &'static str,
    member: Option<Box<str>>,
    digest: u64,
    shown: Option<Box<str>>,
}

/// It says nothing that the manifest does not say.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Said")
    }
}

/// A key with its built-in default.
struct Known {
    default: Option<(u64, Option<String>)>,
}

static OF_MANIFEST: LazyLock<BTreeMap<&'static str, Known>> = LazyLock::new(|| {
    let keys = CLASSES.iter().flat_map(|(_, keys)| keys.iter().copied());
    known(keys, &built_in(&MANIFEST))
});

static OF_SETTINGS: LazyLock<BTreeMap<&'static str, Known>> = LazyLock::new(|| {
    let keys = SETTINGS_CLASSES.iter().flat_map(|(_, keys)| keys.iter().copied());
    known(keys, &built_in(&SETTINGS))
});

fn known(
    keys: impl Iterator<Item = &'static str>,
    defaults: &Values,
) -> BTreeMap<&'static str, Known> {
    let known = |key| Known {
        default: defaults.get(key).map(|value| (digest(&value.canonical()), shown(value))),
    };
    keys.map(|key| (key, known(key))).collect()
}

impl Said {
    pub(crate) fn of_manifest(values: &Values) -> Self {
        Self::of(values, &OF_MANIFEST)
    }

    pub(crate) fn of_settings(values: &Values) -> Self {
        Self::of(values, &OF_SETTINGS)
    }

    fn of(values: &Values, known: &BTreeMap<&'static str, Known>) -> Self {
        let mut words = Vec::new();
        for (path, entry) in values.iter() {
            let Some((&key, known)) = known.get_key_value(path) else { continue };
            let members = members(&entry.value);
            if let Some(members) = members {
                let word = |(name, digest)| Word { key, member: Some(name), digest, shown: None };
                words.extend(members.into_iter().map(word));
                continue;
            }
            let digest = digest(&entry.value.canonical());
            if known.default.as_ref().is_none_or(|(default, _)| *default != digest) {
                let shown = shown(&entry.value).map(String::into_boxed_str);
                words.push(Word { key, member: None, digest, shown });
            }
        }
        Self(words.into())
    }

    /// What is not the same in `self`, which was, and in `now`.
    fn differences(
        &self,
        now: &Self,
        known: &BTreeMap<&'static str, Known>,
    ) -> Vec<(&'static str, Difference)> {
        let mut pairs: BTreeMap<(&str, Option<&str>), [Option<&Word>; 2]> = BTreeMap::new();
        for (side, said) in [self, now].into_iter().enumerate() {
            for word in &said.0 {
                pairs.entry((word.key, word.member.as_deref())).or_default()[side] = Some(word);
            }
        }
        let differs =
            |pair: &[Option<&Word>; 2]| pair[0].map(|w| w.digest) != pair[1].map(|w| w.digest);
        let changed = pairs.into_values().filter(differs);
        changed
            .filter_map(|pair| {
                let word = pair[0].or(pair[1])?;
                let default = || known.get(word.key)?.default.as_ref()?.1.clone();
                let text = |word: Option<&Word>| match word {
                    Some(word) => word.shown.as_deref().map(str::to_owned),
                    None => default(),
                };
                let key = match &word.member {
                    Some(member) => Cow::Owned(format!("{}.{member}", word.key)),
                    None => Cow::Borrowed(word.key),
                };
                Some((word.key, Difference { key, from: text(pair[0]), to: text(pair[1]) }))
            })
            .collect()
    }
}

impl Manifest {
    /// What `now` says otherwise, and what each of that asks of a running plugin. Both are of one plugin.
    ///
    /// What comes from the surroundings (variables, secrets, the program's file) is not looked at.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<(Asks, Difference)> {
        let mut list: Vec<_> = self
            .said
            .differences(&now.said, &OF_MANIFEST)
            .into_iter()
            .map(|(key, difference)| (class(key), difference))
            .collect();
        // Another version has been installed: when, is no news.
        if list.iter().any(|(_, difference)| difference.key == "entry_point.version") {
            list.retain(|(_, difference)| difference.key != "entry_point.installed");
        }
        let prepended = |manifest: &Self| {
            let folders = manifest.process.path_prepend.iter();
            folders.map(|folder| folder.as_written().to_owned()).collect::<Vec<_>>()
        };
        let has = |list: &[(Asks, Difference)], key: &str| list.iter().any(|(_, d)| d.key == key);
        // Of `outboard.toml`, for all plugins.
        if prepended(self) != prepended(now) && !has(&list, "process.path_prepend") {
            list.push((Asks::Restarting, different("process.path_prepend")));
        }
        // Where the file lies decides what relative paths mean, and those are looked at when they are resolved.
        if self.dir != now.dir {
            list.push((Asks::InPlace, different("folder")));
        }
        if self.env_file != now.env_file {
            list.push((Asks::InPlace, different("env_file")));
        }
        if self.source.file_name() != now.source.file_name() {
            let name = |manifest: &Self| {
                manifest.source.file_name().map(|name| name.to_string_lossy().into_owned())
            };
            let (from, to) = (name(self), name(now));
            list.push((Asks::InPlace, Difference { key: "file".into(), from, to }));
        }
        list
    }
}

impl Settings {
    /// What `now` says otherwise for the supervisor itself, and whether it counts at once: else from the next `run` on.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<(bool, Difference)> {
        self.said
            .differences(&now.said, &OF_SETTINGS)
            .into_iter()
            .map(|(key, difference)| {
                let at_once =
                    SETTINGS_CLASSES.iter().any(|(live, keys)| *live && keys.contains(&key));
                (at_once, difference)
            })
            .collect()
    }
}

fn different(key: &'static str) -> Difference {
    Difference { key: Cow::Borrowed(key), from: None, to: None }
}

fn class(key: &str) -> Asks {
    let found = CLASSES.iter().find(|(_, keys)| keys.contains(&key));
    found.map_or(Asks::Restarting, |(asks, _)| *asks)
}

/// The members of what is compared one by one: their values may be secrets and are never shown.
fn members(value: &Value) -> Option<Vec<(Box<str>, u64)>> {
    match value {
        Value::Env(variables) => Some(
            variables
                .iter()
                .map(|(name, entry)| {
                    let text = match &entry.value {
                        EnvValue::Text(template) => template.as_written().to_owned(),
                        EnvValue::FromEnv(from) => format!("\0env {from}"),
                        EnvValue::FromFile(path) => format!("\0file {path:?}"),
                    };
                    (name.as_str().into(), digest(&text))
                })
                .collect(),
        ),
        Value::Object(map) => Some(
            map.iter()
                .map(|(name, value)| {
                    (name.as_str().into(), digest(&Value::Json(value.clone()).canonical()))
                })
                .collect(),
        ),
        _ => None,
    }
}

/// A value as a plan shows it: short, and never one that may be a secret.
fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Duration(None) => "none".to_owned(),
        Value::Duration(Some(span)) => crate::scalar::write_duration(*span),
        Value::Size(bytes) => crate::scalar::write_size(*bytes),
        Value::Count(number) => number.to_string(),
        Value::Factor(factor) => factor.to_string(),
        Value::Percent(percent) => format!("{percent}%"),
        Value::Umask(mask) => format!("{mask:03o}"),
        Value::Choice(word) => (*word).to_owned(),
        Value::Texts(_)
        | Value::Counts(_)
        | Value::Template(_)
        | Value::Templates(_)
        | Value::Env(_)
        | Value::Object(_)
        | Value::Json(_)
        | Value::RetryAfter(_)
        | Value::PathOrFalse(_) => return None,
    };
    (text.chars().count() <= LONGEST_SHOWN).then_some(text)
}
