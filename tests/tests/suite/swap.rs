//! A swap under load: no call is lost and none is answered twice, whichever version answers.

use outboard_tests::{World, control, long};
use serde_json::json;

use crate::load::Caller;

/// Sent, answered, failed, duplicated: n, n, 0, 0.
fn swaps_under_load(mode: &str) {
    let world = World::new();
    world.manifest(
        "x",
        &format!(
            "[process]\ncommand = [\"{}/outboard-echo\"]\n[swap]\nmode = \"{mode}\"\n",
            outboard_tests::runtimes::bins().display()
        ),
    );
    let run = world.run();
    run.active("x");
    let mut caller = Caller::of(&run, "x");
    let rounds = if long() { 20 } else { 3 };
    let mut least = u64::MAX;
    let mut serving = 1;
    for _ in 0..rounds {
        let before = caller.answered;
        caller.until(|caller| caller.answered > before + 50);
        let socket = run.socket("control.sock");
        let swapping = std::thread::spawn(move || {
            control::call(&socket, "swap", &json!({"id": "x"})).unwrap()
        });
        caller.until(|_| swapping.is_finished());
        let answer = swapping.join().unwrap();
        assert_eq!(answer["verdict"], "switched", "{answer}");
        assert_eq!(answer["calls"]["failed"], 0, "{answer}");
        let next = answer["serving"].as_u64().unwrap();
        let switched =
            run.event(|event| event.is("swap.switched", "x") && event.generation == next);
        if mode == "overlap" {
            least = least.min(switched.number("in_flight"));
        }
        assert!(next > serving, "{next} after {serving}");
        serving = next;
        // The new one is heard of before the next swap.
        caller.until(|caller| caller.by.contains_key(&next.to_string()));
    }
    while !caller.open.is_empty() {
        caller.hear();
    }
    assert_eq!((caller.asked, caller.open.len()), (caller.answered, 0));
    assert_eq!(caller.by.len(), rounds + 1, "each generation was heard: {:?}", caller.by);
    if mode == "overlap" {
        assert!(least >= 10, "only {least} calls were in flight at a switch");
    }
    assert_eq!(run.count(|event| event.event == "wire.orphan_reply"), 0);
    let least = if mode == "overlap" {
        format!(", at least {least} in flight at each")
    } else {
        String::new()
    };
    outboard_tests::say(format_args!(
        "{mode}: {rounds} swaps{least}; sent {}, answered {}, failed 0, duplicated 0",
        caller.asked, caller.answered
    ));
}

#[test]
fn no_call_is_lost_while_one_version_takes_over_beside_the_other() {
    swaps_under_load("overlap");
}

#[test]
fn no_call_is_lost_while_one_version_follows_the_other() {
    swaps_under_load("exclusive");
}
