//! SEC-07: plugins as clients of the sockets.

use outboard_tests::Running;
use outboard_tests::fault::Row;
use outboard_tests::runtimes::{bin, on_path};
use serde_json::{Value, json};

/// A plugin that does `line` in its shell before it serves. In it, `ob` is a command of `outboard` on this supervisor,
/// and what it printed to stderr comes into the plugin's log.
fn curious(row: &Row, line: &str) {
    let outboard = bin("outboard").display().to_string();
    let state = row.state_dir("").display().to_string();
    let begin = format!("ob() {{ {outboard} \"$$@\" --state-dir {state}; }}; ");
    let line = format!("{begin}{line}; echo done >&2; exec {{}}");
    row.chaos_wrapped("curious", "serve", &line, "[start]\nafter = [\"victim\"]\n");
}

/// Tells its callers' names.
const VICTIM: &str =
    "on initialize { reply {\"protocolVersion\":1,\"supports\":{\"meta\":true}} }\nserve";

fn lines_of(run: &Running<'_>) -> Vec<String> {
    super::printed(run, "curious")
}

fn code(lines: &[String], what: &str) -> String {
    let said = lines.iter().find_map(|line| line.strip_prefix(what));
    said.unwrap_or_else(|| panic!("{what}: {lines:#?}")).trim().to_owned()
}

#[test]
fn sec_07_a_plugin_that_uses_the_sockets_is_known_by_name() {
    let row = Row::new("SEC-07");
    row.chaos("victim", VICTIM);
    // The last one is nobody's child any more when it connects.
    let later = format!(
        "(setsid sh -c \"read -r line <$$CHAOS_DIR/go; {} stop victim --state-dir {} >/dev/null 2>&1\" &)",
        bin("outboard").display(),
        row.state_dir("").display()
    );
    let now = "ob call victim echo >&2; ob status --json >&2; ob restart victim >/dev/null; echo restart $$? >&2";
    curious(&row, &format!("{now}; {later}"));
    drop(outboard_tests::gates::fifo(&row.gates().folder().join("go")));
    let run = row.run();
    run.active("curious");
    let lines = lines_of(&run);
    let pid = run.plugin_pid("curious");
    let said = |member: &str| {
        let found = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found.filter_map(|value| value.get(member).cloned()).next().unwrap_or_default()
    };
    assert_eq!(
        said("_meta")["caller"],
        "plugin:curious",
        "to the plugin that it called: {lines:#?}"
    );
    assert_eq!(said("supervisor")["caller"], "plugin:curious", "{lines:#?}");
    assert_eq!(said("supervisor")["isolation"], "shared-user", "{lines:#?}");
    assert_eq!(code(&lines, "restart"), "0");
    let asked =
        run.event(|event| event.is("plugin.asked", "victim") && event.text("what") == "restart");
    assert_eq!(asked.fields["by"]["caller"], "plugin:curious", "{asked}");
    run.active_above("victim", 1);
    // Left alone in a session of its own, it comes from the same plugin still.
    std::fs::write(row.gates().folder().join("go"), "\n").unwrap();
    let asked =
        run.event(|event| event.is("plugin.asked", "victim") && event.text("what") == "stop");
    assert_eq!(asked.fields["by"]["caller"], "plugin:curious", "{asked}");
    // Whoever is nobody's is called nothing else.
    let status = run.status();
    assert_eq!(status["supervisor"]["caller"], "api");
    run.control("start", &json!({"ids": ["victim"]})).unwrap();
    let asked =
        run.event(|event| event.is("plugin.asked", "victim") && event.text("what") == "start");
    assert!(asked.fields["by"].get("caller").is_none(), "{asked}");
    row.witness(format_args!(
        "pid {pid} and an orphan of its own session connected to both sockets"
    ));
}

#[test]
fn sec_07_refused_plugins_get_a_sentence_and_nothing_else() {
    let row = Row::new("SEC-07");
    row.settings("[control]\nrefuse_plugins = true\n");
    row.chaos("victim", VICTIM);
    curious(
        &row,
        "ob restart victim >&2; echo restart $$? >&2; ob call victim echo >&2; echo call $$? >&2; \
         ob attach victim </dev/null >&2; echo attach $$? >&2; ob status >&2; echo status $$? >&2",
    );
    let run = row.run();
    run.active("curious");
    let lines = lines_of(&run);
    for what in ["restart", "call", "attach", "status"] {
        assert_eq!(code(&lines, what), "7", "{what}: {lines:#?}");
    }
    let told = lines.iter().filter(|line| line.contains("a process of plugin:curious"));
    assert!(told.count() >= 4, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("refuse_plugins = false")), "{lines:#?}");
    let refused = run.event(|event| event.event == "client.refused");
    assert_eq!(refused.text("caller"), "plugin:curious", "{refused}");
    assert_eq!(run.count(|event| event.is("plugin.asked", "victim")), 0, "nothing was done");
    assert_eq!(run.plugin("victim")["generation"], 1);
    // Who is no plugin is served as ever.
    assert_eq!(run.call("victim", "echo", &json!({"n": 1})).unwrap()["n"], 1);
    row.witness("both sockets were tried by a plugin, by four commands");
}

#[test]
fn sec_07_another_users_plugin_is_kept_out_by_mode() {
    let row = Row::new("SEC-07");
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 || !on_path("setpriv") {
        return row.cannot("only root can have a process of another user, by setpriv");
    }
    row.chaos("victim", "serve");
    let other = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let state = row.state_dir("").display().to_string();
    curious(
        &row,
        &format!(
            "for f in logs/victim.jsonl events.jsonl state.json new; do \
             {other} sh -c \"echo forged >>{state}/$$f\" 2>/dev/null; echo $$f $$? >&2; done; \
             {other} {} status --state-dir {state} >&2; echo status $$? >&2",
            bin("outboard").display(),
        ),
    );
    let run = row.run();
    run.active("curious");
    let lines = lines_of(&run);
    for file in ["logs/victim.jsonl", "events.jsonl", "state.json", "new"] {
        assert_ne!(code(&lines, file), "0", "{lines:#?}");
    }
    assert_eq!(code(&lines, "status"), "7", "{lines:#?}");
    assert!(run.stored_log("victim").iter().all(|line| line["text"] != "forged"));
    row.witness("a process of user 65534 tried three files, a new one and the socket");
}

#[test]
fn sec_07_that_plugins_share_a_user_is_said_wherever_it_matters() {
    let row = Row::new("SEC-07");
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    assert_eq!(run.status()["supervisor"]["isolation"], "shared-user");
    row.chaos("time", "serve");
    let plan = run.cli(&["reload", "--plan"]).code(0).stdout;
    assert!(plan.contains("isolation: shared-user"), "{plan}");
    let plan = run.cli(&["reload", "--plan", "--json"]).code(0).json();
    assert_eq!(plan["plan"]["isolation"], "shared-user", "{plan}");
    let report = row.cli(&["doctor"]).code(0).stdout;
    assert!(report.contains("isolation: shared-user"), "{report}");
    row.witness("every plugin has the user of its supervisor: there is no other way yet");
}
