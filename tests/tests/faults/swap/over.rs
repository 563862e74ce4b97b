//! The new version takes over: who answers what, who waits for whom, and what is left when everything is killed.

use std::time::Duration;

use outboard_tests::clock::Deadline;
use outboard_tests::fault::{Row, race};
use serde_json::json;

use super::{ID, NEW, OLD, Swapping, instances, is, one_verdict_each, version};

#[test]
fn swap_03_ten_calls_in_flight_are_answered_by_the_old_one_and_new_ones_by_the_new() {
    let row = Row::new("SWAP-03");
    row.chaos(ID, "on who { reply $generation }\nserve\n");
    let run = row.run();
    run.active(ID);
    let mut attach = run.attach(ID);
    race(|_| {
        let generation = run.plugin(ID)["generation"].as_u64().unwrap();
        let held: Vec<u64> =
            (0..10).map(|_| attach.send("hold", &json!({"gate": "held"}))).collect();
        // Behind the ten: they are there when it is answered.
        assert_eq!(attach.call("who", &json!({})).unwrap(), json!(generation));
        let swapping = Swapping::begin(&run, None);
        let switched =
            run.event(|event| event.is("swap.switched", ID) && event.generation > generation);
        assert_eq!(switched.number("in_flight"), 10);
        assert_eq!(attach.call("who", &json!({})).unwrap(), json!(generation + 1));
        assert_eq!(instances(&run), 2, "the old one waits for its calls");
        let plugin = run.plugin(ID);
        assert_eq!(plugin["next"], json!({"generation": generation, "state": "stopping"}));
        row.gates().open_for("held", 10);
        for id in held {
            let answer = attach.answer(id).unwrap();
            assert_eq!(answer.get(), r#"{"held":"held"}"#);
        }
        assert_eq!(swapping.verdict(), "switched");
        let stopped = run.event_after(switched.seq, is("stop.finished"));
        assert_eq!(stopped.generation, generation, "it stops after the tenth");
        assert_eq!(instances(&run), 1);
    });
    assert_eq!(run.count(is("wire.orphan_reply")), 0, "no clash of ids");
    one_verdict_each(&run);
    row.witness("ten calls were in flight at each switch");
}

#[test]
fn swap_04_an_old_version_that_never_drains_is_bounded() {
    let row = Row::new("SWAP-04");
    row.chaos_with(ID, OLD, "[stop]\ndrain = \"200ms\"\n");
    let run = row.run();
    run.active(ID);
    let mut attach = run.attach(ID);
    let mute: Vec<u64> = (0..3).map(|_| attach.send("mute", &json!({}))).collect();
    assert_eq!(attach.call("who", &json!({})).unwrap(), "old");
    let swapping = Swapping::begin(&run, Some(&version(&row, NEW, "")));
    let switched = run.event(is("swap.switched"));
    assert_eq!(switched.number("in_flight"), 3);
    assert_eq!(attach.call("who", &json!({})).unwrap(), "new", "nobody waits for the drain");
    for id in mute {
        let error = attach.answer(id).unwrap_err();
        assert_eq!((error.code, &error.data["sent"]), (-31002, &json!(true)), "{error:?}");
    }
    let answer = swapping.end().unwrap();
    assert_eq!((&answer["verdict"], &answer["calls"]["failed"]), (&json!("switched"), &json!(3)));
    let drain = run.event(is("stop.rung"));
    assert_eq!((drain.text("rung"), drain.generation), ("drain", 1));
    one_verdict_each(&run);
    row.witness("three calls were in flight and never answered; the drain ran out");
}

#[test]
fn swap_09_a_supervisor_that_is_killed_in_mid_swap_leaves_one_version_and_it_is_the_recorded_one() {
    let row = Row::new("SWAP-09");
    row.chaos(ID, OLD);
    let slow_canary =
        format!("on ping {{\n  first pinged {{ reply {{}} }}\n  at canary\n}}\n{NEW}");
    let steps = [
        ("the new one starts", "at trial\npause\n".to_owned(), "old"),
        ("the canary is out", slow_canary, "old"),
        ("the old one drains", NEW.to_owned(), "new"),
    ];
    race(|round| {
        let (step, script, expected) = &steps[round as usize % steps.len()];
        std::fs::remove_file(row.gates().folder().join("first.pinged")).unwrap_or_default();
        // What an earlier round said last is not this one's.
        for name in ["trial", "canary"] {
            while row.gates().report_within(name, Deadline::after(Duration::ZERO)).is_some() {}
        }
        let run = row.run();
        run.active(ID);
        let mut attach = run.attach(ID);
        attach.send("hold", &json!({"gate": "never"}));
        attach.call("who", &json!({})).unwrap();
        let socket = run.socket("control.sock");
        let params = json!({"id": ID, "manifest": version(&row, script, "")});
        // Its answer never comes.
        let asked = std::thread::spawn(move || {
            std::panic::catch_unwind(|| outboard_tests::control::call(&socket, "swap", &params))
        });
        match *step {
            "the new one starts" => drop(row.gates().report("trial")),
            "the canary is out" => drop(row.gates().report("canary")),
            _ => {
                let switched = run.event(is("swap.switched"));
                // What is recorded is on its way to the disk.
                outboard_tests::clock::wait_until("the version is recorded", || {
                    let kept = std::fs::read_to_string(run.state_dir.join("state.json"));
                    kept.is_ok_and(|text| text.contains("next.toml"))
                });
                assert_eq!(switched.number("in_flight"), 1);
            }
        }
        assert_eq!(instances(&run), 2);
        run.kill_and_wait_until_nothing_is_left();
        drop(asked.join());
        let run = row.run();
        run.active(ID);
        assert_eq!(instances(&run), 1, "{step}");
        assert_eq!(run.call(ID, "who", &json!({})).unwrap(), *expected, "{step}");
        run.stop();
        // The folder counts again for the next round.
        std::fs::remove_file(run.state_dir.join("state.json")).unwrap();
    });
    row.witness("two generations were there when it was killed");
}
