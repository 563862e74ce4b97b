//! Framer and decoder against millions of inputs that nobody wrote: mutations of the shared vectors and messages made
//! at random, from a seed that is committed.
//!
//! Each target runs for `OUTBOARD_FUZZ_SECONDS` (a short time by default) and prints how many inputs that were.
//! `OUTBOARD_FUZZ_SEED` replaces the seed; a failure prints the input that caused it, whole.

#![expect(clippy::print_stdout, reason = "how many inputs it was is the result")]
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::{Duration, Instant};

use common::{Rng, bytes_of, load};
use outboard_wire::frame::Framing;
use outboard_wire::{Framer, Id, Item, Message, Reason, decode, encode};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

const MAX_DEPTH: u32 = 128;

/// Runs `target` until the time is over, and tells how often that was.
#[expect(clippy::disallowed_methods, reason = "a fuzz target is bounded by the clock")]
fn fuzz(name: &str, mut target: impl FnMut(&mut Rng)) -> u64 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("OUTBOARD_FUZZ_SECONDS").unwrap_or(1);
    let mut rng = Rng::new(number("OUTBOARD_FUZZ_SEED").unwrap_or(0x6f75_7462_6f61_7264));
    let start = Instant::now();
    let mut inputs = 0u64;
    while start.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..64 {
            target(&mut rng);
            inputs += 1;
        }
    }
    println!("{name}: {inputs} inputs in {seconds} s");
    inputs
}

// --- The framer ---

#[test]
fn fuzz_framer() {
    let mut corpus: Vec<Vec<u8>> = load("framing.json")
        .iter()
        .map(|case| bytes_of(case["chunks"].as_array().unwrap()))
        .filter(|bytes| bytes.len() < 4096)
        .collect();
    corpus.push(
        [b"{\"result\":\"", &[b'x'; 9000][..], b"\",\"jsonrpc\":\"2.0\",\"id\":44}\r\n{}\n"]
            .concat(),
    );
    let pieces: [&[u8]; 14] = [
        b"\n",
        b"\r\n",
        b"\r",
        b"\xef\xbb\xbf",
        b" \t",
        b"{}",
        b"[{",
        b"\xff",
        b"\0",
        b"Content-Length: 5\r\n\r\n",
        b"content-length:2\n\n",
        b"Content-Length: 99999999\r\n\r\n",
        b"\"id\":7,",
        "🦀\u{2028}".as_bytes(),
    ];
    fuzz("framer", |rng| {
        let bytes = mutate(rng, &corpus, &pieces);
        let max = *rng.pick(&[1, 2, 35, 36, 64, 300, 2048, 4096, 5000, 100_000]);
        for framing in [Framing::Newline, Framing::ContentLength] {
            let whole = cut(framing, max, &[&bytes]);
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let longest = if rng.chance(2) { rest.len() } else { rest.len().min(4) };
                let (chunk, after) = rest.split_at(1 + rng.below(longest));
                chunks.push(chunk);
                rest = after;
            }
            let parts = cut(framing, max, &chunks);
            assert_eq!(
                whole,
                parts,
                "{framing:?}, max {max}, {:?}",
                bytes.escape_ascii().to_string()
            );
        }
    });
}

/// All items as text. Checks what holds for each, whatever came in.
fn cut(framing: Framing, max: usize, chunks: &[&[u8]]) -> Vec<String> {
    let mut framer = Framer::new(framing, max);
    let mut items = Vec::new();
    let mut sink = |item: Item<'_>| {
        match &item {
            Item::Frame(text) => {
                assert!(text.starts_with('{') && text.len() <= max);
                assert!(framing == Framing::ContentLength || !text.contains('\n'));
            }
            Item::Junk { bytes, line, .. } => assert!(line.len() as u64 <= *bytes),
            Item::TooLong { bytes, head, .. } => {
                assert!(head.len() <= 4096 && *bytes > max as u64 && *bytes <= 4 * max as u64);
            }
            Item::Runaway { bytes } => assert_eq!(*bytes, 4 * max as u64),
            Item::Tail { bytes, kept } => assert!(*bytes > 0 && kept.len() as u64 <= *bytes),
            Item::Fatal { .. } => assert_eq!(framing, Framing::ContentLength),
        }
        items.push(format!("{item:?}"));
    };
    for chunk in chunks {
        framer.feed(chunk, &mut sink);
        // Below that the head of a skipped line weighs more than the cap.
        assert!(max < 2048 || framer.memory() <= max + 4096, "{} with {max}", framer.memory());
    }
    framer.finish(&mut sink);
    assert!(!framer.mid_frame());
    items
}

