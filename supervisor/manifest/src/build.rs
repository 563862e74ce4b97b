//! From validated values to a [`Manifest`]: names become types, nothing is judged any more.

use std::path::PathBuf;
use std::sync::Arc;

use outboard_core::{
    Backoff, Budget, HealthPolicy, OnUnhealthy, PluginId, Policy, RestartPolicy, RestartWhen,
    StartPolicy, StopPolicy, WhileRestarting,
};

use crate::change::Said;
use crate::digest::Digest;
use crate::glob::Glob;
use crate::manifest::*;
use crate::source::{Placed, Source, Spot};
use crate::template::Template;
use crate::value::Values;

/// Where a manifest lies, and what was decided outside of its values.
pub(crate) struct Surroundings {
    pub(crate) id: PluginId,
    pub(crate) id_spot: Spot,
    pub(crate) dir: PathBuf,
    pub(crate) env_file: Option<PathBuf>,
    /// `path_prepend` of `outboard.toml`.
    pub(crate) path_prepend: Vec<Template>,
    pub(crate) settings: Option<Arc<Source>>,
    /// What was found for it, and lies below the file.
    pub(crate) below: Option<Arc<Source>>,
}

/// `values` has passed every check, so `command` is there.
pub(crate) fn manifest(
    values: &Values,
    file: &Arc<Source>,
    command_spot: Spot,
    about: Surroundings,
) -> Manifest {
    let mut path_prepend = about.path_prepend;
    path_prepend.extend_from_slice(values.templates("process.path_prepend"));
    let mut manifest = Manifest {
        description: values.text("description"),
        dialect: match values.choice("dialect") {
            "mcp" => Dialect::Mcp,
            "lsp" => Dialect::Lsp,
            _ => Dialect::Native,
        },
        enabled: values.flag("enabled"),
        lazy: values.flag("lazy"),
        source: file.path().to_owned(),
        dir: about.dir,
        env_file: about.env_file,
        process: process(values, path_prepend, command_spot),
        config: values.object("config"),
        policy: policy(values),
        calls: calls(values),
        wire: wire(values),
        attach: Attach {
            clients: match values.choice("attach.clients") {
                "one" => Clients::One,
                // Its root, its documents and its capabilities are one editor's.
                _ if values.choice("dialect") == "lsp"
                    && values.spot("attach.clients").is_none() =>
                {
                    Clients::One
                }
                _ => Clients::Shared,
            },
        },
        limits: Limits {
            memory: values.maybe_number("limits.memory"),
            processes: values.maybe_count("limits.processes"),
            cpu: values.maybe_count("limits.cpu"),
            open_files: values.maybe_count("limits.open_files"),
            require: values.flag("limits.require"),
        },
        permissions: Permissions {
            call: globs(values, "permissions.call"),
            publish: globs(values, "permissions.publish"),
        },
        swap: Swap {
            mode: match values.choice("swap.mode") {
                "exclusive" => SwapMode::Exclusive,
                _ => SwapMode::Overlap,
            },
            canary_probes: values.count("swap.canary.probes"),
            canary_within: values.duration("swap.canary.within"),
        },
        mcp: mcp(values),
        lsp: Lsp {
            root: values.text("lsp.root"),
            folders: plain(values.texts("lsp.folders")),
            settings: values.object("lsp.settings"),
            initialization_options: values.json("lsp.initialization_options"),
            capabilities: values.object("lsp.capabilities"),
        },
        conformance: Conformance {
            slow_method: values.text("conformance.slow_method"),
            slow_params: values.object("conformance.slow_params"),
        },
        hang_signal: values.maybe_choice("health.hang_signal"),
        entry_point: entry_point(values),
        watch: values.texts("watch").to_vec(),
        build: values.texts("build").to_vec(),
        digest: 0,
        said: Said::of_manifest(values),
        needs: needs(values),
        file: Arc::clone(file),
        settings: about.settings,
        below: about.below,
        id: about.id,
        id_spot: about.id_spot,
    };
    manifest.digest = digest(&manifest, values);
    manifest
}

fn entry_point(values: &Values) -> Option<EntryPoint> {
    let text = |key: &str| values.text(&format!("entry_point.{key}")).unwrap_or_default();
    let point = EntryPoint {
        environment: text("environment"),
        group: text("group"),
        name: text("name"),
        value: text("value"),
        distribution: text("distribution"),
        version: text("version"),
        installed: text("installed"),
    };
    (point != EntryPoint::default()).then_some(point)
}

fn process(values: &Values, path_prepend: Vec<Template>, spot: Spot) -> Process {
    Process {
        command: values.templates("process.command").to_vec(),
        cwd: values.template("process.cwd"),
        env: values.env("process.env"),
        inherit_env: globs(values, "process.inherit_env"),
        path_prepend,
        sha256: values.text("process.sha256"),
        user: values.text("process.user"),
        group: values.text("process.group"),
        umask: values.maybe_count("process.umask"),
        pass_fds: values.counts("process.pass_fds"),
        orphans: match values.choice("process.orphans") {
            "keeper" => Orphans::Keeper,
            _ => Orphans::Plugin,
        },
        spot,
    }
}

