//! The keys of a plugin's manifest.

use super::*;

/// A whole manifest.
pub(crate) static MANIFEST: Section = Section {
    doc: "A plugin that outboard runs.",
    keys: &[
        key("id", Kind::Id, "The plugin's name; by default the name of the file."),
        key("description", Kind::Text, "What it is, for people."),
        key("dialect", Kind::Choice(&["native", "mcp", "lsp"]), "What it speaks.")
            .default("native"),
        key("enabled", Kind::Bool, "Whether `run` starts it.").default("true"),
        key("lazy", Kind::Bool, "Start at the first call.").default("false"),
        key(
            "watch",
            Kind::Paths,
            "Files and folders whose change makes `run --watch` build and swap it.",
        ),
        key(
            "build",
            Kind::Argv,
            "What `run --watch` runs before it swaps; where `watch` names nothing else, its folder counts.",
        ),
        section("entry_point", &ENTRY_POINT),
    ],
    more: SECTIONS,
};

/// What `[defaults]` of `outboard.toml` and discovery may hold: the sections of a manifest.
pub(crate) static DEFAULTS: Section =
    Section { doc: "Sections that lie below those of each manifest.", keys: &[], more: SECTIONS };

static SECTIONS: &[Key] = &[
    section("process", &PROCESS),
    key("config", Kind::Object, "Given to the plugin as it stands, at `initialize`."),
    section("start", &START),
    section("health", &HEALTH),
    section("restart", &RESTART),
    section("stop", &STOP),
    section("calls", &CALLS),
    section("wire", &WIRE),
    section("mcp", &MCP),
    section("lsp", &LSP),
    section("attach", &ATTACH),
    section("idle", &IDLE),
    section("limits", &LIMITS),
    section("permissions", &PERMISSIONS),
    section("swap", &SWAP),
    section("conformance", &CONFORMANCE),
];

static ENTRY_POINT: Section = table(
    "The entry point that the plugin was found by: written by `[[discover.python]]`, and only shown.",
    &[
        key("environment", Kind::Text, "The virtual environment."),
        key("group", Kind::Text, "The entry point group."),
        key("name", Kind::Text, "Its name in the group."),
        key("value", Kind::Text, "What it names, `package.module:Class`."),
        key("distribution", Kind::Text, "The package that announces it."),
        key("version", Kind::Text, "That package's version; another one takes over by a swap."),
        key(
            "installed",
            Kind::Text,
            "When that package was last written; later takes over by a swap.",
        ),
    ],
);

static PROCESS: Section = table(
    "The program and its surroundings.",
    &[
        key(
            "command",
            Kind::Command,
            "The program and its arguments. With a slash it is relative to `cwd`, else it is looked up in the plugin's own PATH.",
        ),
        key("cwd", Kind::Template, "Working directory, relative to the manifest's folder.")
            .default("."),
        key(
            "env",
            Kind::Env,
            "Variables: a text, `{ from_env = \"NAME\" }` or `{ from_file = \"PATH\" }`; the last two are secrets.",
        ),
        key(
            "inherit_env",
            Kind::Globs,
            "Names, or patterns of names, passed on besides the usual ones.",
        ),
        key("path_prepend", Kind::Templates, "Folders put in front of the plugin's PATH."),
        key("sha256", Kind::Sha256, "Pin of the executable.").protects(),
        key("user", Kind::Text, "User to run as.").protects(),
        key("group", Kind::Text, "Group to run as.").protects(),
        key("umask", Kind::Umask, "Octal; by default the supervisor's own."),
        key(
            "pass_fds",
            Kind::Counts { min: 3, max: 1023 },
            "Descriptors of the supervisor to pass on.",
        )
        .later(),
        key(
            "orphans",
            Kind::Choice(&["plugin", "keeper"]),
            "Who inherits the children of its children: the plugin's own process, or the keeper.",
        )
        .default("plugin"),
    ],
);

static START: Section = table(
    "Budgets of the four phases of a start, and what it waits for.",
    &[
        key("spawn_timeout", duration(100, HOUR), "Until the program runs.").default("5s"),
        key(
            "first_byte_timeout",
            duration(100, HOUR),
            "Until the first byte on stdout; longer, up to `first_byte_cap`, while stderr or the process tree shows activity.",
        )
        .default("30s"),
        key("first_byte_cap", duration(100, DAY), "The longest wait for the first byte.").default("5m"),
        key("handshake_timeout", duration(100, HOUR), "Until the opening is answered.").default("30s"),
        key("ready_timeout", duration(100, DAY), "Until it says ready.").default("60s"),
        key("after", Kind::Ids, "Starts after the first verdict on these."),
        key("requires", Kind::Ids, "Starts after these are active, and is stopped with them."),
    ],
);

