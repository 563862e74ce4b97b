//! Bad input of every kind: a clear error with its exit code, and nothing else disturbed.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use outboard_tests::World;
use outboard_tests::world::{Launch, Output};
use serde_json::json;

/// Asserts that a command failed in the way every failure is told: what, and what to do about it.
#[track_caller]
fn assert_told(output: &Output, words: &[&str]) {
    assert!(output.stdout.is_empty(), "{output:#?}");
    assert!(output.stderr.starts_with("error: "), "{output:#?}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` in {output:#?}");
    }
}

#[test]
fn one_broken_manifest_among_five_stops_nobody_else() {
    let world = World::new();
    let sound = ["a", "b", "c", "d"];
    for id in sound {
        world.chaos(id, "serve");
    }
    world.manifest("broken", "[process]\ncommand = [\"true\"]\n[restrat]\npolicy = \"always\"\n");
    let run = world.run();
    for id in sound {
        run.active(id);
        assert_eq!(run.call(id, "echo", &json!({"id": id})).unwrap(), json!({"id": id}));
    }
    run.state("broken", "failed");
    let row = run.plugin("broken");
    assert_eq!(
        json!([row["state"], row["pid"], row["generation"]]),
        json!(["failed", null, 0]),
        "{row}"
    );
    assert_eq!(row["last_failure"]["class"], "config", "{row}");
    let status = run.cli(&["status"]).code(0).stdout;
    let first = status.lines().nth(2).unwrap();
    assert!(first.starts_with("broken") && first.contains("config"), "trouble first: {status}");
    let note = row["note"].as_str().unwrap();
    assert!(note.contains("why broken"), "and what to do about it: {note}");
    let why = run.cli(&["why", "broken"]).code(0).stdout;
    for part in ["unknown section `restrat`", "broken.toml:3:2", "did you mean `restart`?", "^"] {
        assert!(why.contains(part), "`{part}` in {why}");
    }
    let refused = run.call("broken", "echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, refused.class()), (-31001, "failed"), "{refused:?}");
    assert_eq!(run.count(|event| event.is("plugin.spawned", "broken")), 0);
}

#[test]
fn check_and_strict_refuse_the_whole_set() {
    let world = World::new();
    world.chaos("well", "serve");
    world.manifest("broken", "[process]\ncommand = 7\n[health]\ninterval = \"10\"\n");
    world.manifest("worse", "id = \n");
    let folder = world.manifests().display().to_string();
    let check = world.cli(&["check", &folder]).code(2);
    let strict = world.cli(&["run", &folder, "--strict"]).code(2);
    for output in [&check, &strict] {
        let said = format!("{}{}", output.stdout, output.stderr);
        for part in ["broken.toml:2:", "broken.toml:4:", "worse.toml:1:", "\"10s\""] {
            assert!(said.contains(part), "`{part}`: all errors at once: {output:#?}");
        }
    }
    let journal = world.state_dir("").join("events.jsonl");
    let events = fs::read_to_string(journal).unwrap_or_default();
    assert!(!events.contains("plugin.spawned"), "nothing was started: {events}");
    fs::remove_file(world.manifests().join("broken.toml")).unwrap();
    fs::remove_file(world.manifests().join("worse.toml")).unwrap();
    assert!(world.cli(&["check", &folder]).code(0).stderr.is_empty());
}

#[test]
fn a_missing_executable_fails_that_plugin_alone() {
    let world = World::new();
    world.chaos("well", "serve");
    world.manifest("slash", "[process]\ncommand = [\"./no-such-program\"]");
    world.manifest("path", "[process]\ncommand = [\"no-such-program-at-all\"]");
    let run = world.run();
    run.active("well");
    for id in ["slash", "path"] {
        let failure = run.failure(id);
        let told = (failure.text("class"), failure.text("detail"));
        assert_eq!(told, ("spawn", "exe-missing"), "{failure}");
        assert!(failure.text("message").contains("no-such-program"), "{failure}");
        run.state(id, "failed");
        assert_eq!(
            run.count(|event| event.is("restart.scheduled", id)),
            0,
            "{id}: it is permanent"
        );
        let refused = run.call(id, "echo", &json!({})).unwrap_err();
        assert_eq!((refused.code, refused.class()), (-31001, "failed"), "{refused:?}");
    }
    assert_eq!(run.plugin("well")["state"], "active");
}

#[test]
fn without_a_supervisor_every_command_says_so() {
    let world = World::new();
    for args in [
        &["status"][..],
        &["list"],
        &["call", "geo", "echo"],
        &["notify", "geo", "hello"],
        &["start", "geo"],
        &["stop", "geo"],
        &["restart", "--all"],
        &["why", "geo"],
        &["logs", "geo"],
        &["events"],
        &["shutdown"],
    ] {
        let output = world.cli(args);
        assert_eq!(output.ended.code, Some(3), "{args:?}: {output:#?}");
        assert_told(&output, &["no supervisor", "help: ", "outboard run"]);
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let world = World::new();
    for args in [
        &["run"][..],
        &["run", "no-such-folder"],
        &["call"],
        &["status", "--frobnicate"],
        &["call", "geo", "echo", "{\"half\":"],
        &["call", "geo", "echo", "--deadline", "10"],
        &["stop", "geo", "--all"],
    ] {
        let output = world.cli(args);
        assert_eq!(output.ended.code, Some(2), "{args:?}: {output:#?}");
        assert_told(&output, &[]);
    }
    assert_told(&world.cli(&["ps"]).code(2), &["outboard status"]);
}

#[test]
fn a_second_supervisor_on_a_state_directory_is_told_of_the_first() {
    let world = World::new();
    world.chaos("geo", "serve");
    let first = world.run();
    first.active("geo");
    let second = world.launch(&Launch::default());
    assert_eq!(second.ended().code, Some(8), "{}", second.stderr());
    let told = second.stderr();
    for part in [&first.pid.to_string(), "manifests", "--state-dir"] {
        assert!(told.contains(part), "`{part}` in {told}");
    }
    // The loser has touched nothing.
    assert_eq!(first.call("geo", "echo", &json!({})).unwrap(), json!({}));
    assert_eq!(first.plugin("geo")["generation"], 1);
    assert_eq!(first.cli(&["status"]).code(0).stderr, "");
    // Another state directory is another supervisor.
    let other = world.launch(&Launch { state: "other", ..Launch::default() });
    other.active("geo");
    assert_ne!(other.plugin_pid("geo"), first.plugin_pid("geo"));
}

#[test]
fn a_stale_socket_is_nobody_and_in_nobodys_way() {
    let world = World::new();
    world.chaos("geo", "serve");
    let first = world.run();
    first.active("geo");
    first.kill_and_wait_until_nothing_is_left();
    let socket = world.state_dir("").join("control.sock");
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket(), "it was left");
    world.cli(&["status"]).code(3);
    world.cli(&["call", "geo", "echo"]).code(3);
    let second = world.run();
    second.active("geo");
    second.cli(&["status"]).code(0);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    for name in ["control.sock", "attach.sock"] {
        let world = World::new();
        world.chaos("geo", "serve");
        let path = world.state_dir("").join(name);
        fs::write(&path, "somebody's notes").unwrap();
        let run = world.run();
        assert_eq!(run.ended().code, Some(8), "{name}: {}", run.stderr());
        assert!(run.stderr().contains(name), "{}", run.stderr());
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's notes");
        assert_eq!(
            run.count(|event| event.event == "plugin.spawned"),
            0,
            "{name}: nothing started"
        );
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn duplicates_and_circles_take_out_their_members_and_nobody_else() {
    let world = World::new();
    world.chaos("well", "serve");
    world.chaos_with("one", "serve", "id = \"twice\"");
    world.chaos_with("two", "serve", "id = \"twice\"");
    world.chaos_with("hen", "serve", "[start]\nrequires = [\"egg\"]");
    world.chaos_with("egg", "serve", "[start]\nrequires = [\"hen\"]");
    let run = world.run();
    run.active("well");
    for id in ["twice", "hen", "egg"] {
        run.state(id, "failed");
        assert_eq!(run.plugin(id)["last_failure"]["class"], "config", "{id}");
        assert_eq!(run.count(|event| event.is("plugin.spawned", id)), 0, "{id}");
    }
    let why = run.cli(&["why", "twice"]).code(0).stdout;
    assert!(why.contains("one.toml") && why.contains("two.toml"), "both places: {why}");
    let why = run.cli(&["why", "hen"]).code(0).stdout;
    assert!(why.contains("egg -> hen") || why.contains("hen -> egg"), "the way round: {why}");
}
