//! `outboard-faults table [ID…] [--long]`: makes rows of the fault table and prints it.
//! `outboard-faults guards [NAME…]`: breaks guards one at a time, in a copy, and asks that their rows go red.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a command that prints a table")]
#![allow(clippy::disallowed_methods, reason = "it starts cargo, and no plugin")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use outboard_tests::runtimes::{bins, repository};
use outboard_tests::say;
use outboard_tests::table::{Guard, Test, faults, guards, skips, tests};
use serde::Deserialize;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let long = words.iter().position(|word| word == "--long").map(|at| words.remove(at)).is_some();
    let verb = if words.is_empty() { String::new() } else { words.remove(0) };
    let well = match verb.as_str() {
        "table" => table(&words, long),
        "guards" => break_guards(&words),
        _ => {
            println!("outboard-faults table [ID…] [--long] | guards [NAME…]");
            return ExitCode::from(2);
        }
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one row said of itself.
#[derive(Debug, Default, Deserialize)]
struct Said {
    id: String,
    witness: Vec<String>,
    measured: Vec<String>,
}

/// Makes the rows whose ids begin with one of these, or all. Whether none failed.
fn table(ids: &[String], long: bool) -> bool {
    let chosen =
        |id: &str| ids.is_empty() || ids.iter().any(|asked| id.starts_with(&asked.to_uppercase()));
    let mut tests = tests();
    tests.retain(|id, _| chosen(id));
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut results = BTreeMap::new();
    for (package, names) in by_package(&tests) {
        say(format_args!("making {} rows of {package}", names.len()));
        let mut cargo = cargo(&repository(), bins().parent().unwrap());
        cargo.env("OUTBOARD_FAULTS_REPORT", report.path());
        if long {
            cargo.env("OUTBOARD_LONG", "1");
        }
        results.extend(run(cargo, &package, &names));
    }
    let said: Vec<Said> = fs::read_to_string(report.path())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let skips = skips();
    let (mut made, mut failed, mut skipped) = (0, 0, 0);
    for fault in faults().into_iter().filter(|fault| chosen(&fault.id)) {
        let mut notes = Vec::new();
        for said in said.iter().filter(|said| said.id == fault.id) {
            notes.extend(said.witness.iter().map(|what| format!("seen: {what}")));
            notes.extend(said.measured.iter().cloned());
        }
        let parts = skips.iter().filter(|skip| skip.id == fault.id);
        for skip in parts {
            let part = skip.part.as_deref().map(|part| format!("not {part}: ")).unwrap_or_default();
            notes.push(format!("{part}{}", skip.reason));
        }
        let verdict = match tests.get(&fault.id) {
            None => {
                skipped += 1;
                "skip"
            }
            Some(of_row) if of_row.iter().all(|test| results.get(&test.name) == Some(&true)) => {
                made += 1;
                "ok"
            }
            Some(_) => {
                failed += 1;
                "FAIL"
            }
        };
        println!("{:<10} {verdict:<5} {}", fault.id, fault.what);
        for note in notes {
            println!("{:<16} {note}", "");
        }
    }
    println!("{made} rows hold, {failed} failed, {skipped} are listed skips");
    failed == 0
}

fn by_package(tests: &BTreeMap<String, Vec<Test>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages = BTreeMap::<String, BTreeSet<String>>::new();
    for test in tests.values().flatten() {
        packages.entry(test.package.clone()).or_default().insert(test.name.clone());
    }
    packages
}

/// Runs tests by name and gives how each ended: absent when it did not run at all.
fn run(mut cargo: Command, package: &str, names: &BTreeSet<String>) -> BTreeMap<String, bool> {
    cargo.args(["test", "--no-fail-fast", "--package", package, "--"]).args(names);
    let output = cargo.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut results = BTreeMap::new();
    for line in stdout.lines() {
        let Some((path, end)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        else {
            continue;
        };
        let name = path.rsplit("::").next().unwrap();
        results.insert(name.to_owned(), end.trim() == "ok");
    }
    if results.is_empty() {
        say(String::from_utf8_lossy(&output.stderr));
    }
    if !output.status.success() {
        for line in stdout.lines().skip_while(|line| !line.starts_with("failures:")) {
            say(line);
        }
    }
    results
}

/// `cargo` in a checkout, building into that folder.
fn cargo(checkout: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout).env("CARGO_TARGET_DIR", target);
    cargo
}

/// Breaks the guards of these names, or all, one at a time. Whether each turned its rows red.
fn break_guards(names: &[String]) -> bool {
    let copy = bins().parent().unwrap().join("guards");
    let (tree, target) = (copy.join("tree"), copy.join("target"));
    let mut well = true;
    let tests = tests();
    for guard in guards() {
        if !names.is_empty() && !names.iter().any(|asked| guard.name.contains(asked)) {
            continue;
        }
        copy_tree(&tree);
        let file = tree.join(&guard.file);
        let source = fs::read_to_string(&file).unwrap();
        fs::write(&file, source.replacen(&guard.guard, &guard.broken, 1)).unwrap();
        let verdict = red(&guard, &tests, &tree, &target);
        println!("{}: {}", guard.name, verdict.as_ref().unwrap_or_else(|why| why));
        well &= verdict.is_ok();
        // The next one starts from what stands here: only this file is built anew.
        fs::write(&file, source).unwrap();
    }
    well
}

/// Whether every row of a broken guard is red.
fn red(
    guard: &Guard,
    tests: &BTreeMap<String, Vec<Test>>,
    tree: &Path,
    target: &Path,
) -> Result<String, String> {
    let build = cargo(tree, target)
        .args(["build", "--quiet", "--bins", "-p", "outboard", "-p", "outboard-echo"])
        .args(["-p", "outboard-chaos", "-p", "outboard-tests"])
        .status()
        .unwrap();
    if !build.success() {
        return Err("it does not build when broken: mend the list".to_owned());
    }
    let mut of_rows = tests.clone();
    of_rows.retain(|id, _| guard.rows.contains(id));
    let mut results = BTreeMap::new();
    for (package, names) in by_package(&of_rows) {
        results.extend(run(cargo(tree, target), &package, &names));
    }
    let green =
        |id: &&String| !of_rows[*id].iter().any(|test| results.get(&test.name) == Some(&false));
    let green: Vec<_> = guard.rows.iter().filter(green).cloned().collect();
    if green.is_empty() {
        Ok(format!("red as it should be: {}", guard.rows.join(" ")))
    } else {
        Err(format!("STILL GREEN without it: {}", green.join(" ")))
    }
}

/// The files of the repository that git knows or would add, copied where they differ.
fn copy_tree(tree: &Path) {
    let list = Command::new("git")
        .current_dir(repository())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    for name in String::from_utf8(list.stdout).unwrap().split_terminator('\0').map(PathBuf::from) {
        let (from, to) = (repository().join(&name), tree.join(&name));
        let Ok(bytes) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&to, bytes).unwrap();
        fs::set_permissions(&to, fs::metadata(&from).unwrap().permissions()).unwrap();
    }
}
