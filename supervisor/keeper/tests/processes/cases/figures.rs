//! Figures, printed and not judged.

use std::time::{Duration, Instant};

use outboard_keeper::{ContainmentChoice, Order, Report, SpawnOrder};

use crate::brain::Brain;
use crate::rig::{Rig, null};
use crate::world;

super::cases![
    Both:
        from_order_to_exec,
        from_crash_to_gone_among_many,
        a_thousand_children_after_the_brains_death;
];

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn start(rig: &mut Rig) -> u64 {
    let key = rig.key();
    let mut order = SpawnOrder::new(key, c"/bin/sleep".to_owned(), [null(), null(), null()]);
    order.argv = vec![c"sleep".to_owned(), c"100".to_owned()];
    rig.send(Order::Spawn(Box::new(order)));
    key
}

fn await_exec(rig: &mut Rig, key: u64) {
    rig.take(|report| matches!(report, Report::Execed { key: k } if *k == key).then_some(()));
}

fn from_order_to_exec(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        let key = start(&mut rig);
        await_exec(&mut rig, key);
        times.push(began.elapsed());
        rig.kill(key);
    }
    println!("    order to exec, p50 of 200: {:?}", middle(times));
}

fn from_crash_to_gone_among_many(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let keys: Vec<u64> = (0..500).map(|_| start(&mut rig)).collect();
    for &key in &keys {
        await_exec(&mut rig, key);
    }
    let mut times = Vec::new();
    for &key in &keys[..50] {
        let began = Instant::now();
        rig.started[&key].1.send_signal(libc::SIGKILL).unwrap();
        rig.gone(key);
        times.push(began.elapsed());
    }
    println!("    crash to gone among 500 plugins, p50 of 50: {:?}", middle(times));
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.keeper.pid())).unwrap();
    let rss = status.lines().find(|line| line.starts_with("RssAnon")).unwrap_or_default();
    println!("    keeper: {rss}");
}

fn a_thousand_children_after_the_brains_death(choice: ContainmentChoice) {
    let plugins = ["tree:99"; 10];
    let mut brain = Brain::start(choice, &plugins);
    brain.wait_until_up(plugins.len());
    assert_eq!(world::living_below(brain.keeper).len(), 1000);
    world::kill(brain.pid);
    println!("    1,000 processes gone after {:?}", world::wait_for_nobody());
}
