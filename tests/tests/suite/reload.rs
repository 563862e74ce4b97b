//! SIGHUP reads the manifests again: only what changed is touched, and a broken set changes nothing.

use std::fs;

use outboard_tests::World;
use serde_json::json;

const SIGHUP: i32 = 1;

/// The event that a reload ends with, after `seq`.
fn reloaded(run: &outboard_tests::Running, seq: u64) -> outboard_tests::Event {
    run.event_after(seq, |event| event.event.starts_with("config."))
}

fn last_seq(run: &outboard_tests::Running) -> u64 {
    run.events().last().map_or(0, |event| event.seq)
}

#[test]
fn sup_03_the_same_manifests_restart_nothing_and_a_changed_one_only_itself() {
    let world = World::new();
    world.chaos("same", "serve");
    world.chaos("other", "serve");
    world.chaos("gone", "serve");
    let run = world.run();
    for id in ["same", "other", "gone"] {
        run.active(id);
    }
    let seq = last_seq(&run);
    run.signal(SIGHUP);
    let event = reloaded(&run, seq);
    assert_eq!((event.event.as_str(), event.number("revision")), ("config.applied", 1));
    assert_eq!(run.count(|event| event.event == "plugin.spawned"), 3, "nothing was restarted");

    let path = world.manifests().join("other.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n[config]\nunits = \"metric\"\n")).unwrap();
    fs::remove_file(world.manifests().join("gone.toml")).unwrap();
    world.chaos("new", "serve");
    let seq = last_seq(&run);
    run.signal(SIGHUP);
    let event = reloaded(&run, seq);
    assert_eq!(event.event, "config.applied");
    let lists = ["added", "removed", "changed"].map(|name| event.member(name).clone());
    assert_eq!(lists, [json!(["new"]), json!(["gone"]), json!(["other"])]);
    assert_eq!(event.number("revision"), 2);
    run.active("new");
    run.active_above("other", 1);
    run.event(|event| event.is("plugin.removed", "gone"));
    assert_eq!(run.plugin("same")["generation"], 1);
    run.cli(&["status", "gone"]).code(4);
    assert_eq!(run.status()["supervisor"]["revision"], 2);
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn sup_04_a_broken_set_changes_nothing_and_says_every_error() {
    let world = World::new();
    world.chaos("well", "serve");
    let run = world.run();
    run.active("well");
    fs::remove_file(world.manifests().join("well.toml")).unwrap();
    world.manifest("one", "[process]\ncommand = 7\n");
    world.manifest("two", "[process]\ncommand = [\"true\"]\n[health]\ninterval = \"10\"\n");
    let seq = last_seq(&run);
    run.signal(SIGHUP);
    let event = reloaded(&run, seq);
    assert_eq!(event.event, "config.rejected");
    let problems = event.member("problems").to_string();
    for part in ["one.toml:2", "two.toml:4"] {
        assert!(problems.contains(part), "`{part}` in {problems}");
    }
    assert_eq!(run.call("well", "echo", &json!({"still": 1})).unwrap(), json!({"still": 1}));
    assert_eq!(run.plugin("well")["generation"], 1);
    assert_eq!(run.status()["supervisor"]["revision"], 1);
    run.cli(&["status", "one"]).code(4);
}

#[test]
fn man_01_what_was_refused_at_run_comes_alive_when_it_is_mended_and_reloaded() {
    let world = World::new();
    world.chaos("well", "serve");
    world.manifest("bad", "id = \n");
    let run = world.run();
    run.active("well");
    run.state("bad", "failed");
    world.chaos("bad", "serve");
    run.signal(SIGHUP);
    run.active("bad");
    assert_eq!(run.call("bad", "echo", &json!({"alive": 1})).unwrap(), json!({"alive": 1}));
    assert_eq!(run.plugin("well")["generation"], 1);
}
