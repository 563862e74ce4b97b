//! A healthy plugin under a steady load, to be put beside a bad one: nothing may happen to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::clock::{Stopwatch, wait_until};
use crate::fault::Row;
use crate::{Attach, Running};

const ID: &str = "neighbour";

/// Calls made before the fault, and counted as "alone".
const ALONE: usize = 200;

/// Calls to the neighbour, one after another, on a connection and a thread of their own.
#[derive(Debug)]
pub struct Neighbour {
    phase: Arc<AtomicU8>,
    over: Arc<AtomicBool>,
    caller: Option<JoinHandle<[Vec<Duration>; 2]>>,
}

impl Neighbour {
    /// Writes its manifest. Before the supervisor starts.
    pub fn moves_in(row: &Row) {
        row.chaos(ID, "serve");
    }

    /// Begins to call it, and returns once it has been alone for long enough.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[must_use]
    #[track_caller]
    pub fn works(run: &Running<'_>) -> Self {
        run.active(ID);
        let attach = run.attach(ID);
        let (phase, over) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicBool::new(false)));
        let (its_phase, its_over) = (Arc::clone(&phase), Arc::clone(&over));
        let caller = std::thread::spawn(move || calls(attach, &its_phase, &its_over));
        wait_until("the neighbour has been alone for long enough", || {
            caller.is_finished() || phase.load(Ordering::Acquire) > 0
        });
        Self { phase, over, caller: Some(caller) }
    }

    /// Ends the calls. None was lost, and the neighbour never changed its state.
    ///
    /// # Panics
    ///
    /// When that is not so.
    #[track_caller]
    pub fn was_not_disturbed(mut self, run: &Running<'_>, row: &Row) {
        assert_eq!(self.phase.load(Ordering::Acquire), 1);
        self.over.store(true, Ordering::Release);
        let [alone, beside] = self.caller.take().unwrap().join().expect("every call is answered");
        let states = run.events();
        let mut states = states.iter().filter(|event| event.is("plugin.state", ID));
        assert!(states.any(|event| event.is_state(ID, "active")));
        let changed = states.next();
        assert!(changed.is_none(), "the neighbour changed its state: {changed:?}");
        row.note(format_args!(
            "neighbour's p99 {} alone, {} beside ({} calls, none lost)",
            p99(alone),
            p99(beside.clone()),
            beside.len()
        ));
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

fn calls(mut attach: Attach, phase: &AtomicU8, over: &AtomicBool) -> [Vec<Duration>; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for number in 0_u64.. {
        let beside = usize::from(phase.load(Ordering::Acquire) > 0);
        if beside == 1 && over.load(Ordering::Acquire) && !took[1].is_empty() {
            break;
        }
        let began = Stopwatch::new();
        let answer = attach.call("echo", &json!({"n": number}));
        assert_eq!(answer.expect("the neighbour answers"), json!({"n": number}));
        took[beside].push(began.elapsed());
        if took[0].len() == ALONE {
            phase.store(1, Ordering::Release);
        }
    }
    took
}

fn p99(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = took.len().saturating_sub(1) * 99 / 100;
    took.get(at).map_or_else(|| "-".to_owned(), |took| format!("{:.1}ms", took.as_secs_f64() * 1e3))
}
