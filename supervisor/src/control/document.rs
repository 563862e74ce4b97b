//! The OpenRPC document of the management API, made from the table of methods.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::api::Refusal;
use super::rpc::{Row, Stream, TABLE};

/// The version of the specification (<https://spec.open-rpc.org>).
const OPENRPC: &str = "1.3.2";

/// Where shared schemas lie in the document.
const SCHEMAS: &str = "/components/schemas";

const ABOUT: &str = "\
JSON-RPC 2.0 on the Unix socket `control.sock` in the supervisor's state directory: one request in the body of each HTTP POST \
with content-type application/json, or any number of them over a WebSocket, which subscriptions need. Only the user who runs \
the supervisor, and root, may connect.\n\n\
Parameters are an object, and all of them may be left out unless they are required; one that is not known is refused. Answers \
may grow by members, and by words where a word is one of several: ignore what you do not know. Calls to plugins do not pass \
here: they go over `attach.sock`.";

/// The document.
#[must_use]
pub fn openrpc() -> Value {
    // Draft 7 is what OpenRPC speaks. What is answered is described as it is written, with every member that is always there.
    let settings = || SchemaSettings::draft07().with(|it| it.meta_schema = None);
    let mut answers =
        settings().for_serialize().with(|it| it.definitions_path = SCHEMAS.into()).into_generator();
    let mut params =
        settings().for_deserialize().with(|it| it.inline_subschemas = true).into_generator();
    let methods: Vec<Value> =
        TABLE.iter().map(|row| method(row, &mut params, &mut answers)).collect();
    let errors: BTreeMap<&str, Value> =
        TABLE.iter().flat_map(errors_of).map(|refusal| (refusal.class, error(refusal))).collect();
    json!({
        "openrpc": OPENRPC,
        "info": {
            "title": "outboard: the management of a running supervisor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "servers": [{"name": "control.sock", "url": "http://localhost/"}],
        "methods": methods,
        "components": {"schemas": answers.take_definitions(true), "errors": errors},
    })
}

fn method(row: &Row, params: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let doc = row.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
    let (summary, description) = doc.split_once("\n\n").unwrap_or((&doc, ""));
    let answer = (row.answer)(answers);
    let (result, stream) = match row.stream {
        None => (json!({"name": "answer", "schema": answer}), None),
        Some(stream) => (
            json!({"name": "subscription", "schema": {"type": ["integer", "string"]}}),
            Some(subscription(stream, &answer)),
        ),
    };
    let errors: Vec<Value> = errors_of(row)
        .map(|refusal| json!({"$ref": format!("#/components/errors/{}", refusal.class)}))
        .collect();
    let mut method = json!({
        "name": row.name,
        "summary": summary,
        "paramStructure": "by-name",
        "params": parameters((row.params)(params)),
        "result": result,
        "errors": errors,
    });
    if !description.is_empty() {
        method["description"] = description.into();
    }
    if let Some(stream) = stream {
        // OpenRPC has no word for subscriptions; a member of this beginning is anybody's.
        method["x-subscription"] = stream;
    }
    method
}

/// What comes after the answer to a subscription, and how to end it.
fn subscription(stream: Stream, item: &Schema) -> Value {
    json!({
        "notification": stream.notification,
        "params": {
            "type": "object",
            "required": ["subscription", "result"],
            "properties": {"subscription": {"type": ["integer", "string"]}, "result": item},
        },
        "unsubscribe": stream.end,
        "transport": "websocket",
    })
}

/// Any method may be asked with parameters that make no sense, or by a plugin.
fn errors_of(row: &Row) -> impl Iterator<Item = &'static Refusal> {
    row.errors.iter().chain([&Refusal::INVALID_PARAMS, &Refusal::PLUGIN_CLIENT])
}

fn error(refusal: &Refusal) -> Value {
    json!({
        "code": refusal.code,
        "message": refusal.meaning,
        "data": {"class": refusal.class},
    })
}

/// The members of the object that a method takes, as OpenRPC's list of parameters.
fn parameters(schema: Schema) -> Vec<Value> {
    let mut schema = schema.to_value();
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    let members = schema["properties"].as_object_mut().map(std::mem::take).unwrap_or_default();
    members.into_iter().map(|(name, schema)| parameter(name, schema, &required)).collect()
}

fn parameter(name: String, mut schema: Value, required: &[Value]) -> Value {
    let mut parameter = Map::new();
    if let Some(description) = schema.as_object_mut().and_then(|it| it.remove("description")) {
        parameter.insert("description".to_owned(), description);
    }
    parameter.insert("required".to_owned(), required.iter().any(|it| *it == name).into());
    parameter.insert("name".to_owned(), name.into());
    parameter.insert("schema".to_owned(), schema);
    parameter.into()
}
