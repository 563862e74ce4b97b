//! A frame into a message.
//!
//! Everything borrows from the frame: a numeric id and an unescaped method cost no allocation, and payloads stay the
//! text that the peer wrote. The scan bounds depth before any parser runs. What is no message is a [`Reject`] with a
//! reason and, where one can be told, the id whose call must fail for it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::id::{Id, parse_integer};
use crate::json::{Fault, Members, depth_within, is_valid, skip_blank, unescape};
use crate::salvage::{HEAD, TAIL, salvage};

/// Bytes of the longest method name that is taken from a peer.
const MAX_METHOD: usize = 256;

/// One message, by its shape.
#[derive(Debug)]
pub enum Message<'a> {
    Request {
        id: Id,
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    Notification {
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    Response {
        id: Id,
        outcome: Result<&'a RawValue, RemoteError<'a>>,
    },
    /// An error with a null id: the peer could not read something, and nobody can say what.
    OrphanError {
        error: RemoteError<'a>,
    },
}

/// The error object that a peer gave.
#[derive(Clone, Debug)]
pub struct RemoteError<'a> {
    pub code: i64,
    /// For people. Its escaped text where it holds a lone surrogate, which no string can.
    pub message: Cow<'a, str>,
    pub data: Option<&'a RawValue>,
    /// The whole object as the peer wrote it.
    pub raw: &'a RawValue,
}

/// Why a frame is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No valid JSON object, and nothing else, on the line.
    Json,
    /// Nested too deeply.
    Depth,
    /// A member of the envelope is there twice, be it once with an escape in its name.
    Duplicate,
    /// `jsonrpc` is not `"2.0"`.
    Jsonrpc,
    /// Not an integer within ±(2^53 − 1) nor a string of at most 256 bytes; or missing from an answer.
    Id,
    /// Not a string of 1 to 256 bytes.
    Method,
    /// Neither object nor array.
    Params,
    /// Neither request nor answer, or both; a result and an error, or neither.
    Shape,
    /// An error without an integer `code` or a string `message`.
    Error,
}

impl Reason {
    /// The word for it in errors, events and test vectors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Depth => "depth",
            Self::Duplicate => "duplicate",
            Self::Jsonrpc => "jsonrpc",
            Self::Id => "id",
            Self::Method => "method",
            Self::Params => "params",
            Self::Shape => "shape",
            Self::Error => "error",
        }
    }
}

/// A frame that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub reason: Reason,
    pub id: Option<Id>,
    /// It said `"jsonrpc":"2.0"`: a message that went wrong, and not a log line.
    pub jsonrpc: bool,
    /// It has a `method`: the id is that of the peer's own request.
    pub request: bool,
}

impl Reject {
    /// The id that must not be left to its deadline because of this frame, if there is one.
    ///
    /// A line that says nothing of JSON-RPC is somebody's log, and its `id` says nothing about a call.
    #[must_use]
    pub fn blamed(&self) -> Option<&Id> {
        self.id.as_ref().filter(|_| self.reason == Reason::Depth || self.jsonrpc)
    }
}

/// Reads one frame. `max_depth` counts the outer object as 1.
///
/// Duplicates are looked for among the six members of the envelope; unknown members are ignored, but must be valid
/// JSON. `null` for `params` reads as absent; a null `error` beside a result and a null `result` beside an error are
/// borne, as older libraries write them.
///
/// # Errors
///
/// A [`Reject`]; see [`Reason`].
pub fn decode(frame: &str, max_depth: u32) -> Result<Message<'_>, Reject> {
    if let Some((id, result)) = plain_answer(frame, max_depth) {
        return Ok(Message::Response { id: Id::Num(id), outcome: Ok(result) });
    }
    Raw::scan(frame, max_depth)
        .and_then(|raw| Envelope::parse(&raw).ok_or(Fault::Syntax))
        .map_err(|fault| unreadable(frame, max_depth, fault))?
        .judge()
}

