//! Too much, too deep, or only half.

use outboard_tests::fault::{Holds, Row};
use outboard_tests::neighbour::Neighbour;
use serde_json::{Value, json};

use super::{QUICK, assert_works, dossier, event, failure, impatient, patient, told};

/// What the dossier says of the bytes that were left when a plugin ended.
#[track_caller]
fn fragment(dossier: &Value) -> &Value {
    let timeline = dossier["timeline"].as_array().unwrap();
    let of_it = timeline.iter().find(|event| event["event"] == "wire.fragment");
    of_it.unwrap_or_else(|| panic!("no fragment in {timeline:#?}"))
}

#[test]
fn wire_02_half_a_frame_and_then_silence_is_a_hang_in_the_middle_of_a_frame() {
    let row = Row::new("WIRE-02");
    let script = r#"generation 1 {
                      on half {
                        say-raw {"jsonrpc":"2.0","id":$id,"resul
                        at half
                        pause
                      }
                    }
                    serve"#;
    row.chaos_with("p", script, QUICK);
    let run = row.run();
    run.active("p");
    let lost = impatient(&run, "p").call("half", &json!({})).unwrap_err();
    assert_eq!(told(&lost), (-31002, "in_flight", Some(true)), "{lost:?}");
    row.gates().report("half");
    row.witness("the plugin wrote half of its answer, and pauses");
    assert_eq!(failure(&run, "p"), ("hang".to_owned(), "mid-frame".to_owned()));
    run.active_above("p", 1);
    let dossier = dossier(&run, "p");
    let text = fragment(&dossier)["excerpt"].as_str().unwrap();
    assert!(text.ends_with("\"resul"), "{text}");
}

#[test]
fn wire_02_a_whole_frame_without_its_end_is_never_acted_upon() {
    let row = Row::new("WIRE-02");
    // Only its line feed is missing.
    let script = r#"generation 1 {
                      on half {
                        say-raw {"jsonrpc":"2.0","id":$id,"result":{"never":"an answer"}}
                        exit 1
                      }
                    }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let lost = run.call("p", "half", &json!({})).unwrap_err();
    assert_eq!(told(&lost), (-31003, "exit", Some(true)), "{lost:?}");
    assert_eq!(lost.data["exit"]["code"], 1, "{lost:?}");
    run.active_above("p", 1);
    let dossier = dossier(&run, "p");
    let fragment = fragment(&dossier);
    assert!(fragment["excerpt"].as_str().unwrap().contains("never"), "{fragment}");
    row.witness("the dossier has the frame that lacks its end");
}

/// 40 MiB: beyond the cap, below the hard one.
const LONG: usize = 40 << 20;

#[test]
fn wire_03_a_line_of_40_mib_is_thrown_away_and_its_caller_told() {
    let row = Row::new("WIRE-03");
    let long = format!("say-repeat {} {}", LONG / 1024, "x".repeat(1024));
    let script = format!(
        "on head {{\n say-raw {{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\"\n {long}\n say \"}}\n}}\n\
         on tail {{\n say-raw {{\"result\":\"\n {long}\n say \",\"jsonrpc\":\"2.0\",\"id\":$id}}\n}}\n\
         on middle {{\n say-raw {{\"result\":\"\n {long}\n \
         say-raw \",\"jsonrpc\":\"2.0\",\"id\":$id,\"more\":\"\n say-repeat 1 {0}\n say \"}}\n at written\n}}\nserve",
        "y".repeat(1024)
    );
    row.chaos("p", &script);
    Neighbour::moves_in(&row);
    let run = row.run();
    run.active("p");
    let neighbour = Neighbour::works(&run);
    let held = Holds::of(&run);
    let mut client = patient(&run, "p");
    for method in ["head", "tail"] {
        let error = client.call(method, &json!({})).unwrap_err();
        assert_eq!(told(&error), (-31005, "inbound_size", Some(true)), "{method}: {error:?}");
        assert!(error.data["bytes"].as_u64().unwrap() > LONG as u64, "{error:?}");
    }
    let error = impatient(&run, "p").call("middle", &json!({})).unwrap_err();
    assert_eq!(told(&error), (-31002, "in_flight", Some(true)), "{error:?}");
    row.gates().report("written");
    assert_works(&run, "p");
    let said = event(&run, "p", "wire.too_long");
    assert!(said.number("bytes") > LONG as u64, "{said}");
    row.witness(format_args!("a line of {} bytes was counted", said.number("bytes")));
    neighbour.was_not_disturbed(&run, &row);
    drop(client);
    held.are_back();
}

