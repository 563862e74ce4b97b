//! Text that fits, and text from outside made safe to show.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::observe::is_unsafe;

/// `text` in at most `width` columns, cut with `…` where it is longer. A character counts as one column.
pub(super) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    Cow::Owned(cut)
}

/// `text` with spaces behind it up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// `text` with spaces before it up to `width` columns.
pub(super) fn pad_left(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{}{text}", " ".repeat(missing))
}

/// A time such as `0.02s`, `12.1s` or `7s` in six columns, the units below each other.
pub(super) fn pad_time(time: &str) -> String {
    let whole = time.chars().take_while(char::is_ascii_digit).count();
    pad(&format!("{}{time}", " ".repeat(2_usize.saturating_sub(whole))), 6)
}

/// Breaks text between words; a word that is longer than the width stays whole.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text from outside with everything that could move the cursor, recolour the terminal, start a new line or turn
/// the reading direction made visible. Nothing is lost: what is shown tells what was there.
pub(in crate::cli) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let written = match c {
            '\x1b' => write!(shown, "\\e"),
            '\n' => write!(shown, "\\n"),
            '\r' => write!(shown, "\\r"),
            c if !is_unsafe(c) => write!(shown, "{c}"),
            c if u32::from(c) < 0x100 => write!(shown, "\\x{:02x}", u32::from(c)),
            c => write!(shown, "\\u{{{:x}}}", u32::from(c)),
        };
        written.expect("a string takes all text");
    }
    Cow::Owned(shown)
}

/// The local time of day with milliseconds of an RFC 3339 text; what is no such text is shown as it is.
pub(super) fn clock(at: &str, zone: &TimeZone) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => at.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => visible(at).into_owned(),
    }
}

/// A path as people typed it most likely: relative to the current folder where it lies in it, a folder with its
/// slash.
pub(super) fn path(path: &str) -> String {
    let full = Path::new(path);
    let here = std::env::current_dir().ok();
    let short = here
        .as_deref()
        .and_then(|here| full.strip_prefix(here).ok())
        .filter(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(full);
    let mut text = visible(&short.to_string_lossy()).into_owned();
    if full.extension().is_none() && !text.ends_with('/') {
        text.push('/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_where_it_can_be_seen() {
        assert_eq!(fit("żółw", 4), "żółw");
        assert_eq!(fit("żółwie", 4), "żół…");
        assert_eq!(fit("one two", 5), "one…");
        assert_eq!(fit("x", 0), "…");
    }

    #[test]
    fn times_stand_with_their_units_below_each_other() {
        let times: Vec<String> = ["0.02s", "12.1s", "7s", "1m 40s", "-"].map(pad_time).into();
        assert_eq!(times, [" 0.02s", "12.1s ", " 7s   ", " 1m 40s", "  -   "]);
    }

    #[test]
    fn stderr_04_nothing_from_outside_can_steer_the_terminal() {
        for (raw, shown) in [
            ("plain żółw\ttab", "plain żółw\ttab"),
            ("\x1b[31mred\x07", "\\e[31mred\\x07"),
            ("over\rwrite", "over\\rwrite"),
            ("two\nlines", "two\\nlines"),
            ("\u{9b}0m", "\\x9b0m"),
            ("abc\u{202e}cba\u{2028}", "abc\\u{202e}cba\\u{2028}"),
            ("back\x08space\x7f", "back\\x08space\\x7f"),
        ] {
            assert_eq!(visible(raw), shown);
        }
    }

    #[test]
    fn times_are_local_and_have_milliseconds() {
        assert_eq!(clock("2026-03-01T03:12:04.118000Z", &TimeZone::UTC), "03:12:04.118");
        let warsaw = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(clock("2026-03-01T03:12:04Z", &warsaw), "04:12:04.000");
        assert_eq!(clock("soon\x1b", &TimeZone::UTC), "soon\\e");
    }
}
