use super::*;

const T0: Duration = Duration::from_secs(100);

fn at(ms: u64) -> Duration {
    T0 + Duration::from_millis(ms)
}

fn work(method: &str) -> NewCall<'_> {
    NewCall {
        method,
        params: "{}",
        deadline: None,
        left: None,
        turn: 0,
        works: true,
        control: false,
    }
}

fn control(method: &str) -> NewCall<'_> {
    NewCall { control: true, works: false, ..work(method) }
}

fn peer(change: impl FnOnce(&mut Limits)) -> Peer<&'static str> {
    let mut limits = Limits::default();
    change(&mut limits);
    Peer::new(limits)
}

/// Takes and writes all there is; the methods (or ids of answers) in the order of the pipe.
fn pump<T>(peer: &mut Peer<T>) -> Vec<String> {
    let mut all = Vec::new();
    let mut out = Vec::new();
    while peer.take_output(T0, &mut out) {
        peer.wrote(out.len());
        all.append(&mut out);
    }
    let text = String::from_utf8(all).unwrap();
    let field = |line: &str, name: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.get(name).map(ToString::to_string)
    };
    text.lines()
        .map(|line| match field(line, "method") {
            Some(method) => method.trim_matches('"').to_owned(),
            None => format!("answer {}", field(line, "id").unwrap()),
        })
        .collect()
}

fn resolved<T>(peer: &mut Peer<T>, id: u32) -> Option<T> {
    match peer.resolve(&Id::from(id)) {
        Resolved::Pending(answered) => Some(answered.token),
        Resolved::Late | Resolved::Unknown => None,
    }
}

#[test]
fn an_answer_gives_the_token_back_once_and_is_unknown_after_that() {
    let mut peer = peer(|_| {});
    let id = peer.call(T0, work("a"), "token").unwrap();
    assert_eq!(id, 1);
    assert!(
        matches!(peer.resolve(&Id::Num(1)), Resolved::Unknown),
        "nobody can answer what was not sent"
    );
    pump(&mut peer);
    assert!(matches!(peer.resolve(&Id::Str("1".into())), Resolved::Unknown));
    let Resolved::Pending(answered) = peer.resolve(&Id::Num(1)) else { panic!() };
    assert_eq!((answered.token, &*answered.method, answered.since), ("token", "a", T0));
    assert!(matches!(peer.resolve(&Id::Num(1)), Resolved::Unknown));
    assert_eq!((peer.in_flight(), peer.working()), (0, 0));
}

#[test]
fn ids_wrap_to_1_and_pass_over_those_still_pending() {
    let mut peer: Peer<u32> = Peer::new(Limits::default());
    let first = peer.call(T0, work("a"), 0).unwrap();
    assert_eq!(first, 1);
    peer.table = Table::starting_at(i32::MAX as u32 - 1);
    peer.in_flight = 0;
    let ids: Vec<u32> = (0..3).map(|n| peer.call(T0, work("a"), n).unwrap()).collect();
    assert_eq!(ids, [i32::MAX as u32 - 1, i32::MAX as u32, 1]);
}

#[test]
fn a_thousand_pending_calls_each_have_an_id_of_their_own() {
    let mut peer: Peer<u32> = Peer::new(Limits {
        in_flight: 5000,
        concurrency: 5000,
        queue_frames: 9999,
        ..Limits::default()
    });
    let mut ids: Vec<(u32, u32)> =
        (0..1000).map(|n| (peer.call(T0, work("a"), n).unwrap(), n)).collect();
    pump(&mut peer);
    // Free every second one and fill up again: ids pass over the slots that are taken.
    for (id, n) in ids.clone().into_iter().step_by(2) {
        assert_eq!(resolved(&mut peer, id), Some(n));
    }
    ids = ids.into_iter().skip(1).step_by(2).collect();
    ids.extend((1000..1500).map(|n| (peer.call(T0, work("a"), n).unwrap(), n)));
    pump(&mut peer);
    let mut unique: Vec<u32> = ids.iter().map(|(id, _)| *id).collect();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 1000);
    for (id, n) in ids {
        assert_eq!(resolved(&mut peer, id), Some(n));
    }
    peer.relax();
    assert_eq!(peer.call(T0, work("a"), 7).unwrap(), 1501);
}

