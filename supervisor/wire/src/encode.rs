//! Messages into frames.
//!
//! Every function but [`behind_header`] appends one frame, its LF included, to a buffer: compact, on one line, with the
//! members in a fixed order (`jsonrpc`, `id`, `method`, `params`; or `jsonrpc`, `id`, `result` or `error`). That order
//! is part of the protocol: it lets a shell script be a plugin. Texts given as JSON are written as they are, save that line breaks
//! become spaces; in valid JSON they can only stand between tokens.

use memchr::memchr2;

use crate::id::Id;

const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const METHOD: &[u8] = br#","method":"#;
const PARAMS: &[u8] = br#","params":"#;
const NOTIFICATION: &[u8] = br#"{"jsonrpc":"2.0","method":"#;

/// A request of the host. `params` is JSON text; `None` leaves the member out.
pub fn request(out: &mut Vec<u8>, id: u32, method: &str, params: Option<&str>) {
    out.reserve(request_len(id, method, params) + 1);
    out.extend_from_slice(REQUEST);
    decimal(out, id);
    out.extend_from_slice(METHOD);
    finish_call(out, method, params);
}

/// A request under an id of any kind, as a plugin may write it.
pub fn request_with(out: &mut Vec<u8>, id: &Id, method: &str, params: Option<&str>) {
    out.extend_from_slice(REQUEST);
    write_id(out, id);
    out.extend_from_slice(METHOD);
    finish_call(out, method, params);
}

/// A notification. `params` is JSON text; `None` leaves the member out.
pub fn notification(out: &mut Vec<u8>, method: &str, params: Option<&str>) {
    out.extend_from_slice(NOTIFICATION);
    finish_call(out, method, params);
}

