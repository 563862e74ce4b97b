//! Nothing outlives a supervisor, however it dies. Counted from outside, by a subreaper that is not outboard.

use std::collections::BTreeSet;
use std::time::Duration;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::witness::Process;
use outboard_tests::world::{toml_list, toml_text};
use outboard_tests::{Attach, Running, World, long, say};
use serde_json::json;

/// A plugin that holds on: deaf to SIGTERM, with a double-forked orphan that lost its mark, and a child in a session
/// of its own.
const CLINGING: &str = "\
ignore TERM
ignore EOF
on shutdown {
}
on exit {
}
on take { at took }
daemon {
  scrub
  ignore TERM
  at daemon
  pause
}
fork {
  setsid
  ignore TERM
  at child
  pause
}
serve";

/// Long enough for the rungs to be seen, short enough for many rounds; nothing may count against the plugin.
const MORE: &str = "\
[stop]
drain = \"100ms\"
shutdown = \"100ms\"
exit = \"100ms\"
term = \"200ms\"
[restart]
budget = { restarts = 0, within = \"5m\" }
";

/// Two clinging plugins, one of them behind a shell that does not become it, and one that is willing.
const PLUGINS: [&str; 3] = ["clinging", "willing", "wrapped"];

fn crew(world: &World) {
    world.chaos_with("clinging", CLINGING, MORE);
    world.chaos_with("willing", "on take { at took }\nserve", MORE);
    let line = format!("{}; exit $$?", world.chaos_command("wrapped", CLINGING).join(" "));
    let gates = toml_text(&world.gates().folder().display().to_string());
    let command = toml_list(&["sh", "-c", &line]);
    world.manifest(
        "wrapped",
        &format!("[process]\ncommand = {command}\nenv = {{ CHAOS_DIR = {gates} }}\n{MORE}"),
    );
}

/// When the blow falls. The first half during starts and stops.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Began,
    FirstSpawn,
    Opened,
    Stopping,
    AllActive,
    CallInFlight,
    Restarting,
    Killing,
}

const MOMENTS: [Moment; 8] = [
    Moment::Began,
    Moment::AllActive,
    Moment::FirstSpawn,
    Moment::CallInFlight,
    Moment::Opened,
    Moment::Restarting,
    Moment::Stopping,
    Moment::Killing,
];

impl Moment {
    /// Waits for it. What keeps it so has to be held.
    fn come(self, world: &World, run: &Running<'_>) -> Option<Attach> {
        match self {
            Self::Began => drop(run.event(|event| event.event == "keeper.started")),
            Self::FirstSpawn => drop(run.event(|event| event.event == "plugin.spawned")),
            Self::Opened => drop(run.event(|event| event.is("plugin.opened", "clinging"))),
            Self::AllActive => all_active(run),
            Self::CallInFlight => {
                all_active(run);
                let mut client = run.attach("clinging");
                client.send("take", &json!({}));
                world.gates().report("took");
                return Some(client);
            }
            Self::Restarting => {
                all_active(run);
                run.control("restart", &json!({"all": true, "wait": false})).unwrap();
                run.event(|event| event.event == "stop.rung");
            }
            Self::Stopping => {
                all_active(run);
                run.control("stop", &json!({"all": true, "wait": false})).unwrap();
                run.event(|event| event.is("stop.rung", "clinging"));
            }
            Self::Killing => {
                all_active(run);
                run.control("stop", &json!({"ids": ["clinging"], "wait": false})).unwrap();
                run.event(|event| {
                    event.is("stop.rung", "clinging") && event.text("rung") == "kill"
                });
            }
        }
        None
    }
}

fn all_active(run: &Running<'_>) {
    for id in PLUGINS {
        run.active(id);
    }
}

/// What holds plugins. The suite runs with the best that this machine has, and with what every machine has.
const LEVELS: [&str; 2] = ["auto", "session"];

fn hold_with(world: &World, level: &str) {
    world.settings(&format!("[supervisor]\ncontainment = \"{level}\"\n"));
}

