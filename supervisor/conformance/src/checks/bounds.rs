//! Large frames and full pipes: C19, C20, C30.

use std::ops::RangeInclusive;
use std::time::Duration;

use outboard_manifest::Dialect;
use serde_json::json;

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
const FIRST: u32 = 1_000;
/// How long they may be answered.
const LONG: Duration = Duration::from_secs(60);
/// How long stdout is not read.
const DEAF: Duration = Duration::from_millis(1_500);

/// A ping whose frame has about that many bytes.
fn padded(subject: &Subject, bytes: usize, within: Duration) -> Script<'_> {
    let host = &subject.host;
    let params = host.ping_with(json!("x".repeat(bytes - 70)));
    subject.opened().ask(PING, &host.ping.method, &params, within)
}

fn answers_a_large_ping(_: &Subject, record: &Record) -> Verdict {
    match record.latency(PING) {
        Some(time) => Verdict::kept(format!("answered in {}", span(time))),
        None => Verdict::broken(format!("no answer: {}", record.instead())),
    }
}

/// As many as fill every pipe several times over; servers on some foreign libraries take long for each.
fn flooding(subject: &Subject) -> RangeInclusive<u32> {
    let count = match subject.dialect {
        Dialect::Native => 20_000,
        Dialect::Mcp | Dialect::Lsp => 4_000,
    };
    FIRST..=FIRST + count - 1
}

fn flood(subject: &Subject) -> Result<Script<'_>, String> {
    let ids = flooding(subject);
    let script = subject.opened().pings(ids.clone()).deaf(DEAF);
    Ok(script.answers_unless_idle(ids, LONG, BUDGET))
}

fn answers_all_in_the_end(subject: &Subject, record: &Record) -> Verdict {
    let mut answered = vec![false; flooding(subject).count()];
    let mut last = Duration::ZERO;
    for (at, answer) in record.answers() {
        let place = answer.id.as_own().and_then(|id| id.checked_sub(FIRST));
        if let Some(one) = place.and_then(|place| answered.get_mut(place as usize)) {
            *one = true;
            last = at;
        }
    }
    let (count, all) = (answered.iter().filter(|one| **one).count(), answered.len());
    if count == all {
        return Verdict::kept(format!("all {count}"));
    }
    // Slow is not wrong.
    if record.ended.is_none() && record.took.saturating_sub(last) < BUDGET {
        let time = span(LONG);
        return Verdict::moot(format!("it was still answering after {time}: {count} of {all}"));
    }
    Verdict::broken(format!("{count} of {all} were answered: {}", record.instead()))
}
