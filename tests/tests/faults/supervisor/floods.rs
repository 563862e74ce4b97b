//! Clients of the management socket that ask without end and read nothing.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use outboard_tests::Running;
use outboard_tests::clock::wait_until;
use outboard_tests::fault::{Holds, Row};
use outboard_tests::neighbour::Neighbour;
use outboard_tests::websocket::{WebSocket, frame};
use serde_json::{Value, json};

/// How long a client waits for a byte to be taken before it is sure that none will be. No assertion about speed: were it too
/// short, the flood would only end early.
const NOT_TAKEN: Duration = Duration::from_millis(500);

/// Sends the same requests again and again, without reading, until they are no longer taken, or it is hung up on; gives how
/// many were taken.
fn flood(socket: &mut WebSocket, method: &str, params: &Value, at_most: usize) -> usize {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let hundred = frame(request.to_string().as_bytes()).repeat(100);
    socket.stream.set_write_timeout(Some(NOT_TAKEN)).unwrap();
    let mut sent = 0;
    while sent < at_most {
        match socket.stream.write_all(&hundred) {
            Ok(()) => sent += 100,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

fn open(socket: &Path) -> WebSocket {
    WebSocket::open(socket).unwrap()
}

/// Fills a plugin's log with that many lines of that length, and waits until they are stored.
fn fill_log(run: &Running<'_>, id: &str, lines: usize, length: usize) {
    let mut client = run.attach(id);
    let text = "x".repeat(length);
    for number in 0..lines {
        client.call("complain", &json!({"text": format!("{number} {text}")})).unwrap();
    }
    let last = format!("{} ", lines - 1);
    run.log_line(id, |line| line.starts_with(&last));
}

#[test]
fn sup_11_who_does_not_read_is_not_read_from() {
    let row = Row::new("SUP-11");
    Neighbour::moves_in(&row);
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    let neighbour = Neighbour::works(&run);
    let control = run.socket("control.sock");
    let holds = Holds::of(&run);
    let mut taken = 0;
    let mut clients = Vec::new();
    // Short answers, none at all (a notification), and nonsense.
    for method in ["status", "rpc.discover", "no_such_method"] {
        let mut client = open(&control);
        let sent = flood(&mut client, method, &json!({}), 1_000_000);
        assert!(
            sent < 1_000_000,
            "`{method}` was taken a million times from one who reads nothing"
        );
        taken += sent;
        clients.push(client);
    }
    assert_eq!(run.plugin("geo")["state"], "active", "others are served meanwhile");
    run.cli(&["status"]).code(0);
    drop(clients);
    neighbour.was_not_disturbed(&run, &row);
    holds.are_back();
    row.witness(format_args!(
        "{taken} requests were taken from three clients before they were made to wait"
    ));
}

#[test]
fn sup_11_long_answers_that_nobody_reads_are_bounded_over_all_clients() {
    let row = Row::new("SUP-11");
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    fill_log(&run, "geo", 200, 8_000);
    let control = run.socket("control.sock");
    let holds = Holds::of(&run);
    let page = json!({"filter": {"plugin": "geo", "lines": 10_000}});
    let (mut taken, mut clients) = (0, Vec::new());
    for _ in 0..20 {
        let mut client = open(&control);
        client.stream.set_write_timeout(Some(NOT_TAKEN)).unwrap();
        for _ in 0..16 {
            taken += usize::from(client.send("logs", &page).is_ok());
        }
        clients.push(client);
    }
    // As many answers as are kept for all of them together have come into being once somebody was sent away for them.
    wait_until("somebody is sent away", || clients.iter().any(is_hung_up));
    run.cli(&["status"]).code(0);
    let five = json!({"filter": {"plugin": "geo", "lines": 5}});
    assert_eq!(run.control("logs", &five).unwrap().as_array().unwrap().len(), 5);
    drop(clients);
    holds.are_back();
    row.witness(format_args!("{taken} pages of more than a MiB were asked for and not read"));
}

/// Whether the other end has closed: nothing more can be sent.
fn is_hung_up(client: &WebSocket) -> bool {
    let pong = [0x8a, 0x80, 0, 0, 0, 0];
    let mut stream = &client.stream;
    stream.set_nonblocking(true).unwrap();
    matches!(stream.write(&pong), Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
}

#[test]
fn sup_11_a_million_requests_that_are_read_are_answered() {
    let row = Row::new("SUP-11");
    Neighbour::moves_in(&row);
    let run = row.run();
    let neighbour = Neighbour::works(&run);
    let control = run.socket("control.sock");
    let holds = Holds::of(&run);
    let rounds = if outboard_tests::long() { 20_000 } else { 200 };
    let mut client = open(&control);
    for _ in 0..rounds {
        let mut ids: Vec<u64> =
            (0..50).map(|_| client.send("why", &json!({"id": "nobody"})).unwrap()).collect();
        while !ids.is_empty() {
            let answer = client.read().unwrap();
            assert_eq!(answer["error"]["data"]["class"], "not_found", "{answer}");
            let known = ids.iter().position(|id| answer["id"] == *id);
            ids.swap_remove(
                known.unwrap_or_else(|| panic!("answered twice, or not asked for: {answer}")),
            );
        }
    }
    neighbour.was_not_disturbed(&run, &row);
    drop(client);
    holds.are_back();
    row.witness(format_args!("{} requests of one client were each answered once", rounds * 50));
}

#[test]
fn sup_11_half_a_request_is_kept_for_a_while_and_not_for_ever() {
    let row = Row::new("SUP-11");
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    let control = run.socket("control.sock");
    let holds = Holds::of(&run);
    // Frames that promise 128 KiB and bring all of it but a byte, from more clients than there is room for.
    let whole = frame(&vec![b' '; 128 * 1024]);
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let mut client = open(&control);
            client.stream.set_write_timeout(Some(NOT_TAKEN)).unwrap();
            client.stream.write_all(&whole[..whole.len() - 1]).unwrap();
            client
        })
        .collect();
    // And one that promises more than is taken.
    let mut large = open(&control);
    large.stream.write_all(&frame(&vec![b' '; 1024 * 1024])[..200]).unwrap();
    let refused = large.read().unwrap();
    assert_eq!(refused["error"]["code"], -32007, "{refused}");
    run.cli(&["status"]).code(0);
    let gone = clients.iter().filter(|client| is_hung_up(client)).count();
    assert!(gone >= 300 - 128, "{gone} made room");
    drop((clients, large));
    holds.are_back();
    row.witness(format_args!(
        "{gone} of 300 clients with half a request were sent away for others"
    ));
}

#[test]
fn sup_12_subscribers_that_never_read_hold_nobody_up() {
    let row = Row::new("SUP-12");
    Neighbour::moves_in(&row);
    row.chaos("geo", "serve");
    let run = row.run();
    run.active("geo");
    let neighbour = Neighbour::works(&run);
    let control = run.socket("control.sock");
    let holds = Holds::of(&run);
    let deaf: Vec<_> = (0..20)
        .map(|number| {
            let mut client = open(&control);
            let method = if number % 2 == 0 { "subscribe_events" } else { "subscribe_logs" };
            for _ in 0..16 {
                client.call(method, &json!({})).unwrap();
            }
            let refused = client.call(method, &json!({})).unwrap_err();
            assert_eq!(refused["code"], -32006, "{refused}");
            client
        })
        .collect();
    let mut reader = open(&control);
    reader
        .call("subscribe_logs", &json!({"filter": {"plugin": "geo", "sources": ["err"]}}))
        .unwrap();
    // Read by nobody else: what is said is counted by the one that reads.
    let lines = 3_000;
    let counting = std::thread::spawn(move || {
        let (mut seen, mut missed) = (0, 0);
        while seen + missed < lines {
            let item = reader.notification();
            match item["params"]["result"]["missed"].as_u64() {
                Some(more) => missed += more,
                None => seen += 1,
            }
        }
        (seen, missed)
    });
    fill_log(&run, "geo", usize::try_from(lines).unwrap(), 1_000);
    let (seen, missed) = counting.join().unwrap();
    assert_eq!(seen + missed, lines, "each line was shown, or counted as missed");
    run.cli(&["status"]).code(0);
    neighbour.was_not_disturbed(&run, &row);
    // One of the deaf reads after all: it is told how many it missed.
    let mut late = deaf.into_iter().nth(1).unwrap();
    let mut missed_late = 0;
    while missed_late == 0 {
        missed_late = late.notification()["params"]["result"]["missed"].as_u64().unwrap_or(0);
    }
    drop(late);
    holds.are_back();
    row.witness(format_args!(
        "320 subscriptions were not read while {lines} lines came; one told {missed_late} missed, the reader saw {seen}"
    ));
}
