//! The new version is no good: the old one serves on, and nobody was hurt.

use outboard_tests::World;
use outboard_tests::fault::Row;
use outboard_tests::runtimes::bin;
use serde_json::json;

use super::{ID, Load, NEW, OLD, Swapping, is, one_verdict_each, swap, version, version_of};

#[test]
fn swap_01_a_new_version_that_fails_its_handshake_changes_nothing() {
    let row = Row::new("SWAP-01");
    row.chaos(ID, OLD);
    let run = row.run();
    run.active(ID);
    let load = Load::of(run.attach(ID), "echo");
    let next = version(&row, "err no such library\nexit 1\n", "");
    let said = swap(&run, &next).code(6);
    let answers = load.end();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, json!({"n": n}));
    }
    for words in ["rolled back: exit 1", "Generation 1 never stopped serving", "no such library"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    let told = run.event(is("swap.rolled_back"));
    assert!(told.text("reason").contains("exit 1"), "{told:?}");
    let failure = run.failure(ID);
    assert_eq!(failure.generation, 2, "its dossier is kept: {failure:?}");
    let why = run.control("why", &json!({"id": ID})).unwrap();
    assert_eq!(why["dossier"]["failure"]["generation"], 2);
    assert_eq!(why["dossier"]["stderr"], json!(["no such library"]));
    let plugin = run.plugin(ID);
    assert_eq!((&plugin["state"], &plugin["generation"]), (&json!("active"), &json!(1)));
    assert_eq!((&plugin["restarts"], &plugin["next"]), (&json!(0), &json!(null)));
    one_verdict_each(&run);
    row.witness(format_args!("generation 2 ended with exit 1; {} calls answered", answers.len()));
}

#[test]
fn swap_02_a_version_that_turns_unhealthy_is_rolled_back_and_gets_no_call() {
    let row = Row::new("SWAP-02");
    row.chaos(ID, OLD);
    let run = row.run();
    run.active(ID);
    let load = Load::of(run.attach(ID), "who");
    let unwell = "on ping {\n  reply {}\n  say {\"jsonrpc\":\"2.0\",\"method\":\"$$/status\",\
                  \"params\":{\"state\":\"unhealthy\",\"message\":\"no luck\"}}\n}\n";
    let next = version(&row, &format!("{unwell}{NEW}"), "");
    let said = swap(&run, &next).code(6);
    assert!(said.stdout.contains("no luck"), "{}", said.stdout);
    let answers = load.end();
    assert!(answers.iter().all(|answer| answer == "old"), "no call reached the new one");
    let told = run.event(is("swap.rolled_back"));
    assert!(told.text("reason").contains("unhealthy: no luck"), "{told:?}");
    let failure = run.failure(ID);
    assert_eq!((failure.generation, failure.text("class")), (2, "unhealthy"));
    assert_eq!(run.plugin(ID)["restarts"], 0, "the budget of the old one is untouched");
    assert_eq!(run.count(|event| event.is("restart.scheduled", ID)), 0);
    one_verdict_each(&run);
    row.witness(format_args!("it said that it is unhealthy; {} calls by the old", answers.len()));
}

