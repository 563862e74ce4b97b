//! Clients of both sockets that mean no good, or know no better.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use outboard_tests::clock::{hang_bound, wait_until};
use outboard_tests::fault::{Holds, Row};
use outboard_tests::neighbour::Neighbour;
use serde_json::json;

const MIB: usize = 1024 * 1024;

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(hang_bound())).unwrap();
    stream.set_write_timeout(Some(hang_bound())).unwrap();
    stream
}

/// What it is answered until it is hung up on.
fn answered(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    // Hung up on in the middle of what it sends, it may be told so by an error.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a hundred MiB, as far as they are taken; gives how many bytes were.
fn flood(stream: &mut UnixStream) -> usize {
    let chunk = vec![b' '; MIB];
    (0..100).take_while(|_| stream.write_all(&chunk).is_ok()).count() * MIB
}

#[test]
fn sup_11_hostile_clients_cost_themselves_alone() {
    let row = Row::new("SUP-11");
    Neighbour::moves_in(&row);
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    let neighbour = Neighbour::works(&run);
    let (control, attach) = (run.socket("control.sock"), run.socket("attach.sock"));
    let holds = Holds::of(&run);

    for socket in [&control, &attach] {
        let mut stream = connect(socket);
        stream.write_all(b"\x00\xff\x80 not this protocol at all\r\n\r\n\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = answered(stream);
        assert!(!answer.contains("200 OK") && !answer.contains("\"result\""), "{answer}");
    }

    let mut large = connect(&control);
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n";
    large.write_all(head.as_bytes()).unwrap();
    let taken = flood(&mut large);
    assert!(answered(large).starts_with("HTTP/1.1 413"), "after {taken} bytes");
    let mut endless = connect(&attach);
    let taken_by_attach = flood(&mut endless);
    assert!(taken_by_attach < 100 * MIB, "it is hung up on");
    drop(endless);

    // One byte each, and then nothing; and more connections than are served.
    let slow: Vec<_> = [&control, &attach]
        .into_iter()
        .flat_map(|socket| std::iter::repeat_n(socket, 60))
        .map(|socket| {
            let mut stream = connect(socket);
            stream.write_all(b"{").unwrap();
            stream
        })
        .collect();
    assert_eq!(run.plugin("geo")["state"], "active", "others are served meanwhile");
    // Who asks for nothing makes room for who does.
    let crowd: Vec<_> = (0..1000).map(|_| connect(&control)).collect();
    run.cli(&["status"]).code(0);
    let mut first = crowd.first().unwrap();
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "the first to come was the first to go");
    assert_eq!(run.call("geo", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    drop((slow, crowd));

    // Requests without a pause. Who does not read its answers is not read from, so this one does.
    let mut client = run.attach("geo");
    for _ in 0..40 {
        let ids: Vec<u64> = (0..500).map(|_| client.send("no/such", &json!({}))).collect();
        for id in ids {
            let error = client.answer(id).unwrap_err();
            assert!([-32601, -31004].contains(&error.code), "{error:?}");
        }
    }
    drop(client);
    wait_until("there is room again", || run.cli(&["status"]).ended.code == Some(0));
    neighbour.was_not_disturbed(&run, &row);
    holds.are_back();
    assert_eq!(run.count(|event| event.event == "plugin.failure"), 0);
    row.witness(format_args!(
        "{taken} bytes of one request and {taken_by_attach} of one line were taken"
    ));
}
