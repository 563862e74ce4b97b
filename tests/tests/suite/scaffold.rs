//! `outboard new`: what it writes is tested, built, run and called by the commands that it prints.

use std::fs;

use outboard_tests::World;
use outboard_tests::runtimes::{bins, on_path, repository, skip};
use outboard_tests::world::{Launch, Output};
use serde_json::{Value, json};

use crate::conformance::keeps_to_the_rules;

fn sdk() -> String {
    repository().join("plugin-sdk").display().to_string()
}

/// Runs a line as somebody would type it in the world's folder.
fn type_in(world: &World, line: &str) -> Output {
    let mut spawn = world.spawn(["sh", "-c", line].map(str::to_owned).into());
    let path = format!("{}:{}", bins().display(), std::env::var("PATH").unwrap_or_default());
    spawn.env.insert("PATH".to_owned(), path);
    let state = world.state_dir("").display().to_string();
    spawn.env.insert("OUTBOARD_STATE_DIR".to_owned(), state);
    world.finish(spawn)
}

/// Runs a line that builds or tests: with what its tools have on this machine, and for as long as they take.
#[expect(clippy::disallowed_methods, reason = "a compiler is no plugin")]
fn builds(world: &World, line: &str) {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", line]).current_dir(world.folder()).stdin(std::process::Stdio::null());
    // What is needed is here already; a test asks nobody else.
    shell.env("GOPROXY", "off").env("CARGO_NET_OFFLINE", "true").env("npm_config_offline", "true");
    shell.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
    let output = shell.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "$ {line}\n{}", String::from_utf8_lossy(&said));
}

fn is_born_well(lang: &str, expected: &Value) {
    let world = World::new();
    let name = format!("born-in-{lang}");
    let written = world.cli(&["new", "--lang", lang, "--sdk", &sdk(), &name, "--json"]).code(0);
    let written = written.json();
    assert_eq!(written["name"], *name);
    let folder = world.folder().join(&name);
    for file in written["files"].as_array().unwrap() {
        let text = fs::read_to_string(folder.join(file.as_str().unwrap())).unwrap();
        assert!(!text.contains("{{"), "{file}: {text}");
    }
    let mut next = written["next"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    for line in next.by_ref().take_while(|line| *line != format!("outboard run --watch {name}")) {
        match line.strip_prefix("outboard conformance ") {
            Some(manifest) => keeps_to_the_rules(&world, &world.folder().join(manifest)),
            None => builds(&world, line),
        }
    }
    world.cli(&["check", folder.to_str().unwrap()]).code(0);
    let watched = Launch { sources: Some(vec![folder]), args: &["--watch"], ..Launch::default() };
    let run = world.launch(&watched);
    run.active(&name);
    run.socket("attach.sock");
    let output = type_in(&world, next.next().unwrap()).code(0);
    assert_eq!(serde_json::from_str::<Value>(&output.stdout).unwrap(), *expected);
    assert_eq!(next.next(), None);
}

#[test]
fn a_plugin_in_sh_is_born_well() {
    is_born_well("sh", &json!({ "text": "hello" }));
}

/// The same plugin, once as an example and once to begin with: what is mended in one is mended in the other.
#[test]
fn the_plugin_in_sh_that_is_written_is_the_example() {
    let example = fs::read_to_string(repository().join("plugins/shell/echo.sh")).unwrap();
    let world = World::new();
    world.cli(&["new", "--lang", "sh", "born"]).code(0);
    let written = fs::read_to_string(world.folder().join("born/plugin.sh")).unwrap();
    let code = |text: &str| text[text.find("reply() {").unwrap()..].to_owned();
    let example = code(&example)
        .replace(r#""name":"echo-shell","version":"1.0.0""#, r#""name":"born","version":"0.1.0""#);
    assert_eq!(code(&written), example);
}

#[test]
fn a_plugin_in_python_is_born_well() {
    if !on_path("python3") {
        return skip("scaffold", "python3");
    }
    is_born_well("python", &json!("hello, Ada"));
}

#[test]
fn a_plugin_in_go_is_born_well() {
    if !on_path("go") {
        return skip("scaffold", "go");
    }
    is_born_well("go", &json!("hello, Ada"));
}

#[test]
fn a_plugin_in_typescript_is_born_well() {
    if !on_path("npm") {
        return skip("scaffold", "npm");
    }
    if !repository().join("plugin-sdk/typescript/dist/index.js").is_file() {
        return skip("scaffold", "the TypeScript SDK's build (`plugin-sdk/test typescript`)");
    }
    is_born_well("typescript", &json!("hello, Ada"));
}

#[test]
fn a_plugin_in_rust_is_born_well() {
    if !on_path("cargo") {
        return skip("scaffold", "cargo");
    }
    is_born_well("rust", &json!("hello, Ada"));
}

#[test]
fn what_is_there_and_what_cannot_be_a_name_is_refused() {
    let world = World::new();
    fs::create_dir(world.folder().join("taken")).unwrap();
    let taken = world.cli(&["new", "--lang", "sh", "taken"]).code(2);
    assert!(taken.stderr.contains("taken is there already"), "{}", taken.stderr);
    assert_eq!(fs::read_dir(world.folder().join("taken")).unwrap().count(), 0);
    let bad = world.cli(&["new", "--lang", "sh", "../out"]).code(2);
    assert!(bad.stderr.contains("cannot be the name"), "{}", bad.stderr);
    assert!(bad.stderr.contains("help: outboard new --lang sh out"), "{}", bad.stderr);
    let nowhere = world.cli(&["new", "--lang", "go", "--sdk", "/nowhere", "lost"]).code(2);
    assert!(nowhere.stderr.contains("no SDK for go in /nowhere"), "{}", nowhere.stderr);
    assert!(!world.folder().join("lost").exists());
}
