//! Calls across restarts, and callers beside each other.

use std::collections::HashMap;
use std::time::Duration;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::{Attach, Running, World, say};
use serde_json::{Value, json};

/// Up again at once, as often as it takes.
const AT_ONCE: &str = "[restart]\nbackoff = { initial = \"1ms\", max = \"1ms\" }\n\
    budget = { restarts = 100000, within = \"5m\" }\n";

/// Down until somebody starts it.
const DOWN: &str = "[restart]\nbackoff = { initial = \"10m\", max = \"10m\" }\n";

fn opens_with(members: &str) -> String {
    format!("on initialize {{ reply {{\"protocolVersion\":1,{members}}} }}\n")
}

fn wishing(run: &Running<'_>, id: &str, wish: &str) -> Attach {
    run.attach_as(id, &json!({"whileRestarting": wish})).unwrap()
}

#[test]
fn a_call_says_itself_whether_it_waits() {
    let world = World::new();
    for (id, usual) in [("waits", "wait"), ("fails", "fail")] {
        world.chaos_with(id, "serve", &format!("[calls]\nwhile_restarting = \"{usual}\"\n{DOWN}"));
    }
    let run = world.run();
    for id in ["waits", "fails"] {
        run.active(id);
        let mut patient = wishing(&run, id, "wait");
        let error = patient.call("quit", &json!({})).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "exit"), "{error:?}");
        run.state(id, "backoff");
        let hasty = run.cli(&["call", id, "echo", "--while-restarting", "fail"]).code(6);
        assert!(hasty.stderr.contains("will be started again"), "{hasty:?}");
        let error = wishing(&run, id, "fail").call("echo", &json!({})).unwrap_err();
        assert_eq!((error.code, error.class()), (-31001, "backoff"), "{error:?}");
        assert_eq!(json!([error.data["sent"], error.data["retryable"]]), json!([false, true]));
        let waiting = patient.send("echo", &json!({"n": 1}));
        wait_until("it waits", || run.plugin(id)["in_flight"] == 1);
        run.cli(&["start", id]).code(0);
        assert_eq!(patient.answer(waiting).unwrap().get(), r#"{"n":1}"#);
    }
}

#[test]
fn a_call_by_hand_that_brings_no_deadline_has_the_manifests() {
    let world = World::new();
    world.chaos_with("geo", "on take { at took }\nserve", "[calls]\ndeadline = \"100ms\"");
    let run = world.run();
    run.active("geo");
    let late = run.cli(&["call", "geo", "take"]).code(5);
    assert!(late.stderr.contains("did not answer in time"), "{late:?}");
}

#[test]
fn what_may_be_made_twice_by_the_opening_or_by_a_key_is_made_again_once() {
    let world = World::new();
    let opening = opens_with(
        r#""methods":{"read":{"idempotent":true},"write":{}},"supports":{"meta":true,"idempotency":true}"#,
    );
    let script = format!(
        "{opening}generation 1 {{\n on read {{ at first }}\n on write {{ at first }}\n}}\n\
         generation 2- {{\n on read {{ reply $params }}\n on write {{ reply $params }}\n}}\nserve"
    );
    world.chaos_with("geo", &script, AT_ONCE);
    let run = world.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let read = client.send("read", &json!({"n": 1}));
    let keyed = client.send("write", &json!({"n": 2, "_meta": {"idempotencyKey": "k", "mine": 1}}));
    let plain = client.send("write", &json!({"n": 3}));
    let pid = (0..3).map(|_| world.gates().report("first").pid).last().unwrap();
    world.witness().signal(pid, libc::SIGKILL);
    let error = client.answer(plain).unwrap_err();
    assert_eq!((error.code, &error.data["retryable"]), (-31003, &json!(false)), "{error:?}");
    let answer = |client: &mut Attach, call| -> Value {
        serde_json::from_str(client.answer(call).unwrap().get()).unwrap()
    };
    let read = answer(&mut client, read);
    assert_eq!(json!([read["n"], read["_meta"]["attempt"]]), json!([1, 2]), "{read}");
    assert_eq!(read["_meta"]["caller"], "cli", "{read}");
    let keyed = answer(&mut client, keyed);
    let meta = &keyed["_meta"];
    assert_eq!(
        json!([keyed["n"], meta["attempt"], meta["idempotencyKey"], meta["mine"]]),
        json!([2, 2, "k", 1]),
        "the caller's own members pass: {keyed}"
    );
}

