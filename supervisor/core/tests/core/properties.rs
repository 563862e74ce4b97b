//! Properties over random fleets, scripts and commands; the world checks after every step what must always hold.

use outboard_core::*;
use proptest::prelude::*;

use crate::world::*;

#[derive(Clone, Debug)]
enum Op {
    Start(usize),
    Stop(usize, bool),
    Restart(usize, bool),
    Called(usize),
    Becomes(usize, Script),
    Dies(usize, Exit),
    Hangs(usize),
    Says(usize, Saying),
    LinkBreaks(usize),
    Works(usize, u32),
    Reconfigured(usize, Box<Policy>),
    HostStalls(u64),
    Suspended(u64),
    KeeperDies,
    Swaps(usize, SwapPolicy, Box<(Policy, Script)>),
}

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![
        Just(Exit::Code(0)),
        Just(Exit::Code(1)),
        Just(Exit::Code(125)),
        Just(Exit::Signal { name: "SIGSEGV", core: false }),
        Just(Exit::Oom),
    ]
}

fn scripts() -> impl Strategy<Value = Script> {
    let launches = prop_oneof![
        12 => Just(Launch::Executes),
        1 => Just(Launch::Refused),
        1 => Just(Launch::Missing),
        1 => Just(Launch::Busy),
        1 => Just(Launch::Stalls),
    ];
    let opens = prop_oneof![
        8 => Just(Opens::Ready),
        2 => Just(Opens::NotReady),
        1 => Just(Opens::Refuses),
        1 => Just(Opens::NoCommonVersion),
        1 => Just(Opens::Never),
    ];
    let answers = prop_oneof![6 => Just(Answers::Both), 2 => Just(Answers::SecondOnly), 1 => Just(Answers::None)];
    let when = prop_oneof![Just(When::Executed), Just(When::Active)];
    let ends = proptest::option::of((when, 0_u64..100_000, exits()));
    let obeys = prop_oneof![
        4 => Just(vec![Rung::Leave, Rung::Term, Rung::Kill]),
        2 => Just(vec![Rung::Ask, Rung::Kill]),
        2 => Just(vec![Rung::Term, Rung::Kill]),
        2 => Just(vec![Rung::Kill]),
        1 => Just(vec![]),
    ];
    let times =
        (0_u64..40_000, 0_u64..8_000, proptest::option::of(0_u64..8_000), 0_u32..3, any::<bool>());
    (launches, opens, answers, ends, obeys, times).prop_map(
        |(launch, opens, answers, ends, obeys, times)| {
            let (opens_after, leaves_in, drains_in, leaves_behind, reads_input) = times;
            Script {
                launch,
                opens,
                opens_after: ms(opens_after),
                ready_after: (leaves_in % 2 == 0).then_some(ms(leaves_in * 10)),
                answers,
                ends: ends.map(|(when, after, exit)| (when, ms(after), exit)),
                obeys,
                leaves_in: ms(leaves_in / 10),
                drains_in: drains_in.map(ms),
                asked_in: drains_in.map(ms),
                leaves_behind,
                reads_input: reads_input || leaves_behind == 0,
                active_for: ms(opens_after),
                file_changed: reads_input,
                ..Script::good()
            }
        },
    )
}

