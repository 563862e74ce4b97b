//! `outboard new`: what it writes is tested, built, run and called by the commands that it prints.

use std::fs;

use outboard_tests::World;
use outboard_tests::runtimes::{bins, on_path, repository, skip};
use outboard_tests::world::{Launch, Output};
use serde_json::{Value, json};

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
    for name in ["HOME", "GOCACHE", "GOMODCACHE", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Ok(value) = std::env::var(name) {
            spawn.env.insert(name.to_owned(), value);
        }
    }
    // What is needed is here already; a test asks nobody else.
    for (name, value) in [
        ("GOFLAGS", "-mod=mod"),
        ("GOPROXY", "off"),
        ("CARGO_NET_OFFLINE", "true"),
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
        ("npm_config_offline", "true"),
    ] {
        spawn.env.insert(name.to_owned(), value.to_owned());
    }
    world.finish(spawn)
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
    for line in next.by_ref().take_while(|line| *line != format!("outboard run {name}")) {
        let output = type_in(&world, line);
        assert_eq!(output.ended.code, Some(0), "$ {line}\n{}{}", output.stdout, output.stderr);
    }
    world.cli(&["check", folder.to_str().unwrap()]).code(0);
    let run = world.launch(&Launch { sources: Some(vec![folder]), ..Launch::default() });
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
    let nowhere = world.cli(&["new", "--lang", "go", "--sdk", "/nowhere", "lost"]).code(2);
    assert!(nowhere.stderr.contains("no SDK for go in /nowhere"), "{}", nowhere.stderr);
    assert!(!world.folder().join("lost").exists());
}
