//! Phases of a start and their budgets; what a start that fails leads to.

use outboard_core::*;

use crate::world::*;

#[test]
fn a_good_plugin_passes_every_phase_and_is_active_after_an_answered_probe() {
    let (world, key) = World::of_one(policy(), Script::good());
    let phases: Vec<Phase> = world
        .notes(key)
        .filter_map(|(_, note)| match note {
            Note::PhaseReached { phase } => Some(*phase),
            _ => None,
        })
        .collect();
    assert_eq!(phases, [Phase::Spawn, Phase::FirstByte, Phase::Handshake, Phase::Ready]);
    assert_eq!(world.states(key), [StateName::Starting, StateName::Loaded, StateName::Active]);
    assert_eq!(
        world.probes(key).first().map(|probe| probe.1),
        Some(false),
        "the first probe goes out at once"
    );
    assert_eq!(world.route(key), Route::Open);
    assert_eq!(world.snapshot(key).health, HealthName::Ok);
}

#[test]
fn calls_wait_until_the_first_active_or_are_refused_as_the_manifest_has_it() {
    let routes = |while_restarting| {
        let policy = Policy { while_restarting, ..policy() };
        let (world, key) = World::of_one(policy, Script::good());
        let routes: Vec<Route> = world
            .lines(key)
            .filter_map(|(_, what)| match what {
                Effect::Route(route) => Some(route.clone()),
                _ => None,
            })
            .collect();
        routes
    };
    assert_eq!(routes(WhileRestarting::Wait), [Route::Hold(Unavailable::Starting), Route::Open]);
    assert_eq!(routes(WhileRestarting::Fail), [Route::Refuse(Unavailable::Starting), Route::Open]);
}

#[test]
fn a_plugin_that_never_answers_fails_at_the_end_of_its_phase_and_is_killed() {
    let script = Script { opens: Opens::Never, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(31)));
    assert_eq!(world.failures(key), [(Class::Handshake, "timeout")]);
    assert_eq!(world.rungs(key), [(Rung::Kill, 2000)]);
    let message = world.snapshot(key).last_failure.expect("it failed").detail.message;
    assert_eq!(
        message,
        "handshake: the opening was not answered in 30.0s; nothing was seen of it (0 bytes read, 0 written)"
    );
    assert!(!world.states(key).contains(&StateName::Active));
}

#[test]
fn an_answer_to_another_id_is_no_bare_timeout() {
    let script = Script { opens: Opens::Never, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.seeming(key).seen = Seen::OtherId;
    world.run_until(at(secs(31)));
    assert_eq!(world.failures(key), [(Class::Handshake, "reply-id-mismatch")]);
}

#[test]
fn hand_10_a_first_run_of_25_s_fits_and_after_a_timeout_the_budget_doubles_up_to_the_cap() {
    let slow = |seconds| Script {
        first_byte: Some(secs(seconds)),
        opens_after: secs(seconds),
        ..Script::good()
    };
    let (mut world, key) = World::of_one(policy(), slow(25));
    world.run_until(at(secs(26)));
    assert_eq!(world.state(key), StateName::Active);

    let (mut world, key) = World::of_one(policy(), slow(3600));
    world.run_until(at(secs(1000)));
    let spawns = world.spawns(key);
    let waits: Vec<u64> = world
        .notes(key)
        .filter(|(_, note)| matches!(note, Note::Failed(_)))
        .zip(&spawns)
        .map(|((failed, _), &spawned)| failed.since(spawned).as_secs())
        .collect();
    assert_eq!(waits, [30, 60, 120, 240, 300], "then the cap");
}

#[test]
fn activity_extends_the_wait_for_the_first_byte_up_to_its_cap() {
    let fetching = Script {
        first_byte: Some(secs(200)),
        opens_after: secs(201),
        active_for: secs(200),
        ..Script::good()
    };
    let (mut world, key) = World::of_one(policy(), fetching.clone());
    world.run_until(at(secs(202)));
    assert_eq!(world.state(key), StateName::Active);
    let extended = Note::PhaseExtended { phase: Phase::FirstByte, up_to: secs(300) };
    assert_eq!(world.count(|note| *note == extended), 1, "said once");

    // It goes quiet: half a budget later at the latest that is noticed.
    let quiet = Script { active_for: secs(40), first_byte: None, ..fetching.clone() };
    let (mut world, key) = World::of_one(policy(), quiet);
    world.run_until(at(secs(100)));
    let failed =
        world.notes(key).find(|(_, note)| matches!(note, Note::Failed(_))).expect("quiet").0;
    assert_eq!(failed.since_start().as_secs(), 60);

    let endless = Script { first_byte: None, active_for: secs(10_000), ..fetching };
    let (mut world, key) = World::of_one(policy(), endless);
    world.run_until(at(secs(400)));
    let failed =
        world.notes(key).find(|(_, note)| matches!(note, Note::Failed(_))).expect("the cap").0;
    assert_eq!(failed.since_start().as_secs(), 300);
}

#[test]
fn starting_up_alone_is_no_activity() {
    // The model's processes use some CPU once, at the start.
    let script = Script { first_byte: None, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(31)));
    assert_eq!(world.failures(key), [(Class::Handshake, "timeout")]);
}