/// Depends only on plugins before it, so there are no circles.
fn policies(index: usize) -> impl Strategy<Value = Policy> {
    let when = prop_oneof![3 => Just(RestartWhen::Always), 1 => Just(RestartWhen::OnFailure), 1 => Just(RestartWhen::Never)];
    let flags =
        (prop::bool::weighted(0.9), prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    let figures = (0_u32..4, 1_u32..4, proptest::option::of(100_u64..20_000), 0_u64..2_000);
    let edges = prop::collection::vec((0..index.max(1), any::<bool>()), 0..2);
    (when, flags, figures, edges).prop_map(move |(when, flags, figures, edges)| {
        let (enabled, lazy, wait, restart_unhealthy) = flags;
        let (restarts, misses, total, initial) = figures;
        let mut policy = Policy { enabled, lazy, ..policy() };
        policy.restart.policy = when;
        policy.restart.budget.restarts = restarts;
        policy.restart.backoff.initial = ms(initial);
        policy.restart.backoff.jitter = 0.2;
        policy.health.misses = misses;
        policy.stop.total = total.map(ms);
        policy.while_restarting = if wait { WhileRestarting::Wait } else { WhileRestarting::Fail };
        if restart_unhealthy {
            policy.health.on_unhealthy = OnUnhealthy::Restart;
        }
        for (other, hard) in edges {
            if other < index {
                let list = if hard { &mut policy.requires } else { &mut policy.after };
                list.push(format!("p{other}").into());
            }
        }
        policy
    })
}

const PLUGINS: usize = 4;

/// Four levels of half a second to kill and half a second for leftovers fit, and not much more.
const CAP: std::time::Duration = std::time::Duration::from_secs(6);

fn ops() -> impl Strategy<Value = Op> {
    let who = 0..PLUGINS;
    let saying = prop_oneof![
        Just(Saying::Ready),
        Just(Saying::Degraded),
        Just(Saying::Unhealthy),
        Just(Saying::Busy)
    ];
    prop_oneof![
        3 => who.clone().prop_map(Op::Start),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, now)| Op::Stop(who, now)),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, now)| Op::Restart(who, now)),
        2 => who.clone().prop_map(Op::Called),
        3 => (who.clone(), scripts()).prop_map(|(who, script)| Op::Becomes(who, script)),
        4 => (who.clone(), exits()).prop_map(|(who, exit)| Op::Dies(who, exit)),
        2 => who.clone().prop_map(Op::Hangs),
        2 => (who.clone(), saying).prop_map(|(who, saying)| Op::Says(who, saying)),
        1 => who.clone().prop_map(Op::LinkBreaks),
        1 => (who, 0_u32..3).prop_map(|(who, calls)| Op::Works(who, calls)),
        1 => (0..PLUGINS).prop_flat_map(|who| policies(who).prop_map(move |policy| Op::Reconfigured(who, Box::new(policy)))),
        1 => (100_u64..20_000).prop_map(Op::HostStalls),
        1 => (1_000_u64..100_000_000).prop_map(Op::Suspended),
        1 => Just(Op::KeeperDies),
        4 => swaps(),
    ]
}

fn swaps() -> impl Strategy<Value = Op> {
    let modes = prop_oneof![Just(SwapMode::Overlap), Just(SwapMode::Exclusive)];
    let how = (modes, 0_u32..4, 1_u64..20).prop_map(|(mode, probes, within)| SwapPolicy {
        mode,
        probes,
        within: secs(within),
    });
    let well = prop_oneof![Just(Script::good()), scripts()];
    (0..PLUGINS).prop_flat_map(move |who| {
        (how.clone(), policies(who), well.clone())
            .prop_map(move |(how, policy, script)| Op::Swaps(who, how, Box::new((policy, script))))
    })
}

fn fleets() -> impl Strategy<Value = Vec<(Policy, Script)>> {
    (
        (policies(0), scripts()),
        (policies(1), scripts()),
        (policies(2), scripts()),
        (policies(3), scripts()),
    )
        .prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

fn history() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let delays = prop_oneof![3 => 0_u64..50, 2 => 50_u64..5_000, 1 => 5_000_u64..200_000];
    prop::collection::vec((delays, ops()), 0..30)
}

/// A fleet with a past.
fn lived(fleet: &[(Policy, Script)], history: &[(u64, Op)]) -> (World, Vec<Key>) {
    lived_and(fleet, history, |_| ())
}

/// A fleet with a past in which something was done after each step.
fn lived_and(
    fleet: &[(Policy, Script)],
    history: &[(u64, Op)],
    each: impl Fn(&mut World),
) -> (World, Vec<Key>) {
    let mut world =
        World::with(FleetPolicy { start_concurrency: 2, shutdown_cap: CAP, ..fleet_policy() });
    let keys: Vec<Key> = fleet
        .iter()
        .enumerate()
        .map(|(n, (policy, script))| world.add(&format!("p{n}"), policy.clone(), script.clone()))
        .collect();
    world.start();
    for (delay, op) in history {
        world.run_for(ms(*delay));
        apply(&mut world, &keys, op);
        each(&mut world);
    }
    (world, keys)
}

