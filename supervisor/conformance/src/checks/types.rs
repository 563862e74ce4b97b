//! Whether the members of an opening have the types that its protocol gives them: C05.

use outboard_wire::dialect::is_legal_method;
use serde_json::Value;

use crate::record::Record;
use crate::report::Verdict;

/// A verdict of all that is not of its type in an opening; `kept` says what is there, where all is well.
pub(super) fn judge(
    record: &Record,
    wrong: fn(&Value) -> Vec<String>,
    kept: fn(&Value) -> String,
) -> Verdict {
    let Some(opening) = record.opened() else { return Verdict::moot("the opening has no result") };
    match wrong(&opening) {
        wrong if wrong.is_empty() => Verdict::kept(record.quote(kept(&opening))),
        wrong => Verdict::broken(record.quote(wrong.join("; "))),
    }
}

pub(super) fn native(opening: &Value) -> Vec<String> {
    let mut look = match Look::at(opening) {
        Ok(look) => look,
        Err(wrong) => return wrong,
    };
    look.may("/name", STRING);
    look.may("/version", STRING);
    look.may("/methods", MAP);
    look.may("/events", STRINGS);
    look.may("/subscribe", STRINGS);
    look.may("/concurrency", POSITIVE);
    look.may("/ready", BOOLEAN);
    look.may("/supports", MAP);
    for name in ["drain", "configReload", "progress", "cancel", "idempotency", "meta"] {
        look.may(&format!("/supports/{name}"), BOOLEAN);
    }
    for name in opening["methods"].as_object().into_iter().flatten().map(|(name, _)| name) {
        let path = format!("/methods/{}", name.replace('~', "~0").replace('/', "~1"));
        look.may(&path, MAP);
        look.may(&format!("{path}/params"), SCHEMA);
        look.may(&format!("{path}/idempotent"), BOOLEAN);
        look.may(&format!("{path}/timeoutMs"), POSITIVE);
        look.may(&format!("{path}/description"), STRING);
        if !is_legal_method(name) {
            look.wrong.push(format!("`{name}` cannot be the name of a method"));
        }
    }
    look.wrong
}

/// `InitializeResult` of the schema.
pub(super) fn mcp(opening: &Value) -> Vec<String> {
    let mut look = match Look::at(opening) {
        Ok(look) => look,
        Err(wrong) => return wrong,
    };
    look.must("/protocolVersion", STRING);
    look.must("/capabilities", MAP);
    for name in ["tools", "prompts", "resources", "logging", "completions", "experimental"] {
        look.may(&format!("/capabilities/{name}"), MAP);
    }
    for name in ["tools", "prompts", "resources"] {
        look.may(&format!("/capabilities/{name}/listChanged"), BOOLEAN);
    }
    look.may("/capabilities/resources/subscribe", BOOLEAN);
    look.must("/serverInfo", MAP);
    if opening["serverInfo"].is_object() {
        look.must("/serverInfo/name", STRING);
        look.must("/serverInfo/version", STRING);
    }
    look.may("/instructions", STRING);
    look.wrong
}

/// `InitializeResult` of the specification, and those capabilities that hosts lean on.
pub(super) fn lsp(opening: &Value) -> Vec<String> {
    let mut look = match Look::at(opening) {
        Ok(look) => look,
        Err(wrong) => return wrong,
    };
    look.must("/capabilities", MAP);
    look.may("/capabilities/positionEncoding", STRING);
    look.may("/capabilities/textDocumentSync", SYNC);
    for name in ["hover", "definition", "references", "documentSymbol", "workspaceSymbol"] {
        look.may(&format!("/capabilities/{name}Provider"), PROVIDER);
    }
    look.may("/capabilities/completionProvider", MAP);
    look.may("/capabilities/workspace", MAP);
    look.may("/serverInfo", MAP);
    if opening["serverInfo"].is_object() {
        look.must("/serverInfo/name", STRING);
        look.may("/serverInfo/version", STRING);
    }
    look.wrong
}

/// A type, in words and as a question.
type Type = (&'static str, fn(&Value) -> bool);

const STRING: Type = ("a string", Value::is_string);
const BOOLEAN: Type = ("a boolean", Value::is_boolean);
const MAP: Type = ("a map", Value::is_object);
const POSITIVE: Type = ("an integer from 1 on", |value| value.as_u64().is_some_and(|n| n >= 1));
const STRINGS: Type = ("a list of strings", |value| {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
});
const SCHEMA: Type = ("a schema", |value| value.is_object() || value.is_boolean());
const PROVIDER: Type = ("a boolean or a map", |value| value.is_object() || value.is_boolean());
const SYNC: Type = ("a number or a map", |value| value.is_object() || value.is_u64());

/// What was found wrong so far.
struct Look<'v> {
    opening: &'v Value,
    wrong: Vec<String>,
}

