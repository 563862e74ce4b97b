//! What an earlier run left in the state directory, and what makes no sense there.

use std::fs;
use std::os::unix::fs::symlink;

use outboard_tests::fault::Row;

use outboard_tests::runtimes::bin;
use outboard_tests::world::Launch;
use outboard_tests::{Process, Running};
use serde_json::{Value, json};

fn set_aside(run: &Running<'_>) -> Vec<String> {
    let events = run.events().into_iter().filter(|event| event.event == "state.unreadable");
    events.map(|event| event.text("file").to_owned()).collect()
}

/// What becomes of a file.
type Damage = fn(&[u8]) -> Vec<u8>;

#[test]
fn sup_19_what_cannot_be_read_is_set_aside_and_said() {
    let row = Row::new("SUP-19");
    row.chaos("geo", "serve");
    let first = row.run();
    first.active("geo");
    first.stop();
    let state = first.state_dir.clone();
    let sound = ["state.json", "run.json"].map(|name| fs::read(state.join(name)).unwrap());
    let newer = |bytes: &[u8]| {
        let mut value: Value = serde_json::from_slice(bytes).unwrap();
        value["version"] = json!(999);
        value.to_string().into_bytes()
    };
    let table: [(&str, Damage); 4] = [
        ("cut short", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("empty", |_| Vec::new()),
        ("no text", |bytes| bytes.iter().map(|byte| byte ^ 0x80).collect()),
        ("of a later version", newer),
    ];
    let mut generation = 1;
    for (what, damage) in table {
        fs::write(state.join("state.json"), damage(&sound[0])).unwrap();
        let damaged = damage(&sound[1]);
        fs::write(state.join("run.json"), &damaged).unwrap();
        let run = row.run();
        run.active("geo");
        assert_eq!(set_aside(&run), ["run.json", "state.json"], "{what}");
        assert_eq!(fs::read(state.join("run.json.unreadable")).unwrap(), damaged, "{what}");
        // The journal knows of the generations too.
        generation += 1;
        assert_eq!(run.plugin("geo")["generation"], generation, "{what}");
        run.stop();
        let kept: Value =
            serde_json::from_slice(&fs::read(state.join("state.json")).unwrap()).unwrap();
        assert_eq!(kept["generations"]["geo"], generation, "a sound one is written in its place");
    }
    row.witness(
        "both files were cut, emptied, garbled and of version 999, and kept under another name",
    );
}

#[test]
fn sup_17_a_number_that_was_used_again_is_nobodys_leftover() {
    let row = Row::new("SUP-17");
    row.chaos("geo", "serve");
    let first = row.run();
    first.active("geo");
    first.kill_and_wait_until_nothing_is_left();
    let record = first.state_dir.join("run.json");
    let mut record_of: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    // Somebody else's process, which must live through all of this.
    let stranger = row.spawn(vec![
        bin("outboard-chaos").display().to_string(),
        "-c".to_owned(),
        "pause".to_owned(),
    ]);
    let stranger = Process::of((*row).witness().spawn(stranger)).unwrap();
    let boot = record_of["boot_id"].clone();
    let other_boot = json!("00000000-0000-4000-8000-000000000000");
    let table = [
        ("another start", stranger.start - 1, boot.clone()),
        ("another boot", stranger.start, other_boot),
    ];
    for (what, start, boot) in table {
        record_of["leaders"] = json!([[stranger.pid, start]]);
        record_of["boot_id"] = boot.clone();
        fs::write(&record, record_of.to_string()).unwrap();
        let run = row.run();
        run.event(|event| event.is_state("geo", "active"));
        assert!(stranger.lives(), "{what}");
        assert_eq!(run.count(|event| event.event == "reaper.removed"), 0, "{what}");
        if what == "another start" {
            let skipped = run.event(|event| event.event == "reaper.skipped");
            assert_eq!(*skipped.member("pids"), json!([stranger.pid]), "{skipped}");
        }
        run.stop();
    }
    (*row).witness().signal(stranger.pid, libc::SIGKILL);
    row.witness(format_args!("pid {} was recorded as a leader, and was not touched", stranger.pid));
}

#[test]
fn sec_10_links_in_the_state_directory_are_not_followed() {
    let row = Row::new("SEC-10");
    row.chaos("geo", "serve");
    let target = row.folder().join("precious");
    fs::write(&target, "precious").unwrap();
    let untouched = || assert_eq!(fs::read_to_string(&target).unwrap(), "precious");

    // What a supervisor cannot do without is refused in words.
    for name in ["lock", "control.sock", "attach.sock"] {
        let state = row.state_dir(&format!("state-{name}"));
        symlink(&target, state.join(name)).unwrap();
        let run = row.launch(&Launch { state: &format!("state-{name}"), ..Launch::default() });
        let ended = run.ended();
        assert!(ended.code.is_some_and(|code| code > 0), "{name}: {ended:?}");
        assert!(run.stderr().contains(name), "{name}: {}", run.stderr());
        untouched();
        fs::remove_file(state.join(name)).unwrap();
    }
    // What it can do without it does without, and says so.
    let state = row.state_dir("");
    fs::create_dir(state.join("logs")).unwrap();
    for name in ["logs/geo.jsonl", "state.json", "run.json", "state.json.new"] {
        symlink(&target, state.join(name)).unwrap();
    }
    let run = row.run();
    run.active("geo");
    run.call("geo", "complain", &json!({"text": "to nobody"})).unwrap();
    assert_eq!(set_aside(&run), ["run.json", "state.json"]);
    run.event(|event| event.event == "log.trouble");
    untouched();
    run.stop();
    untouched();
    for name in ["logs/geo.jsonl", "state.json.new"] {
        drop(fs::remove_file(state.join(name)));
    }
    row.witness("links lay in the place of the lock, both sockets, a log and three files of state");
}