// --- The decoder ---

#[test]
fn fuzz_decoder() {
    let corpus: Vec<Vec<u8>> = load("messages.json")
        .iter()
        .map(|case| bytes_of(case["input"].as_array().unwrap()))
        .filter(|bytes| bytes.len() < 4096)
        .collect();
    let pieces: Vec<&[u8]> = PIECES.iter().map(|piece| piece.as_bytes()).collect();
    let mut accepted = 0u64;
    let inputs = fuzz("decoder", |rng| {
        let frame = if rng.chance(2) {
            String::from_utf8_lossy(&mutate(rng, &corpus, &pieces)).into_owned()
        } else {
            compose(rng)
        };
        accepted += u64::from(check(&frame));
    });
    println!("decoder: {accepted} of them were messages");
    assert!(accepted * 100 > inputs, "a fuzz target that reaches few messages proves little");
}

const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\",
    " ",
    "\t",
    "\n",
    "null",
    "true",
    "0",
    "-0",
    "1.5",
    "1e400",
    "01",
    "-",
    "9007199254740992",
    "\\u0069d",
    "\\ud800",
    "\\q",
    "\u{1}",
    "🦀",
    "\"id\":1,",
    "\"method\":\"m\",",
    "\"result\":",
    "\"error\":{\"code\":1,\"message\":\"m\"},",
    "\"params\":null",
    "\"jsonrpc\":\"2.0\",",
    "\"2.0\"",
    "\"\"",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// A message of members taken at random, nearly whole.
fn compose(rng: &mut Rng) -> String {
    const NAMES: [&str; 9] = [
        "id",
        "\\u0069d",
        "method",
        "params",
        "result",
        "error",
        "r\\u0065sult",
        "jsonrpc",
        "more",
    ];
    const VALUES: [&str; 26] = [
        "1",
        "0",
        "-7",
        "9007199254740991",
        "9007199254740992",
        "-0",
        "2.5",
        "1e400",
        "null",
        "true",
        "\"\"",
        "\"a-1\"",
        "\"ping\"",
        "\"a\\nb\"",
        "\"\\ud800\"",
        "{}",
        "[]",
        "[1,[2]]",
        "{\"a\":{\"id\":9}}",
        "\"2.0\"",
        "{\"code\":-32601,\"message\":\"no\"}",
        "{\"code\":1,\"message\":\"m\",\"data\":[1e400]}",
        "{\"code\":1.5,\"message\":\"m\"}",
        "{\"message\":\"m\"}",
        "{\"code\":1,\"code\":2,\"message\":\"m\"}",
        "nope",
    ];
    let mut members = vec![(rng.pick(&["jsonrpc", "jsonrpc", "jsonrpc", "json"]), "\"2.0\"")];
    for _ in 0..1 + rng.below(4) {
        members.push((rng.pick(&NAMES), *rng.pick(&VALUES)));
    }
    let at = rng.below(members.len());
    members.swap(0, at);
    let blank = *rng.pick(&["", "", "", " ", "\t"]);
    let text: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{blank}{value}{blank}")).collect();
    format!("{{{}}}", text.join(","))
}

/// Members in the order they stand, also those that are there twice.
struct Pairs<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for All<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(Pairs(all))
            }
        }
        deserializer.deserialize_map(All(std::marker::PhantomData))
    }
}

