//! `outboard conformance`: it finds each breach by its own rule, and nothing wrong with the plugins that come with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use outboard_tests::runtimes::{bin, on_path, repository, skip};
use outboard_tests::world::{Output, toml_list, toml_text};
use outboard_tests::{World, long, require};
use serde_json::Value;

/// Rules whose stories are heavy: their own breaches and the sound plugin are told them, all others in the long form.
const HEAVY: [&str; 3] = ["C19", "C20", "C30"];
/// What a busy machine may break, too.
const SPEED: &str = "C09";

fn ids() -> Vec<String> {
    (1..=40).map(|number| format!("C{number:02}")).collect()
}

/// The report on `outboard-wrong`, broken or not.
fn look_at(world: &World, broken: Option<&str>) -> Value {
    let program = bin("outboard-wrong").display().to_string();
    let mut command = vec![program];
    command.extend(broken.into_iter().flat_map(|rule| ["--break".to_owned(), rule.to_owned()]));
    let command = toml_list(&command);
    let manifest = world.folder().join("wrong.toml");
    let text = format!(
        "[process]\ncommand = {command}\n\
         [conformance]\nslow_method = \"slow\"\nslow_params = {{ ticks = 30 }}\n"
    );
    fs::write(&manifest, text).unwrap();
    let manifest = manifest.display().to_string();
    let without = if broken.is_some() { light(broken) } else { String::new() };
    check(world, &manifest, &without).json()
}

/// The rules whose stories are quick, and this one.
fn light(with: Option<&str>) -> String {
    let is_light = |id: &String| !HEAVY.contains(&&**id) || Some(&**id) == with;
    ids().into_iter().filter(is_light).collect::<Vec<_>>().join(",")
}

/// One test at a time: rules have bounds of time, and a plugin that starts beside a hundred others meets none.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks by these rules alone; by all where none are named, and in the long form.
fn check(world: &World, manifest: &str, only: &str) -> Output {
    let mut args = vec!["conformance", manifest, "--json"];
    if !(only.is_empty() || long()) {
        args.extend(["--only", only]);
    }
    world.cli(&args)
}

/// The rules that came out so.
pub(crate) fn so<'r>(report: &'r Value, outcome: &str) -> BTreeSet<&'r str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|c| c["outcome"] == outcome).map(|c| c["id"].as_str().unwrap()).collect()
}

#[test]
fn who_keeps_to_the_rules_is_found_to() {
    let _turn = turn();
    let world = World::new();
    let report = look_at(&world, None);
    assert_eq!(so(&report, "fail"), BTreeSet::new(), "{report:#}");
    assert_eq!(so(&report, "skip"), BTreeSet::new(), "{report:#}");
    assert_eq!(&so(&report, "warn") - &BTreeSet::from([SPEED]), BTreeSet::new(), "{report:#}");
    assert_eq!(report["plugin"], "wrong");
    assert_eq!(world.witness().below(), [], "nothing of it runs any more");
}

#[test]
fn each_breach_is_found_by_its_own_rule_and_no_other() {
    let _turn = turn();
    let ids = ids();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let world = World::new();
                    let report = look_at(&world, Some(id));
                    let found: BTreeSet<_> =
                        so(&report, "fail").union(&so(&report, "warn")).copied().collect();
                    let own = BTreeSet::from([&**id]);
                    assert!(found.is_superset(&own), "{id} was not found: {report:#}");
                    let busy = BTreeSet::from([&**id, SPEED]);
                    assert!(found.is_subset(&busy), "{id} is also {found:?}: {report:#}");
                }
            });
        }
    });
}

#[test]
fn every_plugin_that_comes_with_it_keeps_to_the_rules() {
    let _turn = turn();
    for entry in fs::read_dir(repository().join("manifests")).unwrap() {
        let manifest = entry.unwrap().path();
        if manifest.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&manifest).unwrap();
        let program = text.split("command = [\"").nth(1).unwrap().split('"').next().unwrap();
        if !text.contains("dialect") && (program.starts_with("${") || on_path(program)) {
            let world = World::new();
            let report = check(&world, &manifest.display().to_string(), &light(None));
            let report = report.code(0).json();
            let warned = &so(&report, "warn") - &BTreeSet::from([SPEED]);
            assert_eq!(warned, BTreeSet::new(), "{}: {report:#}", manifest.display());
        } else if !text.contains("dialect") {
            skip(module_path!(), program);
        }
    }
}

#[test]
fn a_real_plugin_on_an_sdk_keeps_to_the_rules() {
    require!("python3");
    let _turn = turn();
    let world = World::new();
    let text = |path: &str| toml_text(&repository().join(path).display().to_string());
    let store = toml_text(&world.folder().join("kv.sqlite").display().to_string());
    let (program, sdk) = (text("plugins/kv/kv.py"), text("plugin-sdk/python/src"));
    world.manifest(
        "kv",
        &format!(
            "[process]\ncommand = [\"python3\", {program}]\nenv = {{ PYTHONPATH = {sdk} }}\n\
             [config]\npath = {store}\nmax_value = 65536\n"
        ),
    );
    let manifest = world.manifests().join("kv.toml").display().to_string();
    let report = check(&world, &manifest, &light(None)).code(0).json();
    assert_eq!(&so(&report, "warn") - &BTreeSet::from([SPEED]), BTreeSet::new(), "{report:#}");
    // It says that it bears cancellation and progress; only the manifest names no method for that.
    assert_eq!(so(&report, "skip"), BTreeSet::from(["C32", "C40"]), "{report:#}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a compiler is no plugin")]