/// The two spellings that nearly all answers on a busy link have: the fixed member order of this protocol, and that of
/// the TypeScript MCP SDK, both compact and with a numeric id.
///
/// Sound without a look at the members: the bytes around the value are known, so the frame is valid if and only if the
/// value is, and a text that holds a further member is no one value. `None` says only that the long way must be taken.
fn plain_answer(frame: &str, max_depth: u32) -> Option<(i64, &RawValue)> {
    let (id, value) = match frame.strip_prefix(r#"{"jsonrpc":"2.0","id":"#) {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (id, rest) = rest.split_at(digits);
            (id, rest.strip_prefix(r#","result":"#)?.strip_suffix('}')?)
        }
        None => {
            let rest = frame.strip_prefix(r#"{"result":"#)?.strip_suffix('}')?;
            let digits = rest.bytes().rev().take_while(u8::is_ascii_digit).count();
            let (rest, id) = rest.split_at(rest.len() - digits);
            (id, rest.strip_suffix(r#","jsonrpc":"2.0","id":"#)?)
        }
    };
    // Sixteen digits and more may be beyond 2^53.
    let id = parse_integer(id.as_bytes()).filter(|_| id.len() < 16)?;
    if !depth_within(value.as_bytes(), max_depth.saturating_sub(1)) {
        return None;
    }
    Some((id, serde_json::from_str(value).ok()?))
}

/// The reject of a frame in which a scan or a parser met `fault`. Depth is the stronger reason, wherever it stands.
#[cold]
fn unreadable(frame: &str, max_depth: u32, fault: Fault) -> Reject {
    if fault == Fault::Syntax && depth_within(frame.as_bytes(), max_depth) {
        return Reject { reason: Reason::Json, id: None, jsonrpc: false, request: false };
    }
    let bytes = frame.as_bytes();
    let found =
        salvage(&bytes[..bytes.len().min(HEAD)], &bytes[bytes.len().saturating_sub(TAIL)..]);
    Reject { reason: Reason::Depth, id: found.id, jsonrpc: false, request: found.request }
}

/// The members of the envelope.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
}

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"jsonrpc" => Self::Jsonrpc,
            b"id" => Self::Id,
            b"method" => Self::Method,
            b"params" => Self::Params,
            b"result" => Self::Result,
            b"error" => Self::Error,
            _ => return None,
        })
    }
}

/// The values of the envelope as texts, found by structure and not yet known to be valid.
struct Raw<'a> {
    values: [Option<&'a str>; 6],
    duplicate: Option<Field>,
}

impl<'a> Raw<'a> {
    fn scan(frame: &'a str, max_depth: u32) -> Result<Self, Fault> {
        let text = frame.as_bytes();
        let mut raw = Self { values: [None; 6], duplicate: None };
        // Set once something is met that the parse of the known values will not look at.
        let mut unchecked = false;
        let mut members = Members::new(text, max_depth).ok_or(Fault::Syntax)?;
        while let Some(member) = members.next()? {
            let name = &text[member.name];
            let mut field = Field::named(name);
            if field.is_none() {
                unchecked = true;
                if name.contains(&b'\\') {
                    field = unescape(name).and_then(|name| Field::named(name.as_bytes()));
                }
            }
            let Some(field) = field else { continue };
            let slot = &mut raw.values[field as usize];
            if slot.is_some() {
                unchecked = true;
                // A doubtful id weighs most: nothing may be blamed on it.
                if raw.duplicate != Some(Field::Id) {
                    raw.duplicate = Some(field);
                }
            } else {
                *slot = Some(&frame[member.value]);
            }
        }
        if skip_blank(text, members.end()) != text.len() || (unchecked && !is_valid(frame)) {
            return Err(Fault::Syntax);
        }
        Ok(raw)
    }

    fn get(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize]
    }

    /// `Some(None)` when the member is absent, `None` when its value is not JSON.
    #[expect(clippy::option_option, reason = "validity and presence are two questions")]
    fn payload(&self, field: Field) -> Option<Option<&'a RawValue>> {
        match self.get(field) {
            None => Some(None),
            Some(text) => serde_json::from_str(text).ok().map(Some),
        }
    }
}