/// Asserts that it is so, where this machine leaves no choice.
#[track_caller]
fn assert_held(run: &Running<'_>, level: &str) {
    let keeper = run.event(|event| event.event == "keeper.started");
    assert!(level == "auto" || keeper.text("containment") == level, "{keeper}");
}

/// As many rounds as asked for; each with its moment, and how much later the blow falls. The delays are spread by a
/// fixed rule, so that a round can be repeated.
fn rounds() -> impl Iterator<Item = (usize, Moment, Duration)> {
    (0..if long() { 100 } else { MOMENTS.len() }).map(|round| {
        let spread = (round / MOMENTS.len() * 7_919) % 20_000;
        (round, MOMENTS[round % MOMENTS.len()], Duration::from_micros(spread as u64))
    })
}

fn summary(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (Some(most), middle) = (times.last(), times[times.len() / 2]) else { return };
    say(format_args!(
        "{what}, {} moments: {middle:.1?} in the middle, {most:.1?} at most",
        times.len()
    ));
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    LEVELS.iter().for_each(|level| supervisors_are_killed(level));
}

fn supervisors_are_killed(level: &str) {
    let mut times = Vec::new();
    for (round, moment, later) in rounds() {
        let world = World::new();
        hold_with(&world, level);
        crew(&world);
        let run = world.run();
        assert_held(&run, level);
        let _client = moment.come(&world, &run);
        let below = world.witness().below().len();
        assert!(below >= 2, "round {round}, {moment:?}: supervisor and keeper live: {below}");
        let struck = run.signal_after(libc::SIGKILL, later);
        let killed = run.ended();
        assert_eq!(killed.signal, Some(libc::SIGKILL), "round {round}, {moment:?}");
        match world.witness().empty().try_get() {
            Ok(empty) => times.push(Duration::from_micros(empty.at_us - struck.at_us)),
            Err(why) => {
                panic!(
                    "round {round}, {moment:?} and {later:?}: {why}: {:#?}",
                    world.witness().below()
                )
            }
        }
    }
    summary(&format!("supervisor killed, containment {level}, nothing left"), times);
}

#[test]
fn nothing_outlives_a_supervisor_that_is_killed_at_birth() {
    let rounds = if long() { 100 } else { 8 };
    for round in 0..rounds {
        let world = World::new();
        crew(&world);
        let run = world.run();
        // Its keeper is being started, or its first plugins are.
        run.event(|event| event.event == "supervisor.started");
        run.signal_after(libc::SIGKILL, Duration::from_micros(40_000 * round / rounds));
        run.ended();
        let empty = world.witness().empty().try_get();
        assert!(empty.is_ok(), "round {round}: {:#?}", world.witness().below());
    }
}

/// The processes of plugins that live, by pid.
fn living(run: &Running<'_>) -> BTreeSet<u32> {
    run.plugin_processes().into_iter().filter(|one| one.state != 'Z').map(|one| one.pid).collect()
}

#[test]
fn a_killed_keeper_is_replaced_and_nothing_of_its_time_is_left() {
    LEVELS.iter().for_each(|level| keepers_are_killed(level));
}

fn keepers_are_killed(level: &str) {
    let mut times = Vec::new();
    for (round, moment, later) in rounds() {
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
            assert_eq!(row["state"], "active", "round {round}, {moment:?} and {later:?}: {row}");
            assert_eq!(run.call(id, "echo", &json!({"id": id})).unwrap(), json!({"id": id}));
        }
        times.push(since.elapsed());
        let now = living(&run);
        let ghosts: Vec<_> = old.intersection(&now).collect();
        assert!(
            ghosts.is_empty(),
            "round {round}, {moment:?} and {later:?}: still there: {ghosts:?}"
        );
        // Leader, orphan and child of both clinging ones, a shell before one, and the willing one.
        wait_until("every plugin has its processes", || living(&run).len() >= 8);
        let count = living(&run).len();
        assert_eq!(count, 8, "round {round}, {moment:?}: {:#?}", run.plugin_processes());
        let charged = run.count(|event| event.event == "restart.gave_up");
        assert_eq!(charged, 0, "round {round}, {moment:?}: no budget is charged for a keeper");
    }
    summary(&format!("keeper killed, containment {level}, every plugin active and called"), times);
}

