//! The opening, as far as it is the same in every dialect: C03, C06 to C09.

use std::ops::RangeInclusive;
use std::time::Duration;

use outboard_wire::Id as WireId;
use serde_json::Value;

use super::{QUIET, Scene, span, stray};
use crate::record::{Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::Script;
use crate::subject::{OPENING, Subject};

/// The foreign protocols: what is no message is for another rule.
pub(super) const FOREIGN: &[Scene] =
    &[Scene { script: silence, rules: &[(Id::C07, says_nothing)] }];

const PING: u32 = 9;
const PINGS: RangeInclusive<u32> = 100..=199;
/// What 99 of 100 pings are answered within.
const FAST: Duration = Duration::from_millis(50);

pub(super) fn survey(subject: &Subject) -> Script<'_> {
    let script = subject.opened().listen(QUIET).ping(PING).needs(PING);
    // One that is not answered tells enough.
    PINGS.fold(script, |script, id| script.ping(id).needs(id))
}

/// The same for those whose pings nobody times.
pub(super) fn short_survey(subject: &Subject) -> Script<'_> {
    subject.opened().listen(QUIET).ping(PING)
}

pub(super) fn silence(subject: &Subject) -> Result<Script<'_>, String> {
    Ok(subject.script().listen(Duration::from_secs(1)).mark("waited"))
}

/// The result of an opening, or what came in its place.
pub(super) fn result(record: &Record) -> Result<Value, String> {
    let Some(seen) = record.opening() else {
        return Err(format!("initialize got no answer: {}", record.instead()));
    };
    record.opened().ok_or_else(|| record.quote(record.text_of(seen)))
}

/// How long after its start the opening was answered.
pub(super) fn after_start(record: &Record) -> String {
    span(record.opening().map(|seen| seen.at).unwrap_or_default())
}

pub(super) fn same_id(_: &Subject, record: &Record) -> Verdict {
    match record.opening().map(|seen| &seen.what) {
        Some(What::Answer(answer)) if answer.id == WireId::from(OPENING) => {
            Verdict::kept(format!("id {OPENING}"))
        }
        Some(What::Answer(answer)) => Verdict::broken(format!(
            "asked with id {OPENING}, answered with id {}",
            record.quote(answer.id.to_string())
        )),
        Some(_) => Verdict::broken("it was answered with a null id"),
        None => Verdict::moot("there was no answer"),
    }
}

pub(super) fn initialized_is_no_question(_: &Subject, record: &Record) -> Verdict {
    let ours: Vec<u32> = PINGS.chain([OPENING, PING]).collect();
    match stray(record, "initialized", &ours).next() {
        Some(seen) => {
            Verdict::broken(format!("it answered: {}", record.quote(record.text_of(seen))))
        }
        None => Verdict::kept("no frame"),
    }
}

pub(super) fn waits(_: &Subject, record: &Record) -> Verdict {
    if let Some(ended) = record.ended {
        let after = span(ended.at);
        return Verdict::broken(format!("after {after} {}", record.instead()));
    }
    match record.seen.iter().find(|seen| !matches!(seen.what, What::Mark(_))) {
        Some(seen) => Verdict::broken(format!("it wrote: {}", record.quote(record.text_of(seen)))),
        None if record.bytes > 0 => Verdict::broken(format!("it wrote {} bytes", record.bytes)),
        None => Verdict::kept("nothing written, and it runs"),
    }
}

/// Nothing that is a message.
fn says_nothing(_: &Subject, record: &Record) -> Verdict {
    if let Some(ended) = record.ended {
        return Verdict::broken(format!("after {} {}", span(ended.at), record.instead()));
    }
    let is_message = |what: &What| {
        matches!(
            what,
            What::Answer(_) | What::Orphan { .. } | What::Request { .. } | What::Note { .. }
        )
    };
    match record.seen.iter().find(|seen| is_message(&seen.what)) {
        Some(seen) => Verdict::broken(format!("it wrote: {}", record.quote(record.text_of(seen)))),
        None => Verdict::kept("no message, and it runs"),
    }
}

pub(super) fn answers_once(_: &Subject, record: &Record) -> Verdict {
    match record.count_of(PING) {
        // A second answer is an id answered twice: C26.
        1.. => Verdict::kept(span(record.latency(PING).unwrap_or_default())),
        0 => Verdict::broken(format!("ping got no answer: {}", record.instead())),
    }
}

pub(super) fn answers_fast(_: &Subject, record: &Record) -> Verdict {
    let mut times: Vec<Duration> = PINGS.filter_map(|id| record.latency(id)).collect();
    times.sort();
    let count = PINGS.count();
    if times.len() < count {
        return Verdict::broken(format!("{} of {count} pings were answered", times.len()));
    }
    // 99 of 100: all but the slowest.
    let p99 = times[count - 2];
    let Some(answer) = record.answer(PING) else { return Verdict::moot("no ping was answered") };
    match answer.result() {
        Some(Value::Object(_)) if p99 <= FAST => {
            Verdict::kept(format!("99 of 100 within {}", span(p99)))
        }
        Some(Value::Object(_)) => Verdict::broken(format!("99 of 100 took up to {}", span(p99))),
        _ => Verdict::broken(format!("no object: {}", record.quote(&answer.text))),
    }
}
