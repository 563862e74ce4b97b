//! One file: every kind of mistake, and its words.

use insta::assert_snapshot;

use super::{lines, said, table};

#[test]
fn syntax_errors_are_drawn_like_all_others() {
    assert_snapshot!(table(&[
        "[process\ncommand = [\"a\"]\n",
        "command = \n",
        "command = [\"a\"\n[start]\n",
        "id = \"geo\n[process]\ncommand = [\"a\"]\n",
        "id = geo\n",
        "id = 'a'\nid = 'b'\n",
        "[process]\ncommand = [\"a\"]\n[process]\ncwd = \".\"\n",
        "a = 1 b = 2\n",
        "= 3\n",
        "[start]\nspawn_timeout = 5s\n",
        "[process]\ncommand = [\"a\"]\nenv = { A = \"1\", A = \"2\" }\n",
        "x = \"\\q\"\n",
        "\"\"\"",
        "[health]\ninterval 10s\n[restart]\npolicy always\n",
    ]));
}

#[test]
fn unknown_names_get_the_nearest_right_thing() {
    assert_snapshot!(
        [
            lines(
                "",
                &["restrat = \"always\"", "interval = \"10s\"", "banana = 1", "command = [\"x\"]"]
            ),
            lines(
                "process",
                &[
                    "args = [\"x\"]",
                    "env_inherit = []",
                    "\"a\\u001b[31mb\" = 1",
                    "[process.env.A]\nb = 1"
                ]
            ),
            lines("helth", &["interval = \"10s\""]),
            lines("sandbox", &["files = \"none\""]),
            lines("restart.backof", &["initial = \"1s\""]),
            lines(
                "restart",
                &["backoff = { initail = \"1s\" }", "retry_after = { inital = \"1s\" }"]
            ),
            lines("idle", &["after = \"1m\""]),
        ]
        .concat()
    );
}

#[test]
fn types_are_named_both_ways() {
    assert_snapshot!(
        [
            lines(
                "process",
                &[
                    "command = \"npx -y thing\"",
                    "cwd = 3",
                    "env = [\"A\"]",
                    "inherit_env = \"HTTP_PROXY\""
                ]
            )
            .replace("command = [\"geo\"]\n", ""),
            table(&[
                "[process]\ncommand = \"npx -y thing\"\n",
                "[process]\ncommand = []\n",
                "[process]\ncommand = [\"\", \"a\"]\n",
                "[process]\ncommand = [\"a\", 8080, true]\n",
                "[process]\ncommand = 3\n",
                "process = \"x\"\n",
                "[[process]]\ncommand = [\"a\"]\n",
                "[process]\n",
                "",
                "command = [\"a\"]\n",
            ]),
            lines(
                "",
                &["enabled = \"yes\"", "restart = \"always\"", "start = 2026-01-01", "config = 3"]
            ),
            lines("calls", &["concurrency = \"64\"", "idempotent = [1]", "queue_calls = 1"]),
            lines("restart.backoff", &["factor = \"2\"", "jitter = [0.2]"]),
        ]
        .concat()
    );
}

#[test]
fn durations_say_their_range_and_an_example() {
    assert_snapshot!(
        [
            lines(
                "health",
                &[
                    "interval = \"10\"",
                    "interval = 10",
                    "interval = \"-1s\"",
                    "interval = \"0s\"",
                    "interval = \"none\"",
                    "interval = \"1.5s\"",
                    "interval = \"1m30s\"",
                    "interval = \"99999999999999999999s\"",
                    "interval = \"18446744073709551615d\"",
                    "interval = \"400d\"",
                    "interval = nan",
                    "interval = \"\"",
                    "interval = \"${INTERVAL}\"",
                    "interval = \"1d\"",
                ]
            ),
            lines(
                "stop",
                &[
                    "total = \"none\"",
                    "total = \"1s\"",
                    "total = \"never\"",
                    "kill = \"100ms\"",
                    "drain = \"0s\""
                ]
            ),
            lines("idle", &["stop_after = \"never\"", "stop_after = \"0s\""]),
            lines("calls", &["deadline = \"none\"", "attach_deadline = \"none\""]),
            lines(
                "restart",
                &[
                    "retry_after = \"never\"",
                    "retry_after = \"30s\"",
                    "retry_after = { initial = \"1s\" }",
                    "retry_after = { initial = \"10m\" }",
                    "retry_after = { initial = \"2m\", max = \"1m\" }",
                    "retry_after = \"0s\"",
                    "retry_after = 15",
                    "retry_after = true",
                ]
            ),
        ]
        .concat()
    );
}

