//! Alive, busy, unwell, hung; and a host that stalls.

use outboard_core::*;

use crate::world::*;

#[test]
fn health_01_a_hang_is_judged_after_three_misses_and_restarted_by_a_short_ladder() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.hang(key);
    world.run_for(secs(40));
    assert_eq!(world.failures(key), [(Class::Hang, "no-answer")]);
    assert_eq!(world.count(|note| matches!(note, Note::ProbeMissed { .. })), 3);
    assert_eq!(world.settles(key), [&Settle::Crashed { class: Class::Hang, exit: None }]);
    // It takes neither the end of its input nor the signal.
    assert_eq!(world.rungs(key), [(Rung::Leave, 500), (Rung::Term, 5000), (Rung::Kill, 2000)]);
    assert!(world.states(key).contains(&StateName::Degraded), "suspect before it is hung");
    world.run_for(secs(10));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn one_missed_probe_makes_it_suspect_and_an_answer_makes_it_well_again() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.script(key).answers = Answers::None;
    while world.snapshot(key).health != HealthName::Suspect {
        world.run_for(ms(500));
        assert!(world.now < at(secs(60)), "{:?}", world.snapshot(key));
    }
    assert_eq!(world.state(key), StateName::Degraded);
    assert_eq!(world.route(key), Route::Open, "calls still flow");
    world.script(key).answers = Answers::Both;
    world.run_for(secs(5));
    assert_eq!(world.snapshot(key).health, HealthName::Ok);
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn an_idle_plugin_is_probed_at_its_interval() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.run_until(at(secs(1000)));
    let probes = world.probes(key);
    assert!((95..=112).contains(&probes.len()), "{}", probes.len());
    for pair in probes[1..].windows(2) {
        let gap = pair[1].0.since(pair[0].0);
        assert!(gap >= secs(9) && gap <= ms(11_010), "{gap:?}");
    }
}

#[test]
fn a_plugin_whose_calls_are_answered_is_not_probed() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.run_for(secs(12));
    let before = world.probes(key).len();
    for _ in 0..100 {
        world.answers_a_call(key);
        world.run_for(secs(1));
    }
    assert_eq!(world.probes(key).len(), before);
}

#[test]
fn health_02_a_busy_plugin_is_not_killed_before_its_calls_own_deadline_and_then_judged() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.run_until(at(secs(20)));
    world.hang(key);
    world.seeming(key).working = 1;
    world.seeming(key).latest_deadline = Some(at(secs(320)));
    world.run_until(at(secs(319)));
    assert_eq!(world.snapshot(key).health, HealthName::Busy);
    assert_eq!(world.state(key), StateName::Active, "busy is active");
    assert!(world.count(|note| matches!(note, Note::ProbeExcused { .. })) > 3);
    assert_eq!(world.count(|note| matches!(note, Note::ProbeMissed { .. })), 0);
    assert!(world.probes(key).len() < 10, "at most three without an answer");
    world.run_until(at(secs(330)));
    assert_eq!(world.failures(key), [(Class::Hang, "busy-too-long")]);
}

#[test]
fn work_without_a_deadline_excuses_up_to_the_busy_cap() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.run_until(at(secs(20)));
    let life = world.snapshot(key).last_life.expect("it is active");
    world.hang(key);
    world.seeming(key).working = 1;
    world.run_until(at(secs(200)));
    let hung =
        world.notes(key).find(|(_, note)| matches!(note, Note::Failed(_))).expect("judged").0;
    let silent = hung.since(life);
    assert!(silent >= secs(120) && silent < secs(128), "{silent:?}");
}

#[test]
fn saying_busy_excuses_like_work_and_a_log_line_does_not() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.reports(key, Saying::Busy, "compacting");
    world.hang(key);
    world.run_for(secs(100));
    assert_eq!(world.snapshot(key).health, HealthName::Busy);
    assert_eq!(world.snapshot(key).health_message.as_deref(), Some("compacting"));
    world.run_for(secs(40));
    assert_eq!(world.failures(key), [(Class::Hang, "busy-too-long")]);
}

#[test]
fn work_that_ends_in_silence_leads_to_plain_misses() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.run_until(at(secs(20)));
    world.hang(key);
    world.seeming(key).working = 1;
    world.run_for(secs(60));
    assert_eq!(world.snapshot(key).health, HealthName::Busy);
    world.seeming(key).working = 0;
    world.run_for(secs(30));
    assert_eq!(world.failures(key), [(Class::Hang, "no-answer")]);
    assert_eq!(world.count(|note| matches!(note, Note::ProbeMissed { .. })), 3, "counted from one");
}

