//! The params of `call` and `notify`: JSON, `@FILE`, or `-` for standard input.

use std::fs::File;
use std::io::Read;

use serde_json::value::RawValue;

use crate::cli::exit::Exit;
use crate::cli::render::json::compact;
use crate::cli::trouble::Trouble;
use crate::control::MAX_MESSAGE;

/// Reads and checks params. They keep their spelling: digits and escapes are not touched, only laid on one line.
///
/// # Errors
///
/// When they cannot be read, or are no JSON object or array (JSON-RPC 2.0, section 4.2).
pub(super) fn params(given: Option<&str>) -> Result<Box<RawValue>, Trouble> {
    let text = match given {
        None => "{}".to_owned(),
        Some("-") => read("standard input", std::io::stdin().lock())?,
        Some(word) => match word.strip_prefix('@') {
            Some(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                read(path, file)?
            }
            None => word.to_owned(),
        },
    };
    json(&text)
}

/// Reads all of it, up to the largest message that could be sent.
fn read(name: &str, from: impl Read) -> Result<String, Trouble> {
    let most = u64::from(MAX_MESSAGE);
    let mut text = String::new();
    from.take(most + 1).read_to_string(&mut text).map_err(|error| unreadable(name, &error))?;
    if text.len() as u64 > most {
        return Err(Trouble::new(Exit::Usage, format!("{name} is larger than 64 MiB")));
    }
    Ok(text)
}

fn unreadable(name: &str, error: &std::io::Error) -> Trouble {
    Trouble::new(Exit::Usage, format!("{name} cannot be read")).cause(error.to_string())
}

fn json(text: &str) -> Result<Box<RawValue>, Trouble> {
    let wrong = |cause: String| {
        Trouble::new(Exit::Usage, "these params are no JSON object")
            .cause(cause)
            .help("outboard call ID METHOD '{\"key\":\"value\"}'")
    };
    let checked: &RawValue =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if !checked.get().starts_with(['{', '[']) {
        return Err(wrong(format!("they are {}", kind(checked.get()))));
    }
    RawValue::from_string(compact(checked.get())).map_err(|error| wrong(error.to_string()))
}

fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a truth value",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(given: Option<&str>) -> String {
        match params(given) {
            Ok(raw) => raw.get().to_owned(),
            Err(trouble) => format!("{} ({})", trouble.what, trouble.cause.join("; ")),
        }
    }

    #[test]
    fn params_are_an_object_or_an_array_on_one_line() {
        assert_eq!(read_as(None), "{}");
        assert_eq!(read_as(Some("{ \"a\" :\n 1e400 }")), "{\"a\":1e400}");
        assert_eq!(read_as(Some("[1, 2]")), "[1,2]");
        assert_eq!(read_as(Some("7")), "these params are no JSON object (they are a number)");
        assert_eq!(read_as(Some("\"x\"")), "these params are no JSON object (they are a string)");
        assert!(read_as(Some("{\"a\":}")).starts_with("these params are no JSON object (expected"));
    }

    #[test]
    fn a_file_is_named_with_an_at_sign() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        std::fs::write(&path, "{\n  \"a\": \"b c\"\n}\n").unwrap();
        assert_eq!(read_as(Some(&format!("@{}", path.display()))), "{\"a\":\"b c\"}");
        assert!(read_as(Some("@/does/not/exist")).contains("cannot be read"));
    }
}
