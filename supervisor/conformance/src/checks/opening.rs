//! The opening: C01 to C09.

use std::time::Duration;

use outboard_wire::Id as WireId;
use outboard_wire::dialect::is_legal_method;
use serde_json::Value;

use super::{Judge, QUIET, Scene, span, stray};
use crate::record::{Record, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::Script;
use crate::subject::{OPENING, Subject};

/// Told first and alone: what all others are built upon, and a time that nothing else disturbs.
pub(crate) const SURVEY: Scene = Scene {
    script: survey,
    rules: &[
        (Id::C01, opens),
        (Id::C03, same_id),
        (Id::C05, types),
        (Id::C06, initialized_is_no_question),
        (Id::C08, answers_once),
        (Id::C09, answers_fast),
    ],
};

const OPENED_ANYHOW: &[(Id, Judge)] = &[(Id::C02, picks_a_shared_version)];

pub(super) const SCENES: &[Scene] = &[
    Scene { script: silence, rules: &[(Id::C07, waits)] },
    Scene {
        script: |subject| {
            let params =
                subject.initialize_with("\"future\":{\"x\":1},\"protocolVersions\":[999,1]");
            Ok(only_initialize(subject, &params))
        },
        rules: OPENED_ANYHOW,
    },
    Scene {
        script: |subject| {
            let params = subject.initialize_with("\"protocolVersions\":[999]");
            Ok(only_initialize(subject, &params))
        },
        rules: &[(Id::C04, refuses_an_unknown_version)],
    },
];

const PING: u32 = 9;
const PINGS: std::ops::RangeInclusive<u32> = 100..=199;
/// What 99 of 100 pings are answered within.
const FAST: Duration = Duration::from_millis(50);

fn survey(subject: &Subject) -> Result<Script, String> {
    let script = subject.opened().listen(QUIET).ping(PING).needs(PING);
    // One that is not answered tells enough.
    Ok(PINGS.fold(script, |script, id| script.ping(id).needs(id)))
}

fn only_initialize(subject: &Subject, params: &str) -> Script {
    Script::new()
        .mark("initialize")
        .request(OPENING, "initialize", params)
        .opening(subject.opening_budget)
}

fn silence(_: &Subject) -> Result<Script, String> {
    Ok(Script::new().listen(Duration::from_secs(1)).mark("waited"))
}

/// The version that was agreed on, or what came in its place.
fn version(record: &Record) -> Result<i64, String> {
    let Some(seen) = record.opening() else {
        return Err(format!("initialize got no answer: {}", record.instead()));
    };
    let text = record.quote(record.text_of(seen));
    let What::Answer(answer) = &seen.what else { return Err(text) };
    let Some(result) = answer.result() else { return Err(text) };
    result["protocolVersion"].as_i64().ok_or(text)
}

fn agreed_on_1(record: &Record) -> Verdict {
    Verdict::of(match version(record) {
        Ok(1) => {
            let took = record.opening().map(|seen| seen.at).unwrap_or_default();
            Ok(format!("protocolVersion 1, {} after its start", span(took)))
        }
        Ok(other) => Err(format!("protocolVersion {other}")),
        Err(why) => Err(why),
    })
}

fn opens(_: &Subject, record: &Record) -> Verdict {
    agreed_on_1(record)
}

fn picks_a_shared_version(_: &Subject, record: &Record) -> Verdict {
    agreed_on_1(record)
}

fn same_id(_: &Subject, record: &Record) -> Verdict {
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

fn types(_: &Subject, record: &Record) -> Verdict {
    let Some(opening) = record.opened() else { return Verdict::moot("the opening has no result") };
    let wrong = wrong_types(&opening);
    if wrong.is_empty() {
        let methods = opening["methods"].as_object().map(|methods| methods.len());
        return Verdict::kept(match methods {
            Some(1) => "1 method".to_owned(),
            Some(count) => format!("{count} methods"),
            None => "no list of methods".to_owned(),
        });
    }
    Verdict::broken(record.quote(wrong.join("; ")))
}

/// Everything in an opening that is not of its type.
fn wrong_types(opening: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(members) = opening.as_object() else {
        return vec![format!("the result is {}", kind(opening))];
    };
    let mut expect = |name: &str, value: Option<&Value>, want: &str, is: fn(&Value) -> bool| {
        if let Some(value) = value.filter(|value| !is(value)) {
            wrong.push(format!("{name} is {}, not {want}", kind(value)));
        }
    };
    let positive = |value: &Value| value.as_u64().is_some_and(|n| n >= 1);
    let topics =
        |value: &Value| value.as_array().is_some_and(|topics| topics.iter().all(Value::is_string));
    expect("name", members.get("name"), "a string", Value::is_string);
    expect("version", members.get("version"), "a string", Value::is_string);
    expect("methods", members.get("methods"), "a map", Value::is_object);
    expect("events", members.get("events"), "a list of strings", topics);
    expect("subscribe", members.get("subscribe"), "a list of strings", topics);
    expect("concurrency", members.get("concurrency"), "an integer from 1 on", positive);
    expect("ready", members.get("ready"), "a boolean", Value::is_boolean);
    expect("supports", members.get("supports"), "a map", Value::is_object);
    for name in ["drain", "configReload", "progress", "cancel", "idempotency", "meta"] {
        let value = opening["supports"].get(name);
        expect(&format!("supports.{name}"), value, "a boolean", Value::is_boolean);
    }
    for (name, about) in opening["methods"].as_object().into_iter().flatten() {
        let path = format!("methods.{name}");
        expect(&path, Some(about), "a map", Value::is_object);
        let of = |key: &str| (format!("{path}.{key}"), about.get(key));
        let (schema, value) = of("params");
        expect(&schema, value, "a schema", |v| v.is_object() || v.is_boolean());
        let (idempotent, value) = of("idempotent");
        expect(&idempotent, value, "a boolean", Value::is_boolean);
        let (timeout, value) = of("timeoutMs");
        expect(&timeout, value, "an integer from 1 on", positive);
        let (description, value) = of("description");
        expect(&description, value, "a string", Value::is_string);
    }
    let names = opening["methods"].as_object().into_iter().flatten().map(|(name, _)| name);
    wrong.extend(
        names
            .filter(|name| !is_legal_method(name))
            .map(|name| format!("`{name}` cannot be the name of a method")),
    );
    wrong
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

fn initialized_is_no_question(_: &Subject, record: &Record) -> Verdict {
    let ours: Vec<u32> = PINGS.chain([OPENING, PING]).collect();
    match stray(record, "initialized", &ours).next() {
        Some(seen) => {
            Verdict::broken(format!("it answered: {}", record.quote(record.text_of(seen))))
        }
        None => Verdict::kept("no frame"),
    }
}

fn waits(_: &Subject, record: &Record) -> Verdict {
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

fn answers_once(_: &Subject, record: &Record) -> Verdict {
    match record.count_of(PING) {
        // A second answer is an id answered twice: C26.
        1.. => Verdict::kept(span(record.latency(PING).unwrap_or_default())),
        0 => Verdict::broken(format!("ping got no answer: {}", record.instead())),
    }
}

fn answers_fast(_: &Subject, record: &Record) -> Verdict {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_member_of_an_opening_has_its_type() {
        let sound = json!({
            "protocolVersion": 1, "name": "geo", "version": "1", "events": ["a"], "subscribe": [],
            "methods": {"geo/locate": {"params": {"type": "object"}, "idempotent": true, "timeoutMs": 5}},
            "concurrency": 8, "ready": true, "supports": {"drain": true, "later": 7}, "later": null,
        });
        assert_eq!(wrong_types(&sound), Vec::<String>::new());
        for (path, value) in [
            ("/name", json!(1)),
            ("/concurrency", json!(0)),
            ("/ready", json!("yes")),
            ("/supports/drain", json!(1)),
            ("/methods", json!(["a"])),
            ("/methods/geo~1locate", json!(true)),
            ("/methods/geo~1locate/timeoutMs", json!(-1)),
            ("/events", json!([1])),
        ] {
            let mut opening = sound.clone();
            *opening.pointer_mut(path).unwrap() = value;
            assert_eq!(wrong_types(&opening).len(), 1, "{path}");
        }
        let named = json!({"methods": {"a b": {}}});
        assert_eq!(wrong_types(&named), ["`a b` cannot be the name of a method"]);
    }
}
