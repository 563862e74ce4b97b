//! The state directory: its sockets, its lock, and what an earlier run left in it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use outboard_tests::clock::wait_until;
use outboard_tests::fault::{Row, race};
use outboard_tests::runtimes::bin;
use outboard_tests::world::{Launch, toml_list, toml_text};
use outboard_tests::{Process, Running, World};
use serde_json::{Value, json};

#[test]
fn sup_08_a_stale_socket_makes_room() {
    let row = Row::new("SUP-08");
    row.chaos("geo", "serve");
    let first = row.run();
    first.active("geo");
    first.kill_and_wait_until_nothing_is_left();
    let stale = ["control.sock", "attach.sock"].map(|name| first.state_dir.join(name));
    assert!(stale.iter().all(|socket| socket.exists()));
    let second = row.run();
    second.active_above("geo", 1);
    assert_eq!(second.call("geo", "echo", &json!({})).unwrap(), json!({}));
    row.witness("both sockets of the killed supervisor were there when the second one began");
}

/// Puts something where a socket is to be, and gives what has to be kept for it to live.
type Put = fn(&Path) -> io::Result<Option<UnixListener>>;

#[test]
fn sup_08_whatever_else_lies_there_is_refused_and_left_alone() {
    let row = Row::new("SUP-08");
    row.chaos("geo", "at spawned\nserve");
    for name in ["control.sock", "attach.sock"] {
        let cases: [(&str, Put); 4] = [
            ("a file", |path| fs::write(path, "precious").map(|()| None)),
            ("a symlink", |path| symlink("elsewhere", path).map(|()| None)),
            ("a directory", |path| fs::create_dir(path).map(|()| None)),
            ("a live socket", |path| UnixListener::bind(path).map(Some)),
        ];
        for (number, (what, put)) in cases.into_iter().enumerate() {
            let state = format!("{name}-{number}");
            let path = row.state_dir(&state).join(name);
            let _listener = put(&path).unwrap();
            let before = fs::symlink_metadata(&path).unwrap();
            let run = row.launch(&Launch { state: &state, ..Launch::default() });
            let spawned = || run.count(|event| event.event == "plugin.spawned");
            wait_until("it ends, or begins", || run.has_ended().is_some() || spawned() > 0);
            let ended = run.has_ended().and_then(|ended| ended.code);
            assert_eq!(ended, Some(8), "{what} at {name}: {}", run.stderr());
            assert!(run.stderr().contains(name), "{what}: {}", run.stderr());
            assert_eq!(spawned(), 0, "{what} at {name}");
            let after = fs::symlink_metadata(&path).unwrap();
            let same = |meta: &fs::Metadata| {
                use std::os::unix::fs::MetadataExt;
                (meta.ino(), meta.mode(), meta.uid(), meta.mtime_nsec(), meta.len())
            };
            assert_eq!(same(&before), same(&after), "{what} at {name} is untouched");
            if before.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.unwrap();
        }
    }
    row.witness("each of the four was there, and is the same file afterwards");
}

#[test]
fn sup_09_of_two_supervisors_one_wins_and_the_other_touches_nothing() {
    let row = Row::new("SUP-09");
    race(|_| {
        let world = World::new();
        world.chaos("geo", "at spawned $pid\nserve");
        let two = [world.run(), world.run()];
        // Whoever has started its plugin has won; the other has nothing to wait for.
        two[0].active("geo");
        let (lost, won) = loser(&two);
        let ended = lost.ended();
        assert_eq!(ended.code, Some(8), "{}", lost.stderr());
        let said = lost.stderr();
        for part in [won.pid.to_string(), world.manifests().display().to_string()] {
            assert!(said.contains(&part), "`{part}` in {said}");
        }
        assert!(said.contains("--state-dir"), "a remedy: {said}");
        // The sockets are the winner's still, and nothing was started twice.
        assert_eq!(won.status()["supervisor"]["pid"], won.pid);
        assert_eq!(won.call("geo", "echo", &json!({})).unwrap(), json!({}));
        assert_eq!(won.count(|event| event.event == "plugin.spawned"), 1);
        assert_eq!(won.stop().code, Some(0));
        assert!(!won.state_dir.join("control.sock").exists());
    });
    row.witness("each pair was started together, and one of the two ended with 8");
}

/// Which of the two is not the one that answers.
fn loser<'r, 'w>(two: &'r [Running<'w>; 2]) -> (&'r Running<'w>, &'r Running<'w>) {
    let pid = two[0].status()["supervisor"]["pid"].clone();
    if pid == two[0].pid { (&two[1], &two[0]) } else { (&two[0], &two[1]) }
}

/// A plugin with a child that left its session, and keeps its mark.
const WITH_CHILD: &str = "daemon {\n ignore TERM\n at daemon\n pause\n}\nserve";

