//! Signals to the supervisor, by hand and from a terminal.

use outboard_tests::clock::wait_until;
use outboard_tests::fault::Row;
use outboard_tests::world::Launch;
use outboard_tests::{Running, World, require};
use serde_json::json;

/// A plugin that does nothing it is asked to do at the end.
const STUBBORN: &str = "ignore TERM\nignore EOF\non shutdown {\n}\non exit {\n}\nserve";

/// Twenty plugins, one of which requires another, and two that do not want to go.
fn twenty(row: &Row, patience: &str) -> Vec<String> {
    let willing: Vec<String> = (1..=16).map(|n| format!("p{n}")).collect();
    for id in &willing {
        row.chaos(id, "serve");
    }
    row.chaos("base", "serve");
    row.chaos_with("dependent", "serve", "[start]\nrequires = [\"base\"]\n");
    let stop = format!("[stop]\nshutdown = \"{patience}\"\nexit = \"50ms\"\nterm = \"50ms\"\n");
    for id in ["stubborn", "mule"] {
        row.chaos_with(id, STUBBORN, &stop);
    }
    let others = ["base", "dependent", "stubborn", "mule"].map(str::to_owned);
    willing.into_iter().chain(others).collect()
}

fn all_active(run: &Running<'_>, ids: &[String]) {
    assert_eq!(ids.len(), 20);
    for id in ids {
        run.active(id);
    }
}

#[test]
fn sup_02_one_signal_stops_all_in_parallel_and_in_order() {
    let row = Row::new("SUP-02");
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let world = Row::new("SUP-02");
        let ids = twenty(&world, "300ms");
        let run = world.run();
        all_active(&run, &ids);
        let sent = run.signal(signal);
        let ended = run.ended();
        assert_eq!(ended.code, Some(0), "{}", run.stderr());
        row.measured("all down", std::time::Duration::from_micros(ended.at_us - sent.at_us));
        let finished = |id: &str| run.event(|event| event.is("stop.finished", id));
        let slow = finished("stubborn").seq.min(finished("mule").seq);
        for id in &ids {
            let stopped = finished(id);
            if ["stubborn", "mule"].contains(&id.as_str()) {
                assert_eq!(stopped.member("exit")["signal"], "SIGKILL", "{stopped}");
            } else {
                assert_eq!(stopped.member("exit")["code"], 0, "asked, not killed: {stopped}");
                let waits = id == "base";
                assert!(
                    stopped.seq < slow || waits,
                    "who depends on nobody waits for nobody: {stopped}"
                );
            }
        }
        let base = run.event(|event| event.is("stop.rung", "base"));
        assert!(finished("dependent").seq < base.seq, "dependents first");
        run.event(|event| event.event == "supervisor.stopped");
        world.witness("two of twenty plugins ended by SIGKILL alone");
    }
    row.witness("both signals were sent by hand");
}

/// Steps that would each be taken, were the second signal not for the kill.
const PATIENT: &str = "[stop]\nshutdown = \"2s\"\nexit = \"50ms\"\nterm = \"50ms\"\n";

/// Asserts that the stubborn one was in its first step, and then killed.
#[track_caller]
fn skipped_to_the_kill(run: &Running<'_>) {
    let stopped = run.event(|event| event.is("stop.finished", "stubborn"));
    let steps = stopped.member("rungs").as_array().unwrap();
    let steps: Vec<_> = steps.iter().map(|step| &step["rung"]).collect();
    assert_eq!(steps, ["shutdown", "kill"], "{stopped}");
    assert_eq!(stopped.member("exit")["signal"], "SIGKILL", "{stopped}");
}

#[test]
fn sup_02_a_second_signal_goes_straight_to_the_kill() {
    let row = Row::new("SUP-02");
    for (first, second) in [(libc::SIGTERM, libc::SIGTERM), (libc::SIGINT, libc::SIGTERM)] {
        let world = World::new();
        world.chaos_with("stubborn", STUBBORN, PATIENT);
        world.chaos("willing", "serve");
        let run = world.run();
        run.active("stubborn");
        run.active("willing");
        run.signal(first);
        run.state("stubborn", "stopping");
        run.signal(second);
        assert_eq!(run.ended().code, Some(130), "{}", run.stderr());
        skipped_to_the_kill(&run);
    }
    row.witness("a step of two seconds had begun when the second signal came");
}

#[test]
fn sup_02_ctrl_c_is_for_the_supervisor_alone() {
    let row = Row::new("SUP-02");
    row.chaos("willing", "on shutdown {\n at asked\n reply null\n}\nserve");
    row.chaos_with("stubborn", STUBBORN, PATIENT);
    let run = row.launch(&Launch { terminal: true, ..Launch::default() });
    run.active("willing");
    run.active("stubborn");
    (*row).witness().type_on(run.pid, "\x03");
    row.gates().report("asked");
    let stopped = run.event(|event| event.is("stop.finished", "willing"));
    // The terminal's signal would have killed it; it was asked to leave instead.
    assert_eq!(stopped.member("exit")["code"], 0, "{stopped}");
    run.state("stubborn", "stopping");
    (*row).witness().type_on(run.pid, "\x03");
    assert_eq!(run.ended().code, Some(130), "{}", run.stdout());
    skipped_to_the_kill(&run);
    row.witness("Ctrl-C was typed twice on the terminal that controls the supervisor");
}

#[test]
fn sup_20_ctrl_z_and_ctrl_c_on_a_foreground_run() {
    require!("sh");
    let row = Row::new("SUP-20");
    row.chaos("a", "serve");
    row.chaos("b", "serve");
    // A shell with job control: the supervisor is its job, stopped by Ctrl-Z and continued by `fg`.
    let launch = Launch { shell: Some("{}; read go; fg"), terminal: true, ..Launch::default() };
    let run = row.launch(&launch);
    run.active("a");
    run.active("b");
    let supervisor = run.supervisor_pid();
    let witness = (*row).witness();
    witness.type_on(run.pid, "\x1a");
    let is_stopped =
        |pid: u32| witness.below().iter().any(|process| process.pid == pid && process.state == 'T');
    wait_until("Ctrl-Z stops the supervisor", || is_stopped(supervisor));
    let others: Vec<_> =
        witness.below().into_iter().filter(|process| process.pid != supervisor).collect();
    assert!(others.len() >= 4, "shell, keeper and plugins: {others:?}");
    assert!(others.iter().all(|process| process.state != 'T'), "nobody else: {others:?}");
    witness.type_on(run.pid, "go\n");
    for id in ["a", "b"] {
        assert_eq!(run.call(id, "echo", &json!({"id": id})).unwrap(), json!({"id": id}));
        assert_eq!(run.plugin(id)["generation"], 1);
    }
    witness.type_on(run.pid, "\x03");
    for id in ["a", "b"] {
        let stopped = run.event(|event| event.is("stop.finished", id));
        assert_eq!(stopped.member("exit")["code"], 0, "asked, not interrupted: {stopped}");
    }
    assert_eq!(run.ended().code, Some(0), "{}", run.stdout());
    row.witness("the kernel showed the supervisor alone as stopped");
}
