//! What the plugin is started with, and first words that are its last.

use std::collections::BTreeMap;

use outboard_tests::World;
use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::{Holds, Row};
use outboard_tests::neighbour::Neighbour;
use outboard_tests::world::{Launch, toml_list, toml_text};
use serde_json::{Value, json};

#[test]
fn spawn_09_last_words_before_any_byte_are_told_at_once() {
    let row = Row::new("SPAWN-09");
    let script =
        "generation 1 {\n at up\n gate die\n err-raw no such key: GEO_TOKEN\n exit 3\n}\nserve";
    let more = "[start]\nfirst_byte_timeout = \"5m\"\n[restart]\nbackoff = { initial = \"0s\" }";
    row.chaos_with("waits", script, more);
    row.chaos_with("fails", script, &format!("{more}\n[calls]\nwhile_restarting = \"fail\""));
    let run = row.run();
    for _ in 0..2 {
        row.gates().report("up");
    }
    let mut client = run.attach("waits");
    let held = client.send("echo", &json!({"held": 1}));
    wait_until("the call is held", || run.plugin("waits")["in_flight"] == 1);
    let refused = run.call("fails", "echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, refused.class()), (-31001, "starting"), "{refused:?}");
    let began = Stopwatch::new();
    row.gates().open_for("die", 2);
    for id in ["waits", "fails"] {
        let failure = run.failure(id);
        row.measured("from its last words to the failure", began.elapsed());
        let told = (failure.text("class"), failure.text("detail"));
        assert_eq!(told, ("exit", "before-handshake"), "{failure}");
        assert_eq!(failure.member("exit")["code"], 3, "{failure}");
        let why = run.cli(&["why", id, "--stderr"]).code(0).stdout;
        assert_eq!(why.trim_end(), "no such key: GEO_TOKEN", "the line without its end too");
    }
    let logs = run.cli(&["logs", "waits"]).code(0).stdout;
    assert!(logs.contains("no such key: GEO_TOKEN"), "{logs}");
    // 300 s are the budget of the first byte: this is the exit, not the timeout.
    row.witness("both scripts left with 3 before a byte");
    run.active_above("waits", 1);
    assert_eq!(client.answer(held).unwrap().get(), r#"{"held":1}"#, "the next one answers it");
}

#[test]
fn spawn_14_the_supervisor_was_started_with_signals_blocked_and_ignored() {
    let row = Row::new("SPAWN-14");
    let (block, ignore) = ([libc::SIGTERM], [libc::SIGHUP, libc::SIGPIPE, libc::SIGCHLD]);
    let mut like_it = row.spawn(["cat", "/proc/self/status"].map(str::to_owned).into());
    (like_it.block, like_it.ignore) = (block.to_vec(), ignore.to_vec());
    let status = row.finish(like_it).code(0).stdout;
    let bit = |signal: i32| 1_u64 << (signal - 1);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(field("SigBlk:") & bit(libc::SIGTERM), bit(libc::SIGTERM), "{status}");
    let ignored = ignore.iter().fold(0, |all, &signal| all | bit(signal));
    assert_eq!(field("SigIgn:") & ignored, ignored, "{status}");
    row.witness("what is started like this has TERM blocked; HUP, PIPE and CHLD ignored");

    let quick = "[restart]\nbackoff = { initial = \"0s\" }";
    row.chaos_with("quits", "serve", quick);
    row.chaos_with("falls", "serve", quick);
    let launch = Launch { block: &block, ignore: &ignore, ..Launch::default() };
    let run = row.launch(&launch);
    for id in ["quits", "falls"] {
        run.active(id);
        let told = run.call(id, "self", &json!({})).unwrap();
        for set in ["sigblk", "sigign"] {
            let bits = told[set].as_str().unwrap_or_else(|| panic!("{told}"));
            assert_eq!(u64::from_str_radix(bits, 16), Ok(0), "{set} of {id}: {told}");
        }
    }
    let exit = run.call("quits", "quit", &json!({"code": 7})).unwrap_err();
    assert_eq!((exit.code, &exit.data["exit"]["code"]), (-31003, &json!(7)), "{exit:?}");
    let failure = run.failure("quits");
    assert_eq!(failure.member("exit")["code"], 7, "its status is known: {failure}");
    World::witness(&row).signal(run.plugin_pid("falls"), libc::SIGTERM);
    let failure = run.failure("falls");
    let told = (failure.text("class"), failure.member("exit")["signal"].clone());
    assert_eq!(told, ("signal", json!("SIGTERM")), "TERM ends it: {failure}");
    for id in ["quits", "falls"] {
        run.active_above(id, 1);
    }
    let began = Stopwatch::new();
    assert_eq!(run.stop().code, Some(0), "the supervisor answers TERM: {}", run.stderr());
    row.measured("stop", began.elapsed());
    for id in ["quits", "falls"] {
        let stopped = run.event(|event| event.is("stop.finished", id));
        assert_eq!(stopped.member("exit")["code"], 0, "{stopped}");
    }
}

#[test]
fn spawn_15_a_large_environment_and_large_arguments_arrive_whole() {
    let row = Row::new("SPAWN-15");
    Neighbour::moves_in(&row);
    let variables: BTreeMap<String, String> = (0..5000)
        .map(|number| {
            (format!("OB_LARGE_{number:04}"), format!("{number:_>32} \"'\u{e9}\u{1f6a4}\\ ="))
        })
        .collect();
    let pairs: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name} = {}", toml_text(value))).collect();
    let size: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    assert!(size > 250_000, "{size}");
    let gates = toml_text(&row.gates().folder().display().to_string());
    let env = format!("[process.env]\nCHAOS_DIR = {gates}\n{}\n", pairs.join("\n"));
    let command = toml_list(&row.chaos_command("env", "serve"));
    row.manifest("env", &format!("enabled = false\n[process]\ncommand = {command}\n{env}"));

    // Lines of a script that are nothing.
    let mut argv = vec![row.chaos_command("args", "")[0].clone(), "-c".to_owned()];
    argv.extend((0..50).map(|number| format!("# {number} {}", "\u{e9}x".repeat(1700))));
    argv.push("serve".to_owned());
    let size: usize = argv.iter().map(|arg| arg.len() + 1).sum();
    assert!(size > 250_000, "{size}");
    let command = toml_list(&argv);
    let text = format!(
        "enabled = false\n[process]\ncommand = {command}\nenv = {{ CHAOS_DIR = {gates} }}\n"
    );
    row.manifest("args", &text);

    let run = row.run();
    run.socket("control.sock");
    // Once before, for what is opened once: their logs.
    run.cli(&["start", "env", "args"]).code(0);
    run.cli(&["stop", "env", "args"]).code(0);
    let holds = Holds::of(&run);
    let neighbour = Neighbour::works(&run);
    for id in ["env", "args"] {
        let began = Stopwatch::new();
        run.cli(&["start", id]).code(0);
        row.measured(&format!("{id}: from the command to active"), began.elapsed());
        assert_eq!(run.plugin(id)["state"], "active");
    }
    let told = run.call("env", "self", &json!({})).unwrap();
    for (name, value) in &variables {
        assert_eq!(told["env"][name], Value::from(value.clone()), "{name}");
    }
    let told = run.call("args", "self", &json!({})).unwrap();
    assert_eq!(told["args"], json!(argv), "byte for byte");
    row.witness("the plugins repeat both, 250 kB each");
    run.cli(&["stop", "env", "args"]).code(0);
    neighbour.was_not_disturbed(&run, &row);
    holds.are_back();
}
