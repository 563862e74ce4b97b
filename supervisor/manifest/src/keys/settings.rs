//! The keys of `outboard.toml`.

use super::*;

/// A whole `outboard.toml`.
pub(crate) static SETTINGS: Section = table(
    "Settings of the supervisor itself, and defaults for its plugins.",
    &[
        key("name", Kind::Text, "Name of this supervisor.").later(),
        key(
            "env_file",
            Kind::PathOrFalse,
            "Another file than the `.env` beside the manifests, relative to this one; or `false`.",
        ),
        key("path_prepend", Kind::Templates, "Folders put in front of every plugin's PATH."),
        section("supervisor", &SUPERVISOR),
        section("control", &CONTROL),
        section("logs", &LOGS),
        section("service", &SERVICE),
        section("defaults", &DEFAULTS),
        section("discover", &DISCOVER),
    ],
);

static SUPERVISOR: Section = table(
    "Rules over all plugins.",
    &[
        key("start_concurrency", count(1, 1_024), "Plugins starting at once.").default("8"),
        key(
            "shutdown_cap",
            duration(SECOND, HOUR),
            "The whole shutdown; below the 30 s that Kubernetes gives.",
        )
        .default("25s"),
        section("storm", &STORM),
        key(
            "containment",
            Kind::Choice(&["auto", "pidns", "cgroup", "session"]),
            "What holds a plugin's processes together.",
        )
        .default("auto")
        .not_yet(&["pidns"]),
        key("watch", Kind::Bool, "Reloads when a manifest changes.").default("false"),
        key(
            "foreign_manifests",
            Kind::Choice(&["auto", "refuse", "warn"]),
            "Manifests that belong to another user: `auto` refuses them when run as root and warns otherwise.",
        )
        .default("auto"),
    ],
);

static STORM: Section = table(
    "Past this many restarts over all plugins, one restart a second.",
    &[
        key("restarts", count(1, 1_000_000), "How many.").default("50"),
        key("within", duration(SECOND, DAY), "Within which time.").default("10s"),
    ],
);

static CONTROL: Section = table(
    "Who may connect.",
    &[
        key(
            "refuse_plugins",
            Kind::Bool,
            "Refuses clients that are plugins, where that can be known.",
        )
        .default("false"),
        key("group", Kind::Text, "Group that may connect.").later(),
        key("read_group", Kind::Text, "Group that may look.").later(),
    ],
);

static LOGS: Section = table(
    "Bounds of what is kept on disk.",
    &[
        section("files", &LOG_FILES),
        key("journal", size(64 * KIB, TIB), "Events kept.").default("64MiB"),
        key("dossiers", count(1, 10_000), "Failures kept for each plugin.").default("20"),
        key("total", size(MIB, 64 * TIB), "All log files together.").later(),
    ],
);

static LOG_FILES: Section = table(
    "Log files of each plugin.",
    &[
        key("size", size(16 * KIB, TIB), "Size of one file.").default("10MiB"),
        key("keep", count(1, 1_000), "How many are kept.").default("5"),
    ],
);

static SERVICE: Section = table(
    "The service manager.",
    &[key(
        "ready",
        Kind::Choice(&["settled", "listening"]),
        "When readiness is told: after each plugin's first verdict, or at once.",
    )
    .default("settled")
    .later()],
);

static DISCOVER: Section = table(
    "Plugins found elsewhere.",
    &[key(
        "python",
        Kind::Tables(&DISCOVER_PYTHON),
        "Entry points of a virtual environment; each becomes a plugin.",
    )],
);

static DISCOVER_PYTHON: Section = table(
    "One group of entry points.",
    &[
        key("environment", Kind::Text, "A virtual environment, relative to this file."),
        key("group", Kind::Text, "The entry point group."),
        section("defaults", &DEFAULTS),
    ],
);