impl<'v> Look<'v> {
    fn at(opening: &'v Value) -> Result<Self, Vec<String>> {
        match opening.is_object() {
            true => Ok(Self { opening, wrong: Vec::new() }),
            false => Err(vec![format!("the result is {}", kind(opening))]),
        }
    }

    /// A member that may be left out.
    fn may(&mut self, path: &str, (words, is): Type) {
        if let Some(value) = self.opening.pointer(path).filter(|value| !is(value)) {
            self.wrong.push(format!("{} is {}, not {words}", dotted(path), kind(value)));
        }
    }

    fn must(&mut self, path: &str, of: Type) {
        match self.opening.pointer(path) {
            Some(_) => self.may(path, of),
            None => self.wrong.push(format!("{} is missing", dotted(path))),
        }
    }
}

/// A JSON pointer as people write a path.
fn dotted(path: &str) -> String {
    path.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each of these values in place of another is one thing wrong; null leaves the member out.
    fn each_is_found(sound: &Value, wrong: fn(&Value) -> Vec<String>, swaps: &[(&str, Value)]) {
        assert_eq!(wrong(sound), Vec::<String>::new());
        for (path, value) in swaps {
            let mut opening = sound.clone();
            *opening.pointer_mut(path).unwrap() = value.clone();
            assert_eq!(wrong(&opening).len(), 1, "{path}: {:?}", wrong(&opening));
        }
        assert_eq!(wrong(&json!([])), ["the result is a list"]);
    }

    #[test]
    fn every_member_of_a_native_opening_has_its_type() {
        let sound = json!({
            "protocolVersion": 1, "name": "geo", "version": "1", "events": ["a"], "subscribe": [],
            "methods": {"geo/locate": {"params": {"type": "object"}, "idempotent": true, "timeoutMs": 5}},
            "concurrency": 8, "ready": true, "supports": {"drain": true, "later": 7}, "later": null,
        });
        let swaps = [
            ("/name", json!(1)),
            ("/concurrency", json!(0)),
            ("/ready", json!("yes")),
            ("/supports/drain", json!(1)),
            ("/methods", json!(["a"])),
            ("/methods/geo~1locate", json!(true)),
            ("/methods/geo~1locate/timeoutMs", json!(-1)),
            ("/events", json!([1])),
        ];
        each_is_found(&sound, native, &swaps);
        let named = json!({"methods": {"a b": {}}});
        assert_eq!(native(&named), ["`a b` cannot be the name of a method"]);
        let typed = json!({"methods": {"a/b": {"timeoutMs": "5"}}});
        assert_eq!(native(&typed), ["methods.a/b.timeoutMs is a string, not an integer from 1 on"]);
    }

    #[test]
    fn every_member_of_an_mcp_opening_has_its_type() {
        let sound = json!({
            "protocolVersion": "2025-11-25", "instructions": "",
            "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": false}, "later": 7},
            "serverInfo": {"name": "time", "version": "1"},
        });
        let swaps = [
            ("/protocolVersion", json!(1)),
            ("/capabilities", json!([])),
            ("/capabilities/tools", json!(true)),
            ("/capabilities/resources/subscribe", json!("no")),
            ("/serverInfo", json!("time")),
            ("/serverInfo/version", json!(1)),
            ("/instructions", json!(null)),
        ];
        each_is_found(&sound, mcp, &swaps);
        assert_eq!(
            mcp(&json!({"capabilities": {}, "serverInfo": {"name": "time"}})),
            ["protocolVersion is missing", "serverInfo.version is missing"]
        );
    }

    #[test]
    fn every_member_of_an_lsp_opening_has_its_type() {
        let sound = json!({
            "capabilities": {"textDocumentSync": 2, "hoverProvider": {}, "positionEncoding": "utf-16"},
            "serverInfo": {"name": "jedi", "version": "1"},
        });
        let swaps = [
            ("/capabilities", json!(null)),
            ("/capabilities/textDocumentSync", json!("full")),
            ("/capabilities/hoverProvider", json!(1)),
            ("/serverInfo/name", json!(1)),
        ];
        each_is_found(&sound, lsp, &swaps);
        assert_eq!(lsp(&json!({})), ["capabilities is missing"]);
    }
}
