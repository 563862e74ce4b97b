//! `cargo xtask test`: every test, the quick ones first.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::setup;
use crate::shell::{
    Failure, cannot_start, cargo, command, in_ci, root, run as run_command, target,
};

/// Every tier selects among the targets of the whole workspace, never a package: then all tiers share one build.
const SELECT: &str = "test --workspace --no-fail-fast --quiet";

/// Seconds for each fuzz target.
const FUZZ_IN_CI: &str = "20";
const FUZZ_LOCALLY: &str = "3";

/// Runs all tiers, whatever fails in an earlier one. The last line has the sum.
pub(crate) fn run() -> Result<(), Failure> {
    let runtimes = match setup::run() {
        Ok(()) => "1",
        Err(failure) if in_ci() => return Err(failure),
        Err(failure) => {
            eprintln!("{failure}\nwarning: tests that run MCP and language servers are skipped");
            "0"
        }
    };
    let next = if in_ci() || long() { Some(next_build()?) } else { None };
    // Binaries too: tests of one package run those of another.
    let build = stopwatch("build", || {
        run_command("the build", cargo("build --workspace --bins --tests --examples"))
    });
    build.result?;
    let mut table = vec![build.line];
    let mut sum = Counts::default();
    let mut broken = Vec::new();
    for Tier { name, work } in tiers()? {
        println!("\n== {name}");
        let mut test = match work {
            Work::Cargo(args) => {
                let mut test = cargo(SELECT);
                test.args(&args);
                test
            }
            Work::Script(path) => command(root().join(path)),
        };
        test.env("OUTBOARD_REQUIRE_RUNTIMES", runtimes);
        if let Some(next) = &next {
            test.env("OUTBOARD_NEXT_BUILD", next);
        }
        if std::env::var_os("OUTBOARD_FUZZ_SECONDS").is_none() {
            let seconds = if in_ci() { FUZZ_IN_CI } else { FUZZ_LOCALLY };
            test.env("OUTBOARD_FUZZ_SECONDS", seconds);
        }
        let tier = stopwatch(name, || watch(name, test));
        let counts = tier.result?;
        table.push(format!("{}   {}", tier.line, counts.counts));
        sum.add(counts.counts);
        if !counts.well {
            broken.push(name);
        }
    }
    println!("\n{}", table.join("\n"));
    // A tier that did not build or was killed has no failed test to count, and has failed all the same.
    sum.failed = sum.failed.max(broken.len());
    println!("{sum}");
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("not all is well in: {}", broken.join(", "))))
    }
}

/// Whether the long forms are asked for: as `outboard_tests::long`.
pub(crate) fn long() -> bool {
    std::env::var("OUTBOARD_LONG").is_ok_and(|long| !matches!(&*long, "" | "0"))
}

/// A build that writes another version of the state, for upgrades between two, and panics where it is told to. It is made before the usual one, which
/// then takes the usual place.
fn next_build() -> Result<PathBuf, Failure> {
    let build = cargo(
        "build --workspace --bins --features outboard/state-version-next,outboard/failpoints",
    );
    run_command("the build with the next version of the state", build)?;
    let [built, kept] = ["outboard", "outboard-next"].map(|name| target().join("debug").join(name));
    fs::copy(&built, &kept).map_err(|error| unreadable(&built.display().to_string(), &error))?;
    Ok(kept)
}

struct Tier {
    name: &'static str,
    work: Work,
}

