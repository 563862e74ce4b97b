//! The file that is to be executed: not there, not allowed, not a program, or busy.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::executable::Busy;
use outboard_tests::fault::Row;
use outboard_tests::runtimes::bin;
use outboard_tests::world::{Launch, toml_list, toml_text};
use outboard_tests::{Event, Running};
use serde_json::json;

/// The manifest of a plugin that is nothing but a file. It is looked at again soon once it has failed.
fn plugin(row: &Row, id: &str, command: &[&str], more: &str) {
    let command = toml_list(command);
    let gates = toml_text(&row.gates().folder().display().to_string());
    let text = format!("[process]\ncommand = {command}\nenv = {{ CHAOS_DIR = {gates} }}\n{more}\n");
    row.manifest(id, &text);
}

/// The state that a failure leads to at once.
#[track_caller]
fn comes_into(run: &Running<'_>, failure: &Event, state: &str) {
    let id = failure.plugin.as_deref().unwrap();
    let next = run.event_after(failure.seq, |event| event.is("plugin.state", id));
    assert_eq!(next.text("to"), state, "{next}");
}

/// A failure that lasts: this class and detail, naming `named`; no second try; calls are refused; `why` says the same.
#[track_caller]
fn is_permanent(run: &Running<'_>, row: &Row, id: &str, detail: &str, named: &str) -> Event {
    let failure = run.failure(id);
    assert_eq!((failure.text("class"), failure.text("detail")), ("spawn", detail), "{failure}");
    assert!(failure.text("message").contains(named), "{failure}: `{named}` is to be named");
    comes_into(run, &failure, "failed");
    let mut attach = run.attach(id);
    let began = Stopwatch::new();
    let refused = attach.call("echo", &json!({})).unwrap_err();
    row.measured(&format!("{detail}: refused"), began.elapsed());
    assert_eq!((refused.code, refused.class()), (-31001, "failed"), "{refused:?}");
    assert_eq!(refused.data["sent"], false, "{refused:?}");
    let shown = run.plugin(id);
    assert_eq!(json!([shown["state"], shown["pid"]]), json!(["failed", null]), "{shown}");
    let why = run.cli(&["why", id]).code(0).stdout;
    assert!(why.contains(named) && why.contains(&format!("detail {detail}")), "{why}");
    assert!(!why.contains("careful try"), "its file is looked at, nothing is tried: {why}");
    assert_eq!(run.count(|event| event.is("plugin.failure", id)), 1, "{id}: one try");
    assert_eq!(run.count(|event| event.is("restart.scheduled", id)), 0, "{id}: and no other");
    failure
}

#[test]
fn spawn_01_the_executable_does_not_exist() {
    let row = Row::new("SPAWN-01");
    let missing = row.folder().join("never-made");
    plugin(&row, "absent", &[&missing.display().to_string()], "[restart]\nretry_after = \"never\"");
    let run = row.run();
    is_permanent(&run, &row, "absent", "exe-missing", &missing.display().to_string());
    assert_eq!(run.plugin("absent")["next_try_ms"], json!(null));
    assert!(!missing.exists());
    row.witness("nothing is at that path");
}

#[test]
fn spawn_01_a_file_that_appears_is_started_by_itself_where_that_is_configured() {
    let row = Row::new("SPAWN-01");
    let late = row.folder().join("late");
    let late_text = late.display().to_string();
    let script = row.folder().join("late.chaos").display().to_string();
    fs::write(&script, "serve").unwrap();
    plugin(
        &row,
        "looks",
        &[&late_text, &script],
        "[restart]\nretry_after = { initial = \"100ms\", max = \"1s\" }",
    );
    plugin(&row, "waits", &[&late_text, &script], "[restart]\nretry_after = \"never\"");
    let run = row.run();
    for id in ["looks", "waits"] {
        let failure = run.failure(id);
        assert_eq!(failure.text("detail"), "exe-missing");
        comes_into(&run, &failure, "failed");
    }
    // It has been looked for at least once: the wait for the next look has grown.
    let failures = || run.count(|event| event.is("plugin.failure", "looks"));
    wait_until("it is looked for", || {
        assert_eq!(failures(), 1, "looking is no try");
        run.plugin("looks")["next_try_ms"].as_u64() > Some(110)
    });
    row.witness("nothing was at that path");
    std::os::unix::fs::symlink(bin("outboard-chaos"), &late).unwrap();
    let began = Stopwatch::new();
    run.active("looks");
    row.measured("from its appearance to active", began.elapsed());
    assert_eq!(run.count(|event| event.is("plugin.failure", "looks")), 1, "looking is no try");
    assert_eq!(run.plugin("waits")["state"], "failed", "nobody asked it to look");
    run.cli(&["start", "waits"]).code(0);
    run.active("waits");
}

