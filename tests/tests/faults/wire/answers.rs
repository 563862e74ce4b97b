//! Answers that nobody asked for, come twice, come late, or are no good ones.

use std::time::Duration;

use outboard_tests::Running;
use outboard_tests::clock::Deadline;
use outboard_tests::fault::{Holds, Row, race};
use outboard_tests::neighbour::Neighbour;
use serde_json::json;

use super::{assert_works, event, impatient, patient, told};

#[test]
fn wire_09_ten_thousand_answers_that_nobody_asked_for() {
    let row = Row::new("WIRE-09");
    let script = r#"on orphans {
                      flood-out 5000 {"jsonrpc":"2.0","id":"nobody-$n","result":1}
                      flood-out 5000 {"jsonrpc":"2.0","id":21474$n,"result":1}
                      reply {}
                    }
                    serve"#;
    row.chaos("p", script);
    Neighbour::moves_in(&row);
    let run = row.run();
    run.active("p");
    let neighbour = Neighbour::works(&run);
    let held = Holds::of(&run);
    let mut client = patient(&run, "p");
    let waiting = client.send("hold", &json!({"gate": "later"}));
    client.call("orphans", &json!({})).unwrap();
    run.state("p", "degraded");
    let orphans = |event: &outboard_tests::Event| event.is("wire.orphan_reply", "p");
    let said = run.event(orphans);
    assert!(said.text("id").contains("nobody-1"), "the first is named: {said}");
    row.gates().open("later");
    assert_eq!(client.answer(waiting).unwrap().get(), r#"{"held":"later"}"#, "no call disturbed");
    assert_works(&run, "p");
    let times = run.count(orphans);
    assert!(times < 200, "sampled: {times} events for 10000 answers");
    row.witness(format_args!("the plugin answered after it had written 10000; {times} events"));
    neighbour.was_not_disturbed(&run, &row);
    drop(client);
    held.are_back();
}

#[test]
fn wire_10_a_second_answer_resolves_no_later_call() {
    let row = Row::new("WIRE-10");
    let script = r#"on a {
                      reply {"of":"a"}
                      defer again {
                        reply {"of":"a, again"}
                        at again
                      }
                    }
                    on b {
                      at taken
                      defer finish { reply {"of":"b"} }
                    }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    assert_eq!(client.call("a", &json!({})).unwrap(), json!({"of": "a"}));
    let later: Vec<u64> = (0..40).map(|_| client.send("b", &json!({}))).collect();
    for _ in &later {
        row.gates().report("taken");
    }
    row.gates().open("again");
    row.gates().report("again");
    row.gates().open_for("finish", later.len());
    for id in later {
        assert_eq!(client.answer(id).unwrap().get(), r#"{"of":"b"}"#);
    }
    let orphan = event(&run, "p", "wire.orphan_reply");
    row.witness(format_args!("the second answer came to id {}", orphan.text("id")));
    assert_works(&run, "p");
}

#[test]
fn wire_11_a_result_and_an_error_or_neither_is_an_error_and_null_is_a_result() {
    let row = Row::new("WIRE-11");
    let script = r#"on both { say {"jsonrpc":"2.0","id":$id,"result":1,"error":{"code":1,"message":"no"}} }
                    on neither { say {"jsonrpc":"2.0","id":$id} }
                    on null { reply null }
                    on shutdown {
                      reply null
                      at asked
                    }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    for method in ["both", "neither"] {
        let error = client.call(method, &json!({})).unwrap_err();
        assert_eq!(told(&error), (-31007, "shape", Some(true)), "{method}: {error:?}");
    }
    assert_eq!(client.call("null", &json!({})).unwrap(), json!(null));
    assert_works(&run, "p");
    run.cli(&["stop", "p"]).code(0);
    row.gates().report("asked");
    row.witness("the plugin was asked to shut down, and answered null");
    let stopped = event(&run, "p", "stop.finished");
    let rungs = stopped.member("rungs").as_array().unwrap();
    let names: Vec<&str> = rungs.iter().filter_map(|rung| rung["rung"].as_str()).collect();
    assert_eq!(names, ["shutdown", "exit"], "taken for an answer: {stopped}");
    assert_eq!(stopped.member("exit")["code"], 0, "{stopped}");
}

