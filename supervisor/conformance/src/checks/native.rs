//! What is played to plugins of the protocol of this repository, version 1.

use serde_json::Value;

use super::opening::{self, after_start, result};
use super::running::{self, ASKED, PING, SAID, said};
use super::{Judge, Play, Scene, bounds, calls, end, frames, ignored, methods, types};
use crate::record::{Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{BUDGET, Script};
use crate::subject::Subject;

pub(super) static PLAY: Play = Play {
    survey: opening::survey,
    seen_at_once: &[
        (Id::C01, agrees_on_1),
        (Id::C03, opening::same_id),
        (Id::C05, well_typed),
        (Id::C06, opening::initialized_is_no_question),
        (Id::C08, opening::answers_once),
        (Id::C09, opening::answers_fast),
    ],
    scenes: &[
        bounds::SCENES,
        calls::SCENES,
        methods::SCENES,
        OPENINGS,
        end::ASKED,
        end::ENDED,
        RUNNING,
        running::SCENES,
    ],
    overall: frames::NATIVE,
};

const ANY_VERSION: &[(Id, Judge)] = &[(Id::C02, agrees_on_1)];

const OPENINGS: &[Scene] = &[
    Scene { script: opening::silence, rules: &[(Id::C07, opening::waits)] },
    Scene {
        script: |subject| {
            let versions = "\"future\":{\"x\":1},\"protocolVersions\":[999,1]";
            Ok(subject.initialize(&initialize_with(subject, versions)))
        },
        rules: ANY_VERSION,
    },
    Scene {
        script: |subject| {
            Ok(subject.initialize(&initialize_with(subject, "\"protocolVersions\":[999]")))
        },
        rules: &[(Id::C04, refuses_an_unknown_version)],
    },
];

const RUNNING: &[Scene] = &[
    Scene {
        script: |s| Ok(s.opened().ask(ASKED, "no/such", "{}", BUDGET).ping(PING)),
        rules: &[(Id::C10, running::knows_no_such_method)],
    },
    Scene {
        script: |s| said(s, |script| script.note("event", EVENT)),
        rules: &[(Id::C13, |_, record| ignored(record, SAID, PING))],
    },
    Scene { script: new_config, rules: &[(Id::C15, takes_or_refuses_a_config)] },
];

const EVENT: &str = r#"{"topic":"conformance.unasked","seq":1,"source":"conformance","timeMs":1700000000000,"missed":0,"data":{}}"#;

/// Initialize, with other versions than a host's.
fn initialize_with(subject: &Subject, versions: &str) -> String {
    subject.host.initialize.replacen("\"protocolVersions\":[1]", versions, 1)
}

fn agrees_on_1(_: &Subject, record: &Record) -> Verdict {
    Verdict::of(result(record).and_then(|result| match &result["protocolVersion"] {
        Value::Number(version) if version.as_i64() == Some(1) => {
            Ok(format!("protocolVersion 1, {} after its start", after_start(record)))
        }
        other => Err(format!("protocolVersion {other}")),
    }))
}

fn refuses_an_unknown_version(_: &Subject, record: &Record) -> Verdict {
    let Some(seen) = record.opening() else {
        return Verdict::broken(format!("initialize got no answer: {}", record.instead()));
    };
    let text = record.quote(record.text_of(seen));
    match &seen.what {
        What::Answer(answer) if answer.is_error(-31010) => Verdict::kept("error -31010"),
        What::Answer(answer) if answer.outcome.is_err() => Verdict::kept(text),
        _ => Verdict::broken(text),
    }
}

fn well_typed(_: &Subject, record: &Record) -> Verdict {
    types::judge(record, types::native, |opening| match opening["methods"].as_object() {
        Some(methods) if methods.len() == 1 => "1 method".to_owned(),
        Some(methods) => format!("{} methods", methods.len()),
        None => "no list of methods".to_owned(),
    })
}

fn new_config(subject: &Subject) -> Result<Script<'_>, String> {
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
