//! SEC-04, SEC-06: what one plugin can do to another, and to the supervisor, as the same user.

use outboard_tests::fault::Row;
use serde_json::{Value, json};

#[test]
fn sec_04_the_supervisor_is_closed_to_its_plugins_and_siblings_are_said_to_be_open() {
    let row = Row::new("SEC-04");
    row.chaos("sibling", "serve");
    row.chaos("curious", "on pry { pry $p.pid }\nserve");
    let Some(run) = super::as_a_user(&row) else { return };
    run.active("curious");
    run.active("sibling");
    let pry = |pid: u32| run.call("curious", "pry", &json!({"pid": pid})).unwrap();
    for (who, pid) in [("supervisor", run.supervisor_pid()), ("keeper", run.keeper_pid())] {
        let refused = json!({"attach": "refused", "memory": "refused", "descriptor": "refused"});
        assert_eq!(pry(pid), refused, "{who}");
    }
    let sibling = pry(run.plugin_pid("sibling"));
    row.note(format_args!("a sibling: {sibling}"));
    // Whatever the kernel lets one do to another here (a security module may forbid more), what is promised is no more.
    assert_eq!(run.status()["supervisor"]["isolation"], "shared-user");
    let plan = run.control("reload", &json!({"plan": true})).unwrap();
    assert_eq!(plan["plan"]["isolation"], "shared-user", "{plan}");
    // The supervisor and its plugin go on.
    assert_eq!(run.call("sibling", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    row.witness(
        "a plugin of the same user tried attach, memory and a descriptor of both and of a sibling",
    );
}

#[test]
fn sec_06_a_forged_answer_ends_a_call_at_most_once_and_one_for_nobody_is_an_orphan() {
    let row = Row::new("SEC-06");
    row.chaos("a", "on take {\nat asked $id\ndefer answer { reply {\"from\":\"a\"} }\n}\nserve");
    row.chaos(
        "b",
        "on open {\nforge open $p.pid $p.line\nreply {}\n}\non copy {\nforge copy $p.pid $p.line\nreply {}\n}\nserve",
    );
    let run = row.run();
    run.active("a");
    run.active("b");
    let a = run.plugin_pid("a");
    let forge = |way: &str, id: u64| {
        let line = json!({"jsonrpc": "2.0", "id": id, "result": {"from": way}});
        run.call("b", way, &json!({"pid": a, "line": line}))
    };
    forge("open", 1_000_000).unwrap();
    let orphan = run.event(|event| event.is("wire.orphan_reply", "a"));
    assert_eq!(orphan.text("id"), "1000000", "{orphan}");
    let mut client = run.attach("a");
    let mut ways = Vec::new();
    for way in ["open", "copy"] {
        let call = client.send("take", &json!({}));
        let id: u64 = row.gates().report("asked").text.parse().unwrap();
        let forged = forge(way, id);
        if forged.is_ok() {
            ways.push(way);
        } else {
            // A security module (yama) may keep siblings from each other's descriptors.
            assert_eq!(way, "copy", "the pipe can always be opened again: {forged:?}");
            row.gates().open("answer");
        }
        let answer: Value = serde_json::from_str(client.answer(call).unwrap().get()).unwrap();
        let from = if forged.is_ok() { way } else { "a" };
        assert_eq!(answer, json!({"from": from}), "nobody can tell it from the true one");
        // The true one comes too late, for a call that has ended.
        if forged.is_ok() {
            row.gates().open("answer");
        }
    }
    // Each call was answered once: another answer would stand before this one.
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    assert_eq!(run.plugin("a")["generation"], 1);
    assert_eq!(run.status()["supervisor"]["isolation"], "shared-user");
    row.witness(format_args!("answers were forged by {}", ways.join(" and ")));
}
