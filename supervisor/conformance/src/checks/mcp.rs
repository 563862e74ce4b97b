//! What is played to MCP servers. No tool is called, save the one that the manifest names.

use outboard_wire::dialect::mcp::LEGACY;
use serde_json::{Value, json};

use super::methods::{hard, params_refused, same_class};
use super::opening::{self, after_start, result};
use super::running::{self, ASKED, PING};
use super::{Play, Scene, bounds, calls, end, frames, one_answer, pinged, types};
use crate::record::{Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{BUDGET, Script};
use crate::subject::Subject;

pub(super) static PLAY: Play = Play {
    survey: opening::survey,
    seen_at_once: &[
        (Id::C01, opens),
        (Id::C03, opening::same_id),
        (Id::C05, well_typed),
        (Id::C06, opening::initialized_is_no_question),
        (Id::C08, opening::answers_once),
        (Id::C09, opening::answers_fast),
    ],
    scenes: &[
        bounds::SCENES,
        calls::SCENES,
        OPENINGS,
        opening::FOREIGN,
        end::ENDED,
        ASKS,
        running::SCENES,
    ],
    overall: frames::MCP,
};

const OPENINGS: &[Scene] = &[
    Scene {
        script: |subject| Ok(subject.initialize(&with(subject, "/capabilities", UNKNOWN))),
        rules: &[(Id::C02, answers_as_before)],
    },
    Scene {
        script: |subject| {
            Ok(subject.initialize(&with(subject, "", r#"{"protocolVersion":"1999-01-01"}"#)))
        },
        rules: &[(Id::C04, offers_another_version)],
    },
];

const ASKS: &[Scene] = &[
    Scene {
        script: |s| Ok(s.opened().ask(ASKED, "no/such", "{}", BUDGET).ping(PING)),
        rules: &[
            (Id::C10, running::refuses_in_any_way),
            (Id::C29, running::says_that_it_knows_none),
        ],
    },
    Scene {
        script: |s| {
            let params = s.host.ping_with(hard());
            Ok(s.opened().mark("call").ask(ASKED, "ping", &params, BUDGET))
        },
        rules: &[(Id::C21, bears_hard_text)],
    },
    Scene { script: with_meta, rules: &[(Id::C22, |_, record| same_class(record, ASKED, SECOND))] },
    Scene {
        script: |s| {
            tools(s)?;
            Ok(s.opened().ask(ASKED, "tools/call", r#"{"name":17}"#, BUDGET).ping(PING))
        },
        rules: &[(Id::C27, |_, record| params_refused(record, ASKED, PING))],
    },
    Scene { script: each_list, rules: &[(Id::C28, has_each_list)] },
];

const SECOND: u32 = 50;
/// Lists are asked for under ids from here on.
const LISTS: u32 = 100;
const UNKNOWN: &str = r#"{"future":{"x":1}}"#;

/// Params of `initialize`, with these members laid over what stands at a path; and one more that nobody knows.
fn with(subject: &Subject, path: &str, members: &str) -> String {
    let mut params: Value = serde_json::from_str(&subject.host.initialize).unwrap_or_default();
    let members: Value = serde_json::from_str(members).unwrap_or_default();
    let at = params.pointer_mut(path).and_then(Value::as_object_mut);
    if let (Some(at), Some(members)) = (at, members.as_object()) {
        at.extend(members.clone());
    }
    if !path.is_empty() {
        params["future"] = json!({ "x": 1 });
    }
    params.to_string()
}

fn version(record: &Record) -> Result<String, String> {
    let result = result(record)?;
    match result["protocolVersion"].as_str() {
        Some(version) => Ok(version.to_owned()),
        None => Err(record.quote(format!("no protocolVersion: {result}"))),
    }
}

fn opens(_: &Subject, record: &Record) -> Verdict {
    Verdict::of(version(record).and_then(|version| {
        let words =
            record.quote(format!("version {version}, {} after its start", after_start(record)));
        if LEGACY.contains(&&*version) { Ok(words) } else { Err(words) }
    }))
}

fn answers_as_before(subject: &Subject, record: &Record) -> Verdict {
    let before = subject.opening["protocolVersion"].as_str().unwrap_or_default();
    Verdict::of(version(record).and_then(|version| {
        let words = record.quote(format!("version {version}"));
        if version == before { Ok(words) } else { Err(words) }
    }))
}

fn offers_another_version(_: &Subject, record: &Record) -> Verdict {
    match record.opening().map(|seen| &seen.what) {
        // The text wants another version, and shows this error beside it.
        Some(What::Answer(answer)) if answer.is_error(-32602) => Verdict::kept("error -32602"),
        _ => Verdict::of(version(record).and_then(|version| {
            let words = record.quote(format!("version {version}"));
            if version == "1999-01-01" { Err(words) } else { Ok(words) }
        })),
    }
}

fn well_typed(_: &Subject, record: &Record) -> Verdict {
    types::judge(record, types::mcp, |opening| {
        let name = |path| opening.pointer(path).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", name("/serverInfo/name"), name("/serverInfo/version"))
    })
}

fn bears_hard_text(_: &Subject, record: &Record) -> Verdict {
    Verdict::of(one_answer(record, "call", ASKED).map(|_| "one answer".to_owned()))
}

fn tools(subject: &Subject) -> Result<(), String> {
    let none = || "its opening names no tools".to_owned();
    subject.offers("tools").then_some(()).ok_or_else(none)
}

fn with_meta(subject: &Subject) -> Result<Script<'_>, String> {
    tools(subject)?;
    let meta = r#"{"_meta":{"progressToken":"conformance-1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#;
    let script = subject.opened().ask(ASKED, "tools/list", "{}", BUDGET);
    Ok(script.ask(SECOND, "tools/list", meta, BUDGET))
}

/// The lists that the opening says there are. Templates of resources it does not name, and some servers have none.
fn lists(subject: &Subject) -> Vec<&'static str> {
    let all =
        [("tools", "tools/list"), ("prompts", "prompts/list"), ("resources", "resources/list")];
    all.iter().filter(|(name, _)| subject.offers(name)).map(|(_, method)| *method).collect()
}

fn each_list(subject: &Subject) -> Result<Script<'_>, String> {
    let lists = lists(subject);
    if lists.is_empty() {
        return Err("its opening names no tools, prompts or resources".to_owned());
    }
    let calls = lists.into_iter().zip(LISTS..);
    let script =
        calls.fold(subject.opened(), |script, (method, id)| script.ask(id, method, "{}", BUDGET));
    Ok(script.ping(PING))
}

fn has_each_list(subject: &Subject, record: &Record) -> Verdict {
    let lists = lists(subject);
    for (method, id) in lists.iter().zip(LISTS..) {
        match record.answer(id) {
            Some(answer) if answer.outcome.is_ok() => {}
            Some(answer) => {
                return Verdict::broken(format!("{method}: {}", record.quote(&answer.text)));
            }
            None => return Verdict::broken(format!("{method}: no answer: {}", record.instead())),
        }
    }
    Verdict::of(pinged(record, PING).map(|()| lists.join(", ")))
}