/// The envelope, every value of it valid JSON.
struct Envelope<'a> {
    jsonrpc: bool,
    id: IdField,
    method: MethodField<'a>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    duplicate: Option<Field>,
}

enum IdField {
    Absent,
    Null,
    Illegal,
    Is(Id),
}

enum MethodField<'a> {
    Absent,
    Illegal,
    Is(Cow<'a, str>),
}

impl<'a> Envelope<'a> {
    fn parse(raw: &Raw<'a>) -> Option<Self> {
        Some(Self {
            jsonrpc: match raw.get(Field::Jsonrpc) {
                None => false,
                Some(r#""2.0""#) => true,
                Some(text) if !is_valid(text) => return None,
                Some(text) => {
                    serde_json::from_str::<String>(text).is_ok_and(|version| version == "2.0")
                }
            },
            id: match raw.get(Field::Id) {
                None => IdField::Absent,
                Some("null") => IdField::Null,
                Some(text) => match Id::parse(text) {
                    Some(id) => IdField::Is(id),
                    None if is_valid(text) => IdField::Illegal,
                    None => return None,
                },
            },
            method: match raw.get(Field::Method) {
                None => MethodField::Absent,
                Some(text) => match parse_string(text) {
                    Some(name) if (1..=MAX_METHOD).contains(&name.len()) => MethodField::Is(name),
                    Some(_) => MethodField::Illegal,
                    None if is_valid(text) => MethodField::Illegal,
                    None => return None,
                },
            },
            params: raw.payload(Field::Params)?,
            result: raw.payload(Field::Result)?,
            error: raw.payload(Field::Error)?,
            duplicate: raw.duplicate,
        })
    }

    fn judge(self) -> Result<Message<'a>, Reject> {
        let (jsonrpc, request) = (self.jsonrpc, !matches!(self.method, MethodField::Absent));
        let reject = |reason, id| Err(Reject { reason, id, jsonrpc, request });
        let null_id = matches!(self.id, IdField::Null);
        let (id, legal_id) = match self.id {
            IdField::Is(id) => (Some(id), true),
            IdField::Absent => (None, true),
            IdField::Null | IdField::Illegal => (None, false),
        };
        match self.duplicate {
            Some(Field::Id) => return reject(Reason::Duplicate, None),
            Some(_) => return reject(Reason::Duplicate, id),
            None if !jsonrpc => return reject(Reason::Jsonrpc, id),
            None => {}
        }
        let method = match self.method {
            MethodField::Is(method) => Some(method),
            MethodField::Illegal => return reject(Reason::Method, id),
            MethodField::Absent => None,
        };
        if let Some(method) = method {
            if !legal_id {
                return reject(Reason::Id, None);
            }
            if self.result.is_some() || self.error.is_some() {
                return reject(Reason::Shape, id);
            }
            let params = self.params.filter(|p| p.get() != "null");
            if params.is_some_and(|p| !p.get().starts_with(['{', '['])) {
                return reject(Reason::Params, id);
            }
            return Ok(match id {
                Some(id) => Message::Request { id, method, params },
                None => Message::Notification { method, params },
            });
        }
        let outcome = match (self.result, self.error.filter(|e| e.get() != "null")) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(error),
            (Some(result), Some(error)) if result.get() == "null" => Err(error),
            (Some(_), Some(_)) | (None, None) => return reject(Reason::Shape, id),
        };
        let outcome = match outcome {
            Ok(result) => Ok(result),
            Err(raw) => match RemoteError::parse(raw) {
                Some(error) => Err(error),
                None => return reject(Reason::Error, id),
            },
        };
        match (id, outcome) {
            (Some(id), outcome) => Ok(Message::Response { id, outcome }),
            (None, Err(error)) if null_id => Ok(Message::OrphanError { error }),
            (None, _) => reject(Reason::Id, None),
        }
    }
}