#[test]
fn wire_03_a_line_that_never_ends_is_the_end_of_the_link() {
    let row = Row::new("WIRE-03");
    let script = format!(
        "generation 1 {{\n on forever {{\n say-raw {{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\"\n \
         loop {{ say-repeat 64 {} }}\n }}\n}}\nserve",
        "x".repeat(1024)
    );
    row.chaos_with("p", &script, "[wire]\nmax_frame = \"1MiB\"\n[stop]\nterm = \"500ms\"\n");
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let error = run.call("p", "forever", &json!({})).unwrap_err();
    assert_eq!(told(&error), (-31003, "protocol", Some(true)), "{error:?}");
    assert_eq!(failure(&run, "p"), ("protocol".to_owned(), "runaway-frame".to_owned()));
    let message = run.failure("p").text("message").to_owned();
    assert!(message.contains(&(4 << 20).to_string()), "after four times the bound: {message}");
    row.witness(message);
    run.active_above("p", 1);
    held.are_back();
}

#[test]
fn wire_04_a_request_beyond_the_bound_is_refused_before_its_first_byte() {
    let row = Row::new("WIRE-04");
    row.chaos("p", "on big { at big }\non small {\n at small\n reply {}\n}\nserve");
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let mut client = patient(&run, "p");
    let params = format!(r#"{{"text":"{}"}}"#, "x".repeat(9 << 20));
    let big = client.send_raw("big", &params);
    let error = client.answer(big).unwrap_err();
    assert_eq!(told(&error), (-31005, "outbound_size", Some(false)), "{error:?}");
    assert_eq!(error.data["limit"], 8 << 20, "{error:?}");
    client.call("small", &json!({})).unwrap();
    row.gates().report("small");
    let seen = row
        .gates()
        .report_within("big", outboard_tests::clock::Deadline::after(std::time::Duration::ZERO));
    assert_eq!(seen, None, "nothing of it was written");
    row.witness("the plugin was reached by the call after it alone");
    assert_works(&run, "p");
    drop(client);
    held.are_back();
}

#[test]
fn wire_05_nesting_without_end_is_refused_before_anything_recurses() {
    let row = Row::new("WIRE-05");
    let deep = "say-repeat 100000 [\n say-repeat 100000 ]";
    let script = format!(
        "on result {{\n say-raw {{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\n {deep}\n say }}\n}}\n\
         on params {{\n say-raw {{\"jsonrpc\":\"2.0\",\"method\":\"$$/log\",\"params\":{{\"message\":\n {deep}\n say }}}}\n reply {{}}\n}}\n\
         on bare {{\n {deep}\n say\n reply {{}}\n}}\n\
         on last {{\n err {}\n exit 3\n}}\nserve",
        "[".repeat(20_000)
    );
    row.chaos("p", &script);
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let mut client = patient(&run, "p");
    let error = client.call("result", &json!({})).unwrap_err();
    assert_eq!(told(&error), (-31005, "inbound_depth", Some(true)), "{error:?}");
    row.witness("the call's error names the depth");
    for method in ["params", "bare"] {
        client.call(method, &json!({})).unwrap();
    }
    let outbound = format!(r#"{{"deep":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    client.send_raw("echo", &outbound);
    assert_works(&run, "p");
    client.call("last", &json!({})).unwrap_err();
    run.active_above("p", 1);
    for args in
        [&["logs", "p", "--json"][..], &["logs", "p"], &["why", "p"], &["why", "p", "--json"]]
    {
        run.cli(args).code(0);
    }
    drop(client);
    held.are_back();
}
