//! Who is told of a reload, on which revision it is applied, and what a watched folder makes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use outboard_tests::World;
use outboard_tests::world::{Launch, toml_text};
use serde_json::{Value, json};

use super::{Bench, base};

#[test]
fn a_plugin_that_can_is_told_of_its_configuration_and_one_that_does_not_take_it_is_restarted() {
    let world = World::new();
    let opening =
        "on initialize {\n reply {\"protocolVersion\":1,\"supports\":{\"configReload\":true}}\n}\n";
    let takes = format!(
        "{opening}on config/changed {{\n at told $params\n reply {{\"applied\":true}}\n}}\nserve"
    );
    let refuses = format!("{opening}on config/changed {{\n reply-error 7 no\n}}\nserve");
    let text = |n: u32| format!("[config]\nn = {n}\n");
    world.chaos_with("takes", &takes, &text(1));
    world.chaos_with("refuses", &refuses, &text(1));
    let run = world.run();
    run.active("takes");
    run.active("refuses");
    world.chaos_with("takes", &takes, &text(2));
    world.chaos_with("refuses", &refuses, &text(2));
    let plan = run.cli(&["reload", "--plan", "--json"]).code(0).json()["plan"].take();
    let told: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| &step["told"]).collect();
    assert_eq!(told, [true, true], "{plan}");
    run.cli(&["reload"]).code(0);
    let told = world.gates().report("told");
    assert_eq!(told.text, "{\"config\":{\"n\":2},\"revision\":2}");
    let answered = |id: &str| run.event(|event| event.is("config.answered", id));
    assert_eq!(answered("takes").member("applied"), &json!(true));
    assert_eq!(answered("refuses").member("applied"), &json!(false));
    run.active_above("refuses", 1);
    assert_eq!(run.plugin("takes")["generation"], 1);
}

#[test]
fn a_revision_that_is_not_the_one_meant_is_a_conflict_with_the_newer_plan() {
    let world = World::new();
    let bench = Bench::new(&world);
    let deadline = |span: &str| {
        world.manifest("edited", &format!("{}calls.deadline = \"{span}\"\n", bench.base));
    };
    deadline("10s");
    bench.run.cli(&["reload", "--if-revision", "1"]).code(0);
    deadline("11s");
    let late = bench.run.cli(&["reload", "--if-revision", "1"]).code(8);
    assert!(late.stdout.contains("~ in place  edited  [calls] deadline 10s -> 11s"), "{late:?}");
    assert!(late.stdout.contains("outboard reload --if-revision 2"), "{late:?}");
    assert!(late.stderr.contains("revision 2 is in force"), "{late:?}");
    bench.run.cli(&["reload", "--plan", "--if-revision", "1"]).code(8);
    assert_eq!(bench.run.status()["supervisor"]["revision"], 2);
    bench.run.cli(&["reload", "--if-revision", "2"]).code(0);
}

#[test]
fn a_watched_folder_is_read_when_it_changes_and_a_half_written_file_waits_for_its_rest() {
    let world = World::new();
    let text = base(&world, "edited");
    world.manifest("edited", &text);
    let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
    run.active("edited");
    let path = world.manifests().join("edited.toml");
    let mut seq = run.events().last().unwrap().seq;
    let mut next = |name: &str| {
        let event = run.event_after(seq, |event| event.event.starts_with("config."));
        seq = event.seq;
        assert_eq!(event.event, name, "{event}");
        event
    };
    // An editor that writes beside the file and renames.
    let beside = world.manifests().join(".edited.toml.tmp");
    fs::write(&beside, format!("{text}calls.deadline = \"10s\"\n")).unwrap();
    fs::rename(&beside, &path).unwrap();
    let applied = next("config.applied");
    assert_eq!(applied.member("by"), &json!({"via": "watch"}));
    assert_eq!(applied.member("changed"), &json!(["edited"]));
    // One that has not finished is refused, and read again with its next write.
    fs::write(&path, &text[..30]).unwrap();
    next("config.rejected");
    fs::write(&path, format!("{text}calls.deadline = \"12s\"\n")).unwrap();
    assert_eq!(next("config.applied").number("revision"), 3);
    world.manifest("new", &base(&world, "new"));
    assert_eq!(next("config.applied").member("added"), &json!(["new"]));
    run.active("new");
    // Touched and not changed: no news.
    world.manifest("new", &base(&world, "new"));
    fs::remove_file(world.manifests().join("new.toml")).unwrap();
    assert_eq!(next("config.applied").member("removed"), &json!(["new"]));
}

