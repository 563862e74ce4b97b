//! Lines that are no frame, or no good one.

use outboard_tests::fault::{Holds, Row, race};
use serde_json::{Value, json};

use super::{assert_works, event, impatient, junk, patient, told};

#[test]
fn wire_01_a_junk_line_between_two_frames_is_a_log_line() {
    let row = Row::new("WIRE-01");
    let script = "on a {\n reply {\"n\":1}\n say [INFO] between two frames\n read b\n reply {\"n\":2}\n}\n\
                  on chat {\n flood-out 101 chat $n\n reply {}\n}\nserve";
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    let (a, b) = (client.send("a", &json!({})), client.send("b", &json!({})));
    assert_eq!(client.answer(a).unwrap().get(), r#"{"n":1}"#);
    assert_eq!(client.answer(b).unwrap().get(), r#"{"n":2}"#);
    assert_eq!(junk(&run, "p", 1), ["[INFO] between two frames"]);
    let said = event(&run, "p", "wire.junk");
    assert_eq!((said.text("kind"), said.number("lines")), ("text", 1), "{said}");
    row.witness("the line is in the log, as of standard output");

    client.call("chat", &json!({})).unwrap();
    let degraded = run.state("p", "degraded");
    assert_eq!(degraded.generation, 1);
    assert_eq!(run.plugin("p")["health"]["status"], "degraded");
    assert_works(&run, "p");
    assert_eq!(run.count(|event| event.is("plugin.exited", "p")), 0, "not killed for it");
}

#[test]
fn wire_06_a_line_that_is_not_utf_8_is_junk_with_the_place_of_its_first_bad_byte() {
    let row = Row::new("WIRE-06");
    let script = r#"on bad { say {"jsonrpc":"2.0","id":$id,"result":"a\xffb"} }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut other = patient(&run, "p");
    let waiting = other.send("hold", &json!({"gate": "later"}));
    let lost = impatient(&run, "p").call("bad", &json!({})).unwrap_err();
    assert_eq!(told(&lost), (-31002, "in_flight", Some(true)), "{lost:?}");
    let said = event(&run, "p", "wire.junk");
    let line = &junk(&run, "p", 1)[0];
    let offset = line.find("\\xff").unwrap_or_else(|| panic!("shown as an escape: {line}"));
    assert_eq!((said.text("kind"), said.number("offset")), ("utf8", offset as u64), "{said}");
    row.witness(format_args!("the byte ff is shown as an escape, at offset {offset}"));
    row.gates().open("later");
    other.answer(waiting).unwrap();
    assert_works(&run, "p");
}

#[test]
fn wire_07_a_bom_cr_lf_blank_lines_and_blanks_around_a_frame_are_borne() {
    let row = Row::new("WIRE-07");
    let script = r#"say-raw \xef\xbb\xbf
                    on crlf { say {"jsonrpc":"2.0","id":$id,"result":{"ended":"by CR LF"}}\r }
                    on blank { say \n\r\n\x20\t\r\n{"jsonrpc":"2.0","id":$id,"result":{"after":"blank lines"}}\n\n }
                    on led { say \x20\t {"jsonrpc":"2.0","id":$id,"result":{"led":"by blanks"}}\t\x20\x20 }
                    on bom { say \xef\xbb\xbf{"jsonrpc":"2.0","id":$id,"result":{}} }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    for (method, result) in [
        ("crlf", json!({"ended": "by CR LF"})),
        ("blank", json!({"after": "blank lines"})),
        ("led", json!({"led": "by blanks"})),
    ] {
        assert_eq!(client.call(method, &json!({})).unwrap(), result, "{method}");
    }
    assert_works(&run, "p");
    assert_eq!(run.count(|event| event.is("wire.junk", "p")), 0, "a blank line is nothing");
    // A mark in the middle of the stream is no mark, so what the script writes is what is read.
    impatient(&run, "p").call("bom", &json!({})).unwrap_err();
    let lines = junk(&run, "p", 1);
    assert!(lines.len() == 1 && lines[0].starts_with('\u{feff}'), "{lines:?}");
    row.witness("the same mark within the stream makes its line junk");
}

#[test]
fn wire_08_an_array_is_never_taken_for_a_message() {
    let row = Row::new("WIRE-08");
    let script = r#"on empty { say []\n{"jsonrpc":"2.0","id":$id,"result":{"real":1}} }
                    on number { say [1]\n{"jsonrpc":"2.0","id":$id,"result":{"real":1}} }
                    on batch { say [{"jsonrpc":"2.0","id":$id,"result":{"false":1}}]\n{"jsonrpc":"2.0","id":$id,"result":{"real":1}} }
                    on laid { say ["2.0",$id,{"false":1}]\n{"jsonrpc":"2.0","id":$id,"result":{"real":1}} }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    for method in ["empty", "batch", "number", "laid"] {
        assert_eq!(client.call(method, &json!({})).unwrap(), json!({"real": 1}), "{method}");
    }
    assert_works(&run, "p");
    let arrays = junk(&run, "p", 4);
    assert_eq!(arrays.len(), 4, "{arrays:?}");
    assert!(arrays.iter().all(|line| line.starts_with('[')), "{arrays:?}");
    let said = event(&run, "p", "wire.junk");
    assert_eq!(said.text("kind"), "batch", "{said}");
    row.witness("each array is a line of the log");
}

/// One revision of MCP has batches: there one is unpacked, and what is no message in it is refused alone.
#[test]
fn wire_08_a_batch_is_unpacked_where_the_dialect_has_them() {
    let row = Row::new("WIRE-08");
    let script = r#"on initialize { reply {"protocolVersion":"2025-03-26","capabilities":{"tools":{}},"serverInfo":{"name":"chaos","version":"1"}} }
                    on tools/call {
                      say-raw [{"jsonrpc":"2.0","id":$id,"result":{"content":[],"n":1}},7,
                      read tools/call
                      say {"jsonrpc":"2.0","id":$id,"result":{"content":[],"n":2}}]
                      at batched
                    }
                    serve mcp"#;
    row.chaos_with("p", script, "dialect = \"mcp\"\n");
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    let params = json!({"name": "echo", "arguments": {}});
    let (a, b) = (client.send("tools/call", &params), client.send("tools/call", &params));
    let numbers = [a, b].map(|id| {
        let answer: Value = serde_json::from_str(client.answer(id).unwrap().get()).unwrap();
        answer["n"].clone()
    });
    assert_eq!(numbers, [json!(1), json!(2)]);
    row.gates().report("batched");
    row.witness("both answers stood in one array");
}

#[test]
fn wire_18_another_writer_on_the_same_stdout_costs_the_torn_frame_alone_and_is_named() {
    let row = Row::new("WIRE-18");
    // The frame is larger than what a pipe takes in one piece, and stands half written while the other one writes.
    let script = format!(
        "fork {{\n loop {{\n gate stray\n say stray words\n at strayed\n }}\n}}\n\
         on tear {{\n say-raw {{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\"\n say-repeat 8 {0}\n at half\n gate rest\n \
         say-repeat 8 {0}\n say \"}}\n}}\nserve",
        "x".repeat(1024)
    );
    row.chaos("p", &script);
    let run = row.run();
    run.active("p");
    let mut other = 0;
    race(|round| {
        let mut client = impatient(&run, "p");
        let torn = client.send("tear", &json!({}));
        row.gates().report("half");
        row.gates().open("stray");
        other = row.gates().report("strayed").pid;
        row.gates().open("rest");
        let lost = client.answer(torn).unwrap_err();
        assert_eq!(told(&lost), (-31002, "in_flight", Some(true)), "{lost:?}");
        assert_eq!(client.call("echo", &json!({"n": round})).unwrap(), json!({"n": round}));
    });
    assert_works(&run, "p");
    let said = event(&run, "p", "wire.junk");
    assert_eq!(said.member("writers"), &json!([other]), "the other one is named: {said}");
    row.witness(format_args!("process {other} wrote into the middle of each frame"));
    let line = run.log_line("p", |text| text.contains(&format!("pid {other}")));
    assert_eq!(line["src"], "host", "and told where people look: {line}");
}

#[test]
fn wire_19_binary_on_stdout_is_escaped_bounded_and_over_with_its_line() {
    let row = Row::new("WIRE-19");
    let all: String =
        (0..=255).filter(|byte| *byte != b'\n').map(|byte| format!("\\x{byte:02x}")).collect();
    let script = format!(
        "on nuls {{\n say-repeat 65536 \\0\n say\n reply {{\"after\":\"nuls\"}}\n}}\n\
         on binary {{\n say-repeat 257 {all}\n say\n reply {{\"after\":\"binary\"}}\n}}\nserve"
    );
    row.chaos("p", &script);
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let mut client = patient(&run, "p");
    for method in ["nuls", "binary"] {
        assert_eq!(client.call(method, &json!({})).unwrap(), json!({"after": method}));
    }
    let lines = junk(&run, "p", 2);
    assert!(lines[0].starts_with("\0\0\0"), "{:?}", lines[0]);
    assert!(lines[1].contains("\\xff"), "{:?}", lines[1]);
    assert!(lines.iter().all(|line| line.len() < 3000), "bounded");
    let shown = run.cli(&["logs", "p", "-n", "50"]).code(0).stdout;
    let raw = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!shown.contains(raw), "{shown:?}");
    assert!(shown.contains("\\x00\\x00") && shown.contains("\\xff"), "{shown}");
    row.witness("both lines are in the log, escaped");
    assert_works(&run, "p");
    drop(client);
    held.are_back();
}
