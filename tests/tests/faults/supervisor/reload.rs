//! SIGHUP reads the manifests again: only what changed is touched, and a broken set changes nothing.

use std::fs;

use outboard_tests::fault::Row;
use outboard_tests::{Event, Running};
use serde_json::json;

/// The event that a reload ends with, after `seq`.
fn reloaded(run: &Running<'_>) -> Event {
    let seq = run.events().last().map_or(0, |event| event.seq);
    run.signal(libc::SIGHUP);
    run.event_after(seq, |event| event.event.starts_with("config."))
}

fn spawns(run: &Running<'_>) -> usize {
    run.count(|event| event.event == "plugin.spawned")
}

#[test]
fn sup_03_the_same_manifests_restart_nothing_and_a_changed_one_only_itself() {
    let row = Row::new("SUP-03");
    for id in ["same", "other", "gone"] {
        row.chaos(id, "serve");
    }
    let run = row.run();
    for id in ["same", "other", "gone"] {
        run.active(id);
    }
    let event = reloaded(&run);
    assert_eq!((event.event.as_str(), event.number("revision")), ("config.applied", 1));
    assert_eq!(spawns(&run), 3, "nothing was restarted");

    let path = row.manifests().join("other.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n[config]\nunits = \"metric\"\n")).unwrap();
    fs::remove_file(row.manifests().join("gone.toml")).unwrap();
    row.chaos("new", "serve");
    let event = reloaded(&run);
    assert_eq!(event.event, "config.applied");
    let lists = ["added", "removed", "changed"].map(|name| event.member(name).clone());
    assert_eq!(lists, [json!(["new"]), json!(["gone"]), json!(["other"])]);
    assert_eq!(event.number("revision"), 2);
    run.active("new");
    run.active_above("other", 1);
    run.event(|event| event.is("plugin.removed", "gone"));
    assert_eq!(spawns(&run), 5, "the changed one and the new one");
    assert_eq!(run.plugin("same")["generation"], 1);
    run.cli(&["status", "gone"]).code(4);
    assert_eq!(run.status()["supervisor"]["revision"], 2);
    row.witness("two `config.applied` answered two signals");
}

#[test]
fn sup_04_a_broken_set_changes_nothing_and_says_every_error() {
    let row = Row::new("SUP-04");
    let ids: Vec<String> = (0..8).map(|n| format!("well-{n}")).collect();
    for id in &ids {
        row.chaos(id, "serve");
    }
    let run = row.run();
    for id in &ids {
        run.active(id);
    }
    fs::remove_file(row.manifests().join("well-0.toml")).unwrap();
    row.chaos_with("well-1", "serve", "description = \"changed\"");
    row.manifest("one", "[process]\ncommand = 7\n");
    row.manifest("two", "[process]\ncommand = [\"true\"]\n[health]\ninterval = \"10\"\n");
    let event = reloaded(&run);
    assert_eq!(event.event, "config.rejected");
    let problems = event.member("problems").to_string();
    for part in ["one.toml:2", "two.toml:4"] {
        assert!(problems.contains(part), "`{part}` in {problems}");
    }
    for id in &ids {
        assert_eq!(run.call(id, "echo", &json!({"still": 1})).unwrap(), json!({"still": 1}));
        assert_eq!(run.plugin(id)["generation"], 1);
    }
    assert_eq!(spawns(&run), ids.len());
    assert_eq!(run.status()["supervisor"]["revision"], 1);
    run.cli(&["status", "one"]).code(4);
    let reload = run.cli(&["reload"]).code(2);
    for part in ["one.toml:2", "two.toml:4", "2 errors; nothing was changed"] {
        assert!(reload.stderr.contains(part), "`{part}` in {}", reload.stderr);
    }
    run.cli(&["reload", "--plan"]).code(2);
    assert_eq!(spawns(&run), ids.len());
    let manifests = row.manifests().display().to_string();
    let checked = row.finish(row.spawn(vec![
        outboard_tests::runtimes::bin("outboard").display().to_string(),
        "check".to_owned(),
        manifests,
    ]));
    checked.code(2);
    row.witness("`config.rejected` names both files and lines, and `check` refuses the set");
}