#[test]
fn calls_above_the_limit_wait_and_each_answer_lets_one_go() {
    let mut peer = peer(|l| l.concurrency = 2);
    for token in ["a", "b", "c", "d"] {
        peer.call(T0, work(token), token).unwrap();
    }
    assert_eq!(pump(&mut peer), ["a", "b"]);
    assert_eq!((peer.in_flight(), peer.waiting()), (4, 2));
    assert!(!peer.output_pending());
    // An answer to the plugin passes them by: it may need it to end one of the two.
    peer.answer(&Id::Str("x".into()), Ok("{}"));
    peer.call(T0, control("ping"), "ping").unwrap();
    assert_eq!(pump(&mut peer), ["ping", "answer \"x\""]);
    resolved(&mut peer, 2).unwrap();
    assert!(peer.output_pending());
    assert_eq!(pump(&mut peer), ["c"]);
    peer.limits_mut().concurrency = 9;
    assert!(peer.output_pending());
    assert_eq!(pump(&mut peer), ["d"]);
}

#[test]
fn a_call_that_waited_says_the_time_that_is_left_when_it_goes() {
    let mut peer = peer(|l| l.concurrency = 1);
    let params = r#"{"_meta":{"deadlineMs":1950,"caller":"cli"}}"#;
    let of = |method| NewCall {
        params,
        deadline: Some(Duration::from_millis(1950)),
        left: Left::of(params, "\"deadlineMs\":"),
        ..work(method)
    };
    let first = peer.call(T0, of("a"), "").unwrap();
    peer.call(T0, of("b"), "").unwrap();
    peer.call(T0, NewCall { left: None, ..of("c") }, "").unwrap();
    let mut out = Vec::new();
    peer.limits_mut().concurrency = 9;
    peer.cancel(first, true).unwrap();
    assert!(peer.take_output(Duration::from_millis(1900), &mut out));
    let out = String::from_utf8(out).unwrap();
    let said: Vec<_> =
        out.lines().map(|line| line.split_once("deadlineMs\":").unwrap().1).collect();
    assert_eq!(said, [r#"50  ,"caller":"cli"}}}"#, r#"1950,"caller":"cli"}}}"#], "{out}");
}

#[test]
fn callers_that_wait_go_by_turns() {
    let mut peer = peer(|l| l.concurrency = 1);
    let of = |turn, method| NewCall { turn, ..work(method) };
    let running = peer.call(T0, of(1, "a1"), "").unwrap();
    for method in ["a2", "a3", "a4"] {
        peer.call(T0, of(1, method), "").unwrap();
    }
    let gone = peer.call(T0, of(2, "b1"), "").unwrap();
    peer.call(T0, of(2, "b2"), "").unwrap();
    peer.call(T0, of(3, "c1"), "").unwrap();
    peer.cancel(gone, true).unwrap();
    assert_eq!(pump(&mut peer), ["a1"]);
    let mut order = Vec::new();
    let mut id = running;
    for _ in 0..5 {
        resolved(&mut peer, id).unwrap();
        order.append(&mut pump(&mut peer));
        id = peer.table.calls().find(|c| matches!(c.place, Place::Out { .. })).unwrap().id;
    }
    assert_eq!(order, ["a2", "b2", "c1", "a3", "a4"]);
    assert_eq!(peer.waiting(), 0);
}

#[test]
fn whoever_has_nothing_open_is_not_shut_out_by_one_that_fills_the_bounds() {
    let mut peer = peer(|l| {
        l.concurrency = 1;
        l.in_flight = 16;
    });
    let of = |turn| NewCall { turn, ..work("a") };
    for _ in 0..16 {
        peer.call(T0, of(1), "").unwrap();
    }
    let refused = |peer: &mut Peer<&'static str>, turn| peer.call(T0, of(turn), "").unwrap_err().0;
    assert_eq!(refused(&mut peer, 1), Refusal::Overloaded("pending"));
    peer.call(T0, of(2), "").unwrap();
    assert_eq!(refused(&mut peer, 2), Refusal::Overloaded("pending"), "it has one open now");
    peer.call(T0, of(3), "").unwrap();
    assert_eq!(refused(&mut peer, 4), Refusal::Overloaded("pending"), "an eighth, and no more");
    assert_eq!(peer.in_flight(), 18);
}

#[test]
fn a_full_queue_has_an_eighth_for_callers_that_have_nothing_open() {
    for (class, bytes, frames) in [("queue_frames", 1 << 20, 8), ("queue_bytes", 8 * 60, 1024)] {
        let mut peer = peer(|l| {
            l.queue_bytes = bytes;
            l.queue_frames = frames;
        });
        let of = |turn| NewCall { turn, ..work("a") };
        let refusal = loop {
            if let Err((refusal, _)) = peer.call(T0, of(1), "") {
                break refusal;
            }
        };
        assert_eq!(refusal, Refusal::Overloaded(class));
        peer.call(T0, of(2), "").unwrap();
        assert_eq!(peer.call(T0, of(3), "").unwrap_err().0, Refusal::Overloaded(class));
    }
}

#[test]
fn the_control_lane_goes_first_between_frames() {
    let mut peer = peer(|_| {});
    for name in ["a", "b"] {
        peer.call(T0, work(name), name).unwrap();
    }
    peer.notify(true, "$/cancel", Some("{}")).unwrap();
    peer.notify(false, "event", None).unwrap();
    peer.call(T0, control("ping"), "ping").unwrap();
    assert_eq!(pump(&mut peer), ["$/cancel", "ping", "a", "b", "event"]);
}

#[test]
fn each_cap_is_named_and_an_empty_queue_admits_any_one_frame() {
    fn refused(peer: &mut Peer<&'static str>, call: NewCall<'_>) -> Refusal {
        peer.call(T0, call, "t").unwrap_err().0
    }
    let big = format!("\"{}\"", "x".repeat(1000));
    let call = NewCall { params: &big, ..work("m") };
    let bytes = encode::request_len(1, "m", Some(&big));

    let mut p = peer(|l| l.max_send = bytes - 1);
    assert_eq!(refused(&mut p, call), Refusal::TooLarge { bytes });
    assert_eq!(refused(&mut p, NewCall { control: true, ..call }), Refusal::TooLarge { bytes });
    p.limits_mut().max_send = bytes;
    assert_eq!(p.call(T0, call, "t").unwrap(), 1, "a refused call takes no id");

    let mut p = peer(|l| l.queue_bytes = 10);
    p.call(T0, call, "t").unwrap();
    assert_eq!(refused(&mut p, call), Refusal::Overloaded("queue_bytes"));
    assert_eq!(p.notify(false, "event", None), Err(Refusal::Overloaded("queue_bytes")));
    let mut out = Vec::new();
    assert!(p.take_output(T0, &mut out));
    assert_eq!(
        refused(&mut p, call),
        Refusal::Overloaded("queue_bytes"),
        "what the writer holds is not in the pipe"
    );
    p.wrote(out.len());
    p.call(T0, call, "t").unwrap();

    let mut p = peer(|l| l.queue_frames = 2);
    p.call(T0, work("m"), "t").unwrap();
    p.call(T0, work("m"), "t").unwrap();
    assert_eq!(refused(&mut p, work("m")), Refusal::Overloaded("queue_frames"));
    p.call(T0, control("ping"), "t").unwrap();
    p.notify(true, "exit", None).unwrap();
    p.answer(&Id::Num(1), Ok("1"));

    let mut p = peer(|l| l.in_flight = 1);
    p.call(T0, work("m"), "t").unwrap();
    assert_eq!(refused(&mut p, work("m")), Refusal::Overloaded("pending"));

    let mut p = peer(|l| (l.concurrency, l.queue_calls) = (1, false));
    p.call(T0, work("m"), "t").unwrap();
    assert_eq!(refused(&mut p, work("m")), Refusal::Overloaded("concurrency"));

    let mut p = peer(|l| l.max_depth = 3);
    p.call(T0, NewCall { params: r#"{"a":[]}"#, ..work("m") }, "t").unwrap();
    assert_eq!(refused(&mut p, NewCall { params: r#"{"a":[[]]}"#, ..work("m") }), Refusal::TooDeep);
    assert_eq!(p.notify(true, "m", Some("[[[")), Err(Refusal::TooDeep));
}

#[test]
fn a_queued_call_is_withdrawn_and_nothing_is_sent() {
    let mut peer = peer(|l| l.concurrency = 2);
    let ids: Vec<u32> =
        ["a", "b", "c"].iter().map(|m| peer.call(T0, work(m), m).unwrap()).collect();
    for (id, want) in [(ids[2], "c"), (ids[0], "a")] {
        let cancelled = peer.cancel(id, true).unwrap();
        assert_eq!(
            (cancelled.token, cancelled.sent, cancelled.unwritten_removed),
            (want, false, true)
        );
    }
    assert_eq!(pump(&mut peer), ["b"]);
    assert_eq!((peer.in_flight(), peer.working(), peer.abandoned()), (1, 1, 0));
    assert!(peer.cancel(ids[0], true).is_none());
}

#[test]
fn an_abandoned_call_is_work_until_its_late_answer() {
    let mut peer = peer(|l| l.concurrency = 1);
    peer.call(T0, work("a"), "a").unwrap();
    peer.call(T0, work("b"), "b").unwrap();
    pump(&mut peer);
    let cancelled = peer.cancel(1, true).unwrap();
    assert_eq!((cancelled.token, cancelled.sent, cancelled.unwritten_removed), ("a", true, false));
    assert_eq!((peer.in_flight(), peer.working(), peer.abandoned()), (1, 2, 1));
    assert_eq!(pump(&mut peer), ["b"], "its place among the concurrent ones is free");
    assert!(matches!(peer.resolve(&Id::Num(1)), Resolved::Late));
    assert!(matches!(peer.resolve(&Id::Num(1)), Resolved::Unknown));
    assert_eq!((peer.working(), peer.abandoned()), (1, 0));
}

#[test]
fn a_call_whose_answer_will_not_come_is_free_at_once_and_a_stray_answer_is_late() {
    let mut peer = peer(|_| {});
    for id in 1..4 {
        assert_eq!(peer.call(T0, work("a"), "a").unwrap(), id);
    }
    pump(&mut peer);
    assert!(peer.cancel(1, false).is_some());
    assert!(peer.cancel(2, true).is_some());
    assert!(peer.cancel(2, false).is_none());
    assert_eq!((peer.working(), peer.abandoned()), (1, 0));
    assert!(matches!(peer.resolve(&Id::Num(2)), Resolved::Late));
    assert!(matches!(peer.resolve(&Id::Num(1)), Resolved::Late));
    assert!(matches!(peer.resolve(&Id::Num(1)), Resolved::Unknown));
}

#[test]
fn abandoned_calls_are_bounded_and_the_oldest_is_forgotten() {
    let mut peer = peer(|_| {});
    for _ in 0..5000 {
        let id = peer.call(T0, work("a"), "a").unwrap();
        pump(&mut peer);
        peer.cancel(id, true).unwrap();
    }
    assert_eq!((peer.abandoned(), peer.working()), (MAX_ABANDONED, MAX_ABANDONED));
    assert!(peer.table.next_id() > 5000);
    assert!(matches!(peer.resolve(&Id::Num(1)), Resolved::Unknown));
    assert!(matches!(peer.resolve(&Id::Num(4999)), Resolved::Late));
}

#[test]
fn deadlines_pass_in_order_and_can_be_moved() {
    let mut peer = peer(|l| l.concurrency = 2);
    for (method, ms) in [("a", 30), ("b", 10), ("c", 20)] {
        peer.call(T0, NewCall { deadline: Some(at(ms)), ..work(method) }, method).unwrap();
    }
    pump(&mut peer);
    assert_eq!((peer.next_deadline(), peer.latest_deadline()), (Some(at(10)), Some(at(30))));
    peer.defer_deadlines(Duration::from_millis(100));
    assert_eq!(peer.next_deadline(), Some(at(110)));
    let mut out = Vec::new();
    peer.expire(at(109), &mut out);
    assert!(out.is_empty());
    peer.expire(at(120), &mut out);
    let seen: Vec<_> = out.iter().map(|e| (e.token, e.sent, e.since)).collect();
    assert_eq!(seen, [("b", true, T0), ("c", false, T0)]);
    assert_eq!((peer.in_flight(), peer.abandoned()), (1, 1));
    resolved(&mut peer, 1).unwrap();
    assert_eq!(peer.next_deadline(), None);
    peer.expire(at(9999), &mut out);
    assert_eq!(out.len(), 2);
}

#[test]
fn settled_deadlines_do_not_pile_up() {
    let mut peer = peer(|_| {});
    let keep = NewCall { deadline: Some(at(1)), ..work("keep") };
    peer.call(T0, keep, "keep").unwrap();
    for n in 0..100_000u64 {
        let call = NewCall { deadline: Some(at(1000 + n)), ..work("a") };
        let id = peer.call(T0, call, "a").unwrap();
        pump_quietly(&mut peer);
        resolved(&mut peer, id).unwrap();
    }
    assert!(peer.deadlines.len() <= 300, "{}", peer.deadlines.len());
    assert_eq!(peer.next_deadline(), Some(at(1)));
}

fn pump_quietly<T>(peer: &mut Peer<T>) {
    let mut out = Vec::new();
    while peer.take_output(T0, &mut out) {
        peer.wrote(out.len());
        out.clear();
    }
}

#[test]
fn at_the_end_sent_means_that_a_byte_was_written() {
    let mut peer = peer(|l| l.concurrency = 3);
    for method in ["a", "b", "c", "d"] {
        peer.call(T0, work(method), method).unwrap();
    }
    let mut out = Vec::new();
    peer.take_output(T0, &mut out);
    let first = out.iter().position(|b| *b == b'\n').unwrap() + 1;
    peer.wrote(first);
    assert!(peer.is_written(1) && !peer.is_written(2));
    let sent = |settled: Vec<Settled<&'static str>>| -> Vec<_> {
        settled.into_iter().map(|s| (s.token, s.sent)).collect()
    };
    assert_eq!(sent(peer.settle_all(true)), [("d", false)]);
    peer.wrote(1);
    peer.call(T0, control("ping"), "ping").unwrap();
    assert_eq!(
        sent(peer.settle_all(false)),
        [("a", true), ("b", true), ("c", false), ("ping", false)]
    );
    assert_eq!((peer.in_flight(), peer.queued_bytes()), (0, 0));
    assert!(!peer.take_output(T0, &mut out));
}

#[test]
fn the_writer_gets_64_kib_at_once_or_one_larger_frame() {
    let mut peer = peer(|_| {});
    let big = format!("{{\"x\":\"{}\"}}", "x".repeat(200_000));
    let small = format!("{{\"x\":\"{}\"}}", "x".repeat(20_000));
    for params in [&small, &small, &small, &small, &big, &small] {
        peer.call(T0, NewCall { params, ..work("m") }, "t").unwrap();
    }
    let mut sizes = Vec::new();
    let mut out = Vec::new();
    while peer.take_output(T0, &mut out) {
        peer.wrote(out.len());
        assert_eq!(out.last(), Some(&b'\n'));
        sizes.push(out.len() / 10_000);
        out.clear();
        peer.notify(true, "c", None).ok().filter(|()| sizes.len() < 3);
        if sizes.len() >= 4 {
            break;
        }
    }
    assert_eq!(sizes, [6, 2, 20, 2]);
}

#[test]
fn the_plugins_own_requests_are_capped() {
    let mut peer = peer(|l| l.plugin_requests = 2);
    assert!(peer.begin_request() && peer.begin_request());
    assert!(!peer.begin_request());
    peer.end_request();
    assert!(peer.begin_request());
    assert_eq!(peer.requests(), 2);
}

mod model {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Call {
            control: bool,
            works: bool,
            deadline: Option<u64>,
            size: usize,
        },
        Notify {
            control: bool,
        },
        Answer,
        Take,
        Wrote(prop::sample::Index),
        /// The plugin answers some call that it has read whole.
        Reply(prop::sample::Index),
        /// It answers an id of its own choice.
        Stray(u32),
        Cancel(prop::sample::Index, bool),
        Wait(u64),
        Defer(u64),
        Concurrency(usize),
        Drain,
        Relax,
        /// The supervisor's next build goes on with it.
        HandOver,
    }

    fn op() -> impl Strategy<Value = Op> {
        let index = any::<prop::sample::Index>;
        prop_oneof![
            12 => (prop::bool::weighted(0.2), any::<bool>(), prop::option::of(1u64..50), 0usize..40)
                .prop_map(|(control, works, deadline, size)| Op::Call { control, works, deadline, size }),
            1 => (60_000usize..70_000)
                .prop_map(|size| Op::Call { control: false, works: true, deadline: None, size }),
            2 => any::<bool>().prop_map(|control| Op::Notify { control }),
            2 => Just(Op::Answer),
            6 => Just(Op::Take),
            8 => index().prop_map(Op::Wrote),
            8 => index().prop_map(Op::Reply),
            1 => (0u32..400).prop_map(Op::Stray),
            3 => (index(), any::<bool>()).prop_map(|(i, keep)| Op::Cancel(i, keep)),
            2 => (0u64..30).prop_map(Op::Wait),
            1 => (0u64..30).prop_map(Op::Defer),
            1 => (1usize..6).prop_map(Op::Concurrency),
            1 => Just(Op::Drain),
            1 => Just(Op::Relax),
            3 => Just(Op::HandOver),
        ]
    }

    #[derive(Debug)]
    struct Open {
        control: bool,
        works: bool,
        deadline: Option<u64>,
        bytes: usize,
    }

    /// The other side and the caller, kept with the plainest of means.
    #[derive(Default)]
    struct World {
        open: BTreeMap<u32, Open>,
        abandoned: BTreeMap<u32, bool>,
        returned: BTreeSet<u32>,
        issued: usize,
        last_id: u32,
        now: u64,
        /// All that the writer ever took, and how much of it is written.
        stream: Vec<u8>,
        written: usize,
        /// Start and end of every call's frame in the stream.
        places: BTreeMap<u32, (usize, usize)>,
        /// Bytes accepted and not withdrawn.
        accepted: usize,
        /// The numbers of notifications and answers as they were accepted, for each lane.
        marks: [Vec<u32>; 2],
        seen: [Vec<u32>; 2],
        calls_seen: Vec<u32>,
        /// Whose turn each call takes.
        turns: BTreeMap<u32, usize>,
        mark: u32,
    }

    impl World {
        fn back(&mut self, token: u32) -> Open {
            assert!(self.returned.insert(token), "token {token} came back twice");
            self.open.remove(&token).expect("a token that was open")
        }

        fn took(&mut self, bytes: &[u8]) {
            let mut data_began = false;
            for line in bytes.split_inclusive(|b| *b == b'\n') {
                assert_eq!(line.last(), Some(&b'\n'));
                let start = self.stream.len();
                self.stream.extend_from_slice(line);
                let message: serde_json::Value = serde_json::from_slice(line).unwrap();
                let control = match (message["method"].as_str(), message["id"].as_u64()) {
                    (Some(method), Some(id)) => {
                        let id = u32::try_from(id).unwrap();
                        let open = self.open.get(&id).expect("only open calls are sent");
                        assert_eq!(method == "control", open.control);
                        self.places.insert(id, (start, self.stream.len()));
                        if !open.control {
                            self.calls_seen.push(id);
                        }
                        open.control
                    }
                    (Some(method), None) => {
                        let control = method == "control";
                        let mark = message["params"]["mark"].as_u64().unwrap();
                        self.seen[usize::from(control)].push(u32::try_from(mark).unwrap());
                        control
                    }
                    (None, _) => {
                        let mark = message["result"].as_u64().unwrap();
                        self.seen[0].push(u32::try_from(mark).unwrap());
                        false
                    }
                };
                assert!(!(control && data_began), "the control lane goes first");
                data_began |= !control;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_call_is_lost_or_settled_twice_and_every_rule_of_the_lanes_holds(
            ops in prop::collection::vec(op(), 1..150),
            first_concurrency in 1usize..6,
        ) {
            let mut concurrency = first_concurrency;
            let limits = Limits { concurrency, in_flight: 40, queue_bytes: 100_000, queue_frames: 30, ..Limits::default() };
            let mut peer: Peer<u32> = Peer::new(limits);
            let mut world = World::default();
            for op in ops {
                match op {
                    Op::Call { control, works, deadline, size } => {
                        let params = format!("[\"{}\"]", "x".repeat(size));
                        let deadline = deadline.map(|d| world.now + d);
                        let call = NewCall {
                            method: if control { "control" } else { "data" },
                            params: &params,
                            deadline: deadline.map(at),
                            left: None,
                            turn: u32::try_from(size % 3).unwrap(),
                            works,
                            control,
                        };
                        // The token of a call is its id, so that either tells the other.
                        let token = peer.table.next_id();
                        prop_assert!(token > world.last_id, "ids count up");
                        let bytes = encode::request_len(token, call.method, Some(&params)) + 1;
                        match peer.call(at(world.now), call, token) {
                            Ok(id) => {
                                prop_assert_eq!(token, id);
                                world.last_id = id;
                                world.issued += 1;
                                world.accepted += bytes;
                                world.turns.insert(id, size % 3);
                                world.open.insert(id, Open { control, works, deadline, bytes });
                            }
                            Err((refusal, back)) => {
                                prop_assert_eq!(token, back);
                                prop_assert!(matches!(refusal, Refusal::Overloaded(_)));
                                prop_assert!(!control);
                            }
                        }
                    }
                    Op::Notify { control } => {
                        let (method, params) = (if control { "control" } else { "data" }, format!("{{\"mark\":{}}}", world.mark));
                        if peer.notify(control, method, Some(&params)).is_ok() {
                            world.accepted += encode::notification_len(method, Some(&params)) + 1;
                            world.marks[usize::from(control)].push(world.mark);
                            world.mark += 1;
                        }
                    }
                    Op::Answer => {
                        let before = peer.queued_bytes();
                        peer.answer(&Id::Num(0), Ok(&world.mark.to_string()));
                        world.accepted += peer.queued_bytes() - before;
                        world.marks[0].push(world.mark);
                        world.mark += 1;
                    }
                    Op::Take => {
                        let mut out = Vec::new();
                        prop_assert_eq!(peer.take_output(T0, &mut out), !out.is_empty());
                        world.took(&out);
                    }
                    Op::Wrote(index) => {
                        let n = index.index(world.stream.len() - world.written + 1);
                        world.written += n;
                        peer.wrote(n);
                    }
                    Op::Reply(index) => {
                        let read: Vec<u32> = world.places.iter()
                            .filter(|(id, (_, end))| *end <= world.written
                                && (world.open.contains_key(id) || world.abandoned.contains_key(id)))
                            .map(|(id, _)| *id)
                            .collect();
                        if read.is_empty() {
                            continue;
                        }
                        let id = read[index.index(read.len())];
                        match peer.resolve(&Id::from(id)) {
                            Resolved::Pending(answered) => {
                                prop_assert_eq!(answered.token, id);
                                world.back(id);
                            }
                            Resolved::Late => prop_assert!(world.abandoned.remove(&id).is_some()),
                            Resolved::Unknown => prop_assert!(false, "{} was read", id),
                        }
                    }
                    Op::Stray(id) => {
                        let answerable = world.places.contains_key(&id);
                        let token = resolved(&mut peer, id);
                        if let Some(token) = token {
                            prop_assert!(answerable);
                            world.back(token);
                        }
                        world.abandoned.remove(&id);
                    }
                    Op::Cancel(index, keep) => {
                        let id = u32::try_from(index.index(world.last_id as usize + 1)).unwrap();
                        match peer.cancel(id, keep) {
                            Some(cancelled) => {
                                prop_assert_eq!(cancelled.token, id);
                                let open = world.back(id);
                                prop_assert_eq!(cancelled.sent, world.places.contains_key(&id));
                                prop_assert_eq!(cancelled.unwritten_removed, !cancelled.sent);
                                if !cancelled.sent {
                                    world.accepted -= open.bytes;
                                } else if keep {
                                    world.abandoned.insert(id, open.works && !open.control);
                                }
                            }
                            None => {
                                prop_assert!(!world.open.contains_key(&id));
                                if !keep {
                                    world.abandoned.remove(&id);
                                }
                            }
                        }
                    }
                    Op::Wait(ms) => {
                        world.now += ms;
                        let mut out = Vec::new();
                        peer.expire(at(world.now), &mut out);
                        for expired in out {
                            let open = world.back(expired.token);
                            prop_assert!(open.deadline.is_some_and(|d| d <= world.now));
                            prop_assert_eq!(expired.sent, world.places.contains_key(&expired.id));
                            if expired.sent {
                                world.abandoned.insert(expired.id, open.works && !open.control);
                            } else {
                                world.accepted -= open.bytes;
                            }
                        }
                        prop_assert!(world.open.values().all(|o| o.deadline.is_none_or(|d| d > world.now)));
                    }
                    Op::Defer(ms) => {
                        peer.defer_deadlines(Duration::from_millis(ms));
                        for open in world.open.values_mut() {
                            open.deadline = open.deadline.map(|d| d + ms);
                        }
                    }
                    Op::Concurrency(n) => {
                        concurrency = concurrency.max(n);
                        peer.limits_mut().concurrency = n;
                    }
                    Op::Drain => {
                        for settled in peer.settle_all(true) {
                            prop_assert!(!settled.sent && !settled.control);
                            let open = world.back(settled.token);
                            world.accepted -= open.bytes;
                        }
                        let all_out = world.open.iter().all(|(id, o)| o.control || world.places.contains_key(id));
                        prop_assert!(all_out);
                    }
                    Op::Relax => peer.relax(),
                    Op::HandOver => {
                        let text = serde_json::to_string(&peer.copy(|token| token.to_string())).unwrap();
                        let there: Peer<String> = serde_json::from_str(&text).unwrap();
                        peer = there.copy(|token| token.parse().unwrap());
                    }
                }
                let calls = || world.open.values().filter(|o| !o.control);
                prop_assert_eq!(peer.in_flight(), calls().count());
                prop_assert_eq!(peer.abandoned(), world.abandoned.len());
                let working = calls().filter(|o| o.works).count() + world.abandoned.values().filter(|w| **w).count();
                prop_assert_eq!(peer.working(), working);
                prop_assert_eq!(peer.queued_bytes(), world.accepted - world.written);
                let busy = world.open.iter().filter(|(id, o)| !o.control && world.places.contains_key(id)).count();
                prop_assert!(busy <= concurrency);
                let next = world.open.values().filter_map(|o| o.deadline).min();
                prop_assert_eq!(peer.next_deadline(), next.map(at));
                let latest = calls().filter(|o| o.works).filter_map(|o| o.deadline).max();
                prop_assert_eq!(peer.latest_deadline(), latest.map(at));
                for (id, (_, end)) in &world.places {
                    prop_assert_eq!(peer.is_written(*id), world.open.contains_key(id) && *end <= world.written);
                }
            }
            for lane in 0..2 {
                prop_assert!(world.marks[lane].starts_with(&world.seen[lane]), "order within a lane is kept");
            }
            for turn in 0..3 {
                let mine = world.calls_seen.iter().filter(|id| world.turns[id] == turn);
                prop_assert!(mine.is_sorted(), "calls of one caller leave in the order they were accepted");
            }
            for settled in peer.settle_all(false) {
                let start = world.places.get(&settled.id).map(|(start, _)| *start);
                prop_assert_eq!(settled.sent, start.is_some_and(|s| s < world.written), "call {}", settled.id);
                world.back(settled.token);
            }
            prop_assert!(world.open.is_empty());
            prop_assert_eq!(world.returned.len(), world.issued);
            prop_assert_eq!((peer.queued_bytes(), peer.in_flight(), peer.working(), peer.abandoned()), (0, 0, 0, 0));
        }
    }
}

#[test]
fn an_unwritten_call_comes_back_whole_and_is_readmitted_above_the_limits() {
    let mut peer = Peer::new(Limits { concurrency: 1, in_flight: 3, ..Limits::default() });
    let params = [r#"{"n":1}"#, r#"{"n":1e400}"#, ""];
    for params in params {
        peer.call(T0, NewCall { params, deadline: Some(at(9)), ..work("m") }, "t").unwrap();
    }
    let mut out = Vec::new();
    assert!(peer.take_output(T0, &mut out));
    peer.wrote(out.len());
    let mut unwritten = Vec::new();
    peer.each_unwritten(&out, |token, method, params| {
        unwritten.push((*token, method.to_owned(), params))
    });
    assert!(unwritten.is_empty(), "all that was taken is written");
    let settled = peer.settle_all(false);
    let unsent: Vec<_> = settled.iter().map(|one| (one.sent, one.params.as_deref())).collect();
    assert_eq!(unsent, [(true, None), (false, Some(r#"{"n":1e400}"#)), (false, Some(""))]);
    assert_eq!(settled[1].deadline, Some(at(9)));

    let mut next = Peer::new(Limits { concurrency: 1, in_flight: 1, ..Limits::default() });
    for params in ["{}", "{}"] {
        next.readmit(T0, NewCall { params, ..work("m") }, "t").unwrap();
    }
    assert_eq!(next.in_flight(), 2);
    assert!(next.call(T0, work("m"), "t").is_err());
    assert_eq!(next.find(|token| *token == "t").len(), 2);
}

#[test]
fn what_the_writer_took_and_could_not_write_is_known_from_its_buffer() {
    let mut peer = Peer::new(Limits::default());
    let mut out = Vec::new();
    peer.call(T0, work("first"), "written").unwrap();
    assert!(peer.take_output(T0, &mut out));
    peer.wrote(out.len());
    out.clear();
    for (method, token) in [("half", "half"), ("none", "none")] {
        peer.call(T0, NewCall { params: r#"{"n":1e400}"#, ..work(method) }, token).unwrap();
    }
    peer.call(T0, control("ping"), "ping").unwrap();
    assert!(peer.take_output(T0, &mut out));
    // The ping goes first; then some bytes of the first call.
    let half = String::from_utf8_lossy(&out).find("half").unwrap();
    peer.wrote(half);
    let mut seen = Vec::new();
    peer.each_unwritten(&out, |token, method, params| {
        seen.push((*token, method.to_owned(), params.into_string()));
    });
    assert_eq!(seen, [("none", "none".to_owned(), r#"{"n":1e400}"#.to_owned())]);
}

#[test]
fn frames_behind_headers_are_sent_and_unsent_as_lines_are() {
    let mut peer: Peer<u32> = Peer::framed(Limits::default(), Framing::ContentLength);
    let call = |method, control| NewCall {
        method,
        params: r#"{"text":"żółć"}"#,
        left: None,
        deadline: None,
        turn: 0,
        works: true,
        control,
    };
    let first = peer.call(Duration::ZERO, call("a/first", false), 1).unwrap();
    peer.notify(true, "initialized", Some("{}")).unwrap();
    let second = peer.call(Duration::ZERO, call("a/second", false), 2).unwrap();
    let mut out = b"before".to_vec();
    assert!(peer.take_output(T0, &mut out));
    let text = String::from_utf8(out.clone()).unwrap();
    let bodies = [
        r#"{"jsonrpc":"2.0","method":"initialized","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a/first","params":{"text":"żółć"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"a/second","params":{"text":"żółć"}}"#,
    ];
    let framed = |body: &&str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let frames: Vec<String> = bodies.iter().map(framed).collect();
    assert_eq!(text, format!("before{}", frames.concat()));
    peer.wrote(frames[0].len() + frames[1].len());
    assert!(peer.is_written(first) && !peer.is_written(second));
    let mut unwritten = Vec::new();
    peer.each_unwritten(&out[6..], |token, method, params| {
        unwritten.push((*token, method.to_owned(), params.into_string()));
    });
    assert_eq!(unwritten, [(2, "a/second".to_owned(), r#"{"text":"żółć"}"#.to_owned())]);
    let settled = peer.settle_all(false);
    assert_eq!(settled.iter().map(|it| it.sent).collect::<Vec<_>>(), [true, false]);
    assert!(!peer.output_pending());
}
