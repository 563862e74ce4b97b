//! The test vectors that every SDK shares, all levels.

#![expect(clippy::unwrap_used, reason = "a vector that cannot be read is a failed test")]

use outboard_wire::frame::Framing;
use outboard_wire::{Framer, Id, Item, Message, RemoteError, decode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

mod common;
use common::{bytes_of, load};

fn id_value(id: &Id) -> Value {
    serde_json::from_str(&id.to_string()).unwrap()
}

fn item_value(item: &Item<'_>) -> Value {
    match item {
        Item::Frame(text) => json!({ "frame": text }),
        Item::Junk { kind, bytes, .. } => json!({"junk": {"kind": kind.as_str(), "bytes": bytes}}),
        Item::TooLong { bytes, id: None, .. } => json!({"tooLong": {"bytes": bytes}}),
        Item::TooLong { bytes, id: Some(id), .. } => {
            json!({"tooLong": {"bytes": bytes, "id": id_value(id)}})
        }
        Item::Runaway { bytes } => json!({"runaway": {"bytes": bytes}}),
        Item::Tail { bytes, .. } => json!({"tail": {"bytes": bytes}}),
        Item::Fatal { what, .. } => json!({ "fatal": what }),
    }
}

fn cut(case: &Value, chunks: &[&[u8]]) -> Vec<Value> {
    let framing = match case["framing"].as_str().unwrap() {
        "newline" => Framing::Newline,
        "content-length" => Framing::ContentLength,
        other => panic!("{other}"),
    };
    let max = case["limits"]["maxFrameBytes"].as_u64().unwrap_or(16 << 20);
    let mut framer = Framer::new(framing, usize::try_from(max).unwrap());
    let mut items = Vec::new();
    for chunk in chunks {
        framer.feed(chunk, &mut |item| items.push(item_value(&item)));
    }
    if case["eof"] == true {
        framer.finish(&mut |item| items.push(item_value(&item)));
    }
    items
}

#[test]
fn every_framing_vector_reads_the_same_as_given_whole_and_byte_by_byte() {
    let cases = load("framing.json");
    assert_eq!(cases.len(), 40);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let want = case["expect"].as_array().unwrap();
        let chunks: Vec<Vec<u8>> = case["chunks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| bytes_of(std::slice::from_ref(c)))
            .collect();
        let as_given: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let whole = chunks.concat();
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(&cut(case, &as_given), want, "{name}, as given");
        assert_eq!(&cut(case, &[&whole]), want, "{name}, in one chunk");
        assert_eq!(&cut(case, &single), want, "{name}, byte by byte");
    }
}

/// What a message says, in the words of the vectors. Payloads by text, so that no digit is lost on the way.
fn message_value(frame: &str) -> Value {
    let raw = |raw: &RawValue| {
        serde_json::from_str::<Value>(raw.get()).unwrap_or_else(|_| raw.get().into())
    };
    let error = |e: &RemoteError<'_>| {
        let mut value = json!({"code": e.code, "message": e.message});
        if let Some(data) = e.data {
            value["data"] = raw(data);
        }
        value
    };
    match decode(frame, 128) {
        Ok(Message::Request { id, method, params }) => {
            let mut value = json!({"request": {"id": id_value(&id), "method": method}});
            if let Some(params) = params {
                value["request"]["params"] = raw(params);
            }
            value
        }
        Ok(Message::Notification { method, params }) => {
            let mut value = json!({"notification": {"method": method}});
            if let Some(params) = params {
                value["notification"]["params"] = raw(params);
            }
            value
        }
        Ok(Message::Response { id, outcome: Ok(result) }) => {
            json!({"response": {"id": id_value(&id), "result": raw(result)}})
        }
        Ok(Message::Response { id, outcome: Err(e) }) => {
            json!({"response": {"id": id_value(&id), "error": error(&e)}})
        }
        Ok(Message::OrphanError { error: e }) => json!({"orphanError": error(&e)}),
        Err(reject) => {
            let mut value = json!({"reject": {"reason": reject.reason.as_str()}});
            if let Some(id) = &reject.id {
                value["reject"]["id"] = id_value(id);
            }
            value
        }
    }
}

#[test]
fn every_message_vector_of_both_levels_decodes_as_expected() {
    let cases = load("messages.json");
    assert_eq!(cases.len(), 44);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let frame = String::from_utf8(bytes_of(case["input"].as_array().unwrap())).unwrap();
        let mut want = case["expect"].clone();
        if want["response"]["result"] == "@depth127" {
            // One level too many for a generic value from the whole frame, but not for one from the payload.
            want["response"]["result"] =
                format!("{}{}", "[".repeat(127), "]".repeat(127)).parse().unwrap();
        }
        assert_eq!(message_value(&frame), want, "{name}");
    }
}