#[test]
fn sizes_shares_and_numbers_say_their_range() {
    assert_snapshot!(
        [
            lines(
                "wire",
                &[
                    "max_frame = \"16\"",
                    "max_frame = 16",
                    "max_frame = \"16MB\"",
                    "max_frame = \"1KiB\"",
                    "max_frame = \"1GiB\"",
                    "max_frame = \"-1MiB\"",
                    "max_frame = \"99999999999GiB\"",
                    "max_frame = [1]",
                    "max_frame = \"32MiB\"",
                    "max_depth = 15",
                    "max_depth = 0x20",
                    "max_depth = 999_999_999_999_999_999_999_999_999_999_999_999_999_999",
                    "max_depth = -1",
                    "max_depth = 20.5",
                ]
            ),
            lines(
                "restart.backoff",
                &[
                    "factor = nan",
                    "factor = inf",
                    "factor = 0.5",
                    "factor = 3",
                    "jitter = 1.5",
                    "jitter = -0.0"
                ]
            ),
            lines(
                "limits",
                &["cpu = 50", "cpu = \"50\"", "cpu = \"0%\"", "cpu = \"-5%\"", "open_files = 0"]
            ),
            lines("process", &["umask = \"022\"", "umask = \"99\"", "umask = 18"]),
        ]
        .concat()
    );
}

#[test]
fn choices_are_listed() {
    assert_snapshot!(
        [
            lines("restart", &["policy = \"allways\"", "policy = \"sometimes\"", "policy = true"]),
            lines("", &["dialect = \"MCP\"", "dialect = \"lsp\"", "dialect = \"http\""]),
            lines("mcp", &["log_level = \"warn\""]),
        ]
        .concat()
    );
}

#[test]
fn the_rule_for_names_is_explained() {
    assert_snapshot!(
        [
            lines(
                "",
                &[
                    "id = \"../x\"",
                    "id = \"/etc/passwd\"",
                    "id = \"\"",
                    "id = \"a\\u0000b\"",
                    "id = \".hidden\"",
                    "id = \"g\u{0435}o\"",
                    "id = \"a b\"",
                    "id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
                    "id = \"vendor-1.crm_x\"",
                    "id = 7",
                ]
            ),
            lines(
                "start",
                &["requires = [\"a\", \"b/c\"]", "after = \"cache\"", "after = [\"..\"]"]
            ),
        ]
        .concat()
    );
}

#[test]
fn variables_and_their_sources() {
    assert_snapshot!(lines(
        "process",
        &[
            "env = { A = 1 }",
            "env = { A = true }",
            "env = { A = [\"x\"] }",
            "env = { A = { from_env = \"B\", from_file = \"c\" } }",
            "env = { A = {} }",
            "env = { A = { from_vault = \"B\" } }",
            "env = { A = { from_env = 1 } }",
            "env = { A = { from_env = \"\" } }",
            "env = { \"A=B\" = \"x\" }",
            "env = { \"\" = \"x\" }",
            "env = { A = \"x\\u0000y\" }",
            "env = { OUTBOARD_RUN = \"x\" }",
            "env = { A = \"${\" }",
            "env = { A = \"${B:-${C}}\" }",
            "env = { A = \"${B?}\" }",
            "env = { A = \"$B and $$C\" }",
            "env = { A = \"${B:-x}\", C = { from_env = \"D\" }, E = { from_file = \"~/e\" } }",
            "cwd = \"$HOME/x\"",
            "cwd = \"a\\u0000b\"",
        ],
    ));
}

#[test]
fn holes_where_nothing_is_filled_in_get_a_hint() {
    assert_snapshot!(
        [
            lines("", &["description = \"for ${USER}\""]),
            lines("config", &["key = \"${API_KEY}\"", "nested = { deep = [\"${X}\"] }"]),
            lines("process", &["env = { A = { from_file = \"${DIR}/x\" } }"]),
        ]
        .concat()
    );
}