fn apply(world: &mut World, keys: &[Key], op: &Op) {
    match op {
        Op::Start(who) => world.command(keys[*who], Event::Start),
        Op::Stop(who, now) => {
            world.command(keys[*who], Event::Stop { now: *now, reason: StopReason::Stop })
        }
        Op::Restart(who, now) => world.command(keys[*who], Event::Restart { now: *now }),
        Op::Called(who) => world.command(keys[*who], Event::Called),
        Op::Becomes(who, script) => *world.script(keys[*who]) = script.clone(),
        Op::Dies(who, exit) => world.dies(keys[*who], exit.clone()),
        Op::Hangs(who) => world.hang(keys[*who]),
        Op::Says(who, saying) => {
            if world.is_alive(keys[*who]) {
                world.reports(keys[*who], *saying, "so it says");
            }
        }
        Op::LinkBreaks(who) => {
            if world.is_alive(keys[*who]) {
                let detail = Detail { detail: "stdout-closed", message: String::new() };
                world.say(keys[*who], Event::LinkBroken(detail));
            }
        }
        Op::Works(who, calls) => world.seeming(keys[*who]).working = *calls,
        Op::Reconfigured(who, policy) => world.reconfigure(keys[*who], (**policy).clone()),
        Op::HostStalls(span) => world.stall(ms(*span)),
        Op::Suspended(by) => world.suspend(ms(*by)),
        Op::Swaps(who, how, next) => {
            let (policy, script) = (**next).clone();
            let before = world.snapshot(keys[*who]);
            let answer = world.swap(keys[*who], policy, *how, script);
            let serves = matches!(before.state, StateName::Active | StateName::Degraded);
            if before.swap.is_some() {
                assert_eq!(answer, Err(NoSwap::UnderWay));
            } else if serves {
                assert!(matches!(answer, Ok(Swapping::Begun) | Err(NoSwap::Requires(_))));
            }
        }
        Op::KeeperDies => {
            world.keeper_dies();
            world.run_for(ms(20));
            world.keeper_comes_back();
        }
    }
}