#[test]
fn a_call_that_may_be_made_twice_ends_at_its_deadline_and_by_what_happened() {
    let world = World::new();
    let idempotent = format!("[calls]\nidempotent = [\"*\"]\n{DOWN}");
    for id in ["late", "down"] {
        world.chaos_with(id, "on take { at took }\nserve", &idempotent);
    }
    let run = world.run();
    let killed = |id: &str, client: &mut Attach| {
        let call = client.send("take", &json!({}));
        world.witness().signal(world.gates().report("took").pid, libc::SIGKILL);
        run.event(|event| event.is("call.kept_for_replay", id));
        call
    };
    run.active("late");
    run.active("down");
    let mut late = run.try_attach("late", Some(Duration::from_millis(700))).unwrap();
    let call = killed("late", &mut late);
    let error = late.answer(call).unwrap_err();
    assert_eq!((error.code, &error.data["sent"]), (-31002, &json!(true)), "{error:?}");

    let mut down = run.attach("down");
    let call = killed("down", &mut down);
    run.cli(&["stop", "down"]).code(0);
    let error = down.answer(call).unwrap_err();
    assert_eq!((error.code, error.class()), (-31003, "signal"), "what happened to it: {error:?}");
    let told = json!([error.data["sent"], error.data["retryable"], error.data["attempt"]]);
    assert_eq!(told, json!([true, true, 1]), "{error:?}");
}

#[test]
fn what_the_host_knows_goes_to_plugins_that_understand_it_and_others_get_what_was_given() {
    let world = World::new();
    world.chaos("plain", "serve");
    let opening = opens_with(r#""supports":{"meta":true}"#);
    world.chaos("meta", &format!("{opening}serve"));
    let run = world.run();
    let given = r#"{"n":1e400,  "_meta":{"x":12345678901234567890123}, "s":"\ud800"}"#;
    run.active("plain");
    let mut client = run.try_attach("plain", Some(Duration::from_secs(60))).unwrap();
    let call = client.send_raw("echo", given);
    let line = client.raw_answer(call);
    assert!(line.contains(&format!("\"result\":{given}}}")), "byte for byte: {line}");
    run.active("meta");
    let mut client = run.try_attach("meta", Some(Duration::from_secs(60))).unwrap();
    let echoed = client.call("echo", &json!({"n": 1, "_meta": {"traceparent": "mine"}})).unwrap();
    let meta = &echoed["_meta"];
    assert_eq!(
        json!([echoed["n"], meta["caller"], meta["traceparent"]]),
        json!([1, "cli", "mine"])
    );
    let left = meta["deadlineMs"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&left), "{echoed}");
    assert_eq!(meta.get("attempt"), None, "{echoed}");
}

