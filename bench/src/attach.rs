//! The same calls from another process, through attach.sock of `outboard run`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::floor;
use crate::report::{Sample, quantile};
use crate::world::{World, echo_manifest};

pub(crate) fn measure() -> Vec<Sample> {
    let mut samples = floor::calls(100_000, 1);
    samples.extend(floor::calls(500_000, 64));
    let world = World::new();
    world.manifest("echo", &echo_manifest());
    let mut running = world.outboard();
    let mut stream = connect(&world, "echo", &mut running);
    // To warm up; its figures count for nothing.
    drop(run(&mut stream, 20_000, 1));
    samples.extend(run(&mut stream, 100_000, 1));
    samples.extend(run(&mut stream, 500_000, 64));
    end(running);
    samples
}

/// Attached, and the plugin active: the first answer says so.
pub(crate) fn connect(world: &World, id: &str, running: &mut Child) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < deadline, "outboard did not come up");
        assert!(running.try_wait().is_ok_and(|ended| ended.is_none()), "outboard ended");
        let Ok(mut stream) = UnixStream::connect(world.state().join("attach.sock")) else {
            std::thread::yield_now();
            continue;
        };
        let hello = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"outboard/attach","params":{{"plugin":"{id}"}}}}"#
        );
        writeln!(stream, "{hello}").expect("the socket takes a line");
        let mut answer = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a descriptor can be had"));
        reader.read_line(&mut answer).expect("an answer comes");
        if answer.contains("\"result\"") {
            return stream;
        }
    }
}

/// Ready-made requests, `width` in flight, written in batches as answers come: as the floor's host does.
fn run(stream: &mut UnixStream, calls: usize, width: usize) -> Vec<Sample> {
    let mut sent_at: Vec<Instant> = Vec::with_capacity(calls);
    let mut taken: Vec<f64> = Vec::with_capacity(calls);
    let (mut out, mut buffer) = (Vec::new(), vec![0; 65536]);
    let mut credit = width;
    let began = Instant::now();
    while taken.len() < calls {
        out.clear();
        while credit > 0 && sent_at.len() < calls {
            let id = sent_at.len() + 1;
            sent_at.push(Instant::now());
            writeln!(out, r#"{{"jsonrpc":"2.0","id":{id},"method":"echo","params":{{}}}}"#)
                .expect("writing to memory cannot fail");
            credit -= 1;
        }
        stream.write_all(&out).expect("the socket takes requests");
        let n = stream.read(&mut buffer).expect("answers come");
        assert!(n > 0, "the connection was closed");
        let now = Instant::now();
        for _ in buffer[..n].iter().filter(|byte| **byte == b'\n') {
            taken.push(now.duration_since(sent_at[taken.len()]).as_secs_f64() * 1e6);
            credit += 1;
        }
    }
    let total = began.elapsed().as_secs_f64();
    vec![
        Sample::new(format!("attach x{width} p50"), "us", quantile(&mut taken, 0.5)),
        Sample::new(format!("attach x{width} p99"), "us", quantile(&mut taken, 0.99)),
        Sample::new(format!("attach x{width} rate"), "/s", calls as f64 / total),
    ]
}

/// Ends a supervisor as people do.
pub(crate) fn end(mut running: Child) {
    let pid = nix::unistd::Pid::from_raw(running.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it is our child");
    running.wait().expect("it is our child");
}
