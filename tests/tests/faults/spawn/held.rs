//! Held between fork and exec, as by a file system that does not answer.

use std::path::PathBuf;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::exec_gate::ExecGate;
use outboard_tests::fault::{Holds, Row, race};
use outboard_tests::neighbour::Neighbour;
use outboard_tests::runtimes::bin;
use outboard_tests::witness::Process;
use outboard_tests::world::{toml_list, toml_text};
use serde_json::json;

/// A scripted plugin that runs from a file of its own and is not started yet.
fn apart(row: &Row, id: &str, more: &str) -> PathBuf {
    let file = row.executable_copy(&format!("{id}-program"), &bin("outboard-chaos"));
    let mut command = row.chaos_command(id, "at up\nserve");
    command[0] = file.display().to_string();
    let gates = toml_text(&row.gates().folder().display().to_string());
    let process =
        format!("[process]\ncommand = {}\nenv = {{ CHAOS_DIR = {gates} }}\n", toml_list(&command));
    row.manifest(id, &format!("enabled = false\n{process}{more}\n"));
    file
}

/// It waits in the kernel, out of reach of everything but SIGKILL.
#[track_caller]
fn waits_in_the_kernel(pid: u32) -> Process {
    let state = || Process::of(pid).map(|process| process.state);
    wait_until("it waits in state D", || state() == Some('D'));
    Process::of(pid).unwrap()
}

#[test]
fn spawn_12_an_exec_that_stalls_holds_up_nobody_else() {
    let row = Row::new("SPAWN-12");
    Neighbour::moves_in(&row);
    let soon = "[start]\nspawn_timeout = \"300ms\"\n[restart]\nbackoff = { initial = \"10m\", max = \"10m\" }";
    let stalls = apart(&row, "stalls", soon);
    let stopped = apart(&row, "stopped", "[start]\nspawn_timeout = \"10m\"");
    row.chaos_with("free", "serve", "enabled = false");
    let run = row.run();
    run.socket("control.sock");
    // Once before, for what is opened once: their logs.
    run.cli(&["start", "stalls", "stopped", "free"]).code(0);
    run.cli(&["stop", "stalls", "stopped", "free"]).code(0);
    let holds = Holds::of(&run);
    let (stalls, stopped) = match (ExecGate::on(&stalls), ExecGate::on(&stopped)) {
        (Ok(stalls), Ok(stopped)) => (stalls, stopped),
        (Err(error), _) | (_, Err(error)) => {
            return row.cannot(format_args!("fanotify(7) asks nobody before an exec: {error}"));
        }
    };
    let neighbour = Neighbour::works(&run);
    let ids = json!({"ids": ["stalls", "stopped", "free"], "wait": false});
    let began = Stopwatch::new();
    run.control("start", &ids).unwrap();
    run.active_above("free", 1);
    row.measured("beside it: from the command to active", began.elapsed());
    let held = stopped.next();
    let process = waits_in_the_kernel(held.pid);
    assert_eq!(u64::from(held.pid), run.plugin("stopped")["pid"].as_u64().unwrap());
    assert_eq!(run.plugin("stopped")["state"], "starting");
    let first = stalls.next();
    row.witness(format_args!("the kernel holds both, one in state {}", process.state));

    let failure = run.failure("stalls");
    let told = (failure.text("class"), failure.text("detail"));
    assert_eq!(told, ("spawn", "exec-stalled"), "{failure}");
    run.state("stalls", "backoff");
    assert!(Process::of(first.pid).is_none_or(|process| !process.lives()), "killed and reaped");
    assert_eq!(run.plugin("stalls")["pid"], json!(null));

    let began = Stopwatch::new();
    let change = run.cli(&["stop", "stopped", "--json"]).code(0).json();
    row.measured("stop of a held one", began.elapsed());
    assert_eq!(change["outcomes"][0]["end"], "stopped", "{change}");
    let rungs = change["outcomes"][0]["stop"]["rungs"].as_array().unwrap().clone();
    let rungs: Vec<_> = rungs.iter().map(|rung| rung["rung"].clone()).collect();
    assert_eq!(rungs, ["kill"], "there is nobody to ask: {change}");
    assert_eq!(run.plugin("stopped")["state"], "registered");
    assert!(Process::of(held.pid).is_none(), "killed and reaped");
    assert_eq!(run.plugin("free")["generation"], 2);
    run.cli(&["stop", "stalls", "free"]).code(0);
    neighbour.was_not_disturbed(&run, &row);
    holds.are_back();
}

#[test]
fn spawn_13_a_stop_between_fork_and_exec_is_not_lost() {
    let row = Row::new("SPAWN-13");
    let file = apart(&row, "held", "[start]\nspawn_timeout = \"10m\"");
    let gate = match ExecGate::on(&file) {
        Ok(gate) => gate,
        Err(error) => {
            return row.cannot(format_args!("fanotify(7) asks nobody before an exec: {error}"));
        }
    };
    let run = row.run();
    run.socket("control.sock");
    race(|round| {
        let ids = json!({"ids": ["held"], "wait": false});
        run.control("start", &ids).unwrap();
        let held = gate.next();
        waits_in_the_kernel(held.pid);
        let seq = run.events().last().unwrap().seq;
        let began = Stopwatch::new();
        let order = run.control("stop", &ids).unwrap();
        let pid = held.pid;
        gate.let_through(held);
        let ended = run.event_after(seq, |event| event.is("stop.finished", "held"));
        run.event_after(seq, |event| event.is_state("held", "registered"));
        if round == 0 {
            row.measured("stop", began.elapsed());
            row.witness(format_args!("pid {pid} waited in exec when the stop came: {order}"));
        }
        assert_eq!(ended.member("exit")["signal"], "SIGKILL", "{ended}");
        assert!(Process::of(pid).is_none(), "nothing is left");
        let up = run.count(|event| {
            event.seq > seq
                && (event.is_state("held", "loaded") || event.is_state("held", "active"))
        });
        assert_eq!(up, 0, "round {round}: it came up after the stop");
        assert_eq!(run.plugin("held")["state"], "registered");
    });
    assert!(run.plugin_processes().is_empty(), "{:?}", run.plugin_processes());
    // The gate gone, the same file is a plugin like any other.
    drop(gate);
    run.cli(&["start", "held"]).code(0);
    run.active("held");
}
