//! SUP-14: a part of the supervisor panics.

use std::path::PathBuf;

use outboard_tests::Running;
use outboard_tests::fault::Row;
use outboard_tests::world::Launch;
use serde_json::json;

/// Makes a failpoint of a test build panic, then answers.
const POKES: &str = "on poke {\nsay {\"jsonrpc\":\"2.0\",\"method\":\"$p.method\",\"params\":{}}\nreply {}\n}\nserve";

/// Starts a build with failpoints, where one is named.
fn with_failpoints(row: &Row) -> Option<Running<'_>> {
    let build = std::env::var_os("OUTBOARD_NEXT_BUILD").filter(|path| !path.is_empty());
    let Some(build) = build.map(PathBuf::from) else {
        row.cannot("no build with failpoints is named (`cargo xtask test` names one)");
        return None;
    };
    Some(row.launch(&Launch { program: Some(&build), ..Launch::default() }))
}

#[test]
fn sup_14_a_panic_in_a_plugins_own_part_costs_that_plugin_one_generation() {
    for place in ["reader", "writer"] {
        let row = Row::new("SUP-14");
        row.chaos_with("geo", POKES, "[restart]\nbackoff = { initial = \"1ms\", max = \"1ms\" }\n");
        row.chaos("neighbour", "serve");
        let Some(run) = with_failpoints(&row) else { return };
        run.active("geo");
        run.active("neighbour");
        let mut client = run.attach("geo");
        let open = client.send("mute", &json!({}));
        client.send("poke", &json!({"method": format!("$/failpoint/{place}")}));
        // The writer is reached when there is something to write.
        let more = client.send("echo", &json!({}));
        let panic = run.event(|event| event.is("internal.panic", "geo"));
        assert_eq!(panic.text("message"), format!("failpoint {place}"), "{panic}");
        let failure = run.failure("geo");
        assert_eq!(
            (failure.text("class"), failure.text("detail")),
            ("protocol", "internal-panic"),
            "{failure}"
        );
        let error = client.answer(open).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "protocol"), "{place}: {error:?}");
        // Written or not, it has one end: the next generation's answer, or the end of this one.
        if let Err(error) = client.answer(more) {
            assert_eq!(error.code, -31003, "{place}: {error:?}");
        }
        run.event(|event| event.is("restart.scheduled", "geo"));
        run.active_above("geo", 1);
        assert_eq!(run.call("geo", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
        assert_eq!(run.call("neighbour", "echo", &json!({"n": 2})).unwrap(), json!({"n": 2}));
        assert_eq!(run.plugin("neighbour")["generation"], 1);
        assert_eq!(run.count(|event| event.event == "internal.panic"), 1);
        row.witness(format_args!(
            "the {place} of a plugin panicked, and its words are in the event"
        ));
    }
}

#[test]
fn sup_14_a_panic_in_a_shared_part_ends_the_supervisor_and_everything_below_it() {
    let row = Row::new("SUP-14");
    row.chaos("geo", POKES);
    row.chaos("neighbour", "serve");
    let Some(run) = with_failpoints(&row) else { return };
    run.active("geo");
    run.active("neighbour");
    let mut client = run.attach("neighbour");
    let open = client.send("mute", &json!({}));
    run.attach("geo").call("poke", &json!({"method": "$/failpoint/dispatcher"})).unwrap();
    // What comes of it is the next thing that the dispatcher hears.
    let stop = run.cli(&["stop", "geo"]);
    assert!(matches!(stop.ended.code, Some(3 | 6)), "{stop:?}");
    let error = client.answer(open).unwrap_err();
    assert!(matches!(error.code, -31008 | -31003), "{error:?}");
    assert_eq!(run.ended().code, Some(6), "{}", run.stderr());
    assert!(run.stderr().contains("a part of it panicked"), "{}", run.stderr());
    let panic = run.events().into_iter().find(|event| event.event == "internal.panic");
    assert_eq!(panic.unwrap().text("message"), "failpoint dispatcher");
    row.assert_nothing_runs();
    row.witness("the dispatcher panicked, and its words are in the journal");
}
