//! Nanoseconds that one call costs a host on the wire: encode, hand to the writer, cut, scan, decode, look up.
//!
//! `cargo run --release -p outboard-wire --example bench_wire`. No pipes and no scheduler: this is the share of a call
//! that is ours alone. Pin it to one core (`taskset -c 1`) for figures that repeat.

#![allow(clippy::print_stdout, reason = "it prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use outboard_wire::peer::{Limits, NewCall, Resolved};
use outboard_wire::{Framer, Item, Message, Peer, decode};

fn main() {
    println!("{:<44} {:>10} {:>12}", "", "ns/call", "MB/s in");
    for (name, params, result, order) in [
        ("ping, {}", "{}", "{}", Order::Usual),
        ("ping, {}, result first and id last", "{}", "{}", Order::IdLast),
        ("100 bytes", PARAMS, RESULT, Order::Usual),
        ("100 bytes, with blanks", PARAMS, RESULT, Order::Spaced),
    ] {
        for width in [1, 64] {
            let ns = calls(params, result, order, width);
            let size = answer(order, 1, result).len() as f64;
            println!(
                "{:<44} {ns:>10.0} {:>12.0}",
                format!("{name}, {width} at once"),
                size / ns * 1e3
            );
        }
    }
    for (name, result) in [
        ("1 MiB of text", format!("\"{}\"", "x".repeat(1 << 20))),
        ("1 MiB of numbers", format!("[{}1]", "12345,".repeat((1 << 20) / 6))),
    ] {
        let ns = calls("{}", &result, Order::Usual, 1);
        println!("{name:<44} {ns:>10.0} {:>12.0}", result.len() as f64 / ns * 1e3);
    }
    parts();
}

const PARAMS: &str = r#"{"ip":"192.0.2.1","units":"metric","fields":["country","city","zone"],"limit":10,"deep":{"a":[1,2,3]}}"#;
const RESULT: &str = r#"{"country":"PL","city":"Krak\u00f3w","zone":"Europe/Warsaw","score":[0.25,0.5,1.0],"note":"nothing said"}"#;

#[derive(Clone, Copy)]
enum Order {
    Usual,
    IdLast,
    Spaced,
}

fn answer(order: Order, id: u32, result: &str) -> String {
    match order {
        Order::Usual => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n"),
        Order::IdLast => format!("{{\"result\":{result},\"jsonrpc\":\"2.0\",\"id\":{id}}}\n"),
        Order::Spaced => format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, \"result\": {result}}}\n"),
    }
}

/// `width` calls at once, answered in order, over and over; the best of several rounds.
fn calls(params: &str, result: &str, order: Order, width: u32) -> f64 {
    let rounds = if result.len() > 10_000 { 40 } else { 4_000 };
    let mut peer: Peer<u64> = Peer::new(Limits::default());
    let mut framer = Framer::newline(16 << 20);
    let mut out = Vec::new();
    let mut best = f64::MAX;
    let mut id = 0u32;
    for _ in 0..7 {
        // What the plugin writes is made beforehand: ids count up by one, as none is ever passed over here.
        let inbound: Vec<String> = (0..rounds)
            .map(|round| {
                (0..width).map(|n| answer(order, id + round * width + n + 1, result)).collect()
            })
            .collect();
        id += rounds * width;
        let start = now();
        for answers in &inbound {
            for n in 0..width {
                let call = NewCall {
                    turn: 0,
                    method: "geo/locate",
                    params: black_box(params),
                    deadline: Some(Duration::from_secs(30 + u64::from(n))),
                    left: None,
                    works: true,
                    control: false,
                };
                peer.call(Duration::from_secs(1), call, 7).expect("within the limits");
            }
            while peer.take_output(Duration::ZERO, &mut out) {
                peer.wrote(out.len());
                black_box(&out);
                out.clear();
            }
            framer.feed(answers.as_bytes(), &mut |item| {
                let Item::Frame(frame) = item else { panic!("{item:?}") };
                let Ok(Message::Response { id, outcome: Ok(result) }) = decode(frame, 128) else {
                    panic!("{frame}")
                };
                let Resolved::Pending(answered) = peer.resolve(&id) else { panic!("{id}") };
                black_box((answered.token, result.get().len()));
            });
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds * width));
        assert_eq!(peer.in_flight(), 0);
    }
    best
}

/// Where the time goes, for the smallest answer.
fn parts() {
    const N: u32 = 400_000;
    let frame = r#"{"jsonrpc":"2.0","id":123456,"result":{}}"#;
    let line = format!("{frame}\n");
    let mut framer = Framer::newline(1 << 20);
    let each = |name: &str, run: &mut dyn FnMut()| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = now();
            for _ in 0..N {
                run();
            }
            best = best.min(start.elapsed().as_nanos() as f64 / f64::from(N));
        }
        println!("  {name:<42} {best:>10.1}");
    };
    each("cut a line", &mut || {
        framer.feed(black_box(line.as_bytes()), &mut |item| drop(black_box(item)))
    });
    each("scan and decode", &mut || drop(black_box(decode(black_box(frame), 128))));
    each("serde_json to a raw value", &mut || {
        drop(black_box(serde_json::from_str::<&serde_json::value::RawValue>(black_box("{}"))));
    });
    let mut out = Vec::new();
    each("encode a request", &mut || {
        out.clear();
        outboard_wire::encode::request(&mut out, black_box(123_456), "geo/locate", Some("{}"));
        black_box(&out);
    });
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