fn policy(values: &Values) -> Policy {
    Policy {
        enabled: values.flag("enabled"),
        lazy: values.flag("lazy"),
        after: ids(values.texts("start.after")),
        requires: ids(values.texts("start.requires")),
        start: StartPolicy {
            spawn_timeout: values.duration("start.spawn_timeout"),
            first_byte_timeout: values.duration("start.first_byte_timeout"),
            first_byte_cap: values.duration("start.first_byte_cap"),
            handshake_timeout: values.duration("start.handshake_timeout"),
            ready_timeout: values.duration("start.ready_timeout"),
        },
        health: HealthPolicy {
            interval: values.duration("health.interval"),
            timeout: values.duration("health.timeout"),
            misses: values.count("health.misses"),
            suspect_interval: values.duration("health.suspect_interval"),
            busy_cap: values.duration("health.busy_cap"),
            on_unhealthy: match values.choice("health.on_unhealthy") {
                "restart" => OnUnhealthy::Restart,
                _ => OnUnhealthy::Report,
            },
            unhealthy_after: values.count("health.unhealthy_after"),
        },
        restart: RestartPolicy {
            policy: match values.choice("restart.policy") {
                "never" => RestartWhen::Never,
                "on-failure" => RestartWhen::OnFailure,
                _ => RestartWhen::Always,
            },
            backoff: Backoff {
                initial: values.duration("restart.backoff.initial"),
                max: values.duration("restart.backoff.max"),
                factor: values.factor("restart.backoff.factor"),
                jitter: values.factor("restart.backoff.jitter"),
            },
            budget: Budget {
                restarts: values.count("restart.budget.restarts"),
                within: values.duration("restart.budget.within"),
            },
            reset_after: values.duration("restart.reset_after"),
            retry_after: values.retry_after("restart.retry_after"),
        },
        stop: StopPolicy {
            drain: values.duration("stop.drain"),
            shutdown: values.duration("stop.shutdown"),
            exit: values.duration("stop.exit"),
            term: values.duration("stop.term"),
            kill: values.duration("stop.kill"),
            total: values.maybe_duration("stop.total"),
        },
        idle_after: values.maybe_duration("idle.stop_after"),
        while_restarting: match values.choice("calls.while_restarting") {
            "fail" => WhileRestarting::Fail,
            _ => WhileRestarting::Wait,
        },
    }
}

fn calls(values: &Values) -> Calls {
    Calls {
        deadline: values.duration("calls.deadline"),
        attach_deadline: values.maybe_duration("calls.attach_deadline"),
        concurrency: values.count("calls.concurrency"),
        in_flight: values.count("calls.in_flight"),
        queue_bytes: values.size("calls.queue_bytes"),
        queue_frames: values.count("calls.queue_frames"),
        queue_calls: values.flag("calls.queue_calls"),
        plugin_requests: values.count("calls.plugin_requests"),
        validate: values.flag("calls.validate"),
        idempotent: globs(values, "calls.idempotent"),
    }
}

fn wire(values: &Values) -> Wire {
    Wire {
        transport: match values.choice("wire.transport") {
            "fd" => Transport::Fd,
            _ => Transport::Stdio,
        },
        stdout_junk: match values.choice("wire.stdout_junk") {
            "strict" => StdoutJunk::Strict,
            _ => StdoutJunk::Log,
        },
        max_frame: values.size("wire.max_frame"),
        max_send: values.size("wire.max_send"),
        max_depth: values.count("wire.max_depth"),
    }
}

fn mcp(values: &Values) -> Mcp {
    Mcp {
        era: match values.choice("mcp.era") {
            "modern" => Era::Modern,
            "legacy" => Era::Legacy,
            _ => Era::Auto,
        },
        client_capabilities: values.object("mcp.client_capabilities"),
        log_level: values.maybe_choice("mcp.log_level"),
        send_meta: values.flag("mcp.send_meta"),
        change_events: values.flag("mcp.change_events"),
    }
}

fn needs(values: &Values) -> Vec<Need> {
    let list = |path: &str, required: bool| {
        let need = move |text: &Placed<String>| Need {
            id: text.value.clone(),
            required,
            spot: text.spot.clone(),
        };
        values.texts(path).iter().map(need).collect::<Vec<_>>()
    };
    let mut needs = list("start.requires", true);
    needs.extend(list("start.after", false));
    needs
}

/// Named twice is named once.
fn ids(texts: &[Placed<String>]) -> Vec<PluginId> {
    let mut ids: Vec<PluginId> = Vec::with_capacity(texts.len());
    for text in texts {
        if !ids.iter().any(|id| **id == *text.value) {
            ids.push(text.value.as_str().into());
        }
    }
    ids
}

fn globs(values: &Values, path: &str) -> Vec<Glob> {
    values.texts(path).iter().map(|text| Glob::new(&text.value)).collect()
}

fn plain(texts: &[Placed<String>]) -> Vec<String> {
    texts.iter().map(|text| text.value.clone()).collect()
}

/// Everything that can make a difference: the values, and what the folder and `outboard.toml` add.
fn digest(manifest: &Manifest, values: &Values) -> u64 {
    let mut digest = Digest::default();
    digest.add(&manifest.id);
    digest.add(&format!("{:?}", manifest.dir));
    digest.add(&format!("{:?}", manifest.env_file));
    for folder in &manifest.process.path_prepend {
        digest.add(folder.as_written());
    }
    for (path, entry) in values.iter() {
        digest.add(path);
        digest.add(&entry.value.canonical());
    }
    digest.finish()
}
