//! The supervisor runs out of descriptors.

use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use outboard_tests::Running;
use outboard_tests::clock::wait_until;
use outboard_tests::fault::Row;
use outboard_tests::neighbour::Neighbour;
use outboard_tests::world::Launch;
use serde_json::{Value, json};

/// What a connection was told without having asked.
fn told(stream: &UnixStream) -> Option<Value> {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line) {
        Ok(_) => serde_json::from_str(&line).ok(),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Its CPU time, in clock ticks.
fn ticks(run: &Running<'_>) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", run.pid)).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// More than there are descriptors for, and fewer than may wait for an accept.
const CROWD: usize = 100;

/// Connects the crowd and waits until ten of it have been told why they are not served; gives the rest.
fn crowd(run: &Running<'_>) -> Vec<UnixStream> {
    let socket = run.socket("attach.sock");
    let mut crowd: Vec<_> = (0..CROWD).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let mut reasons = Vec::new();
    wait_until("ten connections have been told why they are not served", || {
        crowd.retain(|stream| match told(stream) {
            Some(reason) => {
                reasons.push(reason);
                false
            }
            None => true,
        });
        reasons.len() >= 10
    });
    for reason in &reasons {
        assert_eq!(reason["error"]["code"], -31004, "{reason}");
        assert_eq!(reason["error"]["data"]["class"], "descriptors", "{reason}");
    }
    crowd
}

fn few_descriptors() -> Launch<'static> {
    Launch { shell: Some("ulimit -n 80; exec {}"), ..Launch::default() }
}

#[test]
fn sup_07_clients_take_every_descriptor_there_is() {
    let row = Row::new("SUP-07");
    row.chaos("geo", "serve");
    let run = row.launch(&few_descriptors());
    run.active("geo");
    let mut open = run.attach("geo");
    let before = ticks(&run);
    let crowd = crowd(&run);
    // One is told every tenth of a second, so this was about a second; a hundred ticks make one.
    let used = ticks(&run) - before;
    assert!(used < 50, "no busy loop: {used} ticks");
    row.note(format_args!("{used} ticks of CPU in a second"));
    // Who is attached is served, and who comes to mend it gets in.
    assert_eq!(open.call("echo", &json!({"still": 1})).unwrap(), json!({"still": 1}));
    for _ in 0..10 {
        assert_eq!(run.plugin("geo")["generation"], 1);
    }
    run.cli(&["status"]).code(0);
    drop(crowd);
    wait_until("it recovers", || {
        run.try_attach("geo", None).is_ok_and(|mut client| client.call("echo", &json!({})).is_ok())
    });
    assert_eq!(run.count(|event| event.event == "plugin.failure"), 0);
    row.witness("ten connections were told that there was no descriptor for them");
}

#[test]
fn sup_07_the_neighbour_does_not_notice() {
    let row = Row::new("SUP-07");
    Neighbour::moves_in(&row);
    let run = row.launch(&few_descriptors());
    let neighbour = Neighbour::works(&run);
    drop(crowd(&run));
    neighbour.was_not_disturbed(&run, &row);
    row.witness("ten connections were told that there was no descriptor for them");
}
