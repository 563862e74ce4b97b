//! The JSON Schema of manifests, from the key tables.

use serde_json::{Map, Value, json};

use crate::keys::{Effect, Key, Kind, MANIFEST, Section};

/// JSON Schema (draft 2020-12) of a manifest, for editors and other tools.
///
/// It is no stricter than the reader; ranges of durations and sizes, which are texts, are in the descriptions only.
pub fn json_schema() -> Value {
    let mut schema = section(&MANIFEST);
    let about = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "outboard manifest",
    });
    if let (Value::Object(schema), Value::Object(about)) = (&mut schema, about) {
        schema.extend(about);
    }
    schema
}

fn section(section: &'static Section) -> Value {
    let properties: Map<String, Value> =
        section.keys().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = kind(key);
    let Value::Object(object) = &mut schema else { return schema };
    let mut description = key.doc.to_owned();
    if key.effect != Effect::Now {
        description.push_str(" (no effect yet)");
    }
    object.insert("description".to_owned(), description.into());
    if let Some(default) = key.default {
        object.insert("default".to_owned(), default_of(key.kind, default));
    }
    schema
}

fn kind(key: &Key) -> Value {
    const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";
    let text = json!({ "type": "string", "minLength": 1 });
    let texts = json!({ "type": "array", "items": text });
    match key.kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Text | Kind::Template => text,
        Kind::Id => json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" }),
        Kind::Ids | Kind::Globs | Kind::Argv | Kind::Paths | Kind::Templates => texts,
        Kind::Command => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Kind::Duration { none, .. } => {
            let pattern = match none {
                Some(word) => format!("^([0-9]+(ms|s|m|h|d)|{word})$"),
                None => DURATION.to_owned(),
            };
            json!({ "type": "string", "pattern": pattern })
        }
        Kind::Size { .. } => json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }),
        Kind::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Counts { min, max } => json!({
            "type": "array",
            "items": { "type": "integer", "minimum": min, "maximum": max },
        }),
        Kind::Factor { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Percent => json!({ "type": "string", "pattern": "^[0-9]+%$" }),
        Kind::Umask => json!({ "type": "string", "pattern": "^0?[0-7]{3}$" }),
        Kind::Sha256 => json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" }),
        Kind::Choice(words) => {
            let there: Vec<_> = words.iter().filter(|word| !key.not_yet.contains(word)).collect();
            json!({ "enum": there })
        }
        Kind::Env => {
            let source = |name: &str| {
                json!({
                    "type": "object",
                    "properties": { name: text },
                    "required": [name],
                    "additionalProperties": false,
                })
            };
            json!({
                "type": "object",
                "additionalProperties": {
                    "oneOf": [{ "type": "string" }, source("from_env"), source("from_file")],
                },
            })
        }
        Kind::PathOrFalse => json!({ "oneOf": [text, { "const": false }] }),
        Kind::Object => json!({ "type": "object" }),
        Kind::Json => json!({}),
        Kind::RetryAfter => json!({
            "oneOf": [
                { "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d)|never)$" },
                {
                    "type": "object",
                    "properties": {
                        "initial": { "type": "string", "pattern": DURATION },
                        "max": { "type": "string", "pattern": DURATION },
                    },
                    "additionalProperties": false,
                },
            ],
        }),
        Kind::Section(inner) => section(inner),
        Kind::Tables(inner) => json!({ "type": "array", "items": section(inner) }),
    }
}

/// Defaults are written as in the file, without quotes.
fn default_of(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Bool | Kind::Count { .. } | Kind::Factor { .. } => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        Kind::RetryAfter => match text.split_once(' ') {
            Some((initial, max)) => json!({ "initial": initial, "max": max }),
            None => text.into(),
        },
        _ => text.into(),
    }
}
