//! How it ends: C33 to C37, and C39.

use std::time::Duration;

use outboard_keeper::ExitStatus;
use outboard_manifest::Dialect;

use super::{Scene, span};
use crate::record::{Record, exit_words};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{FIRST_ID, Script};
use crate::subject::Subject;

/// Dialects that ask a plugin to leave.
pub(super) const ASKED: &[Scene] = &[
    Scene { script: leave, rules: &[(Id::C33, answers_shutdown), (Id::C34, leaves_when_told)] },
    Scene { script: late_call, rules: &[(Id::C39, refuses_a_late_call)] },
];

pub(super) const ENDED: &[Scene] = &[
    Scene {
        script: |s| Ok(s.opened().flush().close_stdin().end(s.patience.exit)),
        rules: &[(Id::C35, |s, record| ends(record, s.patience.exit))],
    },
    Scene {
        script: |s| Ok(s.opened().flush().terminate().end(s.patience.term)),
        rules: &[(Id::C36, |s, record| ends(record, s.patience.term))],
    },
    // It has to be there before it can notice, and others start beside it.
    Scene {
        script: |s| Ok(s.script().close_stdin().end(s.patience.exit + 4 * s.start_took)),
        rules: &[(Id::C37, |s, record| ends(record, s.patience.exit))],
    },
];

const SHUTDOWN: u32 = FIRST_ID;
const LATE: u32 = FIRST_ID + 1;

fn shut_down(subject: &Subject) -> Result<Script<'_>, String> {
    let within = subject.patience.shutdown;
    let call = subject.host.shutdown(within).ok_or("its dialect has no shutdown")?;
    Ok(subject.opened().put(SHUTDOWN, &call).answers(SHUTDOWN..=SHUTDOWN, within))
}

fn leave(subject: &Subject) -> Result<Script<'_>, String> {
    let script = shut_down(subject)?;
    Ok(subject.host.exit().iter().fold(script, Script::say).end(subject.patience.exit))
}

fn answers_shutdown(subject: &Subject, record: &Record) -> Verdict {
    let Some((time, answer)) = record.latency(SHUTDOWN).zip(record.answer(SHUTDOWN)) else {
        return Verdict::broken(format!("no answer: {}", record.instead()));
    };
    match (subject.dialect, &answer.outcome) {
        (Dialect::Lsp, Ok(result)) if result != "null" => {
            Verdict::broken(record.quote(&answer.text))
        }
        (Dialect::Lsp, Err(_)) => Verdict::broken(record.quote(&answer.text)),
        (Dialect::Native | Dialect::Mcp | Dialect::Lsp, _) => {
            Verdict::kept(format!("after {}", span(time)))
        }
    }
}

/// How it ended, and how long after it was asked to.
fn end(record: &Record, within: Duration) -> Result<(ExitStatus, Duration), String> {
    match (record.ended, record.moment("end")) {
        (Some(ended), Some(asked)) => Ok((ended.exit, ended.at.saturating_sub(asked))),
        (Some(ended), None) => Err(format!("too early: {}", exit_words(ended.exit))),
        (None, _) => Err(format!("it still ran after {}", span(within))),
    }
}

fn leaves_when_told(subject: &Subject, record: &Record) -> Verdict {
    Verdict::of(end(record, subject.patience.exit).and_then(|(exit, time)| {
        let words = format!("{} after {}", exit_words(exit), span(time));
        if exit == ExitStatus::Code(0) { Ok(words) } else { Err(words) }
    }))
}

/// In time; with which status is its own affair.
fn ends(record: &Record, within: Duration) -> Verdict {
    let words = |(exit, time)| format!("{} after {}", exit_words(exit), span(time));
    Verdict::of(end(record, within).map(words))
}

/// Something that wants an answer: a method of a plugin's own, where it says that it has any.
fn late_call(subject: &Subject) -> Result<Script<'_>, String> {
    let late = match subject.dialect {
        Dialect::Native => subject.host.call(&subject.any_method()?.name, "{}")?,
        Dialect::Mcp | Dialect::Lsp => subject.host.call("no/such", "{}")?,
    };
    let script = shut_down(subject)?.put(LATE, &late).answers(LATE..=LATE, LATEST);
    // A crash shows a moment later than the answer that it prevents.
    Ok(script.listen(Duration::from_millis(50)))
}

const LATEST: Duration = Duration::from_millis(500);

fn refuses_a_late_call(subject: &Subject, record: &Record) -> Verdict {
    if let Some(ended) = record.ended
        && ended.exit != ExitStatus::Code(0)
    {
        return Verdict::broken(record.instead());
    }
    match (subject.dialect, record.answer(LATE)) {
        (_, None) => Verdict::kept("no answer"),
        // The text wants -32600; of what a server does not know at all -32601 is as true.
        (Dialect::Mcp | Dialect::Lsp, Some(answer)) if answer.outcome.is_err() => {
            Verdict::kept("an error")
        }
        (_, Some(answer)) if answer.is_error(-31008) => Verdict::kept("error -31008"),
        (_, Some(answer)) => Verdict::broken(record.quote(&answer.text)),
    }
}
