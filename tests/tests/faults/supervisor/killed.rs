//! Nothing outlives a supervisor, however it dies. Counted from outside, by a subreaper that is not outboard.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use outboard_tests::clock::wait_until;
use outboard_tests::fault::{Row, race};
use outboard_tests::gates::fifo;
use outboard_tests::{Process, Running, World};
use serde_json::json;

use super::crew::{CLINGING, LEVELS, PLUGINS, assert_held, crew, hold_with, rounds};

/// Kills it and gives how long it took until nothing was left.
#[track_caller]
fn nothing_is_left(world: &World, run: &Running<'_>, later: Duration, what: &str) -> Duration {
    let struck = run.signal_after(libc::SIGKILL, later);
    assert_eq!(run.ended().signal, Some(libc::SIGKILL), "{what}");
    match world.witness().empty().try_get() {
        Ok(empty) => Duration::from_micros(empty.at_us - struck.at_us),
        Err(why) => panic!("{what}: {why}: {:#?}", world.witness().below()),
    }
}

/// The next start finds everything in order.
#[track_caller]
fn starts_again(world: &World, what: &str) {
    let run = world.run();
    for id in PLUGINS {
        run.active(id);
    }
    let trouble =
        run.count(|event| event.event == "log.trouble" || event.event.starts_with("reaper."));
    assert_eq!(trouble, 0, "{what}");
    // Quicker than a stop of the unwilling.
    run.kill_and_wait_until_nothing_is_left();
}

#[test]
fn sup_01_killed_at_every_point_of_its_plugins_lives() {
    let row = Row::new("SUP-01");
    let mut times = Vec::new();
    for (what, moment, level, later) in rounds() {
        let world = World::new();
        hold_with(&world, level);
        crew(&world);
        let run = world.run();
        assert_held(&run, level);
        let client = moment.come(&world, &run);
        assert!(world.witness().below().len() >= 2, "{what}: supervisor and keeper live");
        times.push(nothing_is_left(&world, &run, later, &what));
        drop(client);
        starts_again(&world, &what);
    }
    report(&row, times);
}

fn report(row: &Row, mut times: Vec<Duration>) {
    times.sort();
    row.measured("nothing left, in the middle", times[times.len() / 2]);
    row.measured("at most", *times.last().unwrap());
    row.witness(format_args!("the witness saw {} supervisors end by SIGKILL", times.len()));
}

#[test]
fn sup_01_killed_at_birth() {
    let row = Row::new("SUP-01");
    let rounds = if outboard_tests::long() { 100 } else { 8 };
    let mut times = Vec::new();
    for round in 0..rounds {
        let world = World::new();
        crew(&world);
        let run = world.run();
        // Its keeper is being started, or its first plugins are.
        run.event(|event| event.event == "supervisor.started");
        let later = Duration::from_micros(40_000 * round / rounds);
        times.push(nothing_is_left(&world, &run, later, &format!("{later:?} after its start")));
        starts_again(&world, "after a birth");
    }
    report(&row, times);
}

#[test]
fn sup_01_killed_between_exec_and_handshake_and_in_backoff() {
    let row = Row::new("SUP-01");
    let mut times = Vec::new();
    for level in LEVELS {
        let world = World::new();
        hold_with(&world, level);
        crew(&world);
        let patient = "[restart]\nbackoff = { initial = \"10m\", max = \"10m\" }\n";
        world.chaos_with("failing", "first once { exit 1 }\nserve", patient);
        world.chaos(
            "silent",
            "first never {\n daemon {\n  at hidden\n  pause\n }\n at executed\n pause\n}\nserve",
        );
        let run = world.run();
        assert_held(&run, level);
        run.state("failing", "backoff");
        world.gates().report("hidden");
        world.gates().report("executed");
        assert_eq!(run.count(|event| event.is("plugin.opened", "silent")), 0);
        times.push(nothing_is_left(&world, &run, Duration::ZERO, level));
        starts_again(&world, level);
    }
    report(&row, times);
}

