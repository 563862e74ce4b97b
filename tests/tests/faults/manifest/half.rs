//! Files that somebody is still writing.

use std::fs;

use outboard_tests::fault::{Row, race};
use serde_json::json;

use super::{WELL, is_untouched, rejected, reload, says_all};

#[test]
fn man_13_a_half_written_file_is_refused_and_the_old_one_goes_on() {
    let row = Row::new("MAN-13");
    row.chaos(WELL, "serve");
    row.chaos_with("changes", "serve", "description = \"the old one\"");
    let run = row.run();
    run.active(WELL);
    run.active("changes");
    let path = row.manifests().join("changes.toml");
    let old = fs::read_to_string(&path).unwrap();
    // Two changes in one file: either both are seen, or none.
    let new = old.replace("the old one", "the new one") + "[config]\nunits = \"metric\"\n";
    let commands = old.find("[\"").unwrap();
    race(|round| {
        // The editor's first write ends in the midst of the command, each time elsewhere.
        let cut = commands + 2 + 7 * usize::try_from(round).unwrap() % 60;
        fs::write(&path, &new[..cut]).unwrap();
        let problems = rejected(&run);
        says_all(&["changes.toml:", "not valid TOML"], &problems);
        is_untouched(&run);
        let shown = run.plugin("changes");
        assert_eq!(json!([shown["state"], shown["generation"]]), json!(["active", 1]), "{shown}");
        assert_eq!(run.call("changes", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
        if round == 0 {
            row.witness(format_args!("{cut} of {} bytes were there", new.len()));
        }
    });
    // The second write.
    fs::write(&path, &new).unwrap();
    let event = reload(&run);
    assert_eq!(event.event, "config.applied", "{event}");
    assert_eq!((event.member("changed"), event.number("revision")), (&json!(["changes"]), 2));
    run.active_above("changes", 1);
    assert_eq!(run.plugin(WELL)["generation"], 1);
    assert_eq!(run.status()["supervisor"]["revision"], 2);
}

#[test]
fn man_13_of_two_reloads_at_once_the_second_is_a_conflict() {
    let row = Row::new("MAN-13");
    row.chaos(WELL, "serve");
    row.chaos("changes", "serve");
    let run = row.run();
    run.active(WELL);
    run.active("changes");
    let mut revision = 1;
    race(|round| {
        let more = format!("[config]\nround = {round}\n");
        row.chaos_with("changes", "serve", &more);
        // Both are there before the supervisor can look at either: it stands still until both have connected.
        row.freeze(run.pid);
        let reload = || {
            let state = run.state_dir.display().to_string();
            let on = revision.to_string();
            let argv = ["reload", "--json", "--if-revision", &on, "--state-dir", &state];
            let program = outboard_tests::runtimes::bin("outboard").display().to_string();
            let argv = [program].into_iter().chain(argv.map(str::to_owned)).collect();
            (*row).witness().spawn(row.spawn(argv))
        };
        let both = [reload(), reload()];
        let connections = || {
            let sockets = fs::read_to_string("/proc/net/unix").unwrap();
            let path = run.state_dir.join("control.sock").display().to_string();
            // The listener, and whoever waits to be accepted.
            sockets.lines().filter(|line| line.ends_with(&path)).count()
        };
        outboard_tests::clock::wait_until("both have connected", || connections() >= 3);
        run.signal(libc::SIGCONT);
        let mut codes = both.map(|pid| (*row).witness().exit(pid).get().code);
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(8)], "round {round}");
        revision += 1;
        assert_eq!(run.status()["supervisor"]["revision"], revision);
    });
    let spawns = run.count(|event| event.is("plugin.spawned", "changes"));
    assert_eq!(spawns as u64, revision, "each change has restarted it once");
    row.witness("two clients were connected before the supervisor ran on");
}

#[test]
fn man_13_a_half_written_set_is_none() {
    let row = Row::new("MAN-13");
    row.chaos(WELL, "serve");
    row.chaos("two", "serve");
    let run = row.run();
    run.active(WELL);
    run.active("two");
    // One file is whole and new already, the other is half there: neither counts.
    let config = "[config]\nunits = \"metric\"\n";
    let [one, two] = [WELL, "two"].map(|id| row.manifests().join(format!("{id}.toml")));
    let [old_one, old_two] = [&one, &two].map(|path| fs::read_to_string(path).unwrap());
    fs::write(&one, format!("{old_one}\n{config}")).unwrap();
    fs::write(&two, &old_two[..old_two.len() / 2]).unwrap();
    let problems = rejected(&run);
    assert!(problems.contains("two.toml"), "{problems}");
    is_untouched(&run);
    assert_eq!(run.plugin("two")["generation"], 1);
    row.witness("one file was new and whole, the other half written");
    fs::write(&two, format!("{old_two}\n{config}")).unwrap();
    let event = reload(&run);
    assert_eq!((&*event.event, event.number("revision")), ("config.applied", 2));
    for id in [WELL, "two"] {
        run.active_above(id, 1);
    }
}