#[test]
fn what_a_plugin_runs_is_watched_and_named() {
    let world = World::new();
    // Beside the folder of manifests, as a program often is.
    let script = world.folder().join("edited.sh");
    let quoted: Vec<_> =
        world.chaos_command("edited", "serve").iter().map(|word| format!("'{word}'")).collect();
    let version = |version: u32| {
        // An editor that writes beside the file and renames.
        let beside = world.folder().join("edited.sh.tmp");
        fs::write(&beside, format!("# version {version}\nexec {}\n", quoted.join(" "))).unwrap();
        fs::rename(&beside, &script).unwrap();
    };
    version(1);
    let gates = toml_text(&world.gates().folder().display().to_string());
    let named = toml_text(&script.display().to_string());
    world.manifest(
        "edited",
        &format!("process.command = [\"sh\", {named}]\nprocess.env.CHAOS_DIR = {gates}\n"),
    );
    let run = world.run();
    run.active("edited");
    assert_eq!(run.status()["drift"], json!([]));
    version(2);
    assert_eq!(run.status()["drift"], json!(["edited.sh"]), "no manifest changed");
    run.stop();
    run.ended();
    let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
    let before = run.active("edited").generation;
    version(3);
    let applied = run.event(|event| event.event == "config.applied");
    assert_eq!(applied.member("by"), &json!({"via": "watch"}));
    assert_eq!(applied.member("changed"), &json!(["edited"]));
    let done = run.event(|event| event.event == "swap.done");
    assert!(done.generation > before, "{done}");
    assert_eq!(run.status()["drift"], json!([]));
    // One that does not come up is no reason to stop the one that serves, and what to do is said.
    fs::write(&script, "exit 3\n").unwrap();
    run.event(|event| event.event == "swap.rolled_back");
    let why = run.cli(&["why", "edited"]).code(0).stdout;
    assert!(why.contains("was to follow, and failed: exit 3"), "{why}");
    assert!(why.contains("mend the new version, then: outboard reload"), "{why}");
    let reloaded = run.cli(&["reload"]).code(6).stdout;
    assert!(reloaded.contains("edited: the version before it serves on"), "{reloaded}");
}

#[test]
fn whoever_changes_what_is_wanted_is_told() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    let uid = fs::metadata(world.folder()).unwrap().uid();
    run.cli(&["stop", "geo"]).code(0);
    run.control("start", &json!({"ids": ["geo"]})).unwrap();
    run.cli(&["reload"]).code(0);
    run.event(|event| event.event == "config.applied");
    let seq = run.events().last().unwrap().seq;
    run.signal(libc::SIGHUP);
    run.event_after(seq, |event| event.event == "config.applied");
    let by: Vec<(String, Value)> = run
        .events()
        .iter()
        .filter(|event| event.fields.contains_key("by"))
        .map(|event| {
            let by = event.member("by");
            assert!(by["via"] == "signal" || by["uid"] == uid && by["pid"].is_u64(), "{event}");
            (format!("{} {}", event.event, event.text("what")), by["via"].clone())
        })
        .collect();
    let expected = [
        ("plugin.asked stop", "cli"),
        ("plugin.asked start", "api"),
        ("config.applied ", "cli"),
        ("config.applied ", "signal"),
    ];
    assert_eq!(by, expected.map(|(what, via)| (what.to_owned(), json!(via))));
    run.stop();
    let stopping = run.event(|event| event.event == "supervisor.stopping");
    assert_eq!(stopping.member("by"), &json!({"via": "signal"}));
}

#[test]
fn what_changed_while_one_build_took_over_from_another_is_applied() {
    let world = World::new();
    let text = base(&world, "edited");
    world.manifest("edited", &text);
    let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
    run.active("edited");
    // The burst is not over when the build that saw it goes.
    world.manifest("edited", &format!("{text}calls.deadline = \"10s\"\n"));
    run.cli(&["upgrade"]).code(0);
    let applied = run.event(|event| event.event == "config.applied");
    assert_eq!(applied.member("changed"), &json!(["edited"]));
    run.printed(|text| text.contains(" goes on as "));
}
