//! Calls of the methods that a native opening declares: C21, C22, C27, C28.

use serde_json::{Value, json};

use super::{Scene, one_answer, pinged, span};
use crate::record::{Answer, Record};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::{BUDGET, FIRST_ID, Script};
use crate::subject::{MOST_METHODS, Method, Subject};

pub(super) const SCENES: &[Scene] = &[
    Scene { script: each_with_nothing, rules: &[(Id::C28, lives_through_each)] },
    Scene { script: hard_text, rules: &[(Id::C21, bears_hard_text)] },
    Scene { script: with_meta, rules: &[(Id::C22, bears_meta)] },
    Scene { script: wrong_params, rules: &[(Id::C27, refuses_wrong_params)] },
];

const CALL: u32 = FIRST_ID;
const SECOND: u32 = FIRST_ID + 1;
const PING: u32 = FIRST_ID + 2;
/// Calls of all methods have ids from here on.
const EACH: u32 = 100;

/// Text in which a line, a member or a string seems to end and does not.
pub(super) fn hard() -> Value {
    json!({ "text": "a\u{2028}b\u{85}c\u{1f6a4} \"quoted\" \\ ,\"params\":{\"id\":5} end" })
}

fn hard_text(subject: &Subject) -> Result<Script<'_>, String> {
    let method = subject.any_method()?;
    Ok(subject.opened().mark("call").ask(CALL, &method.name, &hard().to_string(), BUDGET))
}

fn bears_hard_text(subject: &Subject, record: &Record) -> Verdict {
    let answer = match one_answer(record, "call", CALL) {
        Ok(answer) => answer,
        Err(why) => return Verdict::broken(why),
    };
    let is_echo = subject.any_method().is_ok_and(|method| method.name == "echo");
    match answer.result() {
        Some(result) if is_echo && result == hard() => Verdict::kept("given back unchanged"),
        _ if is_echo => Verdict::broken(format!("changed: {}", record.quote(&answer.text))),
        _ => Verdict::kept("one answer"),
    }
}

fn with_meta(subject: &Subject) -> Result<Script<'_>, String> {
    if !subject.supports.meta {
        return Err("it does not say supports.meta".to_owned());
    }
    let method = &subject.any_method()?.name;
    let meta = r#"{"_meta":{"deadlineMs":5000,"caller":"cli","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#;
    Ok(subject.opened().ask(CALL, method, "{}", BUDGET).ask(SECOND, method, meta, BUDGET))
}

fn bears_meta(_: &Subject, record: &Record) -> Verdict {
    same_class(record, CALL, SECOND)
}

/// Two calls that end alike: both in a result, or both in the same error.
pub(super) fn same_class(record: &Record, without: u32, with: u32) -> Verdict {
    let (Some(without), Some(with)) = (record.answer(without), record.answer(with)) else {
        return Verdict::broken(format!("no answer: {}", record.instead()));
    };
    let class = |answer: &Answer| answer.outcome.as_ref().map(drop).map_err(|code| *code);
    match class(without) == class(with) {
        true => Verdict::kept(if with.outcome.is_ok() {
            "a result both times"
        } else {
            "the same error both times"
        }),
        false => Verdict::broken(format!(
            "without: {}; with: {}",
            record.quote(&without.text),
            record.quote(&with.text)
        )),
    }
}

fn wrong_params(subject: &Subject) -> Result<Script<'_>, String> {
    let methods = subject.methods.as_deref().unwrap_or_default();
    let found = methods.iter().find_map(|m| Some((&m.name, wrong_for(m.schema.as_ref()?)?)));
    let (name, params) =
        found.ok_or("it declares no method with a schema that params can break")?;
    Ok(subject.opened().ask(CALL, name, &params.to_string(), BUDGET).ping(PING))
}

/// An object that breaks a schema; `None` where none can be told.
fn wrong_for(schema: &Value) -> Option<Value> {
    let typed = schema["properties"].as_object().into_iter().flatten();
    let wrong = |(name, of): (&String, &Value)| {
        let value = match of["type"].as_str()? {
            "string" => json!(17),
            "number" | "integer" | "boolean" | "array" | "object" | "null" => json!("wrong"),
            _ => return None,
        };
        Some((name.clone(), value))
    };
    let members: serde_json::Map<String, Value> = typed.filter_map(wrong).collect();
    let requires = schema["required"].as_array().is_some_and(|names| !names.is_empty());
    (!members.is_empty() || requires).then_some(Value::Object(members))
}

fn refuses_wrong_params(_: &Subject, record: &Record) -> Verdict {
    params_refused(record, CALL, PING)
}

pub(super) fn params_refused(record: &Record, call: u32, ping: u32) -> Verdict {
    let Some(answer) = record.answer(call) else {
        return Verdict::broken(format!("no answer: {}", record.instead()));
    };
    if !answer.is_error(-32602) {
        return Verdict::broken(record.quote(&answer.text));
    }
    Verdict::of(
        pinged(record, ping).map(|()| "error -32602; the next ping was answered".to_owned()),
    )
}

/// The methods that are called with nothing: all but the slow one, and not too many.
fn each(subject: &Subject) -> Vec<&Method> {
    let methods = subject.methods.iter().flatten();
    methods.filter(|m| Some(&m.name) != subject.slow_method.as_ref()).take(MOST_METHODS).collect()
}

fn each_with_nothing(subject: &Subject) -> Result<Script<'_>, String> {
    subject.any_method()?;
    let calls = each(subject).into_iter().zip(EACH..);
    let script = calls.fold(subject.opened(), |script, (method, id)| {
        script.ask(id, &method.name, "{}", method.timeout.unwrap_or(BUDGET))
    });
    Ok(script.ping(PING))
}

fn lives_through_each(subject: &Subject, record: &Record) -> Verdict {
    let methods = each(subject);
    for (method, id) in methods.iter().zip(EACH..) {
        if record.answer(id).is_none() {
            let within = span(method.timeout.unwrap_or(BUDGET));
            return Verdict::broken(format!(
                "{} got no answer within {within}: {}",
                method.name,
                record.instead()
            ));
        }
    }
    let count = methods.len();
    Verdict::of(pinged(record, PING).map(|()| match count {
        1 => "1 method answered".to_owned(),
        count => format!("{count} methods answered"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_broken_by_the_type_of_a_member_or_for_want_of_one() {
        let numbers = json!({"type": "object", "properties": {"a": {"type": "number"}, "b": {}}});
        assert_eq!(wrong_for(&numbers), Some(json!({"a": "wrong"})));
        let text = json!({"properties": {"a": {"type": "string"}}});
        assert_eq!(wrong_for(&text), Some(json!({"a": 17})));
        assert_eq!(wrong_for(&json!({"required": ["a"]})), Some(json!({})));
        assert_eq!(wrong_for(&json!({"type": "object"})), None);
    }
}