static HEALTH: Section = table(
    "Probes, and what follows from them.",
    &[
        key("interval", duration(100, DAY), "From the last answer to the next probe.")
            .default("10s"),
        key("timeout", duration(10, HOUR), "From the probe in the pipe to a miss.").default("5s"),
        key("misses", count(1, 100), "Misses in a row until it counts as hung.").default("3"),
        key("suspect_interval", duration(10, HOUR), "Between probes after a miss.").default("2s"),
        key("busy_cap", duration(100, DAY), "The longest silence that work excuses.")
            .default("120s"),
        key(
            "on_unhealthy",
            Kind::Choice(&["report", "restart"]),
            "What its own `unhealthy` leads to.",
        )
        .default("report"),
        key(
            "unhealthy_after",
            count(1, 1000),
            "Reports in a row until `on_unhealthy = \"restart\"` acts.",
        )
        .default("3"),
        key(
            "hang_signal",
            Kind::Choice(&["SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2"]),
            "Sent once to a hung plugin, so that it prints where it hangs.",
        )
        .later(),
    ],
);

static RESTART: Section = table(
    "When it is started again, and when given up.",
    &[
        key(
            "policy",
            Kind::Choice(&["always", "on-failure", "never"]),
            "`on-failure` lets an unasked exit 0 after it was active rest.",
        )
        .default("always"),
        section("backoff", &BACKOFF),
        section("budget", &BUDGET),
        key("reset_after", duration(100, DAY), "A run this long is a good one: the count begins anew.").default("60s"),
        key(
            "retry_after",
            Kind::RetryAfter,
            "Careful tries after it was given up: `{ initial = \"15s\", max = \"5m\" }`, one duration, or \"never\".",
        )
        .default("15s 5m"),
    ],
);

static BACKOFF: Section = table(
    "The wait before a restart; it grows by `factor`.",
    &[
        key("initial", duration(0, HOUR), "The first wait.").default("100ms"),
        key("max", duration(0, DAY), "The longest wait.").default("30s"),
        key("factor", Kind::Factor { min: 1.0, max: 100.0 }, "Growth from wait to wait.")
            .default("2.0"),
        key("jitter", Kind::Factor { min: 0.0, max: 1.0 }, "Share of the wait that is random.")
            .default("0.2"),
    ],
);

static BUDGET: Section = table(
    "At most so many restarts within a time (OTP's intensity and period).",
    &[
        key("restarts", count(0, 100_000), "How many.").default("10"),
        key("within", duration(SECOND, 30 * DAY), "Within which time.").default("5m"),
    ],
);

static STOP: Section = table(
    "Budgets of the steps of a stop.",
    &[
        key("drain", duration(0, HOUR), "Calls in flight may finish.").default("5s"),
        key("shutdown", duration(0, HOUR), "The `shutdown` request may be answered.").default("5s"),
        key("exit", duration(0, HOUR), "After `exit` and the closing of stdin.").default("2s"),
        key("term", duration(0, HOUR), "After SIGTERM.").default("5s"),
        key("kill", duration(500, HOUR), "After the kill, until it counts as unkillable.")
            .default("2s"),
        key(
            "total",
            duration_or(500, DAY, "none"),
            "All steps together; a smaller whole shrinks them in proportion.",
        )
        .default("none"),
    ],
);

static CALLS: Section = table(
    "Bounds of calls.",
    &[
        key(
            "deadline",
            duration(1, DAY),
            "For calls from the command line, the API and plugins that bring none.",
        )
        .default("30s"),
        key("attach_deadline", duration_or(1, DAY, "none"), "The same for attached clients.")
            .default("none"),
        key(
            "concurrency",
            count(1, 65_536),
            "Frames the plugin gets at once; the rest waits in the host.",
        )
        .default("64"),
        key("in_flight", count(1, 65_536), "Calls accepted and not ended.").default("1024"),
        key("queue_bytes", size(4 * KIB, GIB), "Bytes waiting for the plugin.").default("8MiB"),
        key("queue_frames", count(1, 65_536), "Frames waiting for the plugin.").default("1024"),
        key("queue_calls", Kind::Bool, "`false` refuses what is above `concurrency`.")
            .default("true"),
        key("plugin_requests", count(1, 1_024), "The plugin's own requests in progress.")
            .default("64"),
        key(
            "validate",
            Kind::Bool,
            "Checks params against the schemas that the plugin advertises.",
        )
        .default("false")
        .later(),
        key(
            "while_restarting",
            Kind::Choice(&["fail", "wait"]),
            "What a call does while the plugin is not up.",
        )
        .default("wait"),
        key(
            "idempotent",
            Kind::Globs,
            "Methods that may be sent again after a crash; `tool:NAME` for a tool of an MCP server.",
        ),
    ],
);