#[test]
fn health_04_a_plugin_that_drops_pings_but_answers_calls_is_never_restarted() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.script(key).answers = Answers::None;
    for _ in 0..600 {
        world.answers_a_call(key);
        // Just often enough that a probe falls between.
        world.run_for(secs(11));
    }
    assert!(world.failures(key).is_empty());
    assert_eq!(world.spawns(key).len(), 1);
}

#[test]
fn health_04_the_second_kind_of_probe_is_tried_and_kept() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.script(key).answers = Answers::SecondOnly;
    world.run_for(secs(600));
    assert!(world.failures(key).is_empty());
    let kinds: Vec<bool> = world.probes(key).iter().map(|probe| probe.1).collect();
    assert_eq!(kinds.iter().filter(|second| **second).count(), 1, "then it is the usual one");
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn wire_14_a_probe_that_cannot_enter_the_pipe_is_a_miss() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.script(key).reads_input = false;
    world.run_for(secs(40));
    assert_eq!(world.failures(key)[0], (Class::Hang, "stdin-blocked"));
}

#[test]
fn the_timeout_counts_from_the_last_byte_of_the_probe() {
    let (world, key) = World::of_one(policy(), Script::good());
    let mut fleet = world.fleet.clone();
    // The probe goes out, and enters the pipe 4 s later.
    let sent = fleet.next_deadline().expect("the next probe");
    let effects = fleet.step(sent, key, 0, Event::Deadline(Look::default()));
    assert!(effects.iter().any(|(_, _, what)| matches!(what, Effect::Probe { .. })));
    let look = Look { probe_written: Some(sent + secs(4)), ..Look::default() };
    let due = fleet.next_deadline().expect("its timeout");
    assert_eq!(due, sent + secs(5));
    let effects = fleet.step(due, key, 0, Event::Deadline(look));
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(fleet.next_deadline(), Some(sent + secs(9)));
}

#[test]
fn half_a_message_and_then_silence_says_so() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.hang(key);
    world.seeming(key).mid_frame = true;
    world.run_for(secs(40));
    assert_eq!(world.failures(key)[0], (Class::Hang, "mid-frame"));
}

#[test]
fn health_07_a_plugin_stopped_by_a_signal_is_killed_and_told_apart() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.hang(key);
    world.seeming(key).stopped = true;
    world.run_for(secs(40));
    assert_eq!(world.failures(key)[0], (Class::Hang, "stopped-by-signal"));
    assert_eq!(world.rungs(key), [(Rung::Kill, 2000)]);
    assert_eq!(world.state(key), StateName::Active, "and restarted");
}

#[test]
fn a_traced_plugin_is_never_judged_as_hung() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.hang(key);
    world.seeming(key).traced = true;
    world.run_for(secs(3600));
    assert!(world.failures(key).is_empty());
    assert_eq!(world.state(key), StateName::Active);
    world.seeming(key).traced = false;
    world.run_for(secs(40));
    assert_eq!(
        world.failures(key),
        [(Class::Hang, "no-answer")],
        "once the debugger is gone it is"
    );
}

#[test]
fn health_05_a_suspend_of_eight_hours_blames_nobody_and_spreads_the_probes() {
    let mut world = World::new();
    let keys: Vec<Key> =
        (0..100).map(|n| world.add(&format!("p{n}"), policy(), Script::good())).collect();
    world.start();
    world.run_for(secs(30));
    world.forget_the_past();
    world.run_for(secs(1));
    world.suspend(secs(8 * 3600));
    world.run_for(ms(50));
    let at_once: usize = keys.iter().map(|key| world.probes(*key).len()).sum();
    assert!(at_once < 25, "no burst: {at_once}");
    world.run_for(secs(60));
    assert_eq!(world.count(|note| matches!(note, Note::ClockStalled { .. })), 1);
    assert!(
        keys.iter()
            .all(|key| world.failures(*key).is_empty() && world.state(*key) == StateName::Active)
    );
    assert!(
        keys.iter().all(|key| world.probes(*key).iter().any(|(at, _)| at.since_start() < secs(37)))
    );
}

