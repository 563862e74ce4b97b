//! Calls from the host: one at a time and 64 in flight, everything on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use outboard::host::{CallOptions, Supervisor};
use serde_json::value::RawValue;

use crate::floor;
use crate::report::{Sample, quantile};
use crate::world::{World, echo_manifest};

pub(crate) fn measure() -> Vec<Sample> {
    let mut samples = floor::calls(100_000, 1);
    samples.extend(floor::calls(500_000, 64));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new();
        world.manifest("echo", &echo_manifest());
        let supervisor = world.supervisor().await;
        supervisor.load("echo").await.expect("the echo becomes active");
        run(&supervisor, 20_000, 1).await;
        samples.extend(run(&supervisor, 100_000, 1).await);
        samples.extend(run(&supervisor, 500_000, 64).await);
        samples.push(floor::bytes(BIG));
        samples.push(big(&supervisor).await);
        supervisor.shutdown_all(true).await;
    });
    samples
}

/// Round trips of a mebibyte.
const BIG: u32 = 300;

/// `echo` of a string of a mebibyte, one at a time.
async fn big(supervisor: &Supervisor) -> Sample {
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));
    let params = RawValue::from_string(text).expect("it is JSON");
    let mut taken = Vec::new();
    for _ in 0..BIG {
        let at = Instant::now();
        let answer = supervisor.call("echo", "echo", &params, CallOptions::default()).await;
        taken.push(at.elapsed().as_secs_f64() * 1e6);
        assert!(answer.is_ok_and(|answer| answer.get().len() > 1 << 20), "the string comes back");
    }
    Sample::new("host 1MiB p50", "us", quantile(&mut taken, 0.5))
}

async fn run(supervisor: &Supervisor, calls: usize, width: usize) -> Vec<Sample> {
    let params = RawValue::from_string("{}".to_owned()).expect("it is JSON");
    let left = Rc::new(Cell::new(calls));
    let taken = Rc::new(RefCell::new(Vec::with_capacity(calls)));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..width {
        let (supervisor, params) = (supervisor.clone(), params.clone());
        let (left, taken) = (left.clone(), taken.clone());
        tasks.push(tokio::task::spawn_local(async move {
            while left.get() > 0 {
                left.set(left.get() - 1);
                let at = Instant::now();
                let answer = supervisor.call("echo", "echo", &params, CallOptions::default()).await;
                assert!(answer.is_ok(), "{answer:?}");
                taken.borrow_mut().push(at.elapsed().as_secs_f64() * 1e6);
            }
        }));
    }
    for task in tasks {
        task.await.expect("no call panics");
    }
    let total = began.elapsed().as_secs_f64();
    let mut taken = taken.borrow_mut();
    vec![
        Sample::new(format!("host x{width} p50"), "us", quantile(&mut taken, 0.5)),
        Sample::new(format!("host x{width} p99"), "us", quantile(&mut taken, 0.99)),
        Sample::new(format!("host x{width} rate"), "/s", calls as f64 / total),
    ]
}
