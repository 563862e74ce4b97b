//! HOTSWAP: one version takes over from another, and everything that may happen meanwhile.

mod asked;
mod fails;
mod over;

use std::path::PathBuf;
use std::thread::JoinHandle;

use outboard_tests::clock::wait_until;
use outboard_tests::fault::Row;
use outboard_tests::world::{Output, toml_list, toml_text};
use outboard_tests::{Attach, Event, Running, control};
use serde_json::{Value, json};

const ID: &str = "x";

/// Serves, and says which version it is.
const OLD: &str = "on who { reply \"old\" }\nserve\n";
const NEW: &str = "on who { reply \"new\" }\nserve\n";

/// Writes the manifest of another version, in no folder that is run; gives its path.
fn version(row: &Row, script: &str, more: &str) -> PathBuf {
    version_of(row, &row.chaos_command("next", script), more)
}

fn version_of(row: &Row, command: &[String], more: &str) -> PathBuf {
    let gates = toml_text(&row.gates().folder().display().to_string());
    let command = toml_list(command);
    let text = format!("[process]\ncommand = {command}\nenv = {{ CHAOS_DIR = {gates} }}\n{more}\n");
    let path = row.folder().join("next.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// `outboard swap`, to its end.
#[track_caller]
fn swap(run: &Running<'_>, next: &std::path::Path) -> Output {
    run.cli(&["swap", ID, &next.display().to_string()])
}

/// A swap that goes on meanwhile.
struct Swapping(JoinHandle<Result<Value, Value>>);

impl Swapping {
    fn begin(run: &Running<'_>, next: Option<&std::path::Path>) -> Self {
        let socket = run.socket("control.sock");
        let mut params = json!({"id": ID});
        if let Some(next) = next {
            params["manifest"] = next.display().to_string().into();
        }
        Self(std::thread::spawn(move || control::call(&socket, "swap", &params)))
    }

    #[track_caller]
    fn end(self) -> Result<Value, Value> {
        self.0.join().unwrap()
    }

    #[track_caller]
    fn verdict(self) -> String {
        let answer = self.end().unwrap();
        answer["verdict"].as_str().unwrap().to_owned()
    }
}

/// Calls one after another, each checked, on a thread of their own, until they are stopped.
struct Load {
    over: std::sync::Arc<std::sync::atomic::AtomicBool>,
    caller: JoinHandle<Vec<Value>>,
}

impl Load {
    fn of(mut attach: Attach, method: &'static str) -> Self {
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let its = over.clone();
        let caller = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !its.load(std::sync::atomic::Ordering::Acquire) || answers.is_empty() {
                let answer = attach.call(method, &json!({"n": answers.len()}));
                answers.push(answer.expect("no call fails"));
            }
            answers
        });
        Self { over, caller }
    }

    #[track_caller]
    fn end(self) -> Vec<Value> {
        self.over.store(true, std::sync::atomic::Ordering::Release);
        self.caller.join().expect("no call fails")
    }
}

fn is(name: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.is(name, ID)
}

/// Exactly one verdict and one end for each swap that began.
#[track_caller]
fn one_verdict_each(run: &Running<'_>) {
    let began = run.count(is("swap.started"));
    // The journal comes a moment after the answer.
    wait_until("every swap has its end", || run.count(is("swap.done")) >= began);
    let judged = ["swap.switched", "swap.rolled_back", "swap.abandoned"];
    let judged: usize = judged.into_iter().map(|name| run.count(is(name))).sum();
    assert_eq!((judged, run.count(is("swap.done"))), (began, began));
}

/// How many processes of the plugin there are.
fn instances(run: &Running<'_>) -> usize {
    let processes = run.plugin_processes();
    processes.iter().filter(|process| process.name.starts_with("outboard-chaos")).count()
}
