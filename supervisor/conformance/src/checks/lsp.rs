//! What is played to language servers. None of them is shown a document.

use serde_json::{Value, json};

use super::methods::hard;
use super::opening::{self, after_start, result};
use super::running::{self, ASKED, PING};
use super::{Play, Scene, bounds, calls, end, frames, one_answer, types};
use crate::record::Record;
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::BUDGET;
use crate::subject::Subject;

pub(super) static PLAY: Play = Play {
    survey: opening::short_survey,
    seen_at_once: &[
        (Id::C01, opens),
        (Id::C03, opening::same_id),
        (Id::C05, well_typed),
        (Id::C06, opening::initialized_is_no_question),
        (Id::C08, opening::answers_once),
    ],
    scenes: &[
        bounds::SCENES,
        &[calls::CANCELLED],
        OPENINGS,
        opening::FOREIGN,
        end::ASKED,
        end::ENDED,
        ASKS,
        running::SCENES,
    ],
    overall: frames::LSP,
};

const OPENINGS: &[Scene] = &[Scene {
    script: |subject| {
        let mut params: Value = serde_json::from_str(&subject.host.initialize).unwrap_or_default();
        params["capabilities"]["future"] = json!({ "x": 1 });
        Ok(subject.initialize(&params.to_string()))
    },
    rules: &[(Id::C02, opens)],
}];

const ASKS: &[Scene] = &[
    Scene {
        script: |s| Ok(s.opened().ask(ASKED, "$/no/such", "{}", BUDGET).ping(PING)),
        rules: &[(Id::C10, running::knows_no_such_method)],
    },
    Scene {
        script: |s| Ok(s.opened().ask(ASKED, "no/such", "{}", BUDGET).ping(PING)),
        rules: &[(Id::C29, running::says_that_it_knows_none)],
    },
    Scene {
        script: |s| {
            let params = s.host.ping_with(hard());
            Ok(s.opened().mark("call").ask(ASKED, &s.host.ping.method, &params, BUDGET))
        },
        rules: &[(Id::C21, bears_hard_text)],
    },
];

fn opens(_: &Subject, record: &Record) -> Verdict {
    Verdict::of(result(record).and_then(|result| match result["capabilities"].as_object() {
        Some(capabilities) => Ok(format!(
            "{} capabilities, {} after its start",
            capabilities.len(),
            after_start(record)
        )),
        None => Err(record.quote(format!("no capabilities: {result}"))),
    }))
}

fn well_typed(_: &Subject, record: &Record) -> Verdict {
    types::judge(record, types::lsp, |opening| {
        let name = |path| opening.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let words = format!("{} {}", name("/serverInfo/name"), name("/serverInfo/version"));
        if words.trim().is_empty() { "it does not say its name".to_owned() } else { words }
    })
}

fn bears_hard_text(_: &Subject, record: &Record) -> Verdict {
    Verdict::of(one_answer(record, "call", ASKED).map(|_| "one answer".to_owned()))
}
