//! Spans of time as arguments: `500ms`, `10s`, `5m`, `2h`, `7d`.

use std::time::Duration;

/// Reads a span. A unit is needed: whether "10" means seconds is not to be guessed.
///
/// # Errors
///
/// A sentence for the person who typed it.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let millis = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "" => return Err("say the unit, for example \"10s\" or \"500ms\"".to_owned()),
        _ => return Err(format!("\"{unit}\" is no unit; there are ms, s, m, h and d")),
    };
    let number: f64 = number.parse().map_err(|_| "it begins with no number".to_owned())?;
    let millis = number * millis;
    // Ten years: what is longer is a mistake, and sums with it must not overflow.
    if millis > 315_360_000_000.0 {
        return Err("it is longer than ten years".to_owned());
    }
    Ok(Duration::from_millis(millis as u64))
}

/// A moment: a span before now (`10m`), or RFC 3339.
///
/// # Errors
///
/// A sentence for the person who typed it.
pub(super) fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse() {
        return Ok(Since::At(at));
    }
    parse_span(text)
        .map(Since::Ago)
        .map_err(|why| format!("{why} (or give a time such as 2026-03-01T03:12:04Z)"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    At(jiff::Timestamp),
    Ago(Duration),
}

impl Since {
    pub(super) fn before(self, now: jiff::Timestamp) -> jiff::Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => {
                let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                let at = now.as_millisecond().saturating_sub(millis);
                jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MIN)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_number_and_a_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["10", "s", "", "-1s", "5 s", "1e9s", "9999999d", "1.2.3s", "5parsecs"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_span_before_now_or_a_time() {
        let now: jiff::Timestamp = "2026-03-01T03:12:04Z".parse().unwrap();
        assert_eq!(parse_since("10m").unwrap().before(now).to_string(), "2026-03-01T03:02:04Z");
        let at = parse_since("2026-02-28T00:00:00Z").unwrap().before(now);
        assert_eq!(at.to_string(), "2026-02-28T00:00:00Z");
        assert!(parse_since("yesterday").is_err());
    }
}
