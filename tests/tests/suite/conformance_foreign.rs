//! `outboard conformance` of MCP and language servers: breaches found by their own rules, and real servers as they are.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use outboard_tests::runtimes::{bin, repository};
use outboard_tests::world::toml_list;
use outboard_tests::{World, long, require};
use serde_json::{Value, json};

use crate::conformance::{so, turn};

/// Rules whose stories are heavy, or are listened to for a second: of broken servers, only their own breaches are told them.
const SLOW: [&str; 4] = ["C07", "C19", "C20", "C30"];
/// What a busy machine may break, too.
const SPEED: &str = "C09";

/// Breaches that each rule of a dialect has: a few of them, and all in the long form.
const MCP: [&[&str]; 2] = [
    &["C11", "C16", "C17", "C23", "C26", "C35"],
    &[
        "C02", "C03", "C04", "C05", "C06", "C07", "C10", "C12", "C14", "C18", "C21", "C22", "C25",
        "C27", "C28", "C29", "C31", "C36", "C37", "C38",
    ],
];
const LSP: [&[&str]; 2] = [
    &["C10", "C17", "C24", "C26", "C33", "C34"],
    &[
        "C02", "C03", "C05", "C06", "C07", "C11", "C12", "C14", "C16", "C18", "C21", "C23", "C25",
        "C29", "C31", "C35", "C36", "C37", "C38", "C39",
    ],
];

/// The rules of a dialect, as the command lists them.
fn rules(world: &World, dialect: &str) -> Vec<String> {
    let list = world.cli(&["conformance", "--list", "--dialect", dialect, "--json"]).code(0).json();
    assert_eq!(list["dialect"], dialect);
    let rules = list["rules"].as_array().unwrap().iter();
    rules.map(|rule| rule["id"].as_str().unwrap().to_owned()).collect()
}

/// The report on `outboard-wrong` as a server of this dialect, broken or not.
fn look_at(dialect: &str, broken: Option<&str>) -> Value {
    let world = World::new();
    let mut command = vec![bin("outboard-wrong").display().to_string()];
    command.extend(["--dialect".to_owned(), dialect.to_owned()]);
    command.extend(broken.into_iter().flat_map(|rule| ["--break".to_owned(), rule.to_owned()]));
    let command = toml_list(&command);
    let text = format!("dialect = \"{dialect}\"\n[process]\ncommand = {command}\n");
    world.manifest("wrong", &text);
    let manifest = world.manifests().join("wrong.toml").display().to_string();
    let is_told = |id: &String| broken.is_none_or(|own| own == *id || !SLOW.contains(&&**id));
    let only: Vec<String> = rules(&world, dialect).into_iter().filter(is_told).collect();
    let report = world.cli(&["conformance", &manifest, "--json", "--only", &only.join(",")]).json();
    assert_eq!(world.witness().below(), [], "nothing of it runs any more");
    report
}

#[test]
fn a_sound_foreign_server_is_found_to_be() {
    let _turn = turn();
    for dialect in ["mcp", "lsp"] {
        let report = look_at(dialect, None);
        assert_eq!(so(&report, "fail"), BTreeSet::new(), "{report:#}");
        assert_eq!(&so(&report, "warn") - &BTreeSet::from([SPEED]), BTreeSet::new(), "{report:#}");
        // The manifest names no method for what takes a while.
        let slow = BTreeSet::from(["C32", "C40"]);
        assert!(so(&report, "skip").is_subset(&slow), "{report:#}");
        assert_eq!(report["dialect"], dialect);
    }
}

#[test]
fn each_breach_of_a_foreign_server_is_found_by_its_own_rule_and_no_other() {
    let _turn = turn();
    let of = |dialect, rules: [&[&'static str]; 2]| {
        let told = if long() { rules.concat() } else { rules[0].to_vec() };
        told.into_iter().map(move |rule| (dialect, rule))
    };
    let breaches: Vec<_> = of("mcp", MCP).chain(of("lsp", LSP)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(&(dialect, id)) = breaches.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let report = look_at(dialect, Some(id));
                    let found: BTreeSet<_> =
                        so(&report, "fail").union(&so(&report, "warn")).copied().collect();
                    assert!(found.contains(id), "{dialect} {id} was not found: {report:#}");
                    let busy = BTreeSet::from([id, SPEED]);
                    assert!(found.is_subset(&busy), "{dialect} {id}: also {found:?}: {report:#}");
                }
            });
        }
    });
}

/// The outcomes of some rules for a server from its registry.
fn judged(manifest: &str, only: &str) -> Value {
    let world = World::new();
    let manifest = repository().join("manifests").join(manifest).display().to_string();
    let report = world.cli(&["conformance", &manifest, "--json", "--only", only]).json();
    let checks = report["checks"].as_array().unwrap().iter();
    checks.map(|check| json!([check["id"], check["outcome"]])).collect()
}

/// Whether `cargo xtask setup` has installed a server.
fn installed(program: &str) -> bool {
    repository().join("manifests").join(program).exists()
}

#[test]
fn a_real_mcp_server_is_judged() {
    require!(
        installed("mcp/node_modules/.bin/mcp-server-everything"),
        "mcp-server-everything (cargo xtask setup)"
    );
    let _turn = turn();
    let told = judged("mcp/everything.toml", "C10,C16,C23,C35");
    let all = ["C01", "C08", "C10", "C16", "C23", "C35"];
    assert_eq!(told, all.iter().map(|id| json!([id, "ok"])).collect::<Value>(), "{told}");
}

#[test]
fn a_real_language_server_is_judged() {
    require!(
        installed("lsp/node_modules/bash-language-server"),
        "bash-language-server (cargo xtask setup)"
    );
    let _turn = turn();
    let told = judged("lsp/bash.toml", "C10,C16,C23,C34");
    let all = ["C01", "C08", "C10", "C16", "C23", "C33", "C34"];
    assert_eq!(told, all.iter().map(|id| json!([id, "ok"])).collect::<Value>(), "{told}");
}

#[test]
fn what_a_dialect_has_no_rule_for_is_said() {
    let world = World::new();
    let manifest = world.manifests().join("mcp.toml").display().to_string();
    world.manifest("mcp", "dialect = \"mcp\"\n[process]\ncommand = [\"true\"]\n");
    let told = world.cli(&["conformance", &manifest, "--only", "C33"]).code(2).stderr;
    assert!(told.contains("C33 is no rule of MCP 2025-11-25"), "{told}");
    assert!(told.contains("--list"), "{told}");

    let told = world.cli(&["conformance", &manifest, "--list"]).code(0).stdout;
    assert!(told.contains("C23  MUST   whole run: stdout has frames"), "{told}");
    assert!(told.contains("[transports#stdio]") && !told.contains("C33"), "{told}");
    let told = world.cli(&["conformance", "--list", "--dialect", "lsp"]).code(0).stdout;
    assert!(told.contains("C33  MUST   shutdown gets the result null"), "{told}");

    let modern = "dialect = \"mcp\"\n[process]\ncommand = [\"true\"]\n[mcp]\nera = \"modern\"\n";
    fs::write(world.manifests().join("mcp.toml"), modern).unwrap();
    let told = world.cli(&["conformance", &manifest]).code(2).stderr;
    assert!(told.contains("it is not opened by initialize"), "{told}");
}
