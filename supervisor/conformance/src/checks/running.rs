//! Messages of a running plugin, as far as they are the same in every dialect: C10 to C18, and C31.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use outboard_manifest::Dialect;

use super::{QUIET, Scene, ignored, pinged, stray};
use crate::record::{Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{BUDGET, FIRST_ID, Script};
use crate::subject::Subject;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        script: |s| said(s, |script| script.note("no/such", "{}")),
        rules: &[(Id::C11, |_, record| ignored(record, SAID, PING))],
    },
    Scene { script: to_be_ignored, rules: &[(Id::C12, |_, record| ignored(record, SAID, PING))] },
    Scene {
        script: |s| said(s, |script| script.frame(NEVER_ASKED)),
        rules: &[(Id::C14, |_, record| ignored(record, SAID, PING))],
    },
    Scene {
        script: |s| Ok(s.opened().mark(SAID).pings(BURST).answers(BURST, BUDGET).listen(QUIET)),
        rules: &[(Id::C16, answers_each_once)],
    },
    Scene { script: ids, rules: &[(Id::C17, gives_ids_back)] },
    Scene { script: in_pieces, rules: &[(Id::C18, puts_pieces_together)] },
    Scene {
        script: |s| said(s, |script| script.frame("not json")),
        rules: &[(Id::C31, bears_junk)],
    },
];

pub(super) const ASKED: u32 = FIRST_ID;
pub(super) const PING: u32 = FIRST_ID + 1;
const BURST: RangeInclusive<u32> = 100..=199;
/// The highest id of a host.
const MOST: u32 = 2_147_483_647;
pub(super) const SAID: &str = "said";
const NEVER_ASKED: &str = r#"{"jsonrpc":"2.0","id":"never-asked","result":{}}"#;
/// An id that is never asked with.
const NOBODYS: u32 = 987_654_321;

/// Something that wants no answer, then a ping.
pub(super) fn said<'s>(
    subject: &'s Subject,
    say: impl FnOnce(Script<'s>) -> Script<'s>,
) -> Result<Script<'s>, String> {
    let script = say(subject.opened().mark(SAID));
    Ok(script.ping(PING).listen(Duration::from_millis(50)))
}

/// What any plugin may leave alone, whatever it knows.
fn to_be_ignored(subject: &Subject) -> Result<Script<'_>, String> {
    let cancel = subject.host.cancel(NOBODYS);
    said(subject, |script| {
        // `$/` is of those who have it.
        let script = match subject.dialect {
            Dialect::Native | Dialect::Lsp => script.note("$/nope", "{}"),
            Dialect::Mcp => script,
        };
        cancel.iter().fold(script, Script::say)
    })
}

/// The answer to what no plugin knows.
pub(super) fn knows_no_such_method(_: &Subject, record: &Record) -> Verdict {
    refused(record, |code| code == -32601)
}

/// The same where any error will do.
pub(super) fn refuses_in_any_way(_: &Subject, record: &Record) -> Verdict {
    refused(record, |_| true)
}

pub(super) fn refused(record: &Record, is_right: fn(i64) -> bool) -> Verdict {
    let Some(answer) = record.answer(ASKED) else {
        return Verdict::broken(format!("no answer: {}", record.instead()));
    };
    match answer.outcome {
        Err(code) if is_right(code) => Verdict::of(
            pinged(record, PING).map(|()| format!("error {code}; the next ping was answered")),
        ),
        _ => Verdict::broken(record.quote(&answer.text)),
    }
}

/// What it has for an unknown request, and nothing about what follows.
pub(super) fn says_that_it_knows_none(_: &Subject, record: &Record) -> Verdict {
    match record.answer(ASKED) {
        Some(answer) if answer.is_error(-32601) => Verdict::kept("error -32601"),
        Some(answer) => Verdict::broken(record.quote(&answer.text)),
        None => Verdict::broken(format!("no answer: {}", record.instead())),
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

/// Some dialects have ids that are text, too.
fn ids_of(subject: &Subject) -> Vec<String> {
    let numbers = [1, MOST].map(|id| id.to_string());
    match subject.dialect {
        Dialect::Native => numbers.to_vec(),
        Dialect::Mcp | Dialect::Lsp => ["\"one\"".to_owned()].into_iter().chain(numbers).collect(),
    }
}

fn ids(subject: &Subject) -> Result<Script<'_>, String> {
    let script = subject.opened().mark(SAID);
    let script = match subject.dialect {
        Dialect::Native => script,
        Dialect::Mcp | Dialect::Lsp => script.ping_as("one").listen(QUIET),
    };
    Ok(script.ping(1).ping(MOST))
}

fn gives_ids_back(subject: &Subject, record: &Record) -> Verdict {
    let mut given: Vec<String> = record
        .after(SAID)
        .iter()
        .filter_map(|seen| match &seen.what {
            What::Answer(answer) => Some(answer.id.to_string()),
            _ => None,
        })
        .collect();
    let shown = record.quote(given.join(", "));
    let mut asked = ids_of(subject);
    let words = asked.join(", ");
    if given.is_empty() {
        return Verdict::broken(format!("no answer: {}", record.instead()));
    }
    // Whoever is asked several things may answer the last one first.
    given.sort();
    asked.sort();
    match given == asked {
        true => Verdict::kept(shown),
        false => Verdict::broken(format!("asked with {words}, answered with {shown}")),
    }
}

fn in_pieces(subject: &Subject) -> Result<Script<'_>, String> {
    let frame = subject.host.ping_frame(PING);
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