impl<'a> RemoteError<'a> {
    /// Reads an error object. `None` when it has no integer `code` or no string `message`, or one of its members
    /// twice.
    fn parse(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        let mut members = Members::new(text.as_bytes(), u32::MAX)?;
        let (mut code, mut message, mut data) = (None, None, None);
        while let Some(member) = members.next().ok()? {
            let value = &text[member.value];
            let slot = match unescape(&text.as_bytes()[member.name]).as_deref() {
                Some("code") => &mut code,
                Some("message") => &mut message,
                Some("data") => &mut data,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let code = parse_integer(code?.as_bytes())?;
        let message: &str = message?;
        let message = match parse_string(message) {
            Some(message) => message,
            None => Cow::Borrowed(message.strip_prefix('"')?.strip_suffix('"')?),
        };
        let data = match data {
            Some(data) => Some(serde_json::from_str(data).ok()?),
            None => None,
        };
        Some(Self { code, message, data, raw })
    }
}

/// A JSON string's value, borrowed when nothing is escaped. `None` for all that is no string, or holds what no string
/// type can: an escaped lone surrogate.
fn parse_string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.bytes().all(|b| b >= b' ' && b != b'\\' && b != b'"') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(text).ok().map(Cow::Owned)
}

/// The messages of a JSON-RPC batch, as texts for [`decode`]; one MCP revision allows them.
///
/// `None` when the line is no array of values within `max_depth` (the array itself is not counted).
#[must_use]
pub fn split_batch(line: &[u8], max_depth: u32) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(line).ok()?;
    if !depth_within(line, max_depth.saturating_add(1)) {
        return None;
    }
    let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(values.into_iter().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(frame: &str) -> String {
        match decode(frame, 128) {
            Ok(message) => format!("{message:?}"),
            Err(reject) => {
                let id = reject.id.map_or(String::new(), |id| format!(" {id}"));
                format!("{}{id}", reject.reason.as_str())
            }
        }
    }

    fn reject(frame: &str) -> Reject {
        decode(frame, 128).unwrap_err()
    }

    #[test]
    fn a_plain_answer_borrows_everything() {
        let frame = r#"{"jsonrpc":"2.0","id":3,"result": { "n" : 1e400 } }"#;
        let Ok(Message::Response { id: Id::Num(3), outcome: Ok(result) }) = decode(frame, 128)
        else {
            panic!("{}", show(frame))
        };
        assert_eq!(result.get(), r#"{ "n" : 1e400 }"#);
        let frame = r#"{"jsonrpc":"2.0","method":"a/b"}"#;
        assert!(matches!(
            decode(frame, 128),
            Ok(Message::Notification { method: Cow::Borrowed("a/b"), params: None })
        ));
    }

    #[test]
    fn duplicates_of_the_envelope_are_refused_also_when_escaped() {
        assert_eq!(show(r#"{"jsonrpc":"2.0","id":3,"result":1,"r\u0065sult":2}"#), "duplicate 3");
        assert_eq!(show(r#"{"jsonrpc":"2.0","id":3,"\u0069d":3,"result":1}"#), "duplicate");
        assert_eq!(show(r#"{"id":3,"id":3,"jsonrpc":"2.0","jsonrpc":"2.0"}"#), "duplicate");
        // Inside a payload they are the payload's own affair.
        assert!(decode(r#"{"jsonrpc":"2.0","id":3,"result":{"a":1,"a":2}}"#, 128).is_ok());
        assert_eq!(
            show(r#"{"jsonrpc":"2.0","id":3,"error":{"code":1,"c\u006fde":2,"message":""}}"#),
            "error 3"
        );
    }

    #[test]
    fn unknown_members_are_ignored_but_must_be_json() {
        assert!(
            decode(r#"{"jsonrpc":"2.0","id":3,"result":1,"x":{"y":[1,2]},"\ud800":0}"#, 128)
                .is_ok()
        );
        for broken in [
            r#"{"jsonrpc":"2.0","id":3,"result":1,"x":nope}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":1,"x":[1,]}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":1,"x\q":1}"#,
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":1,\"x\u{1}\":1}",
            r#"{"jsonrpc":"2.0","id":3,"result":1,"result":nope}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":{]}"#,
            r#"{"jsonrpc":"2.0","id":03,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":1}}"#,
            r#"{"jsonrpc":2.0.0,"id":3,"result":1}"#,
            r#"{"jsonrpc":"2.0","method":"a"b","id":3}"#,
            "{\"jsonrpc\":\"2.0\",\"method\":\"a\u{1}\",\"id\":3}",
            "[]",
            "",
        ] {
            assert_eq!(show(broken), "json", "{broken}");
        }
    }

    #[test]
    fn depth_is_the_stronger_reason_and_its_id_is_salvaged() {
        let deep = format!(r#"{{"jsonrpc" "2.0","id":3,"x":{}"#, "[".repeat(200));
        assert_eq!(show(&deep), "depth");
        let deep = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"m","params":{}"#, "[".repeat(200));
        let reject = reject(&deep);
        assert_eq!((reject.reason, reject.request), (Reason::Depth, true));
        assert_eq!(reject.blamed(), Some(&Id::Num(3)));
    }

    #[test]
    fn a_log_line_with_an_id_blames_no_call() {
        let log = reject(r#"{"id":7,"level":"info"}"#);
        assert_eq!(
            (log.reason, log.id.clone(), log.blamed()),
            (Reason::Jsonrpc, Some(Id::Num(7)), None)
        );
        assert_eq!(
            reject(r#"{"jsonrpc":"2.0","id":7,"level":"info"}"#).blamed(),
            Some(&Id::Num(7))
        );
    }

    #[test]
    fn nulls_of_older_libraries_are_borne() {
        assert!(matches!(
            decode(r#"{"jsonrpc":"2.0","id":3,"result":null,"error":null}"#, 128),
            Ok(Message::Response { outcome: Ok(_), .. })
        ));
        assert_eq!(show(r#"{"jsonrpc":"2.0","id":3,"error":null}"#), "shape 3");
        assert_eq!(show(r#"{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#), "id");
        assert_eq!(show(r#"{"jsonrpc":"2.0","id":3,"method":"m","error":null}"#), "shape 3");
    }

    #[test]
    fn an_error_keeps_its_own_text_and_bears_a_lone_surrogate() {
        let frame = r#"{"jsonrpc":"2.0","id":3,"error":{ "code":-5, "message":"a\ud800", "data":{"n":1e400}, "x":0 }}"#;
        let Ok(Message::Response { outcome: Err(error), .. }) = decode(frame, 128) else {
            panic!()
        };
        assert_eq!((error.code, &*error.message), (-5, "a\\ud800"));
        assert_eq!(error.data.unwrap().get(), r#"{"n":1e400}"#);
        assert_eq!(
            error.raw.get(),
            r#"{ "code":-5, "message":"a\ud800", "data":{"n":1e400}, "x":0 }"#
        );
    }

    #[test]
    fn names_and_ids_are_bounded() {
        for (id, want) in [("9007199254740993", "id"), ("007", "json"), ("", "json")] {
            assert_eq!(show(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":1}}"#)), want);
            assert_eq!(show(&format!(r#"{{"result":1,"jsonrpc":"2.0","id":{id}}}"#)), want);
        }
        let long = "m".repeat(257);
        assert_eq!(show(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{long}"}}"#)), "method 1");
        assert_eq!(show(&format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"m"}}"#)), "id");
        assert!(
            decode(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, &long[1..]), 128)
                .is_ok()
        );
    }

    #[test]
    fn a_batch_is_split_into_frames() {
        assert_eq!(
            split_batch(br#"[{"a":[1]}, {"b":2}]"#, 2).unwrap(),
            [r#"{"a":[1]}"#, r#"{"b":2}"#]
        );
        assert_eq!(split_batch(br#"[{"a":[1]}]"#, 1), None);
        assert_eq!(split_batch(br#"[{"a":[1]}"#, 9), None);
        assert_eq!(split_batch(b"[\xff]", 9), None);
    }
}
