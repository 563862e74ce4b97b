//! A swap under load: no call is lost and none is answered twice, whichever version answers.

use std::collections::HashMap;

use outboard_tests::{Running, World, control, long};
use serde_json::{Value, json};

/// Calls open at any time: with 20 ms each, that is a thousand a second.
const OPEN: usize = 24;

/// Sends and checks without a pause; on a connection of its own, in another process than the supervisor.
struct Caller {
    attach: outboard_tests::Attach,
    /// What was asked, by id.
    open: HashMap<u64, u64>,
    asked: u64,
    answered: u64,
    /// Answers of each generation.
    by: HashMap<String, u64>,
}

impl Caller {
    fn of(run: &Running<'_>, id: &str) -> Self {
        let attach = run.attach(id);
        Self { attach, open: HashMap::new(), asked: 0, answered: 0, by: HashMap::new() }
    }

    fn fill(&mut self) {
        while self.open.len() < OPEN {
            let id = self.attach.send("linger", &json!({"ms": 20, "n": self.asked}));
            self.open.insert(id, self.asked);
            self.asked += 1;
        }
    }

    /// One answer, which is to an open question and to no other.
    #[track_caller]
    fn hear(&mut self) {
        let (id, outcome) = self.attach.next_answer();
        let asked = self.open.remove(&id).unwrap_or_else(|| panic!("{id} was answered twice"));
        let answer: Value = serde_json::from_str(outcome.expect("no call fails").get()).unwrap();
        assert_eq!(answer["asked"], asked, "{answer}");
        let generation = answer["generation"].as_str().unwrap().to_owned();
        *self.by.entry(generation).or_default() += 1;
        self.answered += 1;
    }

    #[track_caller]
    fn until(&mut self, mut over: impl FnMut(&Self) -> bool) {
        while !over(self) {
            self.fill();
            self.hear();
        }
    }
}

/// Sent, answered, failed, duplicated: n, n, 0, 0.
fn swaps_under_load(mode: &str) {
    let world = World::new();
    world.manifest(
        "x",
        &format!(
            "[process]\ncommand = [\"{}/outboard-echo\"]\n[swap]\nmode = \"{mode}\"\n",
            outboard_tests::runtimes::bins().display()
        ),
    );
    let run = world.run();
    run.active("x");
    let mut caller = Caller::of(&run, "x");
    let rounds = if long() { 20 } else { 3 };
    let mut least = u64::MAX;
    let mut serving = 1;
    for _ in 0..rounds {
        let before = caller.answered;
        caller.until(|caller| caller.answered > before + 100);
        let socket = run.socket("control.sock");
        let swapping = std::thread::spawn(move || {
            control::call(&socket, "swap", &json!({"id": "x"})).unwrap()
        });
        caller.until(|_| swapping.is_finished());
        let answer = swapping.join().unwrap();
        assert_eq!(answer["verdict"], "switched", "{answer}");
        assert_eq!(answer["calls"]["failed"], 0, "{answer}");
        let next = answer["serving"].as_u64().unwrap();
        let switched =
            run.event(|event| event.is("swap.switched", "x") && event.generation == next);
        if mode == "overlap" {
            least = least.min(switched.number("in_flight"));
        }
        assert!(next > serving, "{next} after {serving}");
        serving = next;
        // The new one is heard of before the next swap.
        caller.until(|caller| caller.by.contains_key(&next.to_string()));
    }
    while !caller.open.is_empty() {
        caller.hear();
    }
    assert_eq!((caller.asked, caller.open.len()), (caller.answered, 0));
    assert_eq!(caller.by.len(), rounds + 1, "each generation was heard: {:?}", caller.by);
    if mode == "overlap" {
        assert!(least >= 10, "only {least} calls were in flight at a switch");
    }
    assert_eq!(run.count(|event| event.event == "wire.orphan_reply"), 0);
    let least = if mode == "overlap" {
        format!(", at least {least} in flight at each")
    } else {
        String::new()
    };
    outboard_tests::say(format_args!(
        "{mode}: {rounds} swaps{least}; sent {}, answered {}, failed 0, duplicated 0",
        caller.asked, caller.answered
    ));
}

#[test]
fn no_call_is_lost_while_one_version_takes_over_beside_the_other() {
    swaps_under_load("overlap");
}

#[test]
fn no_call_is_lost_while_one_version_follows_the_other() {
    swaps_under_load("exclusive");
}