fn a_plugin_in_a_language_without_an_sdk_keeps_to_the_rules() {
    require!("cc");
    let _turn = turn();
    let world = World::new();
    let folder = repository().join("plugins/wordcount");
    let program = world.folder().join("wordcount");
    let built = std::process::Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-D_GNU_SOURCE", "-o"])
        .arg(&program)
        .arg(folder.join("wordcount.c"))
        .status();
    assert!(built.unwrap().success());
    let manifest = world.manifests().join("wordcount.toml");
    let text = fs::read_to_string(folder.join("wordcount.toml")).unwrap();
    let command = toml_list(&[program.display().to_string()]);
    fs::write(&manifest, text.replace("[\"./wordcount\"]", &command)).unwrap();
    let report = check(&world, manifest.to_str().unwrap(), "").json();
    assert_eq!(so(&report, "fail"), BTreeSet::new(), "{report:#}");
    assert_eq!(&so(&report, "warn") - &BTreeSet::from([SPEED]), BTreeSet::new(), "{report:#}");
    let run = world.run();
    run.active("wordcount");
    let counted =
        run.cli(&["call", "wordcount", "count", r#"{"text":"two words\n\u017c"}"#]).code(0);
    assert_eq!(counted.json(), serde_json::json!({"lines": 1, "words": 3, "bytes": 12}));
}

/// A plugin breaks none of the quick rules. What it only should do may be left.
pub(crate) fn keeps_to_the_rules(world: &World, manifest: &Path) {
    let _turn = turn();
    let report = check(world, manifest.to_str().unwrap(), &light(None)).code(0).json();
    assert_eq!(so(&report, "fail"), BTreeSet::new(), "{report:#}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a compiler is no plugin")]
fn the_example_in_go_keeps_to_the_rules() {
    require!("go");
    let world = World::new();
    let folder = repository().join("plugins/digest");
    let program = world.folder().join("digest");
    let mut go = std::process::Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(&folder).env("GOPROXY", "off");
    assert!(go.status().unwrap().success());
    let manifest = world.manifests().join("digest.toml");
    let text = fs::read_to_string(folder.join("digest.toml")).unwrap();
    let command = toml_list(&[program.display().to_string()]);
    fs::write(&manifest, text.replace("[\"./digest\"]", &command)).unwrap();
    keeps_to_the_rules(&world, &manifest);
}

#[test]
fn the_example_in_typescript_keeps_to_the_rules() {
    require!("node");
    let folder = repository().join("plugins/webcheck");
    if !folder.join("dist/main.js").is_file() {
        return skip("conformance", "the build of plugins/webcheck (`plugin-sdk/test examples`)");
    }
    keeps_to_the_rules(&World::new(), &folder.join("webcheck.toml"));
}

#[test]
fn a_failure_is_exit_1_and_stands_in_the_report_and_in_junit() {
    let world = World::new();
    let wrong = bin("outboard-wrong").display().to_string();
    world.manifest("bad", &format!("[process]\ncommand = [{wrong:?}, \"--break\", \"C34\"]\n"));
    let manifest = world.manifests().join("bad.toml").display().to_string();
    let junit = world.folder().join("junit.xml");
    let args = ["conformance", &manifest, "--only", "C34", "--junit", junit.to_str().unwrap()];
    let told = world.cli(&args).code(1).stdout;
    assert!(
        told.contains("FAIL  C34  exit after shutdown ends the plugin with status 0"),
        "{told}"
    );
    assert!(told.contains("seen: exit status 3 after"), "{told}");
    assert!(told.contains("1 failed, in"), "{told}");
    let xml = fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("failures=\"1\"") && xml.contains("<failure message=\"exit status 3"),
        "{xml}"
    );
}

#[test]
fn what_cannot_be_checked_says_why() {
    let world = World::new();
    world.manifest("gone", "[process]\ncommand = [\"./no-such-program\"]\n");
    let at = |name: &str| world.manifests().join(name).display().to_string();
    let told = world.cli(&["conformance", &at("gone.toml")]).code(2).stderr;
    assert!(told.starts_with("error: gone cannot be checked\n"), "{told}");
    assert!(told.contains("`./no-such-program` does not exist"), "{told}");

    world.manifest("broken", "[process]\ncommand = 7\n");
    let told = world.cli(&["conformance", &at("broken.toml")]).code(2).stderr;
    assert!(told.contains("broken.toml:2"), "{told}");

    let told = world.cli(&["conformance", &at("gone.toml"), "--only", "C41"]).code(2).stderr;
    assert!(told.contains("there is no rule `C41`"), "{told}");
    let told = world.cli(&["conformance", "--list"]).code(0).stdout;
    assert!(told.starts_with("C01  MUST   initialize") && told.contains("C40  MUST"), "{told}");
}
