//! SPAWN: what can go wrong before a plugin's first byte.

use outboard_tests::fault::Row;
use outboard_tests::world::toml_list;
use serde_json::json;

#[test]
fn spawn_01_the_executable_does_not_exist() {
    let row = Row::new("SPAWN-01");
    let missing = row.folder().join("never-made");
    let command = toml_list(&[&missing.display().to_string()]);
    row.manifest("absent", &format!("[process]\ncommand = {command}\n"));
    let run = row.run();
    let failure = run.failure("absent");
    assert_eq!(failure.text("class"), "spawn", "{failure}");
    assert!(failure.text("detail").contains("exe-missing"), "{failure}");
    assert!(failure.to_string().contains("never-made"), "{failure}");
    run.state("absent", "failed");
    let refused = run.call("absent", "echo", &json!({})).unwrap_err();
    assert_eq!(refused.code, -31001, "{refused:?}");
    assert_eq!(run.count(|event| event.is("plugin.failure", "absent")), 1, "one try");
    assert!(!missing.exists());
    row.witness("nothing is at that path");
}
