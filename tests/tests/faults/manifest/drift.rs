//! Manifests that change under a running plugin.

use std::fs;

use outboard_tests::Running;
use outboard_tests::fault::Row;
use serde_json::{Value, json};

use super::{WELL, says_all};

/// Whose manifest says something else than what runs, and the last line of `status`.
fn drift(run: &Running<'_>) -> (Vec<Value>, String) {
    let status = run.status();
    let rows = status["plugins"].as_array().unwrap();
    let drifted = rows.iter().filter(|row| row["drift"] == true).map(|row| row["id"].clone());
    let shown = run.cli(&["status"]).code(0).stdout;
    (drifted.collect(), shown.lines().last().unwrap().to_owned())
}

#[test]
fn man_12_what_runs_goes_on_as_it_was_until_the_reload() {
    let row = Row::new("MAN-12");
    row.chaos(WELL, "serve");
    // What each generation was given, in its own words.
    let script = "on initialize {\n at given $params\n reply {\"protocolVersion\":1}\n}\nserve";
    for id in ["edited", "gone"] {
        row.chaos_with(id, script, "[config]\nversion = 1\n");
    }
    let run = row.run();
    for id in [WELL, "edited", "gone"] {
        run.active(id);
    }
    for _ in ["edited", "gone"] {
        says_all(&["\"version\":1"], &row.gates().report("given").text);
    }
    assert_eq!(drift(&run), (Vec::new(), "3 plugins: 3 active".to_owned()));

    row.chaos_with("edited", script, "[config]\nversion = 2\n");
    fs::remove_file(row.manifests().join("gone.toml")).unwrap();
    let line = "changed on disk, not applied: edited.toml, gone.toml (outboard reload --plan)";
    assert_eq!(drift(&run), (vec![json!("edited"), json!("gone")], line.to_owned()));

    // A crash starts what was in force, not what lies on the disk.
    for id in ["edited", "gone"] {
        (*row).witness().signal(run.plugin_pid(id), libc::SIGKILL);
        run.active_above(id, 1);
        says_all(&["\"version\":1"], &row.gates().report("given").text);
    }
    assert_eq!(run.status()["supervisor"]["revision"], 1);
    assert_eq!(drift(&run).0, ["edited", "gone"]);

    run.cli(&["reload"]).code(0);
    run.active_above("edited", 2);
    says_all(&["\"version\":2"], &row.gates().report("given").text);
    run.event(|event| event.is("plugin.removed", "gone"));
    assert_eq!(drift(&run), (Vec::new(), "2 plugins: 2 active".to_owned()));
    assert_eq!(run.plugin(WELL)["generation"], 1);
    row.witness("each generation said which configuration it was given");
}
