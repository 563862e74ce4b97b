//! A thousand plugins: up, memory, idle, and gone after the supervisor is killed.

use std::fs;
use std::time::{Duration, Instant};

use crate::report::Sample;
use crate::world::{World, echo_manifest};

const PLUGINS: usize = 1000;

pub(crate) fn measure() -> Vec<Sample> {
    let base = memory_of(0).0;
    let up = crate::starts::one_after_another(PLUGINS);
    let (full, samples) = memory_of(PLUGINS);
    let mut all = vec![
        Sample::new("floor up-1000", "ms", up),
        Sample::new("outboard base", "KiB", base),
        Sample::new("outboard idle-plugin", "KiB", (full - base) / PLUGINS as f64),
    ];
    all.extend(samples);
    all
}

fn memory_of(plugins: usize) -> (f64, Vec<Sample>) {
    let world = World::new();
    for n in 0..plugins {
        world.manifest(&format!("p{n:04}"), &echo_manifest());
    }
    world.manifest("zz", &echo_manifest());
    let began = Instant::now();
    let mut running = world.outboard();
    let events = world.state().join("events.jsonl");
    let active = || {
        let text = fs::read_to_string(&events).unwrap_or_default();
        text.matches("\"to\":\"active\"").count()
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while active() <= plugins {
        assert!(Instant::now() < deadline, "not all plugins came up");
        std::thread::sleep(Duration::from_millis(20));
    }
    let up = began.elapsed().as_secs_f64() * 1e3;
    let pid = running.id();
    let keeper = children(pid).into_iter().next().unwrap_or(0);
    let memory = pss(pid) + pss(keeper);
    let mut samples = Vec::new();
    if plugins > 0 {
        let before = cpu(pid) + cpu(keeper);
        let window = Duration::from_secs(10);
        std::thread::sleep(window);
        let used = cpu(pid) + cpu(keeper) - before;
        samples.push(Sample::new("outboard up-1000", "ms", up));
        samples.push(Sample::new("outboard idle-cpu", "%", 100.0 * used / window.as_secs_f64()));
        let plugins_alive = children(keeper);
        let began = Instant::now();
        running.kill().expect("it is our child");
        running.wait().expect("it is our child");
        while plugins_alive.iter().any(|pid| fs::metadata(format!("/proc/{pid}")).is_ok()) {
            assert!(began.elapsed() < Duration::from_secs(20), "plugins live on");
            std::thread::yield_now();
        }
        samples.push(Sample::new("outboard gone-1000", "ms", began.elapsed().as_secs_f64() * 1e3));
    } else {
        crate::attach::end(running);
    }
    (memory, samples)
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|c| c.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Proportional set size in KiB.
fn pss(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(f64::NAN)
}

/// Seconds of processor time.
fn cpu(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: f64 = after.split(' ').skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / 100.0
}
