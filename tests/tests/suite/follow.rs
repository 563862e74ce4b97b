//! What follows a supervisor goes on over upgrades: nothing is lost, nothing comes twice, and nothing is said about it.

use std::path::PathBuf;

use outboard_tests::bridge::Bridge;
use outboard_tests::clock::wait_until;
use outboard_tests::runtimes::bin;
use outboard_tests::witness::{Ended, Later};
use outboard_tests::{Running, World};
use serde_json::{Value, json};

/// A command that runs until the supervisor is gone.
struct Following {
    exit: Later<Ended>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Following {
    fn start(world: &World, args: &[&str]) -> Self {
        let state = world.state_dir("").display().to_string();
        let mut argv = vec![bin("outboard").display().to_string()];
        argv.extend(args.iter().map(|&arg| arg.to_owned()));
        argv.extend(["--state-dir".to_owned(), state]);
        let spawn = world.spawn(argv);
        let (stdout, stderr) = (spawn.stdout.clone().unwrap(), spawn.stderr.clone().unwrap());
        let pid = world.witness().spawn(spawn);
        Self { exit: world.witness().exit(pid), stdout, stderr }
    }

    fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    fn wait_for(&self, what: &str) {
        wait_until(what, || self.stdout().contains(what));
    }

    /// Its lines, once it has ended by itself; it has said nothing beside them.
    #[track_caller]
    fn lines(self) -> Vec<Value> {
        let Self { exit, stdout, stderr } = self;
        assert_eq!(exit.get().code, Some(0));
        assert_eq!(std::fs::read_to_string(stderr).unwrap(), "");
        let stdout = std::fs::read_to_string(stdout).unwrap();
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[track_caller]
fn upgrade(run: &Running<'_>) {
    run.cli(&["upgrade"]).code(0);
}

#[test]
fn events_have_no_gap_and_no_repeat_over_two_upgrades() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    run.socket("control.sock");
    let following = Following::start(&world, &["events", "-f", "--json"]);
    following.wait_for("\"event\":\"plugin.state\"");
    for upgrades in 1..=2 {
        upgrade(&run);
        wait_until("the upgrade is told", || {
            following.stdout().matches("\"supervisor.upgraded\"").count() == upgrades
        });
        run.cli(&["restart", "geo"]).code(0);
    }
    assert_eq!(run.stop().code, Some(0));
    let events = following.lines();
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=*numbers.last().unwrap()).collect::<Vec<_>>());
    let restarts = events.iter().filter(|event| event["event"] == "plugin.asked");
    assert!(restarts.count() >= 2, "what came after each upgrade is among them");
}

#[test]
fn log_lines_come_once_and_the_watched_status_goes_on() {
    let world = World::new();
    world.chaos("geo", "err starting up\nserve");
    let run = world.run();
    run.active("geo");
    run.socket("control.sock");
    let logs = Following::start(&world, &["logs", "geo", "-f", "--json", "-n", "10000"]);
    let status = Following::start(&world, &["status", "--watch", "--json"]);
    logs.wait_for("\"generation\":1");
    status.wait_for("\"state\":\"active\"");
    for generation in 2..=3 {
        upgrade(&run);
        run.cli(&["restart", "geo"]).code(0);
        logs.wait_for(&format!("\"generation\":{generation}"));
        status.wait_for(&format!("\"generation\":{generation}"));
    }
    assert_eq!(run.stop().code, Some(0));
    let shown = logs.lines();
    let stored = run.stored_log("geo");
    let texts = |lines: &[Value]| lines.iter().map(|line| line["text"].clone()).collect::<Vec<_>>();
    let known = shown.len().min(stored.len());
    assert_eq!(texts(&shown), texts(&stored[..known]), "each line once, in order");
    assert!(shown.iter().any(|line| line["generation"] == 3));
    let last = status.lines().pop().unwrap();
    assert_eq!(last["schema"], json!(1));
}

#[test]
fn what_a_server_has_asked_of_its_client_is_answered_to_it_by_way_of_the_next_build() {
    let world = World::new();
    world.chaos_with(
        "geo",
        "on tools/call { ask sampling/createMessage {\"n\":1} }\nserve mcp",
        "dialect = \"mcp\"\n[mcp.client_capabilities.sampling]",
    );
    let run = world.run();
    run.active("geo");
    run.socket("attach.sock");
    let mut client = Bridge::start(&world, "", &["geo"]);
    client.open_mcp(r#"{"sampling":{}}"#);
    client.send("1", "tools/call", r#"{"name":"echo","arguments":{}}"#);
    let question = client.hears("sampling/createMessage");
    upgrade(&run);
    client.write(&format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"said":"yes"}}}}"#,
        question["id"]
    ));
    assert_eq!(client.answer("1")["result"], json!({"said": "yes"}));
    assert_eq!(run.plugin("geo")["generation"], 1);
}

#[test]
fn who_waits_for_a_stop_is_told_that_it_goes_on_and_it_does() {
    let world = World::new();
    world.chaos_with("geo", "serve", "[stop]\ndrain = \"60s\"");
    let run = world.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let open = client.send("hold", &json!({"gate": "later"}));
    run.socket("control.sock");
    let stopping = Following::start(&world, &["stop", "geo"]);
    run.state("geo", "stopping");
    upgrade(&run);
    let Following { exit, stdout, stderr } = stopping;
    assert_eq!(exit.get().code, Some(6));
    assert_eq!(std::fs::read_to_string(stdout).unwrap(), "");
    assert_eq!(
        std::fs::read_to_string(stderr).unwrap(),
        "error: the supervisor goes over to another build; what was asked for goes on\n\
         help: outboard status\n"
    );
    world.gates().open("later");
    client.answer(open).unwrap();
    run.state("geo", "registered");
}
