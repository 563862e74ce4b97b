//! How it ends: C33 to C37, and C39.

use std::time::Duration;

use outboard_keeper::ExitStatus;

use super::{Scene, span};
use crate::record::{Record, exit_words};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{FIRST_ID, Script};
use crate::subject::Subject;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        script: |s| Ok(shut_down(s).note("exit", "{}").end(PROMPT)),
        rules: &[(Id::C33, answers_shutdown), (Id::C34, leaves_when_told)],
    },
    Scene {
        script: |s| Ok(s.opened().flush().close_stdin().end(PROMPT)),
        rules: &[(Id::C35, ends)],
    },
    Scene { script: |s| Ok(s.opened().flush().terminate().end(PROMPT)), rules: &[(Id::C36, ends)] },
    // It has to be there before it can notice, and others start beside it.
    Scene {
        script: |s| Ok(Script::new().close_stdin().end(PROMPT + 4 * s.start_took)),
        rules: &[(Id::C37, ends)],
    },
    Scene { script: late_call, rules: &[(Id::C39, refuses_a_late_call)] },
];

const SHUTDOWN: u32 = FIRST_ID;
const LATE: u32 = FIRST_ID + 1;
const PROMPT: Duration = Duration::from_secs(2);

fn shut_down(subject: &Subject) -> Script {
    let params = "{\"reason\":\"stop\",\"deadlineMs\":2000}";
    subject.opened().ask(SHUTDOWN, "shutdown", params, PROMPT)
}

fn answers_shutdown(_: &Subject, record: &Record) -> Verdict {
    match record.latency(SHUTDOWN) {
        Some(time) => Verdict::kept(format!("after {}", span(time))),
        None => Verdict::broken(format!("no answer: {}", record.instead())),
    }
}

/// How it ended, and how long after it was asked to.
fn end(record: &Record) -> Result<(ExitStatus, Duration), String> {
    match (record.ended, record.moment("end")) {
        (Some(ended), Some(asked)) => Ok((ended.exit, ended.at.saturating_sub(asked))),
        (Some(ended), None) => Err(format!("too early: {}", exit_words(ended.exit))),
        (None, _) => Err(format!("it still ran after {}", span(PROMPT))),
    }
}

fn leaves_when_told(_: &Subject, record: &Record) -> Verdict {
    Verdict::of(end(record).and_then(|(exit, time)| {
        let words = format!("{} after {}", exit_words(exit), span(time));
        if exit == ExitStatus::Code(0) { Ok(words) } else { Err(words) }
    }))
}

/// In time; with which status is its own affair.
fn ends(_: &Subject, record: &Record) -> Verdict {
    let words = |(exit, time)| format!("{} after {}", exit_words(exit), span(time));
    Verdict::of(end(record).map(words))
}

fn late_call(subject: &Subject) -> Result<Script, String> {
    let method = subject.any_method()?.name.clone();
    let script = shut_down(subject).ask(LATE, &method, "{}", Duration::from_millis(500));
    // A crash shows a moment later than the answer that it prevents.
    Ok(script.listen(Duration::from_millis(50)))
}

fn refuses_a_late_call(_: &Subject, record: &Record) -> Verdict {
    if let Some(ended) = record.ended
        && ended.exit != ExitStatus::Code(0)
    {
        return Verdict::broken(record.instead());
    }
    match record.answer(LATE) {
        None => Verdict::kept("no answer"),
        Some(answer) if answer.is_error(-31008) => Verdict::kept("error -31008"),
        Some(answer) => Verdict::broken(record.quote(&answer.text)),
    }
}