#[test]
fn a_call_that_waited_for_its_turn_says_the_time_that_is_left() {
    let world = World::new();
    let opening = opens_with(r#""supports":{"meta":true}"#);
    world.chaos_with("meta", &format!("{opening}serve"), "[calls]\nconcurrency = 1\n");
    let run = world.run();
    run.active("meta");
    let mut client = run.try_attach("meta", Some(Duration::from_secs(60))).unwrap();
    let running = client.send("hold", &json!({"gate": "end"}));
    let waiting = client.send("echo", &json!({}));
    wait_until("it waits", || run.plugin("meta")["in_flight"] == 2);
    let waits = Stopwatch::new();
    wait_until("some of its time is over", || waits.elapsed() >= Duration::from_millis(50));
    let waited = u64::try_from(waits.elapsed().as_millis()).unwrap();
    world.gates().open("end");
    client.answer(running).unwrap();
    let told: Value = serde_json::from_str(client.answer(waiting).unwrap().get()).unwrap();
    let left = told["_meta"]["deadlineMs"].as_u64().unwrap();
    assert!(left <= 60_000 - waited, "{left} left after {waited}: {told}");
}

#[test]
fn a_greedy_client_does_not_delay_the_single_call_of_another() {
    let world = World::new();
    world.chaos_with(
        "geo",
        "on take { at took $p.n }\nserve",
        "[calls]\nconcurrency = 2\nin_flight = 64\n[stop]\ndrain = \"100ms\"",
    );
    let run = world.run();
    run.active("geo");
    let mut greedy = run.attach("geo");
    let hold = |n: u32| json!({"gate": format!("g{n}"), "n": n});
    let first: Vec<u64> = (0..2).map(|n| greedy.send("hold", &hold(n))).collect();
    let queued: Vec<u64> = (2..64).map(|n| greedy.send("hold", &hold(n))).collect();
    wait_until("the bound is reached", || run.plugin("geo")["in_flight"] == 64);
    let refused = greedy.call("echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, refused.class()), (-31004, "pending"), "{refused:?}");
    assert_eq!(refused.data["retryable"], true);
    // Whoever has nothing open is let in, and comes after one call of the greedy one at most.
    let mut modest = run.attach("geo");
    let single = modest.send("echo", &json!({"mine": 1}));
    wait_until("it waits", || run.plugin("geo")["in_flight"] == 65);
    world.gates().open("g0");
    greedy.answer(first[0]).unwrap();
    world.gates().open("g2");
    greedy.answer(queued[0]).unwrap();
    assert_eq!(modest.answer(single).unwrap().get(), r#"{"mine":1}"#);
    assert!(run.plugin("geo")["in_flight"].as_u64().unwrap() >= 60, "the greedy one still waits");
    // By now there is a pace to go by.
    let mut third = run.attach("geo");
    let fill: Vec<u64> = (0..4).map(|_| third.send("hold", &json!({"gate": "never"}))).collect();
    let refused = third.answer(fill[3]).unwrap_err();
    assert!(refused.data["retryAfterMs"].as_u64().is_some_and(|ms| ms >= 10), "{refused:?}");
}

#[test]
fn while_one_careful_try_is_made_new_calls_wait_for_its_probe() {
    let world = World::new();
    let script = "generation 1 { exit 3 }\non ping {\n at probed\n gate go\n reply {}\n}\nserve";
    let more = "[restart]\nbudget = { restarts = 0, within = \"5m\" }\n\
                retry_after = { initial = \"100ms\", max = \"100ms\" }\n";
    world.chaos_with("geo", script, more);
    let run = world.run();
    run.state("geo", "failed");
    world.gates().report("probed");
    let row = run.plugin("geo");
    assert_eq!(row["state"], "loaded", "{row}");
    let hasty = wishing(&run, "geo", "fail").call("echo", &json!({})).unwrap_err();
    assert_eq!((hasty.code, hasty.class()), (-31001, "half_open"), "{hasty:?}");
    let mut client = run.attach("geo");
    let call = client.send("echo", &json!({"n": 1}));
    wait_until("it waits", || run.plugin("geo")["in_flight"] == 1);
    world.gates().open_for("go", 100);
    assert_eq!(client.answer(call).unwrap().get(), r#"{"n":1}"#);
    run.active("geo");
}

#[test]
fn what_a_full_pipe_did_not_take_goes_to_the_next_run() {
    let world = World::new();
    let script = "generation 1 {\n on deaf {\n at deaf\n pause\n }\n}\nserve";
    world.chaos_with("geo", script, AT_ONCE);
    let run = world.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let deaf = client.send("deaf", &json!({}));
    let pid = world.gates().report("deaf").pid;
    let params = |n: u32| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(10 << 10));
    let calls: Vec<u64> = (0..40).map(|n| client.send_raw("echo", &params(n))).collect();
    wait_until("all are accepted", || run.plugin("geo")["in_flight"] == 41);
    wait_until("the pipe is full", || outboard_tests::pipes::unread_input(pid) >= 50 << 10);
    world.witness().signal(pid, libc::SIGKILL);
    assert_eq!(client.answer(deaf).unwrap_err().code, -31003);
    let mut answered = 0;
    for (n, call) in (0..).zip(calls) {
        match client.answer(call) {
            Ok(result) => {
                assert_eq!(result.get(), params(n));
                answered += 1;
            }
            Err(error) => {
                let sent = (error.code, &error.data["sent"]) == (-31003, &json!(true));
                assert!(sent, "what was not sent is not lost: {n}: {error:?}");
            }
        }
    }
    assert!(answered >= 30, "a pipe holds 64 KiB, so most were never written: {answered}");
}

#[test]
fn whoever_interrupts_a_call_on_the_command_line_cancels_it() {
    let world = World::new();
    let opening = opens_with(r#""supports":{"cancel":true}"#);
    let script =
        format!("{opening}on take {{ at took }}\non $/cancel {{ at cancelled $p.reason }}\nserve");
    world.chaos("geo", &script);
    let run = world.run();
    run.active("geo");
    let state = run.state_dir.display().to_string();
    let outboard = outboard_tests::runtimes::bin("outboard").display().to_string();
    let argv = ["call", "geo", "take", "--state-dir", &state].map(str::to_owned);
    let argv = std::iter::once(outboard).chain(argv).collect();
    let pid = world.witness().spawn(world.spawn(argv));
    world.gates().report("took");
    world.witness().signal(pid, libc::SIGINT);
    assert_eq!(world.gates().report("cancelled").text, "caller");
    // To a shell that is 130.
    assert_eq!(world.witness().exit(pid).get().signal, Some(libc::SIGINT));
    wait_until("nothing is open", || run.plugin("geo")["in_flight"] == 0);
}

/// Clients call at random while their plugin is killed at random. Every call is answered once (the client panics at a
/// second answer); none is carried out more than twice, and none twice that may not be.
#[test]
fn every_call_ends_once_whatever_dies_meanwhile() {
    let long = std::env::var_os("OUTBOARD_LONG").is_some();
    let (kills, clients) = if long { (100, 12) } else { (8, 5) };
    let world = World::new();
    let work = "at did $p.id\n gate pass-$p.round\n reply {\"id\":\"$p.id\"}";
    let script = format!("on safe {{\n {work}\n}}\non risky {{\n {work}\n}}\nserve");
    let more = format!("[calls]\nconcurrency = 3\nidempotent = [\"safe\"]\n{AT_ONCE}");
    world.chaos_with("geo", &script, &more);
    let run = world.run();
    run.active("geo");
    let mut callers: Vec<Attach> = (0..clients).map(|_| run.attach("geo")).collect();
    let (mut answered, mut failed) = (0, 0);
    let mut carried_out: HashMap<String, u32> = HashMap::new();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for round in 0..kills {
        let mut open = Vec::new();
        for (client, attach) in callers.iter_mut().enumerate() {
            for n in 0..5 + random(20) {
                let method = if random(2) == 0 { "safe" } else { "risky" };
                let id = format!("{method}-{round}-{client}-{n}");
                open.push((
                    client,
                    id.clone(),
                    attach.send(method, &json!({"id": id, "round": round})),
                ));
            }
        }
        // It has done some of them when it dies, and is at one.
        let done = random(6);
        let gate = format!("pass-{round}");
        world.gates().open_for(&gate, usize::try_from(done).unwrap());
        let reports = (0..=done).map(|_| world.gates().report("did"));
        let last =
            reports.inspect(|report| *carried_out.entry(report.text.clone()).or_default() += 1);
        let last = last.last().unwrap();
        world.witness().signal(last.pid, libc::SIGKILL);
        world.gates().open_for(&gate, 2 * open.len());
        for (client, id, call) in open {
            match callers[client].answer(call) {
                Ok(result) => {
                    assert_eq!(result.get(), format!("{{\"id\":\"{id}\"}}"));
                    answered += 1;
                }
                Err(error) => {
                    let sent = (error.code, &error.data["sent"]) == (-31003, &json!(true));
                    assert!(sent && id.starts_with("risky"), "{id}: {error:?}");
                    failed += 1;
                }
            }
        }
        let did = std::iter::from_fn(|| {
            world
                .gates()
                .report_within("did", outboard_tests::clock::Deadline::after(Duration::ZERO))
        });
        for report in did {
            *carried_out.entry(report.text).or_default() += 1;
        }
        run.active_above("geo", last.generation);
    }
    for (id, times) in &carried_out {
        let most = if id.starts_with("safe") { 2 } else { 1 };
        assert!(*times <= most, "{id} was carried out {times} times");
    }
    let twice = carried_out.values().filter(|times| **times == 2).count();
    say(format_args!(
        "{kills} kills: {answered} calls answered, {failed} failed, {twice} made twice"
    ));
    assert!(failed > 0 || twice > 0, "no kill met a call");
}

#[test]
fn a_method_ends_by_the_time_that_its_plugin_gives_it() {
    let world = World::new();
    world.chaos(
        "geo",
        "on initialize { reply {\"protocolVersion\":1,\"methods\":{\"mute\":{\"timeoutMs\":150},\"echo\":{}}} }\nserve",
    );
    let run = world.run();
    run.active("geo");
    // A client's calls have no deadline of their own.
    let error = run.call("geo", "mute", &json!({})).unwrap_err();
    assert_eq!((error.code, error.class()), (-31002, "in_flight"), "{error:?}");
    assert_eq!(run.call("geo", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
}

#[test]
fn an_mcp_server_is_told_what_the_host_knows_where_its_manifest_says_so() {
    let world = World::new();
    world.chaos_with(
        "geo",
        "on tools/call { reply $params }\nserve mcp",
        "dialect = \"mcp\"\n[mcp]\nsend_meta = true\n",
    );
    let run = world.run();
    run.active("geo");
    let mut client = run.try_attach("geo", Some(Duration::from_secs(20))).unwrap();
    let told = client.call("tools/call", &json!({"name": "x", "arguments": {}})).unwrap();
    let meta = &told["_meta"];
    assert_eq!(meta["dev.outboard/caller"], "cli", "{told}");
    assert!(meta["dev.outboard/deadlineMs"].as_u64().unwrap() <= 20_000, "{told}");
}
