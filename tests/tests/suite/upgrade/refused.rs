//! A build that cannot go on is found out while the one that runs still has everything: nothing changes.

use outboard_tests::{Attach, Running, World};
use serde_json::{Value, json};

use super::Installed;

/// A supervisor with a plugin, a client and a call in flight, and what has to stay as it is.
struct Before<'w> {
    run: &'w Running<'w>,
    client: Attach,
    open: u64,
    state: Value,
}

impl<'w> Before<'w> {
    #[track_caller]
    fn of(run: &'w Running<'w>) -> Self {
        run.active("geo");
        let mut client = run.attach("geo");
        let open = client.send("hold", &json!({"gate": "later"}));
        assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
        Self { run, client, open, state: state(run) }
    }

    /// The pids are the same, the client is served, its call is answered, and a good build can still go on.
    #[track_caller]
    fn stays(mut self, world: &World, installed: &Installed<'_>) {
        assert_eq!(state(self.run), self.state);
        assert_eq!(self.client.call("echo", &json!({"n": 2})).unwrap(), json!({"n": 2}));
        installed.put(&outboard_tests::runtimes::bin("outboard"));
        let seq = self.run.events().last().unwrap().seq;
        self.run.cli(&["upgrade"]).code(0);
        let event = self.run.event_after(seq, |event| event.event == "supervisor.upgrade_started");
        assert_eq!(event.text("program"), installed.path.display().to_string());
        assert_eq!(state(self.run), self.state);
        world.gates().open("later");
        self.client.answer(self.open).unwrap();
        assert_eq!(self.client.call("echo", &json!({"n": 3})).unwrap(), json!({"n": 3}));
    }
}

/// Who runs, since when, and what is open.
fn state(run: &Running<'_>) -> Value {
    let plugin = run.plugin("geo");
    let generation = run.active("geo").generation;
    assert!(run.has_ended().is_none());
    json!({
        "supervisor": run.supervisor_pid(),
        "keeper": run.keeper_pid(),
        "pid": plugin["pid"],
        "generation": plugin["generation"],
        "active": generation,
        "state": plugin["state"],
        "restarts": plugin["restarts"],
    })
}

/// Puts a script in place of the build, has it refused. The screen has to say `words`.
#[track_caller]
fn refused(script: &str, class: &str, words: &str) {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    let before = Before::of(&run);
    installed.put_script("other", script);

    let said = run.cli(&["upgrade"]).code(6).stderr;
    for part in ["nothing has changed", words, &format!("class {class}")] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let event = run.event(|event| event.event == "supervisor.upgrade_refused");
    assert_eq!(event.text("class"), class, "{event}");
    assert!(event.text("message").contains(words), "{event}");
    before.stays(&world, &installed);
    assert_eq!(run.stop().code, Some(0));
    // For the one of another session, which nobody ends.
    world.gates().open("leave");
}

#[test]
fn a_build_that_does_not_know_the_verb() {
    let script = "echo 'error: unrecognized subcommand' >&2; exit 2";
    refused(script, "upgrade_crashed", "(exit 2): error: unrecognized subcommand");
}

#[test]
fn a_build_that_says_nothing_sensible() {
    refused("echo all is well", "upgrade_crashed", "ended without a word (exit 0)");
}

#[test]
fn a_build_that_says_that_it_can_and_fails() {
    refused("{} rehearse-upgrade; exit 3", "upgrade_crashed", "(exit 3)");
}

/// The build of this workspace, which is given a state that only a later one understands.
#[test]
fn a_build_that_is_too_old_for_the_state() {
    let script = "sed '1s/.*/outboard-state 99 98/' | {} rehearse-upgrade";
    refused(script, "upgrade_unreadable", "is of version 99 and needs a build that reads 98");
}

/// And one that lacks a member that this build cannot do without.
#[test]
fn a_build_that_cannot_read_what_is_in_the_state() {
    let script = r#"sed 's/"fleet"/"flock"/' | {} rehearse-upgrade"#;
    refused(script, "upgrade_unreadable", "missing field `fleet`");
}

#[test]
fn a_build_that_crashes() {
    refused("kill -SEGV $$", "upgrade_crashed", "(signal 11)");
}

/// What it has started holds its outputs open; that is no reason to wait, and none of it stays.
#[test]
fn a_build_that_crashes_and_leaves_a_process_behind() {
    refused("sleep 1000 & echo going >&2; kill -SEGV $$", "upgrade_crashed", "(signal 11): going");
}

#[test]
fn a_build_that_leaves_a_process_of_another_session_behind() {
    let script = r#"
        cd "$(dirname "$0")"
        setsid sh -c 'touch up; exec head -c1 gates/leave' &
        until [ -e up ]; do :; done
        kill -SEGV $$
    "#;
    refused(script, "upgrade_crashed", "(signal 11)");
}

/// It is killed with everything that it has started: the world would find it.
#[test]
fn a_build_that_hangs() {
    refused("sleep 1000 & sleep 1000", "upgrade_hung", "did not say within 5 s");
}

#[test]
fn a_file_that_is_no_program() {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    let before = Before::of(&run);
    std::fs::write(world.folder().join("text"), "no program").unwrap();
    installed.put(&world.folder().join("text"));
    let said = run.cli(&["upgrade"]).code(6).stderr;
    assert!(said.contains("class upgrade_not_started"), "{said}");
    before.stays(&world, &installed);
}

/// It rehearses well and cannot be executed a moment later: the one that runs takes everything back.
#[test]
fn a_build_that_rehearses_well_and_cannot_be_executed() {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    for (script, why) in [
        (r#"chmod a-x "$0"; exec {} "$@""#, "Permission denied"),
        (r#"rm "$(dirname "$0")/outboard"; exec {} "$@""#, "No such file"),
    ] {
        let before = Before::of(&run);
        let seq = run.events().last().unwrap().seq;
        installed.put_script("other", script);
        let said = run.cli(&["upgrade"]).code(6).stderr;
        for part in ["not upgraded: the build that ran goes on", why] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        let event = run.event_after(seq, |event| event.event == "supervisor.upgrade_failed");
        assert!(event.text("message").contains(why), "{event}");
        before.stays(&world, &installed);
    }
    // Signals are heard again.
    assert_eq!(run.stop().code, Some(0));
}