#[test]
fn sup_21_the_reaper_takes_its_own_leftover_and_nothing_of_another_supervisor() {
    let row = Row::new("SUP-21");
    row.chaos("geo", WITH_CHILD);
    let leftover = left_by_a_double_kill(&row, "second");
    let first = row.launch(&Launch { state: "first", ..Launch::default() });
    first.active("geo");
    let theirs = [first.plugin_pid("geo"), row.gates().report("daemon").pid];
    let theirs = theirs.map(|pid| Process::of(pid).unwrap());
    // The number of one of the first's processes, as if that of the second's leader had been used again.
    let run_json = row.state_dir("second").join("run.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&run_json).unwrap()).unwrap();
    let leaders = record["leaders"].as_array_mut().unwrap();
    leaders.push(json!([theirs[0].pid, theirs[0].start - 1]));
    fs::write(&run_json, record.to_string()).unwrap();
    let seq = first.events().last().unwrap().seq;

    let second = row.launch(&Launch { state: "second", ..Launch::default() });
    second.active("geo");
    let removed = second.event(|event| event.event == "reaper.removed");
    assert!(removed.number("n") >= 1, "{removed}");
    assert!(!leftover.lives());
    let events = second.events();
    let skipped = events.iter().find(|event| event.event == "reaper.skipped");
    let skipped = skipped.expect("the other's process is left alone, and that is said");
    assert!(skipped.member("pids").to_string().contains(&theirs[0].pid.to_string()), "{skipped}");
    assert!(theirs.iter().all(Process::lives), "{theirs:?}");
    assert_eq!(first.call("geo", "echo", &json!({})).unwrap(), json!({}));
    let changed: Vec<_> = first.events().into_iter().filter(|event| event.seq > seq).collect();
    assert!(changed.is_empty(), "nothing happens to the first: {changed:?}");
    row.witness(
        "a leftover of the second lived until it began, and both plugins of the first still do",
    );
}

/// A process of a run in that state directory, which lost both its supervisor and its keeper.
fn left_by_a_double_kill(row: &Row, state: &str) -> Process {
    row.settings("[supervisor]\ncontainment = \"session\"\n");
    let run = row.launch(&Launch { state, ..Launch::default() });
    run.active("geo");
    let daemon = Process::of(row.gates().report("daemon").pid).unwrap();
    let recorded = || {
        let bytes = fs::read(run.state_dir.join("run.json")).unwrap_or_default();
        let record: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        record["leaders"].as_array().is_some_and(|leaders| !leaders.is_empty())
    };
    wait_until("its leader is recorded", recorded);
    let keeper = run.keeper_pid();
    row.freeze(run.pid);
    row.freeze(keeper);
    (**row).witness().signal(keeper, libc::SIGKILL);
    run.signal(libc::SIGKILL);
    run.ended();
    assert!(daemon.lives(), "nobody was there to end it");
    daemon
}

#[test]
fn sup_21_a_supervisor_below_another_ends_nothing_of_it() {
    let row = Row::new("SUP-21");
    row.chaos("geo", WITH_CHILD);
    let leftover = left_by_a_double_kill(&row, "second");
    // The second is started by a plugin of the first, and so bears its mark.
    let nested = format!(
        "'{}' run '{}' --state-dir '{}' >/dev/null 2>&1 </dev/null & exec {}",
        bin("outboard").display(),
        row.manifests().display(),
        row.state_dir("second").display(),
        row.chaos_command("nesting", "serve").join(" ")
    );
    let above = row.folder().join("above");
    fs::create_dir(&above).unwrap();
    let command = toml_list(&["sh", "-c", &nested]);
    let env = format!(
        "env = {{ CHAOS_DIR = {}, OUTBOARD_PLUGINS = {} }}",
        toml_text(&row.gates().folder().display().to_string()),
        toml_text(&outboard_tests::runtimes::bins().display().to_string())
    );
    fs::write(above.join("nesting.toml"), format!("[process]\ncommand = {command}\n{env}\n"))
        .unwrap();
    let sources = Some(vec![above]);
    let first = row.launch(&Launch { sources, state: "first", ..Launch::default() });
    first.active("nesting");
    row.gates().report("daemon");
    assert!(!leftover.lives(), "gone before the second one's plugins began");
    let nesting = Process::of(first.plugin_pid("nesting")).unwrap();
    let second = row.cli_on("second", &["status", "--json"]).code(0).json();
    assert_eq!(second["plugins"][0]["state"], "active", "{second}");
    assert!(nesting.lives());
    assert_eq!(first.call("nesting", "echo", &json!({})).unwrap(), json!({}));
    assert_eq!(first.plugin("nesting")["generation"], 1);
    // It is a part of the first's plugin, and goes with it.
    let stop = first.control("stop", &json!({"ids": ["nesting"]})).unwrap();
    assert_eq!(stop["outcomes"][0]["end"], "stopped", "{stop}");
    row.witness("a supervisor below a plugin of another removed its own leftover and served");
}
