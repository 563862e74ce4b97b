//! Upgrades in a row while calls go on: no plugin starts again, no call is lost and none is answered twice.

use std::thread;

use outboard_tests::runtimes::{bin, bins};
use outboard_tests::{World, control, long};
use serde_json::json;

use super::{Installed, next_build};
use crate::load::{Caller, OPEN};

#[test]
fn no_call_is_lost_while_one_build_follows_another() {
    let world = World::new();
    let command = format!("[process]\ncommand = [\"{}/outboard-echo\"]\n", bins().display());
    world.manifest("x", &command);
    let installed = Installed::new(&world);
    let run = installed.run();
    let generation = run.active("x").generation;
    let (pid, keeper) = (run.plugin_pid("x"), run.keeper_pid());
    let mut caller = Caller::of(&run, "x");
    let rounds = if long() { 20 } else { 3 };
    let next = next_build();
    let (mut seq, mut longest, mut version) = (0, 0, 1);
    for round in 0..rounds {
        let (build, later) = match &next {
            Some(next) if round % 2 == 0 => (next.clone(), 2),
            _ => (bin("outboard"), 1),
        };
        installed.put(&build);
        let before = caller.answered;
        caller.until(|caller| caller.answered > before + 50);
        let socket = run.socket("control.sock");
        let asked = thread::spawn(move || control::call(&socket, "upgrade", &json!({})).unwrap());
        caller.until(|_| asked.is_finished());
        let granted = asked.join().unwrap();
        assert_eq!(granted["from"], granted["to"], "{granted}");
        let is_next = |event: &outboard_tests::Event| {
            event.seq > seq && event.event.starts_with("supervisor.upgrade")
        };
        caller.until(|_| {
            run.events()
                .iter()
                .any(|event| is_next(event) && event.event != "supervisor.upgrade_started")
        });
        let told = run.event_after(seq, |event| {
            is_next(event) && event.event != "supervisor.upgrade_started"
        });
        assert_eq!(told.event, "supervisor.upgraded", "{told}");
        assert_eq!((told.number("plugins"), told.number("clients")), (1, 1), "{told}");
        let versions = (told.number("state_from"), told.number("state_to"));
        assert_eq!(versions, (version, later), "{told}");
        version = later;
        longest = longest.max(told.number("ms"));
        seq = told.seq;
        let after = caller.answered;
        caller.until(|caller| caller.answered > after + 100);
    }
    while !caller.open.is_empty() {
        caller.hear();
    }
    assert_eq!((caller.asked, caller.by.len()), (caller.answered, 1));
    assert_eq!(caller.by[&generation.to_string()], caller.asked);
    let plugin = run.plugin("x");
    assert_eq!(
        json!([plugin["pid"], plugin["generation"], plugin["restarts"]]),
        json!([pid, generation, 0])
    );
    assert_eq!((run.supervisor_pid(), run.keeper_pid()), (run.pid, keeper));
    assert_eq!(run.count(|event| event.event == "supervisor.upgraded"), rounds);
    assert_eq!(run.count(|event| event.event == "wire.orphan_reply"), 0);
    let between = if next.is_some() { " between two versions of the state" } else { "" };
    outboard_tests::say(format_args!(
        "{rounds} upgrades{between}, {OPEN} calls open at each; sent {}, answered {}, failed 0, duplicated 0; \
         it stood still for {longest} ms at most",
        caller.asked, caller.answered
    ));
}
