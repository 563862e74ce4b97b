//! What is wrong between manifests: names that clash, circles, and those that others wait for.

use std::time::Duration;

use outboard_tests::Running;
use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::Row;
use serde_json::json;

use super::{PROCESS, is_failed, is_refused, is_untouched};

#[test]
fn man_03_names_that_clash_or_look_alike() {
    let row = Row::new("MAN-03");
    let id = |id: &str| format!("id = \"{id}\"\n{PROCESS}");
    let (twin, lower, upper) = (id("twin"), id("geo"), id("Geo"));
    // CYRILLIC SMALL LETTER IE, and a zero-width joiner.
    let (lookalike, hidden) = (id("w\u{435}ll"), id("we\u{200d}ll"));
    let bad = [
        ("one.toml", &*twin),
        ("two.toml", &*twin),
        ("lower.toml", &*lower),
        ("upper.toml", &*upper),
        ("lookalike.toml", &*lookalike),
        ("hidden.toml", &*hidden),
    ];
    let parts = [
        "one.toml:1:6",
        "two.toml:1:6",
        "`Geo` and `geo` differ only by case",
        "lower.toml:1:6",
        "upper.toml:1:6",
        "(U+0435) is not allowed",
        "(U+200D) is not allowed",
        "a name is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit",
    ];
    let run = is_refused(&row, &bad, &parts);
    is_failed(&run, "twin", &["one.toml:1:6", "two.toml:1:6"]);
    for id in ["geo", "Geo"] {
        is_failed(&run, id, &["differ only by case", "lower.toml:1:6", "upper.toml:1:6"]);
    }
    is_untouched(&run);
    assert_eq!(run.count(|event| event.event == "plugin.spawned"), 1, "none of them was started");
    row.witness("six files, of which no plugin was started");
}

#[test]
fn man_04_circles_are_shown_as_paths() {
    let row = Row::new("MAN-04");
    let needs = |how: &str, id: &str| format!("{PROCESS}[start]\n{how} = [\"{id}\"]\n");
    let (a, b, c) = (needs("requires", "b"), needs("requires", "c"), needs("after", "a"));
    let (own, outside) = (needs("requires", "own"), needs("after", "well"));
    let bad = [("a.toml", &*a), ("b.toml", &*b), ("c.toml", &*c), ("own.toml", &*own)];
    let run = is_refused(&row, &bad, &["a -> b -> c -> a", "own -> own", "a.toml:4", "own.toml:4"]);
    for id in ["a", "b", "c"] {
        is_failed(&run, id, &["round in a circle", "a -> b -> c -> a"]);
    }
    is_failed(&run, "own", &["own -> own"]);
    is_untouched(&run);
    row.witness("a circle of three and one of one; none of the four was started");
    // Who leans on somebody outside of the circle is none of its members.
    std::fs::write(row.manifests().join("outside.toml"), outside).unwrap();
    let folder = row.manifests().display().to_string();
    let check = row.cli_on("check", &["check", &folder]).code(2);
    assert!(!format!("{}{}", check.stdout, check.stderr).contains("outside"), "{check:?}");
}

/// It waits for `on`: registered, told so, nothing charged, never failed.
#[track_caller]
fn waits_for(run: &Running<'_>, id: &str, on: &str) {
    run.event(|event| event.is("dependency.waiting", id) && event.member("on") == &json!([on]));
    wait_until("status says whom it waits for", || run.plugin(id)["waiting_for"] == json!([on]));
    let row = run.plugin(id);
    assert_eq!(
        json!([row["state"], row["wanted"], row["restarts"], row["pid"], row["last_failure"]]),
        json!(["registered", "up", 0, null, null]),
        "{row}"
    );
    assert_eq!(run.count(|event| event.is_state(id, "failed")), 0);
    assert_eq!(run.count(|event| event.is("plugin.spawned", id)), 0);
    let shown = run.cli(&["status", id]).code(0).stdout;
    assert!(shown.contains(on), "{shown}");
}

#[test]
fn man_05_a_dependency_that_is_absent_is_refused() {
    let row = Row::new("MAN-05");
    let needs = format!("{PROCESS}[start]\nrequires = [\"nobody\"]\n");
    let parts = ["needs requires `nobody`, which no manifest describes", "needs.toml:4:13"];
    let run = is_refused(&row, &[("needs.toml", &needs)], &parts);
    is_failed(&run, "needs", &["which no manifest describes", "^"]);
    is_untouched(&run);
    row.witness("nothing is called nobody");
}

#[test]
fn man_05_who_waits_is_never_failed_and_comes_by_itself() {
    let row = Row::new("MAN-05");
    let on = |other: &str| format!("[start]\nrequires = [\"{other}\"]\n");
    row.chaos_with("off", "serve", "enabled = false");
    row.chaos(
        "slow",
        "on initialize {\n at asked\n gate go\n reply {\"protocolVersion\":1}\n}\nserve",
    );
    for (id, other) in [("x", "off"), ("y", "slow")] {
        row.chaos_with(id, "serve", &on(other));
    }
    let fails = format!("{}[calls]\nwhile_restarting = \"fail\"\n", on("slow"));
    row.chaos_with("z", "serve", &fails);
    let run = row.run();
    row.gates().report("asked");
    for (id, other) in [("x", "off"), ("y", "slow"), ("z", "slow")] {
        waits_for(&run, id, other);
    }
    row.witness("one dependency is disabled, the other holds its opening back");

    let refused = run.call("z", "echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, refused.class()), (-31001, "waiting"), "{refused:?}");
    let began = Stopwatch::new();
    let mut hasty = run.try_attach("x", Some(Duration::from_millis(100))).unwrap();
    let ended = hasty.call("echo", &json!({})).unwrap_err();
    row.measured("a call of 100 ms ended", began.elapsed());
    assert_eq!((ended.code, &ended.data["sent"]), (-31002, &json!(false)), "{ended:?}");

    let mut patient = run.attach("y");
    let held = patient.send("echo", &json!({"held": 1}));
    row.gates().open("go");
    for id in ["slow", "y", "z"] {
        run.active(id);
    }
    assert_eq!(patient.answer(held).unwrap().get(), r#"{"held":1}"#);
    run.cli(&["start", "off"]).code(0);
    run.active("x");
    for id in ["x", "y", "z"] {
        let row = run.plugin(id);
        assert_eq!(json!([row["restarts"], row["waiting_for"]]), json!([0, []]), "{row}");
        assert_eq!(run.count(|event| event.is("plugin.failure", id)), 0);
    }
}
