//! Messages of a running plugin: C10 to C18, and C31.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{QUIET, Scene, ignored, pinged, stray};
use crate::record::{Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{BUDGET, FIRST_ID, Script};
use crate::subject::Subject;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        script: |s| Ok(s.opened().ask(ASKED, "no/such", "{}", BUDGET).ping(PING)),
        rules: &[(Id::C10, refuses_what_it_does_not_know)],
    },
    Scene {
        script: |s| said(s, |script| script.note("no/such", "{}")),
        rules: &[(Id::C11, |_, record| ignored(record, SAID, PING))],
    },
    Scene {
        script: |s| {
            said(s, |script| {
                script
                    .note("$/nope", "{}")
                    .note("$/cancel", "{\"id\":987654321,\"reason\":\"caller\"}")
            })
        },
        rules: &[(Id::C12, |_, record| ignored(record, SAID, PING))],
    },
    Scene {
        script: |s| said(s, |script| script.note("event", EVENT)),
        rules: &[(Id::C13, |_, record| ignored(record, SAID, PING))],
    },
    Scene {
        script: |s| {
            said(s, |script| {
                script.write(&b"{\"jsonrpc\":\"2.0\",\"id\":\"never-asked\",\"result\":{}}\n"[..])
            })
        },
        rules: &[(Id::C14, |_, record| ignored(record, SAID, PING))],
    },
    Scene { script: new_config, rules: &[(Id::C15, takes_or_refuses_a_config)] },
    Scene {
        script: |s| Ok(s.opened().mark(SAID).pings(BURST).answers(BURST, BUDGET).listen(QUIET)),
        rules: &[(Id::C16, answers_each_once)],
    },
    Scene {
        script: |s| Ok(s.opened().mark(SAID).ping(1).ping(MOST)),
        rules: &[(Id::C17, gives_ids_back)],
    },
    Scene { script: in_pieces, rules: &[(Id::C18, puts_pieces_together)] },
    Scene {
        script: |s| said(s, |script| script.write(&b"not json\n"[..])),
        rules: &[(Id::C31, bears_junk)],
    },
];

const ASKED: u32 = FIRST_ID;
const PING: u32 = FIRST_ID + 1;
const BURST: RangeInclusive<u32> = 100..=199;
/// The highest id of a host.
const MOST: u32 = 2_147_483_647;
const SAID: &str = "said";
const EVENT: &str = r#"{"topic":"conformance.unasked","seq":1,"source":"conformance","timeMs":1700000000000,"missed":0,"data":{}}"#;

/// Something that wants no answer, then a ping.
fn said(subject: &Subject, say: impl FnOnce(Script) -> Script) -> Result<Script, String> {
    let script = say(subject.opened().mark(SAID));
    Ok(script.ping(PING).listen(Duration::from_millis(50)))
}

fn refuses_what_it_does_not_know(_: &Subject, record: &Record) -> Verdict {
    let Some(answer) = record.answer(ASKED) else {
        return Verdict::broken(format!("no/such got no answer: {}", record.instead()));
    };
    if !answer.is_error(-32601) {
        return Verdict::broken(record.quote(&answer.text));
    }
    Verdict::of(
        pinged(record, PING).map(|()| "error -32601; the next ping was answered".to_owned()),
    )
}

fn new_config(subject: &Subject) -> Result<Script, String> {
    let params = format!("{{\"config\":{},\"revision\":2}}", subject.config);
    Ok(subject.opened().ask(ASKED, "config/changed", &params, BUDGET))
}

fn takes_or_refuses_a_config(subject: &Subject, record: &Record) -> Verdict {
    let Some(answer) = record.answer(ASKED) else {
        return Verdict::broken(format!("config/changed got no answer: {}", record.instead()));
    };
    let text = record.quote(&answer.text);
    match &answer.outcome {
        Ok(_) if answer.result().is_some_and(|result| result["applied"].is_boolean()) => {
            Verdict::kept(text)
        }
        Err(-32601) => Verdict::kept("error -32601"),
        // It may refuse this very configuration, if it takes any.
        Err(_) if subject.supports.reload => Verdict::kept(text),
        Ok(_) | Err(_) => Verdict::broken(text),
    }
}

fn answers_each_once(_: &Subject, record: &Record) -> Verdict {
    let mut counts: BTreeMap<u32, u32> = BURST.map(|id| (id, 0)).collect();
    for (_, answer) in record.answers() {
        if let Some(count) = answer.id.as_own().and_then(|id| counts.get_mut(&id)) {
            *count += 1;
        }
    }
    let missing: Vec<u32> = counts.iter().filter(|(_, n)| **n == 0).map(|(id, _)| *id).collect();
    let doubled: Vec<u32> = counts.iter().filter(|(_, n)| **n > 1).map(|(id, _)| *id).collect();
    if let Some(first) = missing.first() {
        let count = missing.len();
        return Verdict::broken(format!(
            "{count} without an answer, the first with id {first}: {}",
            record.instead()
        ));
    }
    if let Some(first) = doubled.first() {
        return Verdict::broken(format!(
            "{} answered twice, the first with id {first}",
            doubled.len()
        ));
    }
    let ours: Vec<u32> = BURST.collect();
    match stray(record, SAID, &ours).next() {
        Some(seen) => Verdict::broken(format!("and this: {}", record.quote(record.text_of(seen)))),
        None => Verdict::kept("100 answers"),
    }
}

fn gives_ids_back(_: &Subject, record: &Record) -> Verdict {
    let ids: Vec<String> = record
        .after(SAID)
        .iter()
        .filter_map(|seen| match &seen.what {
            What::Answer(answer) => Some(answer.id.to_string()),
            _ => None,
        })
        .collect();
    let shown = record.quote(ids.join(", "));
    match ids.as_slice() {
        [first, second] if first == "1" && *second == MOST.to_string() => Verdict::kept(shown),
        [] => Verdict::broken(format!("no answer: {}", record.instead())),
        _ => Verdict::broken(format!("asked with 1 and {MOST}, answered with {shown}")),
    }
}

fn in_pieces(subject: &Subject) -> Result<Script, String> {
    let frame =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{PING},\"method\":\"ping\",\"params\":{{}}}}\n");
    let (first, rest) = frame.split_at(12);
    let (second, third) = rest.split_at(20);
    let gap = Duration::from_millis(50);
    let script = subject.opened().write(first).listen(gap).write(second).listen(gap).write(third);
    Ok(script.answers(PING..=PING, BUDGET))
}

fn puts_pieces_together(_: &Subject, record: &Record) -> Verdict {
    match record.answer(PING) {
        Some(_) => Verdict::kept("one answer"),
        None => Verdict::broken(format!("no answer: {}", record.instead())),
    }
}

fn bears_junk(_: &Subject, record: &Record) -> Verdict {
    for seen in stray(record, SAID, &[PING]) {
        if !matches!(seen.what, What::Orphan { code: -32700, .. }) {
            return Verdict::broken(format!("it answered: {}", record.quote(record.text_of(seen))));
        }
    }
    Verdict::of(pinged(record, PING).map(|()| "the next ping was answered".to_owned()))
}