/// `PROPTEST_CASES` tries more, for the long form.
fn config() -> ProptestConfig {
    let usual = if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default().cases
    } else {
        96
    };
    ProptestConfig {
        cases: usual,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_wanted_down_ends_down(fleet in fleets(), history in history()) {
        let (mut world, keys) = lived(&fleet, &history);
        for key in &keys {
            world.stop(*key);
        }
        world.run_for(secs(120));
        for key in keys {
            let seen = world.snapshot(key);
            let beside = seen.next.as_ref().map(|next| next.state);
            let fenced = beside == Some(StateName::Unkillable);
            let down = seen.state == StateName::Registered && (fenced || !world.lives(key));
            prop_assert!(down || seen.state == StateName::Unkillable, "{seen:?}");
        }
    }

    /// Never three of one, and exactly one is led to: the world checks that after each step.
    #[test]
    fn every_swap_ends_in_one_verdict(fleet in fleets(), history in history()) {
        let (mut world, keys) = lived(&fleet, &history);
        world.run_for(secs(2000));
        for key in keys {
            let (mut began, mut judged, mut done) = (0, 0, 0);
            for (_, note) in world.swap_trail(key) {
                match note {
                    Note::SwapStarted { .. } => began += 1,
                    Note::SwapJudged(_) => judged += 1,
                    Note::SwapDone { .. } => done += 1,
                    _ => {}
                }
                prop_assert!(began >= judged && judged >= done && began <= done + 1);
            }
            prop_assert_eq!((judged, done), (began, began));
            let seen = world.snapshot(key);
            prop_assert!(seen.swap.is_none() || format!("{seen:?}").contains("Unkillable"), "{seen:?}");
        }
    }

    #[test]
    fn a_shutdown_ends_within_its_cap(fleet in fleets(), history in history(), kill in any::<bool>()) {
        let (mut world, keys) = lived(&fleet, &history);
        // What the host has slept through comes first.
        world.run_for(ms(1));
        let began = world.now;
        world.shut_down(false);
        if kill {
            world.run_for(secs(1));
            world.shut_down(true);
        }
        while !world.fleet.is_down() {
            prop_assert!(world.now.since(began) <= CAP, "{:?}", keys.iter().map(|key| world.snapshot(*key)).collect::<Vec<_>>());
            world.run_for(ms(100));
        }
        world.forget_the_past();
        world.run_for(secs(1000));
        for key in keys {
            prop_assert!(world.spawns(key).is_empty());
            prop_assert_eq!(world.route(key), if world.state(key) == StateName::Unkillable {
                Route::Refuse(Unavailable::Down)
            } else {
                Route::Refuse(Unavailable::Stopping(StopReason::HostExit))
            });
        }
    }

    #[test]
    fn once_all_is_well_all_that_is_wanted_comes_up_and_no_call_is_held(fleet in fleets(), history in history()) {
        let (mut world, keys) = lived(&fleet, &history);
        for key in &keys {
            *world.script(*key) = Script::good();
            world.next_is_good(*key);
            *world.seeming(*key) = Seeming::default();
        }
        // A process that was started before ends as it was to.
        world.run_for(secs(1000));
        for key in &keys {
            world.command(*key, Event::Restart { now: true });
        }
        // Longer than any ladder, backoff and suspended judgement; the storm guard's second for each as well.
        world.run_for(secs(1000));
        let stuck = keys.iter().any(|key| world.state(*key) == StateName::Unkillable);
        for key in keys {
            let seen = world.snapshot(key);
            prop_assert!(stuck || matches!(seen.state, StateName::Active | StateName::Degraded), "{seen:?}");
            prop_assert!(stuck || world.route(key) == Route::Open, "{:?} {seen:?}", world.route(key));
        }
    }

    #[test]
    fn restarts_never_pass_the_budget(
        runs in prop::collection::vec((0_u64..40_000, exits()), 1..60),
        restarts in 0_u32..6,
        within in 1_u64..200,
    ) {
        let mut policy = policy();
        policy.restart.budget = Budget { restarts, within: secs(within) };
        policy.restart.reset_after = secs(1_000_000);
        policy.restart.retry_after = RetryAfter::Never;
        let (mut world, key) = World::of_one(policy, Script::good());
        for (run, exit) in runs {
            world.run_for(ms(run));
            if world.is_alive(key) {
                world.dies(key, exit);
            }
        }
        world.run_for(secs(100));
        let charged: Vec<Time> = world
            .notes(key)
            .filter(|(_, note)| matches!(note, Note::RestartScheduled { .. }))
            .map(|(at, _)| at)
            .collect();
        for (n, first) in charged.iter().enumerate() {
            let inside = charged[n..].iter().filter(|at| at.since(*first) < secs(within)).count();
            prop_assert!(inside <= restarts as usize, "{inside} restarts in {within} s: {charged:?}");
        }
    }

    /// What a fleet is goes over to the supervisor's next build whole: nothing that it does tells that it did.
    #[test]
    fn a_fleet_that_was_handed_over_goes_on_as_if_nothing_had_been(fleet in fleets(), history in history()) {
        let (mut first, _) = lived(&fleet, &history);
        let (mut second, _) = lived_and(&fleet, &history, |world| {
            let text = serde_json::to_string(&world.fleet).unwrap();
            world.fleet = serde_json::from_str(&text).unwrap();
        });
        first.run_for(secs(300));
        second.run_for(secs(300));
        prop_assert!(first.journal == second.journal);
    }

    #[test]
    fn equal_histories_have_equal_journals(fleet in fleets(), history in history()) {
        let (first, _) = lived(&fleet, &history);
        let (second, _) = lived(&fleet, &history);
        prop_assert!(first.journal == second.journal);
    }
}
