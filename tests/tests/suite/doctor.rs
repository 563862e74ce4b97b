//! `outboard doctor`: it starts and kills processes of its own, and nothing of that is left when it has ended.

use outboard_tests::World;
use serde_json::Value;

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn it_really_kills_and_leaves_nothing_behind() {
    let world = World::new();
    let report = world.cli(&["doctor", "--json"]).code(0).json();
    // Not after a while: when it has ended, everything of it has.
    assert_eq!(world.witness().below(), [], "{report}");
    assert_eq!(report["schema"], 1);
    let tree = check(&report, "kill a whole plugin");
    assert_eq!(tree["verdict"], "yes", "{report}");
    assert!(tree["detail"].as_str().unwrap().contains("3 nested processes gone"), "{report}");
    let killed = check(&report, "outboard killed (-9)");
    assert_eq!(killed["verdict"], "yes", "{report}");
    assert!(killed["detail"].as_str().unwrap().contains("2 test plugins"), "{report}");
    assert_eq!(check(&report, "descriptors")["verdict"], "yes");
}

#[test]
fn it_needs_no_supervisor_and_leaves_no_state_directory() {
    let world = World::new();
    let nowhere = world.folder().join("not-made").display().to_string();
    let mut spawn = world.spawn(vec![
        outboard_tests::runtimes::bin("outboard").display().to_string(),
        "doctor".to_owned(),
        "-q".to_owned(),
    ]);
    spawn.env.insert("OUTBOARD_STATE_DIR".to_owned(), nowhere.clone());
    let output = world.finish(spawn).code(0);
    assert_eq!((&*output.stdout, &*output.stderr), ("", ""));
    assert!(!std::path::Path::new(&nowhere).exists());
}

#[test]
fn what_a_manifest_cannot_do_without_is_exit_2_and_what_it_can_is_not() {
    let world = World::new();
    let manifests = world.manifests().display().to_string();
    world.manifest("well", "[process]\ncommand = [\"true\"]\n[limits]\nopen_files = 64\n");
    let told = world.cli(&["doctor", &manifests]).code(0).stdout;
    assert!(told.contains("open_files (well)"), "{told}");
    world.manifest("poor", "[process]\ncommand = [\"no-such-program-anywhere\"]\n");
    let told = world.cli(&["doctor", &manifests]).code(2).stdout;
    assert!(told.contains("no-such-program-anywhere (poor, required: it will"), "{told}");
    let report = world.cli(&["doctor", &manifests, "--json"]).code(2).json();
    assert_eq!(report["missing"], true);
    world.manifest("poor", "[process]\ncommand = 7\n");
    let told = world.cli(&["doctor", &manifests]).code(2).stdout;
    assert!(told.contains("poor will not run: "), "{told}");
}
