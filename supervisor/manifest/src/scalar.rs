//! Durations, sizes and shares as people write them.

use std::time::Duration;

use crate::problem::quoted;

/// Why a text is not the scalar it should be: the headline, the words behind the carets, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) cause: String,
    pub(crate) help: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(what: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { what: what.into(), cause: cause.into(), help: None }
    }
}

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// One whole number and one unit: `500ms`, `10s`, `5m`, `1h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Refusal> {
    let refuse = |cause: &str| Refusal::new(format!("{} is not a duration", quoted(text)), cause);
    let (number, unit) = split(text);
    if text.starts_with('-') {
        return Err(refuse("a duration is never negative, for example \"10s\" or \"500ms\""));
    }
    if number.is_empty() {
        return Err(refuse("a number and its unit, for example \"10s\" or \"500ms\""));
    }
    if unit.is_empty() {
        return Err(refuse("say the unit, for example \"10s\" or \"500ms\""));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(refuse(
            "one whole number and one unit of ms, s, m, h, d, for example \"90s\" or \"1500ms\"",
        ));
    };
    // Digits that overflow are beyond every range, and the range is what there is to say of them.
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    Ok(Duration::from_millis(number.saturating_mul(*factor)))
}

/// The shortest text that [`duration`] reads back.
pub(crate) fn write_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (unit, factor) = UNITS[..4]
        .iter()
        .rev()
        .find(|(_, factor)| millis != 0 && millis.is_multiple_of(u128::from(*factor)))
        .unwrap_or(&("s", 1_000));
    format!("{}{unit}", millis / u128::from(*factor))
}

/// One whole number and a binary unit: `64KiB`, `16MiB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, Refusal> {
    let refuse = |cause: String| Refusal::new(format!("{} is not a size", quoted(text)), cause);
    let (number, unit) = split(text);
    if text.starts_with('-') {
        return Err(refuse("a size is never negative, for example \"16MiB\"".into()));
    }
    if number.is_empty() {
        return Err(refuse("a number and its unit, for example \"64KiB\" or \"16MiB\"".into()));
    }
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "" => return Err(refuse("say the unit, for example \"64KiB\" or \"16MiB\"".into())),
        other => {
            let binary = match other.to_ascii_lowercase().as_str() {
                "k" | "kb" | "kib" => Some("KiB"),
                "m" | "mb" | "mib" => Some("MiB"),
                "g" | "gb" | "gib" => Some("GiB"),
                _ => None,
            };
            return Err(refuse(match binary {
                Some(unit) => {
                    format!("units are KiB, MiB and GiB; did you mean \"{number}{unit}\"?")
                }
                None => "one whole number and one unit of B, KiB, MiB, GiB, for example \"16MiB\""
                    .into(),
            }));
        }
    };
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    Ok(number.saturating_mul(1 << shift))
}

/// The shortest text that [`size`] reads back.
pub(crate) fn write_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// `50%`: whole percents of one processor.
pub(crate) fn percent(text: &str) -> Result<u32, Refusal> {
    let refuse = |cause: &str| Refusal::new(format!("{} is not a share", quoted(text)), cause);
    let Some(number) = text.strip_suffix('%') else {
        return Err(refuse("say it in percent of one processor, for example \"50%\""));
    };
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok())
        .flatten()
        .ok_or_else(|| refuse("a whole number and %, for example \"50%\""))
}

/// Three or four octal digits: `022`.
pub(crate) fn umask(text: &str) -> Result<u32, Refusal> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    digits
        .then(|| u32::from_str_radix(text, 8).ok())
        .flatten()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| {
            Refusal::new(
                format!("{} is not a umask", quoted(text)),
                "three octal digits, for example \"022\"",
            )
        })
}

/// The digits at the front, and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [0, 1, 500, 1_000, 1_500, 60_000, 90_000, 3_600_000, 7_200_000] {
            let duration_ = Duration::from_millis(millis);
            assert_eq!(duration(&write_duration(duration_)), Ok(duration_));
        }
        for bytes in [0, 1, 1_023, 1 << 10, 3 << 20, 1 << 30, (1 << 30) + 1] {
            assert_eq!(size(&write_size(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn durations_that_are_none() {
        for text in ["", "s", "10", "-1s", "1.5s", "1m30s", "10 s", "10S", "٣s", "nan"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(text), Ok(Duration::from_millis(u64::MAX)), "beyond every range");
        }
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
    }

    #[test]
    fn decimal_units_get_the_binary_one_named() {
        assert_eq!(
            size("1GB").map_err(|refusal| refusal.cause),
            Err("units are KiB, MiB and GiB; did you mean \"1GiB\"?".to_owned())
        );
        for text in ["", "16", "-1MiB", "1.5MiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["99999999999999999999GiB", "18446744073709551615KiB"] {
            assert_eq!(size(text), Ok(u64::MAX), "beyond every range");
        }
    }

    #[test]
    fn a_umask_is_three_octal_digits() {
        assert_eq!(umask("022"), Ok(0o022));
        assert_eq!(umask("0077"), Ok(0o077));
        for text in ["22", "088", "7777", "-22", ""] {
            assert!(umask(text).is_err(), "{text}");
        }
    }
}
