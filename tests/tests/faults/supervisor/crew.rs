//! A crew of plugins that hold on, and the moments at which something may be struck down.

use std::collections::BTreeSet;
use std::time::Duration;

use outboard_tests::{Attach, Running, World, long};
use serde_json::json;

/// A plugin that holds on: deaf to SIGTERM, with a double-forked orphan that lost its mark, and a child in a session
/// of its own.
pub(crate) const CLINGING: &str = "\
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
pub(crate) const MORE: &str = "\
[stop]
drain = \"100ms\"
shutdown = \"100ms\"
exit = \"100ms\"
term = \"200ms\"
[restart]
budget = { restarts = 0, within = \"5m\" }
";

/// Two clinging plugins, one of them behind a shell that does not become it, and one that is willing.
pub(crate) const PLUGINS: [&str; 3] = ["clinging", "willing", "wrapped"];

/// What they are when all of them are there: leader, orphan and child of both clinging ones, a shell before one, and
/// the willing one.
pub(crate) const PROCESSES: usize = 8;

pub(crate) fn crew(world: &World) {
    world.chaos_with("clinging", CLINGING, MORE);
    world.chaos_with("willing", "on take { at took }\nserve", MORE);
    world.chaos_wrapped("wrapped", CLINGING, "{}; exit $$?", MORE);
}

/// When the blow falls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Began,
    FirstSpawn,
    Opened,
    AllActive,
    CallInFlight,
    Restarting,
    /// `clinging` is being stopped, and has come to this step.
    Rung(&'static str),
}

pub(crate) const MOMENTS: [Moment; 11] = [
    Moment::Began,
    Moment::FirstSpawn,
    Moment::Opened,
    Moment::AllActive,
    Moment::CallInFlight,
    Moment::Restarting,
    Moment::Rung("drain"),
    Moment::Rung("shutdown"),
    Moment::Rung("exit"),
    Moment::Rung("term"),
    Moment::Rung("kill"),
];

impl Moment {
    /// Waits for it. What keeps it so has to be held.
    pub(crate) fn come(self, world: &World, run: &Running<'_>) -> Option<Attach> {
        match self {
            Self::Began => drop(run.event(|event| event.event == "keeper.started")),
            Self::FirstSpawn => drop(run.event(|event| event.event == "plugin.spawned")),
            Self::Opened => drop(run.event(|event| event.is("plugin.opened", "clinging"))),
            Self::AllActive => all_active(run),
            Self::CallInFlight => return Some(call_in_flight(world, run)),
            Self::Restarting => {
                all_active(run);
                run.control("restart", &json!({"all": true, "wait": false})).unwrap();
                run.event(|event| event.event == "stop.rung");
            }
            Self::Rung(rung) => {
                // Without a call there is nothing to drain.
                let client = call_in_flight(world, run);
                run.control("stop", &json!({"ids": ["clinging"], "wait": false})).unwrap();
                run.event(|event| event.is("stop.rung", "clinging") && event.text("rung") == rung);
                return Some(client);
            }
        }
        None
    }
}

pub(crate) fn call_in_flight(world: &World, run: &Running<'_>) -> Attach {
    all_active(run);
    let mut client = run.attach("clinging");
    client.send("take", &json!({}));
    world.gates().report("took");
    client
}

pub(crate) fn all_active(run: &Running<'_>) {
    for id in PLUGINS {
        run.active(id);
    }
}

/// What holds plugins: the best that this machine has, and what every machine has.
pub(crate) const LEVELS: [&str; 2] = ["auto", "session"];

pub(crate) fn hold_with(world: &World, level: &str) {
    world.settings(&format!("[supervisor]\ncontainment = \"{level}\"\n"));
}

/// Asserts that it is so, where this machine leaves no choice.
#[track_caller]
pub(crate) fn assert_held(run: &Running<'_>, level: &str) {
    let keeper = run.event(|event| event.event == "keeper.started");
    assert!(level == "auto" || keeper.text("containment") == level, "{keeper}");
}

/// As many rounds as asked for; each with its moment, what holds the plugins, and how much later the blow falls. The
/// delays are spread by a fixed rule, so that a round can be repeated.
pub(crate) fn rounds() -> impl Iterator<Item = (String, Moment, &'static str, Duration)> {
    (0..if long() { 10 * MOMENTS.len() } else { MOMENTS.len() }).map(|round| {
        let (moment, turn) = (MOMENTS[round % MOMENTS.len()], round / MOMENTS.len());
        let level = LEVELS[(round + turn) % LEVELS.len()];
        let later = Duration::from_micros(((turn * 7_919) % 20_000) as u64);
        (format!("{moment:?} and {later:?}, containment {level}"), moment, level, later)
    })
}

/// The processes of plugins that live, by pid.
pub(crate) fn living(run: &Running<'_>) -> BTreeSet<u32> {
    run.plugin_processes().into_iter().filter(|one| one.state != 'Z').map(|one| one.pid).collect()
}