static WIRE: Section = table(
    "The link to the plugin.",
    &[
        key("transport", Kind::Choice(&["stdio", "fd"]), "Where the frames go.")
            .default("stdio")
            .later(),
        key(
            "stdout_junk",
            Kind::Choice(&["log", "strict"]),
            "Lines on stdout that are no messages: kept as log lines, or the end of the link.",
        )
        .default("log"),
        key("max_frame", size(64 * KIB, 64 * MIB), "The longest frame taken from the plugin.")
            .default("16MiB"),
        key("max_send", size(64 * KIB, 64 * MIB), "The longest frame sent to the plugin.")
            .default("8MiB"),
        key("max_depth", count(16, 128), "The deepest nesting taken; the outer object is 1.")
            .default("128"),
    ],
);

static MCP: Section = table(
    "Settings of the MCP dialect.",
    &[
        key("era", Kind::Choice(&["auto", "modern", "legacy"]), "Which opening is used.")
            .default("auto"),
        key("client_capabilities", Kind::Object, "Declared to the server."),
        key(
            "log_level",
            Kind::Choice(&[
                "debug",
                "info",
                "notice",
                "warning",
                "error",
                "critical",
                "alert",
                "emergency",
            ]),
            "Asked of servers that can log.",
        ),
        key("send_meta", Kind::Bool, "Adds `dev.outboard/…` keys to `_meta`.").default("false"),
        key("change_events", Kind::Bool, "Listens for changes of a modern server.")
            .default("false"),
    ],
);

static LSP: Section = table(
    "Settings of the LSP dialect.",
    &[
        key(
            "root",
            Kind::Text,
            "Root folder, as a URI, or as a path relative to the manifest's folder.",
        ),
        key("folders", Kind::Paths, "Workspace folders, likewise; by default the root."),
        key("settings", Kind::Object, "Answers to `workspace/configuration`, by section."),
        key("initialization_options", Kind::Json, "Given at `initialize`."),
        key(
            "capabilities",
            Kind::Object,
            "Declared to the server, on top of what the supervisor declares of itself.",
        ),
    ],
);

static ATTACH: Section = table(
    "Attached clients.",
    &[key(
        "clients",
        Kind::Choice(&["shared", "one"]),
        "Many at once, or one (the default for LSP).",
    )
    .default("shared")],
);

static IDLE: Section = table(
    "Rest for a plugin that nobody calls.",
    &[key(
        "stop_after",
        duration_or(SECOND, 30 * DAY, "never"),
        "Stopped after this long without a call; the next call starts it. Not while another plugin requires it.",
    )
    .default("never")],
);

static LIMITS: Section = table(
    "Enforced where the machine can.",
    &[
        key("memory", size(MIB, 64 * TIB), "Memory of all of its processes.")
            .protects_if_required(),
        key("processes", count(1, 4_194_304), "Processes and threads.").protects_if_required(),
        key("cpu", Kind::Percent, "Share of one processor; more than 100% is more than one.")
            .protects_if_required(),
        key("open_files", count(16, 1_073_741_816), "Descriptors of each of its processes."),
        key("require", Kind::Bool, "Refuses to run it where a limit cannot be enforced.")
            .default("false"),
    ],
);

static PERMISSIONS: Section = table(
    "What it may ask of the host.",
    &[
        key("call", Kind::Globs, "Methods of other plugins that it may call, as `plugin.method`."),
        key("publish", Kind::Globs, "Topics of events that it may publish."),
    ],
);

static SWAP: Section = table(
    "How a new version takes over.",
    &[
        key(
            "mode",
            Kind::Choice(&["overlap", "exclusive"]),
            "The new one starts beside the old one, or after it.",
        )
        .default("overlap"),
        section("canary", &CANARY),
    ],
);

static CANARY: Section = table(
    "Probes that a new version must pass before it takes over.",
    &[
        key("probes", count(0, 1_000), "How many.").default("3"),
        key("within", duration(100, HOUR), "Within which time.").default("10s"),
    ],
);

static CONFORMANCE: Section = table(
    "What the conformance kit needs to know.",
    &[
        key(
            "slow_method",
            Kind::Text,
            "A method that takes half a second or more: it is cancelled, and asked for progress.",
        ),
        key("slow_params", Kind::Object, "What it is called with."),
    ],
);