/// An answer that carries `result`, which is JSON text.
pub fn result(out: &mut Vec<u8>, id: &Id, result: &str) {
    out.extend_from_slice(REQUEST);
    write_id(out, id);
    out.extend_from_slice(br#","result":"#);
    one_line(out, result);
    out.extend_from_slice(b"}\n");
}

/// An answer that carries an error built from its parts. `data` is JSON text.
pub fn error(out: &mut Vec<u8>, id: &Id, code: i64, message: &str, data: Option<&str>) {
    out.extend_from_slice(REQUEST);
    write_id(out, id);
    out.extend_from_slice(br#","error":"#);
    error_object(out, code, message, data);
    out.extend_from_slice(b"}\n");
}

/// An answer that carries an error object, given as JSON text.
pub fn error_raw(out: &mut Vec<u8>, id: &Id, object: &str) {
    out.extend_from_slice(REQUEST);
    write_id(out, id);
    out.extend_from_slice(br#","error":"#);
    one_line(out, object);
    out.extend_from_slice(b"}\n");
}

/// A frame that somebody else wrote, perhaps over several lines.
pub fn as_line(out: &mut Vec<u8>, frame: &str) {
    one_line(out, frame);
    out.push(b'\n');
}

/// Appends a frame that is a line, its LF included or not, as LSP's base protocol has it.
pub fn behind_header(out: &mut Vec<u8>, line: &[u8]) {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Bytes of a request's frame without its LF.
pub(crate) fn request_len(id: u32, method: &str, params: Option<&str>) -> usize {
    let digits = id.checked_ilog10().map_or(1, |log| log as usize + 1);
    REQUEST.len() + digits + METHOD.len() + call_len(method, params)
}

/// Bytes of a notification's frame without its LF.
pub(crate) fn notification_len(method: &str, params: Option<&str>) -> usize {
    NOTIFICATION.len() + call_len(method, params)
}

fn call_len(method: &str, params: Option<&str>) -> usize {
    let escapes = |bytes: &[u8]| bytes.iter().map(|b| escape(*b).map_or(0, |e| e.len() - 1)).sum();
    let escapes: usize = if is_plain(method.as_bytes()) { 0 } else { escapes(method.as_bytes()) };
    method.len() + escapes + 2 + params.map_or(0, |p| PARAMS.len() + p.len()) + 1
}

fn finish_call(out: &mut Vec<u8>, method: &str, params: Option<&str>) {
    string(out, method);
    if let Some(params) = params {
        out.extend_from_slice(PARAMS);
        one_line(out, params);
    }
    out.extend_from_slice(b"}\n");
}

/// Appends `{"code":…,"message":…,"data":…}`.
pub(crate) fn error_object(out: &mut Vec<u8>, code: i64, message: &str, data: Option<&str>) {
    out.extend_from_slice(br#"{"code":"#);
    integer(out, code);
    out.extend_from_slice(br#","message":"#);
    string(out, message);
    if let Some(data) = data {
        out.extend_from_slice(br#","data":"#);
        one_line(out, data);
    }
    out.push(b'}');
}

/// Appends `text` as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if let Some(escaped) = escape(byte) {
            out.extend_from_slice(&bytes[from..at]);
            out.extend_from_slice(escaped.as_bytes());
            from = at + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Whether a JSON string can hold these bytes as they are. Looks at all of them, which is faster than stopping early.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, b| plain & (*b >= b' ') & (*b != b'"') & (*b != b'\\'))
}

/// What stands for a byte that a JSON string cannot hold as it is.
fn escape(byte: u8) -> Option<&'static str> {
    const CONTROLS: [&str; 32] = [
        "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
        "\\b", "\\t", "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011",
        "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019",
        "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
    ];
    match byte {
        b'"' => Some("\\\""),
        b'\\' => Some("\\\\"),
        0..=0x1f => Some(CONTROLS[usize::from(byte)]),
        _ => None,
    }
}

/// Appends JSON text with spaces in place of line breaks.
fn one_line(out: &mut Vec<u8>, json: &str) {
    let mut rest = json.as_bytes();
    if rest.len() <= 16 && rest.iter().all(|b| *b >= b' ') {
        // Not worth the set-up of a vector search.
        return out.extend_from_slice(rest);
    }
    while let Some(at) = memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_id(out: &mut Vec<u8>, id: &Id) {
    match id {
        Id::Num(n) => integer(out, *n),
        Id::Str(s) => string(out, s),
    }
}

fn integer(out: &mut Vec<u8>, value: i64) {
    if let Ok(small) = u32::try_from(value) {
        return decimal(out, small);
    }
    out.extend_from_slice(value.to_string().as_bytes());
}

fn decimal(out: &mut Vec<u8>, mut value: u32) {
    let mut digits = [0u8; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        // One decimal digit: fits a byte.
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_come_in_the_fixed_order() {
        assert_eq!(
            written(|o| request(o, 7, "ping", Some("{}"))),
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{}}\n"
        );
        assert_eq!(
            written(|o| notification(o, "exit", None)),
            "{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}\n"
        );
        assert_eq!(
            written(|o| result(o, &Id::Str("a\"1".into()), "null")),
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"1\",\"result\":null}\n"
        );
        assert_eq!(
            written(|o| error(o, &Id::Num(-5), -32601, "no\tway", Some("{\"a\":1}"))),
            "{\"jsonrpc\":\"2.0\",\"id\":-5,\"error\":{\"code\":-32601,\"message\":\"no\\tway\",\"data\":{\"a\":1}}}\n"
        );
    }

    #[test]
    fn a_frame_is_one_line_whatever_the_caller_gave() {
        let out = written(|o| request(o, 1, "m\n", Some("{\n  \"a\":\r\n[1]\n}")));
        assert_eq!(
            out,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\\n\",\"params\":{   \"a\":  [1] }}\n"
        );
    }

    #[test]
    fn sizes_are_known_before_anything_is_written() {
        for (id, method, params) in [
            (1, "ping", None),
            (10, "a/b", Some("{}")),
            (2_147_483_647, "q\"\u{1}\\ü", Some("[\n1]")),
            (99, "", Some("")),
        ] {
            assert_eq!(
                request_len(id, method, params) + 1,
                written(|o| request(o, id, method, params)).len()
            );
            assert_eq!(
                notification_len(method, params) + 1,
                written(|o| notification(o, method, params)).len()
            );
        }
    }

    #[test]
    fn every_control_character_survives_a_round_trip() {
        let all: String = (0..0x80u8).map(char::from).chain("żółć 🦀\u{2028}".chars()).collect();
        let json = written(|o| string(o, &all));
        assert!(!json.contains('\n'));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
    }
}