/// A copy of a scripted plugin in which one text is another of the same length.
fn patched(program: &Path, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(program).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.unwrap_or_else(|| panic!("{} has no {from:?}", program.display()));
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn spawn_02_one_errno_has_four_causes_and_each_names_the_missing_thing() {
    let row = Row::new("SPAWN-02");
    let chaos = bin("outboard-chaos");
    let nowhere = row.folder().join("no-such-folder").display().to_string();
    let loader = patched(&chaos, b"/ld-linux", b"/no-linux");
    let files = [
        ("interpreter", row.executable("no-shell", b"#!/nowhere/no-such-shell -e\nexit 0\n")),
        ("crlf", row.executable("crlf", b"#!/bin/sh\r\nexit 0\r\n")),
        ("loader", row.executable("no-loader", &loader)),
    ];
    for (id, file) in &files {
        plugin(&row, id, &[&file.display().to_string()], "");
    }
    let command = toml_list(&[&chaos.display().to_string()]);
    let cwd = toml_text(&nowhere);
    row.manifest("cwd", &format!("[process]\ncommand = {command}\ncwd = {cwd}\n"));
    let run = row.run();
    for (id, detail, missing) in [
        ("cwd", "cwd-missing", &*nowhere),
        ("interpreter", "interpreter-missing", "/nowhere/no-such-shell"),
        ("crlf", "shebang-crlf", "/bin/sh\\r"),
        ("loader", "loader-missing", "/no-linux"),
    ] {
        is_permanent(&run, &row, id, detail, missing);
    }
    for (_, file) in &files {
        let error = row.exec_error(file);
        assert_eq!(error, Some(libc::ENOENT), "{}", file.display());
    }
    row.witness("exec says ENOENT for each of the three files, which are there");
}

#[test]
fn spawn_03_no_execute_bit_or_a_folder() {
    let row = Row::new("SPAWN-03");
    let plain = row.executable("plain", b"#!/bin/sh\nexit 0\n");
    fs::set_permissions(&plain, PermissionsExt::from_mode(0o644)).unwrap();
    let folder = row.folder().join("folder");
    fs::create_dir(&folder).unwrap();
    plugin(&row, "plain", &[&plain.display().to_string()], "");
    plugin(&row, "folder", &[&folder.display().to_string()], "");
    let run = row.run();
    let failure = is_permanent(&run, &row, "plain", "not-permitted", "has no execute bit");
    assert!(failure.text("message").contains(&plain.display().to_string()), "{failure}");
    let failure = is_permanent(&run, &row, "folder", "not-permitted", "is a directory");
    assert!(failure.text("message").contains(&folder.display().to_string()), "{failure}");
    for file in [&plain, &folder] {
        assert_eq!(row.exec_error(file), Some(libc::EACCES), "{}", file.display());
    }
    row.witness("exec says EACCES for both");
}

#[test]
fn spawn_03_the_mount_is_noexec() {
    let row = Row::new("SPAWN-03");
    let unshares = ["unshare", "--map-root-user", "--mount", "true"].map(str::to_owned);
    let may = row.finish(row.spawn(unshares.into())).ended.code == Some(0);
    if !may {
        return row.cannot("no user namespace with mounts of its own");
    }
    let mount = row.folder().join("mount");
    fs::create_dir(&mount).unwrap();
    let original = row.executable("well", b"#!/bin/sh\nexit 0\n");
    let (file, original) = (mount.join("well"), original.display().to_string());
    plugin(&row, "noexec", &[&file.display().to_string()], "");
    let (mount, script) = (mount.display().to_string(), row.folder().join("in-namespace"));
    let text = format!(
        "set -e\nmount -t tmpfs -o noexec tmpfs '{mount}'\ncp '{original}' '{mount}/well'\nexec \"$@\"\n"
    );
    fs::write(&script, text).unwrap();
    let line = format!("exec unshare --map-root-user --mount sh '{}' {{}}", script.display());
    let run = row.launch(&Launch { shell: Some(&line), ..Launch::default() });
    let named = format!("{} is on a file system mounted noexec", file.display());
    is_permanent(&run, &row, "noexec", "not-permitted", &named);
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", run.supervisor_pid())).unwrap();
    let ours = mounts.lines().find(|line| line.contains(&mount)).expect("it is mounted");
    assert!(ours.contains("noexec"), "{ours}");
    row.witness(ours);
}

#[test]
fn spawn_04_what_is_no_program_is_never_handed_to_a_shell() {
    let row = Row::new("SPAWN-04");
    let canary = row.folder().join("canary");
    let touch = format!("touch '{}'\n", canary.display());
    // The machine of an ELF file is its 19th and 20th byte: EM_SPARC, big and of 32 bits, is nobody's here.
    let mut foreign = fs::read(bin("outboard-chaos")).unwrap();
    foreign[18..20].copy_from_slice(&[2, 0]);
    let files = [
        ("empty", row.executable("paths/empty", b""), "is empty"),
        ("text", row.executable("paths/text", touch.as_bytes()), "neither a program nor a script"),
        ("foreign", row.executable("paths/foreign", &foreign), "made for another processor"),
    ];
    let path = row.folder().join("paths").display().to_string();
    for (id, file, _) in &files {
        plugin(&row, id, &[&file.display().to_string()], "");
        // The same looked up on PATH, where execvp(3) would hand it to a shell.
        let (command, path) = (toml_list(&[id]), toml_text(&format!("{path}:/usr/bin:/bin")));
        let text = format!("[process]\ncommand = {command}\nenv = {{ PATH = {path} }}\n");
        row.manifest(&format!("{id}-on-path"), &text);
    }
    let run = row.run();
    for (id, file, words) in &files {
        for id in [(*id).to_owned(), format!("{id}-on-path")] {
            let failure = is_permanent(&run, &row, &id, "bad-format", words);
            let file = file.display().to_string();
            assert!(failure.text("message").contains(&file), "{failure}");
        }
        assert_eq!(row.exec_error(file), Some(libc::ENOEXEC), "{}", file.display());
    }
    assert!(!canary.exists(), "a shell has run it");
    row.witness("exec says ENOEXEC for each; the canary is absent");
}

#[test]
fn spawn_05_somebody_still_writes_the_executable() {
    let row = Row::new("SPAWN-05");
    let [freed, kept] = ["freed", "kept"].map(|name| {
        let copy = row.executable_copy(name, &bin("outboard-chaos"));
        Busy::hold(copy).unwrap()
    });
    // A single restart is in the budget: were a busy file charged, the second try would be the last.
    let more = "[restart]\nbackoff = { initial = \"1ms\", max = \"2ms\" }\n\
                budget = { restarts = 1, within = \"10m\" }\nretry_after = \"never\"";
    for (id, file) in [("freed", &freed), ("kept", &kept)] {
        let script = row.folder().join(format!("{id}.chaos"));
        fs::write(&script, "serve").unwrap();
        let command = [&*file.path().display().to_string(), &*script.display().to_string()];
        plugin(&row, id, &command, more);
    }
    let run = row.run();
    for id in ["freed", "kept"] {
        for generation in 1..=3 {
            let failure =
                run.event(|event| event.is("plugin.failure", id) && event.generation == generation);
            let told = (failure.text("class"), failure.text("detail"));
            assert_eq!(told, ("spawn", "busy"), "{failure}");
            comes_into(&run, &failure, "backoff");
            let wait = run.event_after(failure.seq, |event| event.is("restart.scheduled", id));
            assert!((100..=1000).contains(&wait.number("after_ms")), "short and bounded: {wait}");
        }
    }
    row.witness("the kernel says ETXTBSY three times for each");
    freed.release();
    let began = Stopwatch::new();
    run.active("freed");
    row.measured("from its release to active", began.elapsed());
    assert_eq!(run.call("freed", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    // The other goes on trying: neither `failed` nor a bare loop.
    run.event(|event| event.is("plugin.failure", "kept") && event.generation == 5);
    assert_eq!(run.count(|event| event.is_state("kept", "failed")), 0);
    assert_eq!(run.count(|event| event.is("restart.gave_up", "kept")), 0);
    run.cli(&["stop", "kept"]).code(0);
}

#[test]
fn spawn_08_the_executable_is_replaced_between_two_starts() {
    let row = Row::new("SPAWN-08");
    let program = row.executable_copy("plug", &bin("outboard-chaos"));
    let script = row.folder().join("x.chaos");
    let text = "generation 1 {\n  at up\n  gate end\n  exit 4\n}\ngeneration 2 { exit 5 }\nserve\n";
    fs::write(&script, text).unwrap();
    let command = [&*program.display().to_string(), &*script.display().to_string()];
    plugin(&row, "x", &command, "[restart]\nbackoff = { initial = \"1ms\" }\n");
    let run = row.run();
    row.gates().report("up");
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let old = inode(&program);
    fs::rename(row.executable_copy("plug-2", &bin("outboard-chaos")), &program).unwrap();
    let new = inode(&program);
    assert_ne!(old, new);
    row.gates().open("end");
    let changed = run.event(|event| event.is("plugin.executable_changed", "x"));
    assert_eq!(changed.generation, 2);
    let inodes = ["before", "now"].map(|when| changed.fields[when]["inode"].as_u64().unwrap());
    assert_eq!(inodes, [old, new], "{changed}");
    let active = run.active("x");
    assert_eq!(active.generation, 3);
    assert_eq!(run.count(|event| event.is("plugin.executable_changed", "x")), 1);
    // The crash of the new one is not blamed on the old one.
    let why = run.cli(&["why", "x"]).code(0);
    assert!(why.stdout.contains("exit 5"), "{}", why.stdout);
    assert!(why.stdout.contains("its executable changed"), "{}", why.stdout);
    row.witness(format_args!("inode {old} ran first, and then inode {new}"));
}
