//! One file's text: no TOML, unknown names, wrong types, values out of range.

use outboard_tests::fault::Row;
use serde_json::json;

use super::{PROCESS, is_failed, is_refused, is_untouched, reload};

/// A text, where it goes wrong, and what the line is that is shown.
const SYNTAX: [(&str, &str, &str, &str); 10] = [
    ("value", "id =\n", ":1:", "id ="),
    ("header", "[process\ncommand = [\"true\"]\n", ":1:9", "[process"),
    ("quote", "[process]\ncommand = [\"true]\n", ":2:18", "command = [\"true]"),
    ("equals", "id == \"x\"\n", ":1:5", "id == \"x\""),
    ("comma", "[process]\ncommand = [\"true\" \"x\"]\n", ":2:19", "command = [\"true\" \"x\"]"),
    ("array", "[process]\ncommand = [\"true\",\n", ":2:19", "command = [\"true\","),
    ("twice", "id = \"twice\"\nid = \"b\"\n", ":2:1", "id = \"b\""),
    ("table", "[process]\n[process]\n", ":2:2", "[process]"),
    ("escape", "[process]\ncommand = [\"tr\\que\"]\n", ":2:16", "command = [\"tr\\que\"]"),
    ("bare", "description = hello there\n", ":1:15", "description = hello there"),
];

#[test]
fn man_01_a_syntax_error_is_shown_with_its_place() {
    let row = Row::new("MAN-01");
    let files: Vec<(String, String)> =
        SYNTAX.iter().map(|(id, text, ..)| (format!("{id}.toml"), (*text).to_owned())).collect();
    let bad: Vec<(&str, &str)> = files.iter().map(|(file, text)| (&**file, &**text)).collect();
    let places: Vec<String> =
        SYNTAX.iter().map(|(id, _, place, _)| format!("{id}.toml{place}")).collect();
    let mut parts: Vec<&str> = SYNTAX.iter().map(|(_, _, _, line)| *line).collect();
    parts.extend(places.iter().map(String::as_str));
    // All errors of all files at once.
    let run = is_refused(&row, &bad, &parts);
    for (id, _, place, line) in SYNTAX {
        is_failed(&run, id, &["not valid TOML", &format!("{id}.toml{place}"), line, "^"]);
    }
    row.witness("ten texts that are no TOML; each is refused with its place");

    for (id, ..) in SYNTAX {
        row.chaos(id, "serve");
    }
    let event = reload(&run);
    assert_eq!(event.event, "config.applied", "{event}");
    for (id, ..) in SYNTAX {
        run.active(id);
        assert_eq!(run.call(id, "echo", &json!({"alive": id})).unwrap(), json!({"alive": id}));
    }
    assert_eq!(run.plugin("well")["generation"], 1, "and nobody else was touched");
}

#[test]
fn man_02_unknown_keys_and_wrong_types() {
    let row = Row::new("MAN-02");
    let key = format!("restrat = \"always\"\n{PROCESS}");
    let section = format!("{PROCESS}[restrat]\npolicy = \"always\"\n");
    let args = format!("{PROCESS}args = \"x\"\n");
    let types = "enabled = \"yes\"\n[process]\ncommand = \"true\"\nenv = 7\n[start]\nrequires = \"a\"\n[health]\nmisses = \"3\"\n";
    let bad = [
        ("key.toml", &*key),
        ("section.toml", &*section),
        ("args.toml", &*args),
        ("types.toml", types),
    ];
    let parts = [
        "unknown key `restrat`",
        "unknown section `restrat`",
        "did you mean `restart`?",
        "key.toml:1:1",
        "section.toml:3:2",
        "unknown key `args` in [process]",
        "args.toml:3:1",
        "expected true or false for `enabled`, found a text",
        "expected a list of texts for `[process] command`, found a text",
        "expected a table for `[process] env`, found a whole number",
        "expected a list of names for `[start] requires`, found a text",
        "expected a whole number for `[health] misses`, found a text",
    ];
    let run = is_refused(&row, &bad, &parts);
    is_failed(&run, "key", &["unknown key `restrat`", "did you mean `restart`?", "^"]);
    is_failed(&run, "section", &["unknown section `restrat`", "did you mean `restart`?"]);
    is_failed(&run, "args", &["unknown key `args`", "arguments go into `command`"]);
    is_failed(&run, "types", &parts[7..]);
    is_untouched(&run);
    row.witness("no plugin ran with a key left out: all four are down");
}

/// Section, value, and what is said of it.
const VALUES: [(&str, &str, &str); 16] = [
    ("health", "interval = \"10\"", "say the unit, for example \"10s\""),
    ("health", "interval = 10", "say the unit, for example \"10s\""),
    ("health", "interval = \"-1s\"", "never negative, for example \"10s\""),
    ("health", "interval = \"nan\"", "a number and its unit, for example \"10s\""),
    ("health", "interval = \"0s\"", "from \"100ms\" to \"24h\", for example \"10s\""),
    ("health", "interval = \"9999d\"", "from \"100ms\" to \"24h\", for example \"10s\""),
    ("health", "interval = \"99999999999999999999h\"", "from \"100ms\" to \"24h\", for example"),
    ("stop", "drain = \"18446744073709551615d\"", "to \"1h\", for example"),
    ("restart", "backoff = { factor = nan }", "from 1.0 to 100.0"),
    ("restart", "backoff = { jitter = inf }", "from 0.0 to 1.0"),
    ("restart", "budget = { restarts = -1, within = \"1m\" }", "from 0 to 100000"),
    ("wire", "max_frame = \"-1\"", "never negative, for example \"16MiB\""),
    ("wire", "max_frame = \"10XB\"", "B, KiB, MiB, GiB, for example \"16MiB\""),
    ("wire", "max_frame = 0", "say the unit, for example"),
    ("wire", "max_frame = \"99999999999999GiB\"", "from \"64KiB\" to \"64MiB\", for example"),
    ("calls", "in_flight = 0", "from 1 to 65536"),
];

#[test]
fn man_06_values_out_of_range_are_not_clamped() {
    let row = Row::new("MAN-06");
    let files: Vec<(String, String)> = VALUES
        .iter()
        .enumerate()
        .map(|(number, (section, value, _))| {
            (format!("v{number}.toml"), format!("{PROCESS}[{section}]\n{value}\n"))
        })
        .collect();
    let bad: Vec<(&str, &str)> = files.iter().map(|(file, text)| (&**file, &**text)).collect();
    let parts: Vec<&str> = VALUES.iter().map(|(_, _, said)| *said).collect();
    let run = is_refused(&row, &bad, &parts);
    for (number, (_, value, said)) in VALUES.iter().enumerate() {
        is_failed(&run, &format!("v{number}"), &[value, said, &format!("v{number}.toml:4:")]);
    }
    is_untouched(&run);
    row.witness("sixteen values, and no plugin runs with another in its place");
}