#[test]
fn progress_restarts_the_clock_of_the_handshake_up_to_five_minutes() {
    let script = Script { opens: Opens::Never, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    for _ in 0..16 {
        world.run_for(secs(20));
        if world.state(key) != StateName::Starting {
            break;
        }
        world.say(key, Event::StartProgress);
    }
    world.run_for(secs(20));
    let failed =
        world.notes(key).find(|(_, note)| matches!(note, Note::Failed(_))).expect("the cap").0;
    assert_eq!(failed.since_start().as_secs(), 300);
}

#[test]
fn hand_07_not_ready_for_ever_stays_loaded_with_its_reason_and_then_fails() {
    let script = Script { opens: Opens::NotReady, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.reports(key, Saying::Busy, "reading the index");
    assert_eq!(world.state(key), StateName::Loaded);
    assert_eq!(world.snapshot(key).health_message.as_deref(), Some("reading the index"));
    assert_eq!(world.route(key), Route::Hold(Unavailable::Starting));
    assert!(world.probes(key).is_empty(), "no probe before it is ready");
    world.run_until(at(secs(62)));
    assert_eq!(world.failures(key), [(Class::Handshake, "not-ready")]);
    assert!(!world.states(key).contains(&StateName::Active));
}

#[test]
fn ready_later_is_active_after_a_probe() {
    let script = Script { opens: Opens::NotReady, ready_after: Some(secs(20)), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    assert_eq!(world.state(key), StateName::Loaded);
    world.run_until(at(secs(21)));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn a_first_probe_that_is_dropped_is_followed_by_one_of_the_second_kind_and_that_one_is_kept() {
    let script = Script { answers: Answers::SecondOnly, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    assert_eq!(world.state(key), StateName::Loaded);
    world.run_until(at(secs(60)));
    assert_eq!(world.state(key), StateName::Active);
    let kinds: Vec<bool> = world.probes(key).iter().map(|probe| probe.1).collect();
    assert_eq!(kinds[..2], [false, true]);
    assert!(
        kinds.len() > 3 && !kinds[2..].contains(&true),
        "the usual kind from then on: {kinds:?}"
    );
    // Over a restart as well.
    world.dies(key, Exit::Code(1));
    world.forget_the_past();
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
    assert_eq!(world.probes(key).len(), 1, "and its first probe was answered");
}

#[test]
fn a_plugin_that_opens_and_answers_no_probe_is_never_active() {
    let script = Script { answers: Answers::None, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(60)));
    assert_eq!(world.probes(key).len(), 3, "never more than three without an answer");
    world.run_for(secs(1));
    assert_eq!(world.failures(key), [(Class::Handshake, "no-answer")]);
}

#[test]
fn a_missing_executable_fails_for_good_after_one_try_and_its_file_is_looked_at() {
    let (mut world, key) = World::of_one(policy(), Script::launches(Launch::Missing));
    assert_eq!(world.state(key), StateName::Failed);
    assert_eq!(world.failures(key), [(Class::Spawn, "exe-missing")]);
    world.run_until(at(secs(14)));
    assert_eq!(world.lines(key).filter(|(_, what)| **what == Effect::LookAtFile).count(), 0);
    world.run_until(at(secs(100)));
    assert_eq!(world.spawns(key).len(), 1, "nothing but looks");
    let looks = world.lines(key).filter(|(_, what)| **what == Effect::LookAtFile).count();
    assert_eq!(looks, 2, "after 15 s, then 30 s later");
    *world.script(key) = Script { file_changed: true, ..Script::good() };
    world.run_for(secs(60));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn spawn_05_a_busy_file_is_tried_again_without_charge() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 1, within: secs(3600) };
    let (mut world, key) = World::of_one(policy, Script::launches(Launch::Busy));
    world.run_until(at(secs(600)));
    assert!(world.spawns(key).len() > 10, "never given up");
    assert!(!world.states(key).contains(&StateName::Failed));
    *world.script(key) = Script::good();
    world.run_for(secs(31));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn a_start_that_fails_in_passing_is_not_tried_in_a_tight_loop() {
    let mut policy = policy();
    policy.restart.backoff.initial = ms(0);
    let (mut world, key) = World::of_one(policy, Script::launches(Launch::Busy));
    world.run_until(at(secs(10)));
    let tries = world.spawns(key).len();
    assert!((50..=101).contains(&tries), "{tries}");
}

#[test]
fn spawn_12_an_exec_that_stalls_is_killed_and_holds_up_nobody() {
    let mut world = World::new();
    let a = world.add("a", policy(), Script::launches(Launch::Stalls));
    let b = world.add("b", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(b), StateName::Active);
    world.run_until(at(secs(6)));
    assert_eq!(world.failures(a)[0], (Class::Spawn, "exec-stalled"));
    assert_eq!(world.rungs(a)[0], (Rung::Kill, 2000));
}

#[test]
fn a_refused_launch_runs_nothing_until_it_is_started_or_changed() {
    let (mut world, key) = World::of_one(policy(), Script::launches(Launch::Refused));
    assert_eq!(world.failures(key), [(Class::Config, "secret-missing")]);
    world.run_until(at(secs(3600)));
    assert_eq!(world.spawns(key).len(), 1);
    assert_eq!(world.fleet.next_deadline(), None);
    *world.script(key) = Script::good();
    world.command(key, Event::Start);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn a_refused_manifest_is_a_failed_row_that_comes_alive_when_it_is_mended() {
    let mut world = World::new();
    let key = world.add("a", policy(), Script::good());
    let detail = Detail { detail: "manifest", message: "unknown section `restrat`".into() };
    let effects = world.fleet.refuse(world.now, key, detail);
    world.carry_out(effects);
    world.start();
    world.run_for(secs(60));
    assert_eq!(world.state(key), StateName::Failed);
    assert_eq!(world.route(key), Route::Refuse(Unavailable::Failed));
    assert!(world.spawns(key).is_empty());
    world.reconfigure(key, policy());
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn hand_05_no_common_version_fails_for_good_after_one_try() {
    let script = Script { opens: Opens::NoCommonVersion, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(600)));
    assert_eq!(world.spawns(key).len(), 1);
    assert_eq!(world.state(key), StateName::Failed);
}

#[test]
fn a_refused_opening_is_tried_again() {
    let script = Script { opens: Opens::Refuses, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(10)));
    assert!(world.spawns(key).len() > 2);
}

#[test]
fn hand_09_an_exit_0_in_the_middle_of_the_handshake_is_a_failure_even_under_on_failure() {
    let mut policy = policy();
    policy.restart.policy = RestartWhen::OnFailure;
    let script = Script {
        opens: Opens::Never,
        ends: Some((When::Executed, ms(5), Exit::Code(0))),
        ..Script::good()
    };
    let (world, key) = World::of_one(policy, script);
    assert_eq!(world.failures(key)[0], (Class::Exit, "before-handshake"));
    assert!(world.spawns(key).len() > 1, "charged and restarted");
}

#[test]
fn news_that_the_keeper_brings_late_is_no_surprise() {
    // The plugin's bytes were faster than the keeper's word that it executes.
    let mut fleet = Fleet::new(fleet_policy(), 1);
    let key = fleet.register(Time::ZERO, "a".into(), policy(), 0);
    drop(fleet.start_enabled(Time::ZERO));
    for event in [
        Event::FirstByte,
        Event::Opened(Opening { ready: true }),
        Event::ProbeAnswered,
        Event::Spawned { pid: 7 },
        Event::Execed,
    ] {
        let effects = fleet.step(at(ms(5)), key, 1, event);
        assert!(
            !effects
                .iter()
                .any(|(_, _, what)| matches!(what, Effect::Note(Note::Surprised { .. }))),
            "{effects:?}"
        );
    }
    assert_eq!(fleet.snapshot(key).state, StateName::Active);
    assert_eq!(fleet.snapshot(key).pid, Some(7));
}

#[test]
fn hand_11_an_answer_in_the_pipe_counts_before_the_timer_of_a_stalled_host() {
    let script = Script { opens_after: secs(29), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(20)));
    world.stall(secs(60));
    world.run_for(secs(1));
    assert_eq!(world.count(|note| matches!(note, Note::ClockStalled { .. })), 1);
    assert_eq!(world.state(key), StateName::Active);
    assert!(world.failures(key).is_empty());
}

#[test]
fn a_stall_during_the_handshake_costs_the_plugin_nothing() {
    let script = Script { opens_after: secs(40), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.run_until(at(secs(10)));
    // The machine was stopped: neither host nor plugin ran, and the timer is 9 s late.
    world.stall(secs(29));
    world.run_for(secs(2));
    assert_eq!(world.count(|note| matches!(note, Note::ClockStalled { .. })), 1);
    assert_eq!(world.state(key), StateName::Active);
    assert!(world.failures(key).is_empty());
}
