//! What holds for all that a plugin writes, whatever it was told: C23 to C26, C29, C38.

use std::collections::HashSet;

use outboard_wire::JunkKind;

use super::{Overall, span};
use crate::record::{Record, Seen, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::subject::Subject;

pub(super) const NATIVE: &[(Id, Overall)] = &[
    (Id::C23, no_junk),
    (Id::C24, whole_lines),
    (Id::C25, messages),
    (Id::C26, one_answer_for_each_id),
    (Id::C29, codes),
    (Id::C38, leaves_nothing),
];

pub(super) const MCP: &[(Id, Overall)] = &[
    (Id::C23, no_junk),
    (Id::C24, whole_lines),
    (Id::C25, messages),
    (Id::C26, one_answer_for_each_id),
    (Id::C38, leaves_nothing),
];

pub(super) const LSP: &[(Id, Overall)] = &[
    (Id::C23, no_junk_while_frames_are_told_apart),
    (Id::C24, whole_frames),
    (Id::C25, messages),
    (Id::C26, one_answer_for_each_id),
    (Id::C38, leaves_nothing),
];

/// The first thing that breaks a rule in any of the records, and how many do.
fn first(records: &[Record], is_wrong: impl Fn(&Seen) -> bool) -> Option<(&Record, &Seen, usize)> {
    let all = records.iter().flat_map(|record| record.seen.iter().map(move |seen| (record, seen)));
    let mut wrong = all.filter(|(_, seen)| is_wrong(seen));
    let (record, seen) = wrong.next()?;
    Some((record, seen, 1 + wrong.count()))
}

fn times(count: usize) -> String {
    if count == 1 { String::new() } else { format!("{count} times; ") }
}

fn frames(records: &[Record]) -> String {
    let is_frame = |seen: &&Seen| !matches!(seen.what, What::Mark(_) | What::Asked(_));
    let count: usize =
        records.iter().map(|record| record.seen.iter().filter(is_frame).count()).sum();
    format!("{count} frames of {} processes", records.len())
}

fn no_junk(_: &Subject, records: &[Record]) -> Verdict {
    let is_junk = |seen: &Seen| {
        matches!(seen.what, What::Junk { kind: JunkKind::Text | JunkKind::Batch, .. })
    };
    match first(records, is_junk) {
        Some((record, Seen { what: What::Junk { line, .. }, .. }, count)) => {
            Verdict::broken(format!("{}{}", times(count), record.quote(line)))
        }
        Some(_) | None => Verdict::kept(frames(records)),
    }
}

/// What stands between frames is junk only as long as it is known where they are.
fn no_junk_while_frames_are_told_apart(subject: &Subject, records: &[Record]) -> Verdict {
    match records.iter().any(|record| record.lost().is_some()) {
        true => Verdict::moot("its frames cannot be told apart, which is C24"),
        false => no_junk(subject, records),
    }
}

fn whole_frames(_: &Subject, records: &[Record]) -> Verdict {
    let is_wrong = |seen: &Seen| {
        matches!(
            seen.what,
            What::Junk { kind: JunkKind::Utf8, .. } | What::Tail { .. } | What::Lost { .. }
        )
    };
    match first(records, is_wrong) {
        Some((record, Seen { what: What::Junk { line, .. }, .. }, count)) => {
            Verdict::broken(format!("{}not UTF-8: {}", times(count), record.quote(line)))
        }
        Some((record, Seen { what: What::Tail { line }, .. }, count)) => Verdict::broken(format!(
            "{}fewer bytes than its header says: {}",
            times(count),
            record.quote(line)
        )),
        Some((record, Seen { what: What::Lost { near }, .. }, count)) => {
            Verdict::broken(format!("{}no length fits here: {}", times(count), record.quote(near)))
        }
        Some(_) | None => Verdict::kept(frames(records)),
    }
}

fn whole_lines(_: &Subject, records: &[Record]) -> Verdict {
    if records.iter().any(|record| record.head == b"\xef\xbb\xbf") {
        return Verdict::broken("stdout begins with a BOM");
    }
    let is_wrong = |seen: &Seen| {
        matches!(seen.what, What::Junk { kind: JunkKind::Utf8, .. } | What::Tail { .. })
    };
    match first(records, is_wrong) {
        Some((record, Seen { what: What::Junk { line, .. }, .. }, count)) => {
            Verdict::broken(format!("{}not UTF-8: {}", times(count), record.quote(line)))
        }
        Some((record, Seen { what: What::Tail { line }, .. }, count)) => {
            Verdict::broken(format!("{}no LF at the end: {}", times(count), record.quote(line)))
        }
        Some(_) | None => Verdict::kept(frames(records)),
    }
}

fn messages(_: &Subject, records: &[Record]) -> Verdict {
    match first(records, |seen| matches!(seen.what, What::Reject { .. })) {
        Some((record, Seen { what: What::Reject { reason, text }, .. }, count)) => {
            let reason = reason.as_str();
            Verdict::broken(format!("{}reason {reason}: {}", times(count), record.quote(text)))
        }
        Some(_) | None => Verdict::kept(frames(records)),
    }
}

fn one_answer_for_each_id(_: &Subject, records: &[Record]) -> Verdict {
    for record in records {
        if record.flooded {
            return Verdict::broken("it wrote without end");
        }
        let mut ids = HashSet::new();
        // An id may be used again once it was answered.
        for seen in &record.seen {
            match &seen.what {
                What::Asked(id) => {
                    ids.remove(&outboard_wire::Id::from(*id));
                }
                What::Answer(answer) if !ids.insert(answer.id.clone()) => {
                    return Verdict::broken(format!("twice: {}", record.quote(&answer.text)));
                }
                What::TooLong { bytes } => {
                    return Verdict::broken(format!("a frame of {bytes} bytes"));
                }
                _ => {}
            }
        }
    }
    Verdict::kept(frames(records))
}

/// Whether a plugin may give this code to an error.
fn is_free(code: i64) -> bool {
    let is_json_rpcs = matches!(code, -32700..=-32600);
    let is_protocols = matches!(code, -31010..=-31001);
    let is_kept_back = matches!(code, -32768..=-32000 | -31099..=-31000);
    is_json_rpcs || is_protocols || !is_kept_back
}

fn codes(_: &Subject, records: &[Record]) -> Verdict {
    let is_wrong = |seen: &Seen| match &seen.what {
        What::Answer(answer) => answer.outcome.as_ref().is_err_and(|code| !is_free(*code)),
        What::Orphan { code, .. } => !is_free(*code),
        _ => false,
    };
    match first(records, is_wrong) {
        Some((record, seen, count)) => {
            Verdict::broken(format!("{}{}", times(count), record.quote(record.text_of(seen))))
        }
        None => Verdict::kept(frames(records)),
    }
}

fn leaves_nothing(_: &Subject, records: &[Record]) -> Verdict {
    let ends: Vec<_> = records.iter().filter_map(|record| record.gone).collect();
    let left = ends.iter().map(|gone| gone.swept).max().unwrap_or_default();
    let slowest = ends.iter().map(|gone| gone.took).max().unwrap_or_default();
    match (ends.len(), left) {
        (0, _) => Verdict::moot("it never ended by itself"),
        (_, 0) => {
            Verdict::kept(format!("{} ends; empty after {} at most", ends.len(), span(slowest)))
        }
        (_, 1) => Verdict::broken("a process of its own outlived it by 500ms, and was killed"),
        (_, left) => Verdict::broken(format!(
            "{left} processes of its own outlived it by 500ms, and were killed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_others_are_kept_back() {
        for code in [-32700, -32601, -32800, -31008, -31010, 1, 0, -32769, -31100] {
            assert!(is_free(code), "{code}");
        }
        for code in [-32768, -32701, -32599, -32000, -31099, -31011, -31000] {
            assert!(!is_free(code), "{code}");
        }
    }
}
