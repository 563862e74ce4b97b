//! Frames behind headers: lengths that are none, or not that of what follows.

use outboard_tests::fault::Row;
use serde_json::json;

use super::{assert_works, failure};

const LSP: &str = "dialect = \"lsp\"";

#[test]
fn wire_24_a_wrong_length_ends_the_link_with_the_bytes_around_it() {
    let row = Row::new("WIRE-24");
    let answer = r#"{"jsonrpc":"2.0","id":$id,"result":"żółć"}"#;
    // What is said of the answer to `bad`; the good answers after it are what the framing is lost at, at the latest.
    let wrong = [
        ("small", "Content-Length: 9"),
        ("large", "Content-Length: 60"),
        ("characters", "Content-Length: 40"),
        ("negative", "Content-Length: -40"),
        ("absent", "Content-Type: application/json"),
        ("twice", r"Content-Length: 44\r\nContent-Length: 44"),
        ("words", "Content-Length: forty"),
    ];
    for (id, header) in wrong {
        let script = format!(
            r#"on bad {{
                 say-raw {header}\r\n\r\n{answer}
                 reply {{}}
                 reply {{}}
                 reply {{}}
               }}
               serve lsp"#
        );
        row.chaos_with(id, &script, LSP);
    }
    let beyond = r#"on bad { say-raw Content-Length: 1000000000000000000\r\n\r\n{"jsonrpc":"2.0" }
                    serve lsp"#;
    row.chaos_with("beyond", beyond, LSP);
    let run = row.run();
    for (id, _) in wrong {
        run.active(id);
        // Whether the call got its answer before the link was lost is a matter of luck; its end is none.
        drop(run.call(id, "bad", &json!({})));
        assert_eq!(failure(&run, id), ("protocol".to_owned(), "framing".to_owned()), "{id}");
        let failed = run.failure(id);
        let message = failed.text("message");
        assert!(message.contains("no good Content-Length near `"), "{id}: {message}");
        run.active_above(id, 1);
        row.witness(format_args!("{id}: {message}"));
    }
    run.active("beyond");
    let error = run.call("beyond", "bad", &json!({})).unwrap_err();
    assert_eq!((error.code, error.class()), (-31003, "protocol"), "{error:?}");
    assert_eq!(failure(&run, "beyond"), ("protocol".to_owned(), "runaway-frame".to_owned()));
    run.active_above("beyond", 1);
}

#[test]
fn wire_24_headers_in_another_order_or_case_and_junk_before_them_are_borne() {
    let row = Row::new("WIRE-24");
    let answer = r#"{"jsonrpc":"2.0","id":$id,"result":7}"#;
    let script = format!(
        r#"on initialize {{
             say Debugger listening on port 9229
             reply {{"capabilities":{{}}}}
           }}
           on lf {{ say-raw content-length: ${{p.n}}\n\n{answer} }}
           on type {{ say-raw Content-Type: x; charset=utf-8\r\nCONTENT-LENGTH:${{p.n}}\r\n\r\n{answer} }}
           on log {{
             say sent Content-Length: 12
             say-raw Content-Length: ${{p.n}}\r\n\r\n{answer}
           }}
           serve lsp"#
    );
    row.chaos_with("p", &script, LSP);
    let run = row.run();
    run.active("p");
    for method in ["lf", "type", "log"] {
        let mut client = run.attach("p");
        // An id of one digit is 1 byte, of two 2: the plugin is told how long its answer will be.
        let length = |digits: usize| answer.len() - "$id".len() + digits;
        let result = client.call(method, &json!({"n": length(1)}));
        assert_eq!(result.unwrap(), json!(7), "{method}");
    }
    assert_works(&run, "p");
    row.witness("three answers with other headers came");
}
