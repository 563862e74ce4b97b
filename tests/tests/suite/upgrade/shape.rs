//! The format of what is handed over, as member names. Whoever changes it decides about the two versions in front:
//! `supervisor/src/host/upgrade/image.rs`.

use std::fmt::Write;

use outboard_tests::World;
use serde_json::{Value, json};

use super::Installed;

/// The structures whose members are always there; what is below them comes and goes with what happens.
const PARTS: [&str; 17] = [
    "",
    "/host",
    "/host/keeper",
    "/host/keeper/containment",
    "/host/logs",
    "/host/in_force",
    "/host/persist",
    "/host/plugins/0",
    "/host/plugins/0/manifest",
    "/host/plugins/0/route",
    "/host/plugins/0/live",
    "/host/plugins/0/live/link",
    "/host/plugins/0/live/link/unwritten",
    "/beside",
    "/beside/attach",
    "/beside/attach/seats/0",
    "/beside/attach/seats/0/client",
];

#[test]
fn the_state_has_the_members_that_its_version_says() {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let open = client.send("hold", &json!({"gate": "later"}));
    client.call("echo", &json!({})).unwrap();
    let script = r#"cat > "$(dirname "$0")/written"; exit 1"#;
    installed.put_script("other", script);
    run.cli(&["upgrade"]).code(6);
    world.gates().open("later");
    client.answer(open).unwrap();

    let state = std::fs::read_to_string(world.folder().join("written")).unwrap();
    let (versions, parts) = state.split_once('\n').unwrap();
    let parts: Value = serde_json::from_str(parts).unwrap();
    let mut shape = format!("{versions}\n");
    for part in PARTS {
        let members = parts.pointer(part).and_then(Value::as_object);
        let members = members.unwrap_or_else(|| panic!("there is no {part}"));
        let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        writeln!(shape, "{part}/ {}", names.join(" ")).unwrap();
    }
    insta::assert_snapshot!(shape);
}
