//! What is kept of failures: over restarts of the plugin, and of the supervisor.

use outboard_tests::World;
use serde_json::{Value, json};

/// Fails three times, each time in words of its own and with a call in flight, then serves.
const SCRIPT: &str =
    "on work {\n err generation $generation fails with $env.TOKEN\n exit $generation\n}\nserve";

const DOWN: &str = "[restart]\npolicy = \"never\"\n[calls]\nwhile_restarting = \"fail\"\n";

fn dossier(run: &outboard_tests::Running<'_>, which: &Value) -> Value {
    run.control("why", which).unwrap()["dossier"].clone()
}

#[test]
fn the_last_failures_are_kept_and_read_again_by_the_next_supervisor() {
    let world = World::new();
    world.settings("[logs]\ndossiers = 3\n");
    let process = world
        .chaos_process("geo", SCRIPT)
        .replace("env = {", "env = { TOKEN = { from_env = \"GEO_TOKEN\" },");
    world.manifest("geo", &format!("{process}{DOWN}"));
    let launch = || outboard_tests::world::Launch {
        env: &[("GEO_TOKEN", "hunter22-hunter22")],
        ..Default::default()
    };
    let run = world.launch(&launch());
    run.active("geo");
    for generation in 1..=4 {
        if generation > 1 {
            run.cli(&["start", "geo"]).code(0);
        }
        run.call("geo", "work", &json!({"secret": "hunter22-hunter22"})).unwrap_err();
        run.event(|event| event.is_state("geo", "failed") && event.generation == generation);
    }
    let check = |run: &outboard_tests::Running<'_>| {
        let last = dossier(run, &json!({"id": "geo"}));
        assert_eq!(last["failure"]["generation"], 4, "{last}");
        assert_eq!(last["failure"]["exit"]["code"], 4);
        assert_eq!(last["lost"][0]["method"], "work");
        assert_eq!(last["stderr"], json!(["generation 4 fails with [redacted]"]));
        assert_eq!(last["earlier"].as_array().unwrap().len(), 2, "three are kept: {last}");
        assert!(last["failure"]["up_ms"].is_u64() && last["cpu_ms"].is_u64(), "{last}");
        let named = |name: &str| {
            let events = last["timeline"].as_array().unwrap();
            events.iter().any(|event| event["event"] == name)
        };
        assert!(named("plugin.spawned") && named("plugin.exited"), "{last}");
        let before = dossier(run, &json!({"id": "geo", "failure": 2}));
        assert_eq!(before["failure"]["exit"]["code"], 3);
        assert_eq!(
            dossier(run, &json!({"id": "geo", "generation": 2}))["failure"]["exit"]["code"],
            2
        );
        let gone = run.cli(&["why", "geo", "--generation", "1"]).code(4);
        assert!(gone.stderr.contains("no failure of generation 1 of geo is kept"), "{gone:?}");
        let shown = run.cli(&["why", "geo", "--failure", "2"]).code(0).stdout;
        assert!(shown.starts_with("geo failed in generation 3: exit 3\n"), "{shown}");
        for part in
            ["call work id", "stderr: generation 3 fails with [redacted]", "older: --failure 2"]
        {
            assert!(shown.contains(part), "`{part}` in {shown}");
        }
        assert_eq!(
            run.cli(&["why", "geo", "--generation", "2", "--stderr"]).code(0).stdout,
            "generation 2 fails with [redacted]\n"
        );
    };
    check(&run);
    run.stop();
    let files: Vec<String> = std::fs::read_dir(run.state_dir.join("dossiers/geo"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|text| !text.contains("hunter22")), "no secret is kept");
    drop(run);
    let again = world.launch(&launch());
    again.active("geo");
    check(&again);
}