/// What a plain reading by a generic parser gives; `None` where that parser cannot tell.
fn reference(frame: &str) -> Option<Result<String, (Reason, Option<Id>)>> {
    if naive_depth(frame) > MAX_DEPTH as usize {
        // Which id is salvaged is not for a generic parser to say.
        return Some(Err((Reason::Depth, None)));
    }
    let is_object = frame.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    if !is_object || serde_json::from_str::<IgnoredAny>(frame).is_err() {
        return Some(Err((Reason::Json, None)));
    }
    let Pairs(pairs) = serde_json::from_str::<Pairs<Box<RawValue>>>(frame).ok()?;
    let find = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.get());
    let count = |name: &str| pairs.iter().filter(|(n, _)| n == name).count();
    let value = |name: &str| find(name).map(serde_json::from_str::<Value>);
    // A value that a generic parser refuses although it is valid: numbers and surrogates beyond it.
    let scalar = |name: &str| match value(name) {
        Some(Err(_)) => None,
        Some(Ok(value)) => Some(Some(value)),
        None => Some(None),
    };
    let (id, method, version) = (scalar("id")?, scalar("method")?, scalar("jsonrpc")?);
    let legal = match &id {
        Some(Value::Number(n)) if find("id").is_some_and(|t| !t.contains(['.', 'e', 'E'])) => {
            n.as_i64().filter(|n| n.unsigned_abs() < 1 << 53).map(Id::Num)
        }
        Some(Value::String(s)) if s.len() <= 256 => Some(Id::Str(s.as_str().into())),
        _ => None,
    };
    let reject = |reason, id: &Option<Id>| Some(Err((reason, id.clone())));
    if count("id") > 1 {
        return reject(Reason::Duplicate, &None);
    }
    if ["jsonrpc", "method", "params", "result", "error"].iter().any(|name| count(name) > 1) {
        return reject(Reason::Duplicate, &legal);
    }
    if version != Some(Value::from("2.0")) {
        return reject(Reason::Jsonrpc, &legal);
    }
    let shown = legal.as_ref().map_or("-".to_owned(), ToString::to_string);
    let present = |name| find(name).filter(|text| *text != "null");
    if let Some(method) = method {
        let Some(method) = method.as_str().filter(|m| (1..=256).contains(&m.len())) else {
            return reject(Reason::Method, &legal);
        };
        if id.is_some() && legal.is_none() {
            return reject(Reason::Id, &None);
        }
        if find("result").is_some() || find("error").is_some() {
            return reject(Reason::Shape, &legal);
        }
        let params = present("params");
        if params.is_some_and(|p| !p.starts_with(['{', '['])) {
            return reject(Reason::Params, &legal);
        }
        return Some(Ok(format!("call {shown} {method:?} {params:?}")));
    }
    match (find("result"), present("error")) {
        (None, None) => reject(Reason::Shape, &legal),
        (Some(result), Some(_)) if result != "null" => reject(Reason::Shape, &legal),
        (_, Some(error)) => {
            let Ok(Pairs(members)) = serde_json::from_str::<Pairs<Box<RawValue>>>(error) else {
                return if error.starts_with('{') { None } else { reject(Reason::Error, &legal) };
            };
            let one = |name: &str| {
                let mut all = members.iter().filter(|(n, _)| n == name);
                all.next().map(|(_, v)| v.get()).filter(|_| all.next().is_none())
            };
            let doubled = members.iter().filter(|(n, _)| n == "data").count() > 1;
            let code = one("code").filter(|c| !c.contains(['.', 'e', 'E']) && *c != "-0");
            let code = code.and_then(|c| c.parse::<i64>().ok());
            let message = match one("message").map(serde_json::from_str::<Value>) {
                Some(Err(_)) => return None,
                Some(Ok(Value::String(text))) => Some(text),
                _ => None,
            };
            match (code, message, &id) {
                (Some(_), Some(_), None) if !doubled => reject(Reason::Id, &None),
                (Some(code), Some(message), Some(Value::Null)) if !doubled => {
                    Some(Ok(format!("orphan {code} {message:?}")))
                }
                (Some(code), Some(message), _) if !doubled && legal.is_some() => {
                    Some(Ok(format!("error {shown} {code} {message:?} {:?}", one("data"))))
                }
                (Some(_), Some(_), _) if !doubled => reject(Reason::Id, &None),
                _ => reject(Reason::Error, &legal),
            }
        }
        (Some(_), None) if legal.is_none() => reject(Reason::Id, &None),
        (Some(result), None) => Some(Ok(format!("result {shown} {result:?}"))),
    }
}

