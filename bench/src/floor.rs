//! The floor: C programs of `bench/floor`, built beside the release binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::Sample;

/// Where the C programs are: beside this one.
pub(crate) fn dir() -> PathBuf {
    let me = std::env::current_exe().expect("this program has a path");
    me.parent().expect("it lies in a folder").join("floor")
}

/// Builds the programs with the machine's C compiler.
pub(crate) fn build() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("floor");
    std::fs::create_dir_all(dir()).expect("the target folder can be written");
    for name in ["echo", "floor_rpc", "hold", "trip"] {
        let built = Command::new("cc")
            .args(["-O2", "-o"])
            .arg(dir().join(name))
            .arg(sources.join(format!("{name}.c")))
            .args(["-D_GNU_SOURCE"])
            .status()
            .is_ok_and(|status| status.success());
        assert!(built, "the floor needs a C compiler as `cc`");
    }
}

/// One string of a mebibyte there and back, `n` times.
pub(crate) fn bytes(n: u32) -> Sample {
    let output = Command::new(dir().join("floor_rpc"))
        .args(["bytes", &n.to_string(), &(1 << 20).to_string()])
        .env("PEERS_HOME", dir())
        .output()
        .expect("the floor was built");
    let text = String::from_utf8_lossy(&output.stdout);
    let p50 = text.split_once("p50=").and_then(|(_, rest)| rest.split_once("us")?.0.parse().ok());
    Sample::new("floor 1MiB p50", "us", p50.unwrap_or(f64::NAN))
}

/// One call at a time and 64 in flight, as the C host does them.
pub(crate) fn calls(n: u32, width: u32) -> Vec<Sample> {
    let output = Command::new(dir().join("floor_rpc"))
        .args([n.to_string(), width.to_string()])
        .env("PEERS_HOME", dir())
        .output()
        .expect("the floor was built");
    let text = String::from_utf8_lossy(&output.stdout);
    // `floor x1 186000/s p50=5.3us p99=9.0us`
    let number = |before: &str, after: &str| -> Option<f64> {
        let from = text.find(before)? + before.len();
        let rest = &text[from..];
        rest[..rest.find(after)?].trim().parse().ok()
    };
    let shape = format!("x{width}");
    let rate = number(&format!("{shape} "), "/s").unwrap_or(f64::NAN);
    let p50 = number("p50=", "us").unwrap_or(f64::NAN);
    vec![
        Sample::new(format!("floor {shape} p50"), "us", p50),
        Sample::new(format!("floor {shape} rate"), "/s", rate),
    ]
}

/// From the order to the first answer of `program` behind the smallest keeper that there can be, without a probe and with
/// one; medians of `n` starts.
pub(crate) fn trips(program: &Path, n: usize) -> Vec<Sample> {
    let output = Command::new(dir().join("trip"))
        .arg(program)
        .arg(n.to_string())
        .output()
        .expect("the floor was built");
    let text = String::from_utf8_lossy(&output.stdout);
    // `kept p50=0.81ms`
    let median = |way: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(way)?.strip_prefix(" p50="));
        line.and_then(|line| line.strip_suffix("ms")?.parse().ok()).unwrap_or(f64::NAN)
    };
    ["kept", "probed"]
        .map(|way| Sample::new(format!("{way} start p50"), "ms", median(way)))
        .to_vec()
}