#[test]
fn a_call_in_flight_fails_with_the_keeper_and_says_so() {
    let world = World::new();
    crew(&world);
    let run = world.run();
    all_active(&run);
    let mut client = run.attach("clinging");
    let call = client.send("take", &json!({}));
    world.gates().report("took");
    world.witness().signal(run.keeper_pid(), libc::SIGKILL);
    let error = client.answer(call).unwrap_err();
    assert_eq!(error.code, -31003, "{error:?}");
    assert_eq!(error.data["sent"], true, "{error:?}");
    run.active_above("clinging", 1);
}

#[test]
fn a_keeper_that_dies_three_times_ends_the_supervisor_loudly() {
    let world = World::new();
    crew(&world);
    let run = world.run();
    let mut seen = 0;
    for death in 1..=3 {
        let started = run.event_after(seen, |event| event.event == "keeper.started");
        seen = started.seq;
        let spawned = run.event_after(seen, |event| event.is_state("willing", "active"));
        seen = spawned.seq;
        world.witness().signal(u32::try_from(started.number("pid")).unwrap(), libc::SIGKILL);
        let died = run.event_after(seen, |event| event.event == "keeper.died");
        assert!(died.seq > seen, "death {death}");
    }
    let ended = run.ended();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    assert!(run.stderr().contains("keeper"), "{}", run.stderr());
}

#[test]
fn nothing_outlives_its_stop() {
    for level in LEVELS {
        let world = World::new();
        hold_with(&world, level);
        crew(&world);
        let run = world.run();
        assert_held(&run, level);
        all_active(&run);
        for _ in 0..2 {
            world.gates().report("daemon");
            world.gates().report("child");
        }
        assert_eq!(living(&run).len(), 8, "{level}: {:#?}", run.plugin_processes());
        let stops = run.control("stop", &json!({"all": true})).unwrap();
        for outcome in stops["outcomes"].as_array().unwrap() {
            assert_eq!(outcome["end"], "stopped", "{level}: {stops}");
        }
        assert!(living(&run).is_empty(), "{level}: {:#?}", run.plugin_processes());
    }
}

#[test]
fn nothing_outlives_a_crash() {
    for level in LEVELS {
        let world = World::new();
        hold_with(&world, level);
        world.chaos_with("clinging", CLINGING, "[restart]\npolicy = \"never\"");
        let run = world.run();
        run.active("clinging");
        world.gates().report("daemon");
        world.gates().report("child");
        assert_eq!(living(&run).len(), 3, "{level}: {:#?}", run.plugin_processes());
        world.witness().signal(run.plugin_pid("clinging"), libc::SIGKILL);
        run.state("clinging", "failed");
        assert!(living(&run).is_empty(), "{level}: {:#?}", run.plugin_processes());
    }
}

/// The one way to leave something behind; so it shows too that these tests can see what is left.
#[test]
fn what_is_left_when_both_are_killed_is_gone_before_the_next_start() {
    let world = World::new();
    hold_with(&world, "session");
    world.chaos("clinging", &CLINGING.replace("  scrub\n", ""));
    let first = world.run();
    first.active("clinging");
    let daemon = Process::of(world.gates().report("daemon").pid).unwrap();
    world.gates().report("child");
    let keeper = first.keeper_pid();
    world.freeze(first.pid);
    world.freeze(keeper);
    world.witness().signal(keeper, libc::SIGKILL);
    first.signal(libc::SIGKILL);
    first.ended();
    assert!(daemon.lives(), "nobody was there to end it");
    let second = world.run();
    let removed = second.event(|event| event.event == "reaper.removed");
    assert!(removed.number("n") >= 1, "{removed}");
    let spawned = second.event(|event| event.event == "plugin.spawned");
    assert!(removed.seq < spawned.seq, "before anything is started");
    assert!(!daemon.lives(), "{:#?}", second.plugin_processes());
    second.active("clinging");
}
