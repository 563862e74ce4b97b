//! From the order to `active`, beside what std takes to spawn the same program and hear its first answer.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use outboard::host::{Change, Supervisor};

use crate::floor;
use crate::report::{Sample, quantile};
use crate::world::{World, beside};

const STARTS: usize = 200;

/// Below the number at which the storm guard spaces restarts out.
const CRASHES: usize = 40;

const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[1],"#,
    r#""hostInfo":{"name":"bench","version":"1"},"plugin":{"id":"e","instance":"e-0","generation":1},"#,
    r#""config":{},"capabilities":{},"limits":{}}}"#
);

pub(crate) fn measure() -> Vec<Sample> {
    let echo = beside("outboard-echo");
    let mut std_took: Vec<f64> = (0..STARTS).map(|_| with_std(&echo)).collect();
    let mut samples = vec![Sample::new("floor start p50", "ms", quantile(&mut std_took, 0.5))];
    samples.extend(floor::trips(&echo, STARTS));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let world = World::new();
        let text = format!(
            "[process]\ncommand = [\"{}\"]\n[restart]\nbackoff = {{ initial = \"0ms\" }}\nbudget = {{ restarts = 10000, within = \"5m\" }}\n",
            echo.display()
        );
        world.manifest("echo", &text);
        let supervisor = world.supervisor().await;
        let id: std::sync::Arc<str> = "echo".into();
        let mut took = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let began = Instant::now();
            supervisor.load("echo").await.expect("the echo becomes active");
            took.push(began.elapsed().as_secs_f64() * 1e3);
            supervisor.change(Change::Stop { now: true }, std::slice::from_ref(&id)).await;
        }
        samples.push(Sample::new("outboard start p50", "ms", quantile(&mut took, 0.5)));
        supervisor.load("echo").await.expect("the echo becomes active");
        let mut took = Vec::with_capacity(CRASHES);
        for _ in 0..CRASHES {
            took.push(crash(&supervisor).await);
        }
        samples.push(Sample::new("outboard crash p50", "ms", quantile(&mut took, 0.5)));
        supervisor.shutdown_all(true).await;
    });
    samples
}

/// Kills the plugin and gives the time until its next generation is active, in milliseconds.
async fn crash(supervisor: &Supervisor) -> f64 {
    // The event of its last start may have come before the view.
    let pid = loop {
        if let Some(pid) = supervisor.view().plugins[0].snapshot.pid {
            break pid;
        }
        tokio::task::yield_now().await;
    };
    let mut events = supervisor.subscribe();
    let began = Instant::now();
    let target = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(target, nix::sys::signal::Signal::SIGKILL).expect("it is there");
    loop {
        let event = events.recv().await.expect("the supervisor lives");
        let to = event.fields.get("to").and_then(serde_json::Value::as_str);
        if event.event == "plugin.state" && matches!(to, Some("active" | "degraded")) {
            return began.elapsed().as_secs_f64() * 1e3;
        }
    }
}

/// The time that std takes to spawn so many echoes of the floor and hear from each, one after another, all of them
/// alive at the end, in milliseconds.
pub(crate) fn one_after_another(count: usize) -> f64 {
    let echo = floor::dir().join("echo");
    let began = Instant::now();
    let children: Vec<Child> = (0..count).map(|_| heard_from(&echo, &["nl"])).collect();
    let took = began.elapsed().as_secs_f64() * 1e3;
    children.into_iter().for_each(end);
    took
}

fn with_std(program: &Path) -> f64 {
    let began = Instant::now();
    let child = heard_from(program, &[]);
    let took = began.elapsed().as_secs_f64() * 1e3;
    end(child);
    took
}

/// A child that has answered. Its pipes are still open.
fn heard_from(program: &Path, args: &[&str]) -> Child {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the echo was built beside this");
    writeln!(child.stdin.as_ref().expect("it was piped"), "{HELLO}")
        .expect("the pipe takes a line");
    let mut answer = String::new();
    let stdout = child.stdout.as_mut().expect("it was piped");
    BufReader::new(stdout).read_line(&mut answer).expect("an answer comes");
    assert!(answer.contains("result"), "{answer}");
    child
}

fn end(mut child: Child) {
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}