enum Work {
    /// Arguments to `cargo test`.
    Cargo(Vec<String>),
    /// A program of this repository that closes with a line as cargo's test programs do.
    Script(&'static str),
}

/// The tiers, from what lies in the packages' `tests/` folders, so that a new file is in one by itself.
fn tiers() -> Result<Vec<Tier>, Failure> {
    let mut parts = BTreeSet::new();
    for package in
        fs::read_dir(root().join("supervisor")).map_err(|e| unreadable("supervisor", &e))?
    {
        let package = package.map_err(|e| unreadable("supervisor", &e))?;
        parts.append(&mut integration_tests(&package.path()));
    }
    for package in ["supervisor", "plugin-sdk/rust", "plugins/echo", "plugins/chaos", "xtask"] {
        parts.append(&mut integration_tests(&root().join(package)));
    }
    let fuzz: BTreeSet<_> = parts.iter().filter(|name| name.starts_with("fuzz")).cloned().collect();
    let parts = &parts - &fuzz;
    let whole = integration_tests(&root().join("tests"));
    let only = |names: BTreeSet<String>| {
        names.into_iter().flat_map(|name| ["--test".to_owned(), name]).collect::<Vec<_>>()
    };
    let tiers = [
        ("units", vec!["--lib".to_owned(), "--bins".to_owned()]),
        ("examples in the documentation", vec!["--doc".to_owned()]),
        ("parts, with real processes", only(parts)),
        ("fuzzing the wire", only(fuzz)),
        ("the whole, and its faults", only(whole)),
    ];
    let there = tiers.into_iter().filter(|(_, args)| !args.is_empty());
    let mut tiers: Vec<_> =
        there.map(|(name, args)| Tier { name, work: Work::Cargo(args) }).collect();
    // Before the whole, which runs plugins that are written with them.
    let before = tiers.len().saturating_sub(1);
    tiers.insert(before, Tier { name: "SDKs", work: Work::Script("plugin-sdk/test") });
    Ok(tiers)
}

/// Names of a package's integration tests: `tests/NAME.rs` or `tests/NAME/main.rs`.
fn integration_tests(package: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(package.join("tests")) else { return BTreeSet::new() };
    let name = |path: &Path| -> Option<String> {
        let is_test = path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file();
        is_test.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
    };
    entries.filter_map(|entry| name(&entry.ok()?.path())).collect()
}

fn unreadable(folder: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("{folder}/: {error}"))
}

struct Watched {
    counts: Counts,
    well: bool,
}

/// Runs a test command, passes its output on and counts in it.
fn watch(name: &str, mut test: Command) -> Result<Watched, Failure> {
    let mut child =
        test.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(name, &test, &error))?;
    let stdout = child.stdout.take().expect("it was asked for");
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.add(Counts::read(&line));
    }
    let status = child.wait().map_err(|error| Failure::new(format!("{name}: {error}")))?;
    Ok(Watched { counts, well: status.success() })
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    /// The counts of a test program's closing line; zeros for any other line.
    fn read(line: &str) -> Self {
        let Some((_, counts)) = line.split_once("test result: ") else { return Self::default() };
        let words: Vec<&str> =
            counts.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        let count = |what: &str| {
            let at = words.iter().position(|word| *word == what);
            at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
        };
        Self { passed: count("passed"), failed: count("failed"), ignored: count("ignored") }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored)
    }
}

struct Timed<T> {
    result: T,
    line: String,
}

#[expect(clippy::disallowed_methods, reason = "measures how long a tier takes, for people")]
fn stopwatch<T>(name: &str, work: impl FnOnce() -> T) -> Timed<T> {
    let start = Instant::now();
    let result = work();
    let took: Duration = start.elapsed();
    Timed { result, line: format!("{name:<32}{:>7.1}s", took.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_line_is_counted_and_no_other() {
        let line =
            "test result: FAILED. 17 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out";
        assert_eq!(Counts::read(line), Counts { passed: 17, failed: 1, ignored: 2 });
        assert_eq!(Counts::read("test one ... 5 passed"), Counts::default());
        let script = "test result: 211 passed; 0 failed; 2 ignored";
        assert_eq!(Counts::read(script), Counts { passed: 211, failed: 0, ignored: 2 });
    }

    #[test]
    fn every_integration_test_of_this_repository_is_in_a_tier() {
        let tiers = tiers().unwrap();
        let named = |name: &str| {
            tiers.iter().any(|tier| match &tier.work {
                Work::Cargo(args) => args.iter().any(|arg| arg == name),
                Work::Script(_) => false,
            })
        };
        for name in ["play", "session", "echo"] {
            assert!(named(name), "{name}");
        }
    }
}