#[test]
fn sup_01_killed_in_the_middle_of_a_state_write() {
    let row = Row::new("SUP-01");
    let world = World::new();
    crew(&world);
    let run = world.run();
    for id in PLUGINS {
        run.active(id);
    }
    let before = fs::read(run.state_dir.join("state.json")).unwrap_or_default();
    // What is written beside the old file goes into a pipe that nobody reads: the write never ends.
    let beside = run.state_dir.join("state.json.new");
    wait_until("no write is under way", || !beside.exists());
    drop(fifo(&beside));
    run.control("restart", &json!({"ids": ["willing"]})).unwrap();
    assert_eq!(run.plugin("willing")["generation"], 2);
    // The thread that writes files stands still, and its journal with it.
    wait_until("the write has begun", || {
        run.control("restart", &json!({"ids": ["willing"]})).unwrap();
        let generation = run.plugin("willing")["generation"].as_u64().unwrap();
        let told = |event: &outboard_tests::Event| event.generation == generation;
        (0..100).all(|_| run.count(|event| event.is_state("willing", "active") && told(event)) == 0)
    });
    let took = nothing_is_left(&world, &run, Duration::ZERO, "in a state write");
    assert!(fs::metadata(&beside).unwrap().file_type().is_fifo());
    let after = fs::read(run.state_dir.join("state.json")).unwrap_or_default();
    assert_eq!(after, before, "the old one is there, whole");
    fs::remove_file(&beside).unwrap();
    starts_again(&world, "after half a state write");
    report(&row, vec![took]);
}

#[test]
fn sup_01_killed_while_logs_are_rotated() {
    let row = Row::new("SUP-01");
    let world = World::new();
    crew(&world);
    world.settings("[logs]\nfiles = { size = \"16KiB\", keep = 2 }\n");
    world.chaos("loud", "on flood { flood-err forever }\nserve");
    let run = world.run();
    for id in PLUGINS {
        run.active(id);
    }
    run.active("loud");
    let mut client = run.attach("loud");
    client.send("flood", &json!({}));
    let old = run.state_dir.join("logs/loud.jsonl.1");
    wait_until("a log has been rotated", || old.exists());
    let took = nothing_is_left(&world, &run, Duration::ZERO, "in a rotation");
    drop(client);
    starts_again(&world, "after a rotation");
    report(&row, vec![took]);
}

/// The one way to leave something behind; so it shows too that these tests can see what is left.
#[test]
fn sup_22_what_is_left_when_both_are_killed_is_gone_before_the_next_start() {
    let row = Row::new("SUP-22");
    race(|round| {
        let level = LEVELS[round as usize % LEVELS.len()];
        let world = World::new();
        hold_with(&world, level);
        let first = world.run();
        let held = first.event(|event| event.event == "keeper.started");
        let by_leaf = held.text("containment") == "cgroup";
        first.stop();
        // Without a leaf only the mark tells whose it is.
        let script = if by_leaf { CLINGING.to_owned() } else { CLINGING.replace("  scrub\n", "") };
        world.chaos("clinging", &script);
        let first = world.run();
        first.active("clinging");
        let leader = Process::of(first.plugin_pid("clinging")).unwrap();
        let daemon = Process::of(world.gates().report("daemon").pid).unwrap();
        world.gates().report("child");
        let keeper = first.keeper_pid();
        world.freeze(first.pid);
        world.freeze(keeper);
        world.witness().signal(keeper, libc::SIGKILL);
        first.signal(libc::SIGKILL);
        first.ended();
        wait_until("the direct child ends at once, by its death signal", || !leader.lives());
        assert!(daemon.lives(), "nobody was there to end it");
        let second = world.run();
        let removed = second.event(|event| event.event == "reaper.removed");
        assert!(removed.number("n") >= 1, "{removed}");
        let spawned = second.event(|event| event.event == "plugin.spawned");
        assert!(removed.seq < spawned.seq, "before anything is started");
        assert!(!daemon.lives(), "{:#?}", second.plugin_processes());
        second.active("clinging");
        second.kill_and_wait_until_nothing_is_left();
    });
    row.witness("a double-forked child of each first run lived on without supervisor and keeper");
}

#[test]
fn sup_22_killall_spares_the_keeper() {
    let row = Row::new("SUP-22");
    let world = World::new();
    crew(&world);
    let run = world.run();
    for id in PLUGINS {
        run.active(id);
    }
    // As `killall -9 outboard` does: by name.
    let named: Vec<Process> =
        world.witness().below().into_iter().filter(|one| one.name == "outboard").collect();
    assert_eq!(named.iter().map(|one| one.pid).collect::<Vec<_>>(), [run.pid], "{named:?}");
    let took = nothing_is_left(&world, &run, Duration::ZERO, "killed by name");
    row.measured("nothing left", took);
    row.witness("the supervisor alone bears the name, so the keeper lived and ended its plugins");
}
