//! The folder of logs: not to be written at the start, taken away later; and limits that the kernel sets to files.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;

use outboard_tests::fault::Row;
use outboard_tests::world::Launch;
use serde_json::json;

#[test]
fn sup_06_logs_that_cannot_be_written_are_refused_before_anything_runs() {
    let row = Row::new("SUP-06");
    row.chaos("geo", "at spawned\nserve");
    DirBuilder::new().mode(0o500).create(row.state_dir("").join("logs")).unwrap();
    let Some(run) = crate::security::as_a_user(&row) else { return };
    assert_eq!(run.ended().code, Some(2), "{}", run.stderr());
    let said = run.stderr();
    assert!(said.contains("logs folder") && said.contains("ermission denied"), "{said}");
    assert_eq!(run.count(|event| event.event == "plugin.spawned"), 0);
    row.witness("the folder was there, and closed to the supervisor's user");
}

#[test]
fn sup_06_a_file_in_place_of_the_logs_is_refused_too() {
    let row = Row::new("SUP-06");
    row.chaos("geo", "serve");
    let logs = row.state_dir("").join("logs");
    fs::write(&logs, "precious").unwrap();
    let run = row.run();
    assert_eq!(run.ended().code, Some(2), "{}", run.stderr());
    assert!(run.stderr().contains("logs folder"), "{}", run.stderr());
    assert_eq!(fs::read_to_string(&logs).unwrap(), "precious");
    fs::remove_file(&logs).unwrap();
    row.witness("a file was where the folder is to be");
}

#[test]
fn sup_06_a_folder_that_is_renamed_or_removed_is_made_again_and_no_line_is_lost() {
    let row = Row::new("SUP-06");
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    let logs = run.state_dir.join("logs");
    let mut client = run.attach("geo");
    let mut complain = |text: &str| {
        client.call("complain", &json!({"text": text})).unwrap();
        run.log_line("geo", |line| line == text);
    };
    complain("before");
    let away = row.folder().join("away");
    fs::rename(&logs, &away).unwrap();
    complain("renamed");
    fs::remove_dir_all(&logs).unwrap();
    complain("removed");
    let before = fs::read_to_string(away.join("geo.jsonl")).unwrap();
    assert!(before.contains("before") && !before.contains("renamed"), "{before}");
    assert!(run.cli(&["logs", "geo"]).code(0).stdout.contains("removed"));
    let lost = |name: &str| run.count(|event| event.event == name);
    assert_eq!((lost("log.trouble"), lost("log.dropped")), (0, 0));
    assert_eq!(run.plugin("geo")["generation"], 1);
    row.witness(
        "the folder with the log was somewhere else, and then nowhere, while lines were written",
    );
}

#[test]
fn sup_16_a_state_directory_that_is_read_only_is_refused_in_words() {
    let row = Row::new("SUP-16");
    // SAFETY: asks for a number.
    let own = if unsafe { libc::geteuid() } == 0 { "unshare -m" } else { "unshare -rm" };
    let words = own.split(' ').chain(["true"]).map(str::to_owned).collect();
    if row.finish(row.spawn(words)).ended.code != Some(0) {
        return row.cannot("no mount namespace is to be had");
    }
    row.chaos("geo", "at spawned\nserve");
    let state = row.state_dir("");
    let state = state.display();
    let shell = format!(
        "exec {own} sh -c 'mount --bind \"{state}\" \"{state}\" && mount -o remount,bind,ro \"{state}\" || exit 90
        exec \"$@\"' sh {{}}"
    );
    let run = row.launch(&Launch { shell: Some(&shell), ..Launch::default() });
    assert_eq!(run.ended().code, Some(2), "{}", run.stderr());
    let said = run.stderr();
    assert!(said.contains("Read-only file system") && said.contains(&state.to_string()), "{said}");
    assert!(fs::read_dir(row.state_dir("")).unwrap().next().is_none(), "nothing was made in it");
    row.witness("the kernel's word is in the sentence");
}

#[test]
fn sup_16_a_limit_on_file_sizes_is_an_error_of_the_write_and_not_a_death() {
    let row = Row::new("SUP-16");
    row.chaos("geo", "serve");
    // 512 bytes or a KiB each: little enough for a log, and enough for everything else.
    let run = row.launch(&Launch { shell: Some("ulimit -f 128; exec {}"), ..Launch::default() });
    run.active("geo");
    let mut client = run.attach("geo");
    let text = "x".repeat(4000);
    for _ in 0..60 {
        client.call("complain", &json!({"text": text})).unwrap();
    }
    let trouble = run.event(|event| event.event == "log.trouble");
    assert!(trouble.text("message").contains("File too large"), "{trouble}");
    // The supervisor and its plugin are as they were.
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    assert_eq!(run.plugin("geo")["generation"], 1);
    row.witness("the kernel's word is in the event");
}