#[test]
fn config_becomes_json_or_says_why_not() {
    assert_snapshot!(lines(
        "config",
        &["x = nan", "x = [1, inf]", "x = 99999999999999999999", "x = 2026-01-01T00:00:00Z"],
    ));
    let manifest = super::manifest(
        "[process]\ncommand = [\"a\"]\n[config]\na = 1\nb = [1.5, true, { c = \"d\" }]\nwhen = 2026-01-02\nbig = 18446744073709551615\n",
    );
    assert_eq!(
        manifest.config,
        serde_json::json!({"a": 1, "b": [1.5, true, {"c": "d"}], "when": "2026-01-02", "big": u64::MAX})
    );
}

#[test]
fn what_has_no_effect_yet_warns_and_what_would_protect_refuses() {
    assert_snapshot!(
        [
            lines(
                "process",
                &[
                    "sha256 = \"00000000000000000000000000000000000000000000000000000000000000aa\"",
                    "sha256 = \"abc\"",
                    "user = \"nobody\"",
                    "group = \"nogroup\"",
                    "pass_fds = [3]",
                    "pass_fds = [0]",
                ]
            ),
            lines(
                "limits",
                &[
                    "memory = \"256MiB\"",
                    "memory = \"256MiB\"\nprocesses = 64\nrequire = true",
                    "open_files = 1024\nrequire = true",
                ]
            ),
            lines("wire", &["transport = \"stdio\"", "transport = \"fd\""]),
            lines(
                "calls",
                &[
                    "validate = false",
                    "validate = true",
                    "idempotent = []",
                    "idempotent = [\"get.*\"]"
                ]
            ),
            lines("attach", &["clients = \"shared\"", "clients = \"one\""]),
            lines("swap", &["mode = \"exclusive\"", "canary = { probes = 3, within = \"1s\" }"]),
            lines("permissions", &["call = [\"cache.get\"]\npublish = [\"x.*\"]"]),
            lines("idle", &["stop_after = \"10m\""]),
            lines("health", &["hang_signal = \"SIGQUIT\""]),
            lines("mcp", &["era = \"modern\""]),
            lines("lsp", &["root = \".\""]),
        ]
        .concat()
    );
}

#[test]
fn durations_that_contradict_each_other() {
    assert_snapshot!(
        [
            lines(
                "start",
                &[
                    "first_byte_timeout = \"10m\"",
                    "first_byte_cap = \"10s\"",
                    "first_byte_timeout = \"2m\"\nfirst_byte_cap = \"1m\"",
                ]
            ),
            lines("restart.backoff", &["initial = \"1m\"", "max = \"0s\""]),
        ]
        .concat()
    );
}

#[test]
fn containers_that_outlive_their_client() {
    assert_snapshot!(table(&[
        "[process]\ncommand = [\"docker\", \"run\", \"image\"]\n",
        "[process]\ncommand = [\"/usr/bin/podman\", \"run\", \"--rm\", \"-it\", \"--init\", \"--cidfile\", \"x\", \"image\"]\n",
        "[process]\ncommand = [\"docker\", \"ps\"]\n",
    ]));
}

#[test]
fn places_count_characters_and_draw_tabs_and_long_lines() {
    assert_snapshot!(table(&[
        "[process]\ncommand = [\"geo\"]\n[health]\n\t\tinterval\t=\t\"10\"\n",
        "[process]\ncommand = [\"geo\"]\ndescription = \"\"\n[config]\n\"größe\" = nan\r\n",
        "[process]\r\ncommand = [\"geo\"]\r\nbanana = 3\r\n",
        &format!(
            "[process]\ncommand = [\"geo\"]\nenv = {{ A = \"{}\", B = 1, C = \"{}\" }}\n",
            "a".repeat(300),
            "c".repeat(300)
        ),
        "[process]\ncommand = [\"geo\"]\nbanana = \"\"\"\nover\nlines\"\"\" # \u{202e}evil\n",
    ]));
}

#[test]
fn every_problem_of_a_file_comes_at_once_and_in_order() {
    assert_snapshot!(said(
        "id = \"a/b\"\nlazy = 1\n[process]\ncommand = \"x\"\n[helth]\n[health]\ninterval = \"10\"\nmisses = 0\n",
    ));
}

#[test]
fn a_flood_of_problems_is_counted() {
    let text: String = (0..1000).map(|n| format!("unknown{n} = {n}\n")).collect();
    let said = said(&text);
    assert_eq!(said.lines().filter(|line| line.starts_with("error: unknown key")).count(), 100);
    assert!(said.contains("error: 900 more problems in geo.toml\n"), "{said}");
}