#[test]
fn wire_12_an_error_for_nobody_fails_nobody_and_is_told() {
    let row = Row::new("WIRE-12");
    let script = r#"on null { say {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"cannot parse it"}} }
                    on empty { say {"jsonrpc":"2.0","id":"","error":{"code":-32603,"message":"lost the id"}} }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut other = patient(&run, "p");
    let waiting = other.send("hold", &json!({"gate": "later"}));
    for (method, name, code, words) in [
        ("null", "wire.orphan_error", "-32700", "cannot parse it"),
        ("empty", "wire.orphan_reply", "-32603", "lost the id"),
    ] {
        let lost = impatient(&run, "p").call(method, &json!({})).unwrap_err();
        assert_eq!(told(&lost), (-31002, "in_flight", Some(true)), "{method}: {lost:?}");
        let said = event(&run, "p", name);
        let message = said.text("message");
        assert!(message.contains(code) && message.contains(words), "{said}");
        let line = run.log_line("p", |text| text.contains(message));
        assert_eq!(line["src"], "host", "{line}");
    }
    row.witness("code and words of both errors are in the log");
    row.gates().open("later");
    assert_eq!(other.answer(waiting).unwrap().get(), r#"{"held":"later"}"#, "no other call failed");
    assert_works(&run, "p");
}

#[test]
fn wire_20_a_member_twice_is_refused_in_the_envelope_and_passed_on_inside_of_a_payload() {
    let row = Row::new("WIRE-20");
    let script = r#"on plain { say {"jsonrpc":"2.0","id":$id,"result":1,"result":2} }
                    on escaped { say {"jsonrpc":"2.0","id":$id,"result":1,"r\\u0065sult":2} }
                    on ids { say {"jsonrpc":"2.0","id":$id,"id":7,"result":1} }
                    on inside { say {"jsonrpc":"2.0","id":$id,"result":{"a":1,"a":2,"\\u0061":3}} }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    for method in ["plain", "escaped"] {
        let error = client.call(method, &json!({})).unwrap_err();
        assert_eq!(told(&error), (-31007, "duplicate", Some(true)), "{method}: {error:?}");
    }
    // Nothing may be blamed on an id that is in doubt.
    let error = impatient(&run, "p").call("ids", &json!({})).unwrap_err();
    assert_eq!(told(&error), (-31002, "in_flight", Some(true)), "{error:?}");
    let inside = client.send("inside", &json!({}));
    assert_eq!(client.answer(inside).unwrap().get(), r#"{"a":1,"a":2,"\u0061":3}"#);
    let echoed = client.send_raw("echo", r#"{"a":1,"a":2}"#);
    assert_eq!(client.answer(echoed).unwrap().get(), r#"{"a":1,"a":2}"#);
    let reject = event(&run, "p", "wire.reject");
    assert_eq!(reject.text("reason"), "duplicate", "{reject}");
    row.witness("the frame is told as refused, with its reason");
    assert_works(&run, "p");
}

#[test]
fn wire_21_a_lone_surrogate_is_one_calls_matter_and_breaks_no_log() {
    let row = Row::new("WIRE-21");
    let script = r#"on lone { say {"jsonrpc":"2.0","id":$id,"result":"\\ud800"} }
                    on failing { say {"jsonrpc":"2.0","id":$id,"error":{"code":7,"message":"\\udfff"}} }
                    on logging {
                      say {"jsonrpc":"2.0","method":"$$/log","params":{"level":"warn","message":"half \\ud83e"}}
                      say {"jsonrpc":"2.0","id":"\\ud800","result":1}
                      say {"\\ud800":1
                      reply {}
                    }
                    on last {
                      err \xed\xa0\x80 and \\ud800
                      exit 3
                    }
                    serve"#;
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    let lone = client.send("lone", &json!({}));
    assert_eq!(client.answer(lone).unwrap().get(), r#""\ud800""#, "the caller gets the bytes");
    row.witness("the answer holds the escape as the plugin wrote it");
    // An answer of the plugin: its escape stands in the error as it was written, and no JSON parser may choke on it.
    let failing = client.send("failing", &json!({}));
    let answer = client.raw_answer(failing);
    assert!(answer.contains(r#""code":7"#) && answer.contains("udfff"), "{answer}");
    client.call("logging", &json!({})).unwrap();
    run.log_line("p", |text| text.contains("ud83e"));
    assert_works(&run, "p");
    client.call("last", &json!({})).unwrap_err();
    run.active_above("p", 1);
    for args in [&["logs", "p", "--json"][..], &["events", "--json"], &["why", "p", "--json"]] {
        let said = run.cli(args).code(0).stdout;
        assert!(!said.is_empty());
        let whole: Result<Vec<serde_json::Value>, _> =
            serde_json::Deserializer::from_str(&said).into_iter().collect();
        assert!(whole.is_ok(), "{args:?}: {whole:?}");
    }
}

#[test]
fn wire_22_numbers_and_ids_come_back_as_they_were_written() {
    let row = Row::new("WIRE-22");
    let ids = ["-7", "0", "9007199254740991", "-9007199254740991", r#""text""#, r#""""#];
    let asks: String = ids
        .iter()
        .map(|id| {
            format!("say {{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"host/info\"}}\nread\nat asked $id\n")
        })
        .collect();
    row.chaos("p", &format!("on ask {{\n{asks}}}\nserve"));
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    let params = r#"{"big":9007199254740993,"long":123456789012345678901234567890,"huge":1e400,"small":-0.10e-7,"zero":-0}"#;
    let echo = client.send_raw("echo", params);
    assert_eq!(client.answer(echo).unwrap().get(), params, "every digit");
    let shown = run.cli(&["call", "p", "echo", params]).code(0).stdout;
    let squeezed: String = shown.split_whitespace().collect();
    assert_eq!(squeezed, params, "and by the command line");
    // A notification: once answers are in hand there is no call to reply to.
    client.write(r#"{"jsonrpc":"2.0","method":"ask"}"#);
    for id in ids {
        assert_eq!(row.gates().report("asked").text, id);
    }
    row.witness("the plugin saw each of its ids in the answer, as it had written it");
    assert_works(&run, "p");
}

/// Gives a call up in one way, five times, each time with its answer behind it. Gives the number of late answers.
#[track_caller]
fn given_up(row: &Row, run: &Running<'_>, id: &str, by_caller: bool) -> u32 {
    run.active(id);
    let mut rounds = 0;
    race(|round| {
        let mut client = if by_caller { run.attach(id) } else { impatient(run, id) };
        let slow = client.send("slow", &json!({}));
        let its_id = row.gates().report("taken").text;
        let expected = if by_caller {
            client.write(&format!(
                r#"{{"jsonrpc":"2.0","method":"$/cancel","params":{{"id":{slow}}}}}"#
            ));
            (-32800, "caller", Some(true))
        } else {
            (-31002, "in_flight", Some(true))
        };
        let outcome = client.answer(slow).unwrap_err();
        assert_eq!(told(&outcome), expected, "{outcome:?}");
        assert_eq!(row.gates().report("cancelled").text, its_id, "the plugin is told");
        row.gates().open("late");
        if round == 0 {
            // The journal has the first; those within the same second are counted.
            let late = event(run, id, "wire.orphan_reply");
            assert_eq!((late.member("late"), late.text("id")), (&json!(true), &*its_id), "{late}");
        }
        assert_eq!(client.call("echo", &json!({})).unwrap(), json!({}), "one outcome, no more");
        rounds += 1;
    });
    assert_works(run, id);
    assert_eq!(run.plugin(id)["state"], "active", "late answers are no noise");
    rounds
}

#[test]
fn wire_23_an_answer_after_the_deadline_or_the_cancel_is_late_and_nothing_else() {
    let row = Row::new("WIRE-23");
    let script = r#"on initialize { reply {"protocolVersion":1,"name":"chaos","version":"1","supports":{"cancel":true}} }
                    on $/cancel { at cancelled $p.id }
                    on slow {
                      at taken $id
                      defer late { reply {"too":"late"} }
                    }
                    serve"#;
    row.chaos("expires", script);
    row.chaos("cancelled", script);
    let run = row.run();
    let late = given_up(&row, &run, "expires", false) + given_up(&row, &run, "cancelled", true);
    let again = row.gates().report_within("cancelled", Deadline::after(Duration::ZERO));
    assert_eq!(again, None, "each was cancelled once");
    row.witness(format_args!("{late} answers came after their calls had ended"));
}