fn naive_depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut inside, mut escaped) = (0usize, 0, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            '{' | '[' if !inside => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            '}' | ']' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn describe(message: &Message<'_>) -> String {
    let raw = |raw: &Option<&RawValue>| raw.map(|r| r.get().to_owned());
    match message {
        Message::Request { id, method, params } => {
            format!("call {id} {method:?} {:?}", raw(params))
        }
        Message::Notification { method, params } => format!("call - {method:?} {:?}", raw(params)),
        Message::Response { id, outcome: Ok(result) } => format!("result {id} {:?}", result.get()),
        Message::Response { id, outcome: Err(e) } => {
            format!("error {id} {} {:?} {:?}", e.code, e.message, raw(&e.data))
        }
        Message::OrphanError { error } => format!("orphan {} {:?}", error.code, error.message),
    }
}

/// Compares one decoding with the reference, and an accepted message with itself after a round trip.
fn check(frame: &str) -> bool {
    let decoded = decode(frame, MAX_DEPTH);
    if let Some(expected) = reference(frame) {
        match (&decoded, expected) {
            (Ok(message), Ok(text)) => assert_eq!(describe(message), text, "{frame:?}"),
            (Err(reject), Err((Reason::Depth, _))) => {
                assert_eq!(reject.reason, Reason::Depth, "{frame:?}")
            }
            (Err(reject), Err((reason, id))) => {
                assert_eq!((reject.reason, &reject.id), (reason, &id), "{frame:?}");
            }
            (Ok(message), Err(expected)) => {
                panic!("accepted {message:?}, not {expected:?}: {frame:?}")
            }
            (Err(reject), Ok(text)) => panic!("rejected as {reject:?}, not {text}: {frame:?}"),
        }
    }
    let Ok(message) = decoded else { return false };
    let again = write(&message);
    let mut framer = Framer::newline(1 << 20);
    let mut frames = Vec::new();
    framer.feed(&again, &mut |item| match item {
        Item::Frame(text) => frames.push(text.to_owned()),
        other => panic!("{other:?} from {frame:?}"),
    });
    assert_eq!((frames.len(), framer.mid_frame()), (1, false), "{frame:?}");
    let back = decode(&frames[0], MAX_DEPTH).unwrap_or_else(|e| panic!("{e:?}: {frame:?}"));
    if !frame.contains(['\n', '\r']) {
        // Line breaks between the tokens of a payload would have become spaces on the way.
        assert_eq!(describe(&back), describe(&message), "{frame:?}");
    }
    true
}

fn write(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let text = |raw: &Option<&RawValue>| raw.map(|r| r.get().to_owned());
    match message {
        Message::Request { id, method, params } => {
            encode::request_with(&mut out, id, method, text(params).as_deref());
        }
        Message::Notification { method, params } => {
            encode::notification(&mut out, method, text(params).as_deref());
        }
        Message::Response { id, outcome: Ok(result) } => encode::result(&mut out, id, result.get()),
        Message::Response { id, outcome: Err(e) } => {
            encode::error(&mut out, id, e.code, &e.message, text(&e.data).as_deref());
        }
        Message::OrphanError { error } => {
            // The host never writes a null id; the text is put together here.
            out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":");
            out.extend(
                error.raw.get().bytes().map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b }),
            );
            out.extend_from_slice(b"}\n");
        }
    }
    out
}

// --- Inputs ---

/// One input of the corpus, or two spliced, changed in a few places.
fn mutate(rng: &mut Rng, corpus: &[Vec<u8>], pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = rng.pick(corpus).clone();
    if rng.chance(4) {
        let other = rng.pick(corpus);
        bytes.truncate(rng.below(bytes.len() + 1));
        bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
    }
    for _ in 0..rng.below(6) {
        let at = rng.below(bytes.len() + 1);
        let end = at + rng.below((bytes.len() - at).min(40) + 1);
        match rng.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            2 => {
                let piece = *rng.pick(pieces);
                bytes.splice(at..end.min(at + 2), piece.iter().copied());
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            4 if at < bytes.len() => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
            _ => {
                let piece = *rng.pick(pieces);
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}
