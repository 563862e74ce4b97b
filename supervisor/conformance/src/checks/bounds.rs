//! Large frames and full pipes: C19, C20, C30.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Scene, span};
use crate::record::Record;
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{BUDGET, FIRST_ID, Script};
use crate::subject::Subject;

pub(super) const SCENES: &[Scene] = &[
    Scene { script: flood, rules: &[(Id::C30, answers_all_in_the_end)] },
    Scene {
        script: |s| Ok(padded(s, 8 << 20, Duration::from_secs(30))),
        rules: &[(Id::C20, answers_a_large_ping)],
    },
    Scene { script: |s| Ok(padded(s, 1 << 20, BUDGET)), rules: &[(Id::C19, answers_a_large_ping)] },
];

const PING: u32 = FIRST_ID;
const FLOOD: RangeInclusive<u32> = 1_000..=20_999;
/// How long stdout is not read.
const DEAF: Duration = Duration::from_millis(1_500);

/// A ping whose frame has about that many bytes.
fn padded(subject: &Subject, bytes: usize, within: Duration) -> Script {
    let params = format!("{{\"padding\":\"{}\"}}", "x".repeat(bytes - 70));
    subject.opened().ask(PING, "ping", &params, within)
}

fn answers_a_large_ping(_: &Subject, record: &Record) -> Verdict {
    match record.latency(PING) {
        Some(time) => Verdict::kept(format!("answered in {}", span(time))),
        None => Verdict::broken(format!("no answer: {}", record.instead())),
    }
}

fn flood(subject: &Subject) -> Result<Script, String> {
    let script = subject.opened().pings(FLOOD).deaf(DEAF);
    Ok(script.answers_unless_idle(FLOOD, Duration::from_secs(60), BUDGET))
}

fn answers_all_in_the_end(_: &Subject, record: &Record) -> Verdict {
    let mut answered = vec![false; FLOOD.count()];
    for (_, answer) in record.answers() {
        let at = answer.id.as_own().and_then(|id| id.checked_sub(*FLOOD.start()));
        if let Some(one) = at.and_then(|at| answered.get_mut(at as usize)) {
            *one = true;
        }
    }
    let count = answered.iter().filter(|one| **one).count();
    if count == answered.len() {
        return Verdict::kept(format!("all {count}"));
    }
    Verdict::broken(format!("{count} of {} were answered: {}", answered.len(), record.instead()))
}
