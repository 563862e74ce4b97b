//! Language servers that nobody here wrote, as their registries ship them: each started, probed, asked for the symbols of
//! a small document, killed, back, asked again, and shut down cleanly.
//!
//! gopls takes minutes to build and is of the long form (`OUTBOARD_LONG=1`).

use std::fs;

use outboard_tests::runtimes::repository;
use outboard_tests::world::Launch;
use outboard_tests::{Running, World, long, require};
use serde_json::{Value, json};

/// A document, and what its server has to find in it.
#[derive(Clone, Copy)]
struct Document<'a> {
    language: &'static str,
    uri: &'a str,
    text: &'a str,
    symbol: &'static str,
}

const SHELL: Document<'_> = Document {
    language: "shellscript",
    uri: "file:///tmp/outboard-lsp/hello.sh",
    text: "hello() {\n  echo \"żółć\"\n}\n",
    symbol: "hello",
};

const TYPESCRIPT: Document<'_> = Document {
    language: "typescript",
    uri: "file:///tmp/outboard-lsp/hello.ts",
    text: "export function hello(name: string) {\n  return `żółć ${name}`;\n}\n",
    symbol: "hello",
};

const PYTHON: Document<'_> = Document {
    language: "python",
    uri: "file:///tmp/outboard-lsp/hello.py",
    text: "def hello(name: str) -> str:\n    return f\"żółć {name}\"\n",
    symbol: "hello",
};

/// Whether `cargo xtask setup` has installed a server.
fn installed(program: &str) -> bool {
    repository().join("manifests/lsp").join(program).exists()
}

/// Names of the symbols that a server finds in a document that it is given.
fn symbols(run: &Running<'_>, id: &str, document: Document<'_>) -> Vec<String> {
    let Document { language, uri, text, .. } = document;
    let open =
        json!({"textDocument": {"uri": uri, "languageId": language, "version": 1, "text": text}});
    run.cli(&["notify", id, "textDocument/didOpen", &open.to_string()]).code(0);
    let params = json!({"textDocument": {"uri": uri}}).to_string();
    let answer = run.cli(&["call", id, "textDocument/documentSymbol", &params]).code(0).json();
    let names = answer.as_array().unwrap().iter().filter_map(|symbol| symbol["name"].as_str());
    names.map(str::to_owned).collect()
}

fn finds(run: &Running<'_>, id: &str, document: Document<'_>) {
    let found = symbols(run, id, document);
    assert!(found.iter().any(|name| name == document.symbol), "{id}: {found:?}");
}

fn whole_life(world: &World, run: &Running<'_>, id: &str, document: Document<'_>) {
    run.active(id);
    let row = run.plugin(id);
    assert_eq!(json!([row["dialect"], row["protocol"]]), json!(["lsp", "3"]), "{row}");
    run.cli(&["health", id]).code(0);
    finds(run, id, document);
    world.witness().signal(run.plugin_pid(id), libc::SIGKILL);
    run.active_above(id, 1);
    let failure = run.failure(id);
    assert_eq!((failure.generation, failure.text("class")), (1, "signal"), "{failure}");
    finds(run, id, document);
    run.cli(&["stop", id]).code(0);
    let stopped = run.event(|event| event.is("stop.finished", id) && event.generation == 2);
    let rungs: Vec<&Value> =
        stopped.member("rungs").as_array().unwrap().iter().map(|rung| &rung["rung"]).collect();
    assert_eq!(rungs, ["shutdown", "exit"], "{stopped}");
    assert_eq!(stopped.member("exit")["code"], 0, "{stopped}");
}

/// The same of one of the manifests of `manifests/lsp`.
fn of_manifest(id: &str, document: Document<'_>) {
    let world = World::new();
    let manifest = repository().join(format!("manifests/lsp/{id}.toml"));
    let run = world.launch(&Launch { sources: Some(vec![manifest]), ..Launch::default() });
    whole_life(&world, &run, id, document);
}

#[test]
fn bash_language_server_lives_a_whole_life() {
    let program = "node_modules/.bin/bash-language-server";
    require!(installed(program), "bash-language-server (cargo xtask setup)");
    of_manifest("bash", SHELL);
}

#[test]
fn typescript_language_server_lives_a_whole_life() {
    let program = "node_modules/.bin/typescript-language-server";
    require!(installed(program), "typescript-language-server (cargo xtask setup)");
    of_manifest("typescript", TYPESCRIPT);
}

#[test]
fn pyright_lives_a_whole_life() {
    require!(installed("node_modules/.bin/pyright-langserver"), "pyright (cargo xtask setup)");
    of_manifest("pyright", PYTHON);
}

#[test]
fn jedi_language_server_lives_a_whole_life() {
    let program = ".venv/bin/jedi-language-server";
    require!(installed(program), "jedi-language-server (cargo xtask setup)");
    of_manifest("jedi", PYTHON);
}

#[test]
fn gopls_lives_a_whole_life() {
    if !long() {
        return;
    }
    let program = ".gopls/gopls";
    require!(installed(program), "gopls (OUTBOARD_LONG=1 cargo xtask setup)");
    // It answers only for a document of a folder that is there: one of the module that the manifest names.
    let path = repository().join("plugins/digest/main.go");
    let text = fs::read_to_string(&path).unwrap();
    let uri = format!("file://{}", path.display());
    of_manifest("gopls", Document { language: "go", uri: &uri, text: &text, symbol: "digester" });
}
