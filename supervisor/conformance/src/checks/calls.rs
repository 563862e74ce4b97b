//! Calls that take a while, of a method that the manifest names: C32 and C40.

use std::time::Duration;

use outboard_manifest::Dialect;
use outboard_wire::Id as WireId;
use serde_json::{Value, json};

use super::{QUIET, Scene, pinged, span};
use crate::record::{Answer, Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{FIRST_ID, Script};
use crate::subject::Subject;

pub(super) const SCENES: &[Scene] = &[PROGRESS, CANCELLED];

pub(super) const PROGRESS: Scene =
    Scene { script: with_progress, rules: &[(Id::C40, tells_of_its_progress)] };
pub(super) const CANCELLED: Scene =
    Scene { script: cancelled, rules: &[(Id::C32, ends_a_cancelled_call)] };

const CALL: u32 = FIRST_ID;
const PING: u32 = FIRST_ID + 1;
const TOKEN: &str = "conformance-1";
/// How long a cancelled call may take to end.
const PROMPT: Duration = Duration::from_secs(2);

fn cancelled(subject: &Subject) -> Result<Script<'_>, String> {
    if subject.dialect == Dialect::Native && !subject.supports.cancel {
        return Err("it does not say supports.cancel".to_owned());
    }
    let call = subject.slow()?;
    let script = subject.opened().put(CALL, &call).listen(Duration::from_millis(100));
    let script = subject.host.cancel(CALL).iter().fold(script.mark("cancel"), Script::say);
    let script = script.answers(CALL..=CALL, PROMPT).listen(Duration::from_millis(50));
    Ok(match subject.dialect {
        Dialect::Native | Dialect::Lsp => script,
        Dialect::Mcp => script.ping(PING),
    })
}

fn ends_a_cancelled_call(subject: &Subject, record: &Record) -> Verdict {
    let answers: Vec<(Duration, &Answer)> =
        record.answers().filter(|(_, answer)| answer.id == WireId::from(CALL)).collect();
    let Some(cancelled) = record.moment("cancel") else {
        return Verdict::broken(format!("it was not to be cancelled: {}", record.instead()));
    };
    if answers.first().is_some_and(|(at, _)| *at < cancelled) {
        return Verdict::moot("conformance.slow_method had answered before it was cancelled");
    }
    let after = |at: Duration| span(at - cancelled);
    match (subject.dialect, answers.as_slice()) {
        (Dialect::Mcp, []) => {
            Verdict::of(pinged(record, PING).map(|()| "no answer, and it lives on".to_owned()))
        }
        (Dialect::Mcp, [(at, answer), ..]) => {
            Verdict::broken(format!("after {}: {}", after(*at), record.quote(&answer.text)))
        }
        (Dialect::Native | Dialect::Lsp, []) => {
            Verdict::broken(format!("no answer: {}", record.instead()))
        }
        (dialect, [(at, answer)]) => match answer.outcome {
            Ok(_) => Verdict::kept(format!("a result after {}", after(*at))),
            // Which error it is LSP only advises.
            Err(code) if code == -32800 || dialect == Dialect::Lsp => {
                Verdict::kept(format!("{code} after {}", after(*at)))
            }
            Err(_) => Verdict::broken(record.quote(&answer.text)),
        },
        (_, more) => Verdict::broken(format!("{} answers", more.len())),
    }
}

fn with_progress(subject: &Subject) -> Result<Script<'_>, String> {
    let native = subject.dialect == Dialect::Native;
    if native && !(subject.supports.progress && subject.supports.meta) {
        return Err("it does not say supports.progress and supports.meta".to_owned());
    }
    let call = subject.slow()?;
    let mut params: Value = serde_json::from_str(&call.params).unwrap_or_else(|_| json!({}));
    params["_meta"] = json!({ "progressToken": TOKEN });
    let within = Duration::from_secs(30);
    let script = subject.opened().mark("call");
    Ok(script.ask(CALL, &call.method, &params.to_string(), within).listen(QUIET))
}

fn tells_of_its_progress(subject: &Subject, record: &Record) -> Verdict {
    let (note, token) = match subject.dialect {
        Dialect::Native | Dialect::Lsp => ("$/progress", "token"),
        Dialect::Mcp => ("notifications/progress", "progressToken"),
    };
    let mut answered = false;
    let mut last: Option<f64> = None;
    let mut count = 0;
    for seen in record.after("call") {
        match &seen.what {
            What::Answer(answer) => answered |= answer.id == WireId::from(CALL),
            What::Note { method, params, text } if method == note => {
                let params: Value = serde_json::from_str(params).unwrap_or_default();
                let progress = params["progress"].as_f64();
                let why = if params[token] != TOKEN {
                    "another token"
                } else if answered {
                    "after the answer"
                } else if progress.is_none() {
                    "no number"
                } else if progress <= last {
                    "it does not rise"
                } else {
                    last = progress;
                    count += 1;
                    continue;
                };
                return Verdict::broken(format!("{why}: {}", record.quote(text)));
            }
            _ => {}
        }
    }
    match (answered, count) {
        (false, _) => Verdict::broken(format!("no answer: {}", record.instead())),
        (true, 0) => Verdict::kept("it told of none"),
        (true, count) => Verdict::kept(format!("it told {count} times")),
    }
}
