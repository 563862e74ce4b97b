//! A client that keeps calls of the echo plugin open without a pause, and counts: nothing is lost, nothing comes twice.

use std::collections::HashMap;

use outboard_tests::{Running, long};
use serde_json::{Value, json};

/// Calls open at any time: with 20 ms each, that is a thousand a second. The short forms run beside others, and hold theirs
/// for so long that none of that makes them few.
pub(crate) const OPEN: usize = 24;

/// Sends and checks without a pause; on a connection of its own, in another process than the supervisor.
pub(crate) struct Caller {
    attach: outboard_tests::Attach,
    /// What was asked, by id.
    pub open: HashMap<u64, u64>,
    pub asked: u64,
    pub answered: u64,
    /// Answers of each generation.
    pub by: HashMap<String, u64>,
}

impl Caller {
    pub(crate) fn of(run: &Running<'_>, id: &str) -> Self {
        let attach = run.attach(id);
        Self { attach, open: HashMap::new(), asked: 0, answered: 0, by: HashMap::new() }
    }

    fn fill(&mut self) {
        let ms = if long() { 20 } else { 120 };
        while self.open.len() < OPEN {
            let id = self.attach.send("linger", &json!({"ms": ms, "n": self.asked}));
            self.open.insert(id, self.asked);
            self.asked += 1;
        }
    }

    /// One answer, which is to an open question and to no other.
    #[track_caller]
    pub(crate) fn hear(&mut self) {
        let (id, outcome) = self.attach.next_answer();
        let asked = self.open.remove(&id).unwrap_or_else(|| panic!("{id} was answered twice"));
        let answer: Value = serde_json::from_str(outcome.expect("no call fails").get()).unwrap();
        assert_eq!(answer["asked"], asked, "{answer}");
        let generation = answer["generation"].as_str().unwrap().to_owned();
        *self.by.entry(generation).or_default() += 1;
        self.answered += 1;
    }

    #[track_caller]
    pub(crate) fn until(&mut self, mut over: impl FnMut(&Self) -> bool) {
        while !over(self) {
            self.fill();
            self.hear();
        }
    }
}
