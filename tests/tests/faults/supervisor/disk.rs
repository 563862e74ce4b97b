//! The disk that logs go to is full.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

use outboard_tests::clock::wait_until;
use outboard_tests::fault::Row;
use outboard_tests::neighbour::Neighbour;
use outboard_tests::world::{Launch, toml_list, toml_text};
use serde_json::json;

/// Lines that a plugin writes while nothing can be stored.
const LINES: u64 = 200;

#[test]
fn sup_05_the_log_disk_is_full() {
    let row = Row::new("SUP-05");
    // SAFETY: asks for the caller's user, and cannot fail.
    let own = if unsafe { libc::geteuid() } == 0 { "unshare -m" } else { "unshare -rm" };
    let words = own.split(' ').chain(["true"]).map(str::to_owned).collect();
    if row.finish(row.spawn(words)).ended.code != Some(0) {
        return row.witness("not made: no mount namespace is to be had here");
    }
    let logs = row.state_dir("").join("logs");
    DirBuilder::new().mode(0o700).create(&logs).unwrap();
    let logs = logs.display();
    Neighbour::moves_in(&row);
    row.chaos("geo", "serve");
    // It sees the small disk, too, and makes room on it when it is told to.
    let line = format!(
        "head -c1 \"$$CHAOS_DIR/free\" >/dev/null; rm '{logs}/filler'; exec {}",
        row.chaos_command("janitor", "serve").join(" ")
    );
    let command = toml_list(&["sh", "-c", &line]);
    let gates = toml_text(&row.gates().folder().display().to_string());
    row.manifest(
        "janitor",
        &format!("[process]\ncommand = {command}\nenv = {{ CHAOS_DIR = {gates} }}\n"),
    );
    drop(outboard_tests::gates::fifo(&row.gates().folder().join("free")));
    let small = format!(
        "exec {own} sh -c 'mount -t tmpfs -o size=16k tmpfs \"{logs}\" || exit 90
        head -c 16384 /dev/zero >\"{logs}/filler\"; exec \"$@\"' sh {{}}"
    );
    let run = row.launch(&Launch { shell: Some(&small), ..Launch::default() });
    run.active("geo");
    let neighbour = Neighbour::works(&run);
    let trouble = run.event(|event| event.event == "log.trouble");
    assert!(trouble.text("message").contains("No space left"), "{trouble}");
    let mut client = run.attach("geo");
    for n in 0..LINES {
        client.call("complain", &json!({"text": format!("chatter {n}")})).unwrap();
    }
    assert_eq!(run.count(|event| event.event == "log.trouble"), 1, "one notice, not one a line");
    row.gates().open("free");
    run.active("janitor");
    wait_until("lines are stored again", || {
        client.call("complain", &json!({"text": "kept"})).unwrap();
        run.cli(&["logs", "geo"]).stdout.contains("kept")
    });
    let again = run.event_after(trouble.seq, |event| event.event == "log.trouble");
    let message = again.text("message");
    let lost: u64 = message.split(' ').filter_map(|word| word.parse().ok()).next().unwrap_or(0);
    assert!(message.contains("written again") && lost > 0, "{again}");
    // What still waited for the disk when there was room again is stored, and the rest is counted.
    let logs = run.cli(&["logs", "geo", "--lines", "1000"]).code(0).stdout;
    let stored = logs.lines().filter(|line| line.contains("chatter ")).count() as u64;
    assert!(stored + lost >= LINES, "{stored} of {LINES} are there: {again}");
    assert_eq!(run.count(|event| event.event == "log.trouble"), 2);
    assert_eq!(run.count(|event| event.event == "plugin.failure"), 0);
    neighbour.was_not_disturbed(&run, &row);
    row.witness("the kernel's word is in the notice");
}