#[test]
fn health_06_a_stall_of_the_host_under_200_plugins_is_one_stall_and_no_hang() {
    let mut world = World::new();
    let mut quick = policy();
    quick.health = HealthPolicy {
        interval: secs(1),
        timeout: ms(500),
        suspect_interval: ms(200),
        ..quick.health
    };
    let keys: Vec<Key> =
        (0..200).map(|n| world.add(&format!("p{n}"), quick.clone(), Script::good())).collect();
    world.start();
    world.run_for(secs(30));
    world.forget_the_past();
    for _ in 0..5 {
        // Everything was stopped, the plugins as well: what they were to answer they answer afterwards.
        for key in &keys {
            world.script(*key).answers_in = ms(3300);
        }
        world.run_for(ms(300));
        world.stall(secs(3));
        for key in &keys {
            world.script(*key).answers_in = ms(1);
        }
        world.run_for(secs(20));
    }
    assert_eq!(world.count(|note| matches!(note, Note::ClockStalled { .. })), 5, "one each time");
    for key in keys {
        assert_eq!(world.failures(key), []);
        assert_eq!(world.state(key), StateName::Active);
    }
}

#[test]
fn health_09_a_host_that_is_late_by_half_a_second_adds_that_to_what_it_judges() {
    let mut quick = policy();
    quick.health = HealthPolicy { interval: secs(2), timeout: secs(1), ..quick.health };
    let (mut world, key) = World::of_one(quick, Script::good());
    world.run_for(secs(20));
    world.script(key).answers = Answers::None;
    let sent = world.probes(key).len();
    while world.probes(key).len() == sent {
        world.run_for(ms(10));
    }
    world.run_for(ms(900));
    world.stall(ms(600));
    world.run_for(ms(1));
    assert_eq!(world.count(|note| matches!(note, Note::ClockStalled { .. })), 1);
    assert_eq!(world.count(|note| matches!(note, Note::ProbeMissed { .. })), 0);
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn health_10_flapping_is_degraded_until_it_has_been_well_for_a_minute() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.forget_the_past();
    for _ in 0..50 {
        world.reports(key, Saying::Degraded, "cache cold");
        world.run_for(secs(2));
        world.reports(key, Saying::Ready, "fine");
        world.run_for(secs(2));
    }
    assert_eq!(
        world.states(key),
        [StateName::Degraded, StateName::Active, StateName::Degraded],
        "then no more"
    );
    assert!(world.snapshot(key).health_message.expect("a reason").starts_with("flapping"));
    world.run_for(secs(55));
    assert_eq!(world.state(key), StateName::Degraded);
    world.run_for(secs(2));
    assert_eq!(world.state(key), StateName::Active);
    assert!(world.failures(key).is_empty());
}

#[test]
fn health_11_degraded_by_its_own_words_is_told_and_calls_flow() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.reports(key, Saying::Degraded, "cache cold");
    assert_eq!(world.state(key), StateName::Degraded);
    assert_eq!(world.snapshot(key).health_message.as_deref(), Some("cache cold"));
    assert_eq!(world.route(key), Route::Open);
    for _ in 0..5 {
        world.reports(key, Saying::Unhealthy, "no disk");
    }
    assert_eq!(world.state(key), StateName::Degraded);
    assert_eq!(
        world.snapshot(key).last_failure.map(|failure| failure.class),
        Some(Class::Unhealthy)
    );
    assert!(world.rungs(key).is_empty(), "reported, not restarted");
    world.reports(key, Saying::Ready, "fine");
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn health_11_the_third_unhealthy_report_in_a_row_restarts_where_that_is_asked_for() {
    let mut policy = policy();
    policy.health.on_unhealthy = OnUnhealthy::Restart;
    let (mut world, key) = World::of_one(policy, Script::good());
    world.reports(key, Saying::Unhealthy, "no disk");
    world.reports(key, Saying::Unhealthy, "no disk");
    world.reports(key, Saying::Ready, "fine");
    world.reports(key, Saying::Unhealthy, "no disk");
    world.reports(key, Saying::Unhealthy, "no disk");
    assert!(world.rungs(key).is_empty(), "not in a row");
    world.reports(key, Saying::Unhealthy, "no disk");
    assert_eq!(world.failures(key), [(Class::Unhealthy, "reported")]);
    assert_eq!(world.rungs(key), [(Rung::Drain, 5000)], "it is asked to leave like anyone");
    world.run_for(secs(2));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn too_much_noise_is_degraded_and_quiet_is_well() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.say(key, Event::Noisy(true));
    assert_eq!(world.state(key), StateName::Degraded);
    world.say(key, Event::Noisy(false));
    assert_eq!(world.state(key), StateName::Active);
}
