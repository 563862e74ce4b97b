//! The keeper dies, or stands still, and the supervisor lives; and the other way round.

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::{Row, race};
use outboard_tests::{Event, Process, World};
use serde_json::json;

use super::crew::{
    CLINGING, MORE, PLUGINS, PROCESSES, all_active, assert_held, call_in_flight, crew, hold_with,
    living, rounds,
};

#[test]
fn sup_20_a_stopped_keeper_wakes_when_its_supervisor_dies() {
    let row = Row::new("SUP-20");
    race(|round| {
        let world = World::new();
        crew(&world);
        let run = world.run();
        all_active(&run);
        let keeper = run.keeper_pid();
        world.freeze(keeper);
        let took = run.kill_and_wait_until_nothing_is_left();
        if round == 0 {
            row.measured("nothing left", took);
        }
    });
    row.witness("every thread of the keeper stood still when the supervisor was killed");
}

#[test]
fn sup_23_a_killed_keeper_is_replaced_and_nothing_of_its_time_is_left() {
    let row = Row::new("SUP-23");
    let mut times = Vec::new();
    for (what, moment, level, later) in rounds() {
        let world = World::new();
        hold_with(&world, level);
        crew(&world);
        let run = world.run();
        assert_held(&run, level);
        let _client = moment.come(&world, &run);
        let keeper = run.keeper_pid();
        let old = living(&run);
        world.witness().signal_after(keeper, libc::SIGKILL, later).get();
        let since = Stopwatch::new();
        let died = run.event(|event| event.event == "keeper.died");
        run.event_after(died.seq, |event| event.event == "keeper.started");
        // Whatever was stopped by hand is wanted up again, so that every plugin has to come.
        for id in PLUGINS {
            run.control("start", &json!({"ids": [id]})).unwrap();
        }
        for id in PLUGINS {
            let row = run.plugin(id);
            assert_eq!(row["state"], "active", "{what}: {row}");
            assert_eq!(run.call(id, "echo", &json!({"id": id})).unwrap(), json!({"id": id}));
        }
        times.push(since.elapsed());
        let now = living(&run);
        let ghosts: Vec<_> = old.intersection(&now).collect();
        assert!(ghosts.is_empty(), "{what}: still there: {ghosts:?}");
        wait_until("every plugin has its processes", || living(&run).len() >= PROCESSES);
        let count = living(&run).len();
        assert_eq!(count, PROCESSES, "{what}: {:#?}", run.plugin_processes());
        let charged = run.count(|event| event.event == "restart.gave_up");
        assert_eq!(charged, 0, "{what}: no budget is charged for a keeper");
        // Quicker than a stop of the unwilling.
        run.kill_and_wait_until_nothing_is_left();
    }
    times.sort();
    row.measured("every plugin active and called, at most", *times.last().unwrap());
    row.witness(format_args!("the supervisors told {} deaths of keepers", times.len()));
}

#[test]
fn sup_23_calls_in_flight_fail_with_the_keeper_and_say_so() {
    let row = Row::new("SUP-23");
    let world = World::new();
    crew(&world);
    let run = world.run();
    let mut client = call_in_flight(&world, &run);
    let call = client.send("take", &json!({}));
    world.gates().report("took");
    let since = Stopwatch::new();
    world.witness().signal(run.keeper_pid(), libc::SIGKILL);
    for call in [call - 1, call] {
        let error = client.answer(call).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "keeper"), "{error:?}");
        assert_eq!(error.data["sent"], true, "{error:?}");
    }
    row.measured("two callers told", since.elapsed());
    run.active_above("clinging", 1);
    let plugin = run.plugin("clinging");
    assert_eq!(plugin["restarts"], 0, "it was not the plugin's fault: {plugin}");
    row.witness("the plugin reported that it had taken both calls");
}

#[test]
fn sup_23_a_keeper_that_dies_three_times_ends_the_supervisor_loudly() {
    let row = Row::new("SUP-23");
    let world = World::new();
    crew(&world);
    let run = world.run();
    let mut seen = 0;
    for _ in 1..=3 {
        let started = run.event_after(seen, |event| event.event == "keeper.started");
        seen = run.event_after(started.seq, |event| event.is_state("willing", "active")).seq;
        world.witness().signal(u32::try_from(started.number("pid")).unwrap(), libc::SIGKILL);
        seen = run.event_after(seen, |event| event.event == "keeper.died").seq;
    }
    let keepers = || run.count(|event| event.event == "keeper.started");
    wait_until("it ends, or tries once more", || run.has_ended().is_some() || keepers() > 3);
    let ended = run.has_ended().and_then(|ended| ended.code);
    assert_eq!(ended, Some(6), "{} keepers", keepers());
    assert!(run.stderr().contains("keeper"), "{}", run.stderr());
    assert_eq!(keepers(), 3, "no fourth");
    run.event(|event| event.event == "supervisor.stopped");
    row.witness("three deaths are in the journal");
}

#[test]
fn sup_23_a_keeper_that_stands_still_is_ended_and_replaced() {
    let row = Row::new("SUP-23");
    let world = World::new();
    world.chaos_with("geo", CLINGING, MORE);
    let run = world.run();
    run.active("geo");
    let old: Vec<Process> = living(&run).into_iter().filter_map(Process::of).collect();
    let keeper = Process::of(run.keeper_pid()).unwrap();
    let mut client = run.attach("geo");
    let call = client.send("take", &json!({}));
    world.gates().report("took");
    let since = Stopwatch::new();
    world.freeze(keeper.pid);
    assert_eq!(run.call("geo", "echo", &json!({})).unwrap(), json!({}), "calls do not need it");
    // By the supervisor's own clock: one question every five seconds, and five seconds for the answer.
    let error = client.answer(call).unwrap_err();
    row.measured("noticed", since.elapsed());
    assert_eq!((error.code, &error.data["sent"]), (-31003, &json!(true)), "{error:?}");
    let second = run.active_above("geo", 1);
    let next = |event: &Event| {
        event.event == "keeper.started" && event.number("pid") != u64::from(keeper.pid)
    };
    assert!(run.event(next).seq < second.seq);
    assert!(!keeper.lives() && !old.iter().any(Process::lives), "{old:?}");
    assert_eq!(run.count(|event| event.event == "restart.gave_up"), 0);
    row.witness("the keeper stood still, and lived until the supervisor ended it");
}
