//! Fifty clients of one plugin, of whom one never reads and one talks nonsense.

use std::io::Write;
use std::os::unix::net::UnixStream;

use outboard_tests::clock::wait_until;
use outboard_tests::{Running, World, say};
use serde_json::json;

/// Resident KiB of the supervisor and its keeper.
fn resident(run: &Running<'_>) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
        line.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    of(run.supervisor_pid()) + of(run.keeper_pid())
}

fn descriptors(run: &Running<'_>) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{}/fd", run.supervisor_pid())).ok()?.count())
}

#[test]
fn a_client_that_never_reads_costs_bounded_memory_and_nobody_else_anything() {
    const MIB: usize = 1 << 20;
    let world = World::new();
    let big = "on big {\n  say-raw {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\"\n  say-repeat 1M x\n  say \"}\n}";
    world.chaos("geo", &format!("{big}\nserve"));
    let run = world.run();
    run.active("geo");
    let socket = run.socket("attach.sock");
    drop(run.attach("geo"));
    let before = (resident(&run), descriptors(&run));

    let mut others: Vec<_> = (0..48).map(|_| run.attach("geo")).collect();
    let open = |line: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        stream
    };
    let attach = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"outboard/attach\",\"params\":{\"plugin\":\"geo\"}}\n";
    let mut garbage = open(attach);
    garbage.write_all(&[b"\x00\xff{]}\n".as_slice(), &vec![b'x'; 3 * MIB]].concat()).unwrap();
    // It asks for eighty times a mebibyte before it is owed anything, and reads nothing.
    let mut deaf = open(attach);
    let asks: String = (1..=80)
        .map(|id| {
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"big\",\"params\":{{}}}}\n")
        })
        .collect();
    deaf.write_all(asks.as_bytes()).unwrap();
    for (n, other) in others.iter_mut().enumerate() {
        // They wait for their turn, and no longer.
        assert_eq!(other.call("echo", &json!({"n": n})).unwrap(), json!({"n": n}));
    }
    let cut = run.event(|event| event.is("client.cut_off", "geo"));
    let owed = cut.number("owed_bytes");
    assert!(owed >= 64 << 20, "{cut}");
    for (n, other) in others.iter_mut().enumerate() {
        assert_eq!(other.call("echo", &json!({"n": n})).unwrap(), json!({"n": n}));
    }
    drop((others, deaf, garbage));
    wait_until("descriptors are what they were", || descriptors(&run) <= before.1);
    // The allocator gives back what it has within a moment; 4 MiB is the promise.
    wait_until("memory is what it was", || resident(&run) <= before.0 + 4 * 1024);
    say(format_args!(
        "50 clients, one cut off with {owed} bytes unread: {} KiB before, {} KiB after; descriptors {:?}, then {:?}",
        before.0,
        resident(&run),
        before.1,
        descriptors(&run),
    ));
    assert_eq!(run.count(|event| event.event == "plugin.failure"), 0);
}
