//! From the order to `active`, beside what std takes to spawn the same program and hear its first answer.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use outboard::host::Change;

use crate::report::{Sample, quantile};
use crate::world::{World, beside};

const STARTS: usize = 200;

const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[1],"#,
    r#""hostInfo":{"name":"bench","version":"1"},"plugin":{"id":"e","instance":"e-0","generation":1},"#,
    r#""config":{},"capabilities":{},"limits":{}}}"#
);

pub(crate) fn measure() -> Vec<Sample> {
    let echo = beside("outboard-echo");
    let mut std_took: Vec<f64> = (0..STARTS).map(|_| with_std(&echo)).collect();
    let mut samples = vec![Sample::new("floor start p50", "ms", quantile(&mut std_took, 0.5))];
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
        supervisor.shutdown_all(true).await;
    });
    samples
}

fn with_std(program: &std::path::Path) -> f64 {
    let began = Instant::now();
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the echo was built beside this");
    let mut stdin = child.stdin.take().expect("it was piped");
    writeln!(stdin, "{HELLO}").expect("the pipe takes a line");
    let mut answer = String::new();
    let stdout = child.stdout.take().expect("it was piped");
    BufReader::new(stdout).read_line(&mut answer).expect("an answer comes");
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(answer.contains("result"), "{answer}");
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    took
}
