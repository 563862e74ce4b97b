//! A command line round trip: `outboard list` beside `/bin/true`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::report::{Sample, quantile};
use crate::world::{World, beside, echo_manifest};

const ROUNDS: usize = 100;

pub(crate) fn measure() -> Vec<Sample> {
    let world = World::new();
    world.manifest("echo", &echo_manifest());
    let mut running = world.outboard();
    drop(crate::attach::connect(&world, "echo", &mut running));
    let state = world.state().display().to_string();
    let (mut floor, mut list) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(took(Path::new("/bin/true"), &[]));
        list.push(took(&beside("outboard"), &["list", "--state-dir", &state]));
    }
    crate::attach::end(running);
    vec![
        Sample::new("floor cli p50", "ms", quantile(&mut floor, 0.5)),
        Sample::new("outboard cli p50", "ms", quantile(&mut list, 0.5)),
    ]
}

fn took(program: &Path, args: &[&str]) -> f64 {
    let began = Instant::now();
    let status = Command::new(program).args(args).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{}", program.display());
    began.elapsed().as_secs_f64() * 1e3
}
