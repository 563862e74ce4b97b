//! `run --watch` with `watch` and `build` in a manifest: what its author changes is built and swapped in.

use std::fs;

use outboard_tests::World;
use outboard_tests::world::Launch;
use serde_json::json;

/// Takes what lies in `src/words` for the plugin's script, unless it is broken.
const BUILD: &str =
    "if grep -q broken src/words; then echo words:1: broken >&2; exit 2; fi; cp src/words";

#[test]
fn a_changed_source_is_built_and_swapped_in_and_a_failed_build_changes_nothing() {
    for (watch, source) in
        [("watch = [\"src\"]", "src"), ("", "src/deep"), ("watch = [\"src/words\"]", "src")]
    {
        let world = World::new();
        let script = world.folder().join("geo.chaos");
        let build = format!("build = [\"sh\", \"-c\", \"{BUILD} {}\"]", script.display());
        let process = world.chaos_process("geo", "serve");
        world.manifest("geo", &format!("{watch}\n{build}\n{process}"));
        let folder = world.manifests();
        fs::create_dir_all(folder.join("src/deep")).unwrap();
        let words = folder.join("src/words");
        fs::write(&words, "serve").unwrap();
        let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
        run.active("geo");
        // The watch stands once it has seen something.
        world.chaos("other", "serve");
        run.active("other");

        fs::write(&words, "on greet {\n reply \"hi\"\n}\nserve").unwrap();
        fs::write(folder.join(source).join("more"), "").unwrap();
        run.event(|event| event.is("build.finished", "geo"));
        run.event(|event| event.is("swap.done", "geo"));
        assert_eq!(run.call("geo", "greet", &json!({})).unwrap(), json!("hi"));
        let generation = run.plugin("geo")["generation"].as_u64().unwrap();
        assert!(generation > 1, "{generation}");

        fs::write(&words, "broken").unwrap();
        let failed = run.event(|event| event.is("build.failed", "geo"));
        assert_eq!(failed.text("message"), "exit status: 2");
        run.log_line("geo", |line| line == "words:1: broken");
        assert_eq!(run.call("geo", "greet", &json!({})).unwrap(), json!("hi"), "it serves on");
        assert_eq!(run.plugin("geo")["state"], "active");
    }
}

#[test]
fn what_failed_for_its_source_is_started_when_that_is_mended() {
    let world = World::new();
    let process = world.chaos_process("geo", "exit 3");
    world
        .manifest("geo", &format!("watch = [\"words\"]\n{process}[restart]\npolicy = \"never\"\n"));
    let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
    run.state("geo", "failed");
    world.chaos("other", "serve");
    run.active("other");
    fs::write(world.folder().join("geo.chaos"), "serve").unwrap();
    fs::write(world.manifests().join("words"), "").unwrap();
    run.active("geo");
}

#[test]
fn what_is_not_there_yet_is_built_first() {
    let world = World::new();
    let program = world.manifests().join("bin/geo");
    let chaos = outboard_tests::runtimes::bin("outboard-chaos").display().to_string();
    let process = world.chaos_process("geo", "serve").replace(&chaos, "bin/geo");
    let build = format!("build = [\"sh\", \"-c\", \"mkdir -p bin && cp {chaos} bin/geo\"]\n");
    world.manifest("geo", &format!("{build}{process}"));
    let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
    run.active("geo");
    assert!(program.is_file());
    run.event(|event| event.is("build.finished", "geo"));
}