#[test]
fn swap_07_exclusive_versions_follow_each_other_and_the_old_one_takes_its_lock_back() {
    let row = Row::new("SWAP-07");
    let lock = row.folder().join("lock").display().to_string();
    let holding = |script: &str, name: &str| {
        let command = row.chaos_command(name, script).join(" ");
        let line = format!("exec 9>{lock}; flock -n 9 || exit 7; exec {command}");
        vec!["sh".to_owned(), "-c".to_owned(), line]
    };
    let gates = row.gates().folder().display().to_string();
    row.manifest(
        ID,
        &format!(
            "[process]\ncommand = {}\nenv = {{ CHAOS_DIR = {gates:?} }}\n",
            outboard_tests::world::toml_list(&holding(OLD, "old"))
        ),
    );
    let run = row.run();
    run.active(ID);
    // Side by side they cannot be.
    let next = version_of(&row, &holding(NEW, "new"), "");
    let said = swap(&run, &next).code(6);
    assert!(said.stdout.contains("exit 7"), "{}", said.stdout);
    row.witness("the lock was held: exit 7");
    let exclusive = "[swap]\nmode = \"exclusive\"";
    let load = Load::of(run.attach(ID), "who");
    let next = version_of(&row, &holding(NEW, "new"), exclusive);
    let said = swap(&run, &next).code(0);
    assert!(said.stdout.contains("switched: generation 3"), "{}", said.stdout);
    let answers = load.end();
    let first_new = answers.iter().position(|answer| answer == "new").unwrap_or(answers.len());
    assert!(answers[first_new..].iter().all(|answer| answer == "new"));
    assert_eq!(run.call(ID, "who", &json!({})).unwrap(), "new");
    // And one that cannot start gives it back.
    let load = Load::of(run.attach(ID), "who");
    let next = version_of(&row, &holding("exit 1\n", "bad"), exclusive);
    let said = swap(&run, &next).code(6);
    assert!(said.stdout.contains("The old version is back as generation 5"), "{}", said.stdout);
    let answers = load.end();
    assert!(answers.iter().all(|answer| answer == "new"), "calls waited for the one that is back");
    assert_eq!(run.plugin(ID)["generation"], 5);
    let began = run.event(|event| event.is("swap.started", ID) && event.generation == 3);
    let done = run.event_after(began.seq, is("swap.done"));
    row.measured(
        "exclusive, until the old one was back",
        std::time::Duration::from_millis(done.number("took_ms")),
    );
    one_verdict_each(&run);
}

#[test]
fn swap_08_the_old_version_comes_back_from_what_it_ran_or_fails_with_both_reasons() {
    let row = Row::new("SWAP-08");
    let copy = row.executable_copy("plug", &bin("outboard-chaos"));
    let install = |text: &str| {
        let source = row.folder().join("source");
        std::fs::write(&source, text).unwrap();
        row.executable_copy("plug", &source);
    };
    let mut command = row.chaos_command("old", OLD);
    command[0] = copy.display().to_string();
    let gates = row.gates().folder().display().to_string();
    let manifest = |command: &[String]| {
        format!(
            "[process]\ncommand = {}\nenv = {{ CHAOS_DIR = {gates:?} }}\n[restart]\nbackoff = {{ initial = \"1ms\" }}\n",
            outboard_tests::world::toml_list(command)
        )
    };
    row.manifest(ID, &manifest(&command));
    let run = row.run();
    run.active(ID);
    let trial = "at trial\ngate end\nexit 3\n";
    let swapping = Swapping::begin(&run, Some(&version(&row, trial, "")));
    row.gates().report("trial");
    std::fs::remove_file(&copy).unwrap();
    World::witness(&row).signal(run.plugin_pid(ID), libc::SIGKILL);
    let back = run.active_above(ID, 1);
    assert_eq!(back.generation, 3, "beside the trial");
    assert_eq!(run.call(ID, "who", &json!({})).unwrap(), "old");
    row.witness("it was killed, its file was gone, and its pinned copy runs");
    row.gates().open("end");
    assert_eq!(swapping.verdict(), "rolled_back");
    assert_eq!(run.plugin(ID)["generation"], 3);
    one_verdict_each(&run);
    run.stop();

    // A script that was replaced before cannot be kept: what lies there now is not what ran.
    let shell =
        |name: &str| format!("#!/bin/sh\nexec {}\n", row.chaos_command(name, OLD).join(" "));
    install(&shell("old"));
    row.manifest(ID, &manifest(&[copy.display().to_string()]));
    let run = row.run();
    run.active(ID);
    install(&format!("{}# another\n", shell("old")));
    let swapping = Swapping::begin(&run, Some(&version(&row, trial, "")));
    row.gates().report("trial");
    World::witness(&row).signal(run.plugin_pid(ID), libc::SIGKILL);
    run.state(ID, "failed");
    row.gates().open("end");
    assert_eq!(swapping.verdict(), "rolled_back");
    let plugin = run.plugin(ID);
    assert_eq!(plugin["state"], "failed");
    let words = plugin["last_failure"]["message"].as_str().unwrap();
    assert!(words.contains("cannot be started again") && words.contains("exit 3"), "{words}");
}
