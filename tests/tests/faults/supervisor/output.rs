//! Standard output and standard error that nobody reads any more.

use outboard_tests::clock::wait_until;
use outboard_tests::fault::Row;
use outboard_tests::runtimes::bin;
use outboard_tests::world::Launch;
use serde_json::json;

#[test]
fn sup_15_a_supervisor_whose_readers_are_gone_goes_on() {
    let row = Row::new("SUP-15");
    row.chaos("geo", "serve");
    row.chaos("ill", "exit 1");
    // Its own diagnostics too: every event is a line on standard error.
    let launch = Launch {
        shell: Some("exec {} 2>&1 >\"$PIPE\" 2>\"$PIPE\""),
        env: &[("OUTBOARD_LOG", "outboard=debug"), ("PIPE", "broken")],
        ..Launch::default()
    };
    let pipe = outboard_tests::gates::fifo(&row.folder().join("broken"));
    let run = row.launch(&launch);
    run.active("geo");
    // The only reader there is.
    drop(pipe);
    let pid = run.plugin_pid("geo");
    (*row).witness().signal(pid, libc::SIGKILL);
    run.active_above("geo", 1);
    run.call("geo", "complain", &json!({"text": "is anybody there"})).unwrap();
    wait_until("the line is stored", || {
        run.cli(&["logs", "geo"]).stdout.contains("is anybody there")
    });
    run.signal(libc::SIGHUP);
    run.event(|event| event.event == "config.applied");
    run.cli(&["restart", "geo"]).code(0);
    assert_eq!(run.count(|event| event.event == "internal.panic"), 0);
    assert_eq!(run.stop().code, Some(0));
    row.witness("its outputs were a FIFO whose only reader had closed it");
}

#[test]
fn sup_15_commands_in_a_pipe_whose_reader_leaves_end_quietly() {
    let row = Row::new("SUP-15");
    row.chaos("geo", "err a line\nserve");
    let run = row.run();
    run.active("geo");
    for n in 0..200 {
        run.call("geo", "complain", &json!({"text": format!("{n} {}", "x".repeat(500))})).unwrap();
    }
    wait_until("they are stored", || run.cli(&["logs", "geo"]).stdout.contains("199 "));
    let outboard = bin("outboard").display().to_string();
    let state = run.state_dir.display().to_string();
    let help = format!("'{outboard}' --help");
    let with_state = |verb: &str| format!("'{outboard}' {verb} --state-dir '{state}'");
    for command in [
        with_state("events --json"),
        with_state("logs geo"),
        with_state("logs geo -f"),
        with_state("status"),
        with_state("why geo --json"),
        help,
    ] {
        let line = format!("{{ {command}; echo \"code $?\" >&2; }} | true");
        let output = row.finish(row.spawn(vec!["sh".into(), "-c".into(), line]));
        let said: Vec<&str> = output.stderr.lines().collect();
        let quiet = said.len() == 1 && ["code 0", "code 141"].contains(&said[0]);
        assert!(quiet, "{command}: {said:?}");
    }
    row.witness("the reader at the other end of each pipe was `true`");
}
