//! One reader for each kind of key.

mod collections;
mod json;

pub(crate) use collections::RESERVED;

use std::ops::Range;
use std::time::Duration;

use outboard_core::RetryAfter;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{FILLED_IN, Reader, label, one_of};
use crate::keys::{Key, Kind};
use crate::problem::{Problem, quoted};
use crate::scalar::{self, Refusal, write_duration, write_size};
use crate::source::Spot;
use crate::suggest::nearest;
use crate::template::Template;
use crate::value::Value;

/// Paths, names and other texts longer than this are no such thing (PATH_MAX).
const LONGEST_TEXT: usize = 4096;

/// A plugin's name, or why it is none.
pub(crate) fn id_of(text: &str) -> Result<(), Refusal> {
    const RULE: &str = "a name is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit";
    let strange = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c));
    let cause = if let Some(c) = strange {
        format!("'{}' (U+{:04X}) is not allowed", crate::problem::safe(c), u32::from(c))
    } else if text.is_empty() {
        "it is empty".to_owned()
    } else if text.len() > 64 {
        format!("it has {} characters", text.len())
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "it begins with neither a letter nor a digit".to_owned()
    } else {
        return Ok(());
    };
    let what = format!("{} cannot be the name of a plugin", quoted(text));
    Err(Refusal { what, cause, help: Some(RULE) })
}

impl Reader<'_, '_> {
    /// Reads one value; `None` when it is refused, with the problem noted.
    pub(super) fn value(
        &mut self,
        key: &'static Key,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        let span = value.span();
        match key.kind {
            Kind::Bool => match value.get_ref() {
                DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
                _ => self.wrong("true or false", path, value, ""),
            },
            Kind::Text => {
                let text = self.text(path, value, "a text", "")?;
                self.hint_plain(path, text, &span);
                Some(Value::Text(text.to_owned()))
            }
            Kind::Id => {
                let text = self.text_or(value, path, "a name")?;
                self.sound(id_of(text), &span)?;
                Some(Value::Text(text.to_owned()))
            }
            Kind::Duration { min, max, none } => self.duration(key, path, value, min, max, none),
            Kind::Size { min, max } => self.size(key, path, value, min, max),
            Kind::Count { min, max } => {
                let number = self.whole(path, value, min, max)?;
                Some(Value::Count(number))
            }
            Kind::Factor { min, max } => self.factor(path, value, min, max),
            Kind::Percent => {
                let text = self.text_of(value, path, "a share", "for example \"50%\"")?;
                let percent = self.sound(scalar::percent(text), &span)?;
                if !(1..=1_000_000).contains(&percent) {
                    self.out_of_range(&quoted(text), path, &span, "from \"1%\" to \"1000000%\"");
                    return None;
                }
                Some(Value::Percent(percent))
            }
            Kind::Umask => {
                let text = self.text_of(value, path, "a umask", "write it as a text: \"022\"")?;
                self.sound(scalar::umask(text), &span).map(Value::Umask)
            }
            Kind::Sha256 => {
                let text = self.text_of(value, path, "a SHA-256 sum", "64 hexadecimal digits")?;
                let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let refusal = Refusal::new(
                    format!("{} is not a SHA-256 sum", quoted(text)),
                    "64 hexadecimal digits, as `sha256sum` prints them",
                );
                self.sound(good.then_some(()).ok_or(refusal), &span)?;
                Some(Value::Text(text.to_ascii_lowercase()))
            }
            Kind::Choice(words) => self.choice(path, value, words),
            Kind::Template => {
                let text = self.text(path, value, "a text", "")?;
                let template = self.template(text, &span)?;
                self.hint_bare(&template, &span);
                Some(Value::Template(template))
            }
            Kind::PathOrFalse => match value.get_ref() {
                DeValue::Boolean(false) => Some(Value::PathOrFalse(None)),
                DeValue::String(_) => {
                    let text = self.text(path, value, "a path", "")?;
                    Some(Value::PathOrFalse(Some(text.into())))
                }
                _ => self.wrong("a path or false", path, value, ""),
            },
            Kind::RetryAfter => self.retry_after(path, value),
            Kind::Ids
            | Kind::Counts { .. }
            | Kind::Command
            | Kind::Argv
            | Kind::Templates
            | Kind::Env
            | Kind::Globs
            | Kind::Paths
            | Kind::Object
            | Kind::Json => self.collection(key, path, value),
            // Handled by the caller, which walks them.
            Kind::Section(_) | Kind::Tables(_) => None,
        }
    }

    fn wrong<T>(
        &mut self,
        what: &str,
        path: &str,
        found: &Spanned<DeValue<'_>>,
        cause: &str,
    ) -> Option<T> {
        self.expected(what, path, found, cause);
        None
    }

    fn sound<T>(&mut self, result: Result<T, Refusal>, span: &Range<usize>) -> Option<T> {
        result
            .map_err(|mut refusal| {
                // Whoever writes `"${X}"` here needs to hear that, not how a duration is written.
                if refusal.what.contains("\"${") {
                    refusal.cause = FILLED_IN.to_owned();
                }
                self.problems.refuse(span, refusal);
            })
            .ok()
    }

    /// The text of a value, of whatever length and content.
    fn text_of<'v>(
        &mut self,
        value: &'v Spanned<DeValue<'_>>,
        path: &str,
        what: &str,
        cause: &str,
    ) -> Option<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong(what, path, value, cause),
        }
    }

    fn text_or<'v>(
        &mut self,
        value: &'v Spanned<DeValue<'_>>,
        path: &str,
        what: &str,
    ) -> Option<&'v str> {
        self.text_of(value, path, what, "")
    }

    /// A text that may become a path, a name or an argument: not empty, not endless, without NUL.
    fn text<'v>(
        &mut self,
        path: &str,
        value: &'v Spanned<DeValue<'_>>,
        what: &str,
        cause: &str,
    ) -> Option<&'v str> {
        let text = self.text_of(value, path, what, cause)?;
        let refusal = if text.is_empty() {
            Some(format!("{} is empty", label(path)))
        } else if text.len() > LONGEST_TEXT {
            Some(format!("{} is longer than {LONGEST_TEXT} bytes", label(path)))
        } else if text.contains('\0') {
            Some(format!("a NUL character in {}", label(path)))
        } else {
            None
        };
        match refusal {
            None => Some(text),
            Some(what) => {
                self.problems.push(&value.span(), Problem::error(what));
                None
            }
        }
    }

    fn template(&mut self, text: &str, span: &Range<usize>) -> Option<Template> {
        let spot = Spot::new(self.source, span.clone());
        self.sound(Template::parse(text, Some(spot)), span)
    }

    /// In `cwd` and `env` no shell will look at a `$NAME`.
    fn hint_bare(&mut self, template: &Template, span: &Range<usize>) {
        if let Some(name) = template.bare_variable() {
            let problem = Problem::warning(format!("`${name}` is plain text here"))
                .cause(format!("write `${{{name}}}` to fill it in, `$${name}` for the text"));
            self.problems.push(span, problem);
        }
    }

    fn duration(
        &mut self,
        key: &Key,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        min: u64,
        max: u64,
        none: Option<&str>,
    ) -> Option<Value> {
        let example = key.default.filter(|text| Some(*text) != none).unwrap_or("10s");
        let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
        if let (Some(none), DeValue::String(text)) = (none, value.get_ref())
            && text == none
        {
            return Some(Value::Duration(None));
        }
        let range = format!(
            "from {:?} to {:?}{}, for example {example:?}",
            write_duration(min),
            write_duration(max),
            none.map(|none| format!(" or {none:?}")).unwrap_or_default(),
        );
        let duration = self.plain_duration(path, value, &range)?;
        if duration < min || duration > max {
            self.out_of_range(&shown(value), path, &value.span(), &range);
            return None;
        }
        Some(Value::Duration(Some(duration)))
    }

    fn plain_duration(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        range: &str,
    ) -> Option<Duration> {
        match value.get_ref() {
            DeValue::String(text)
                if matches!(text.as_ref(), "none" | "never" | "forever" | "off") =>
            {
                let what = format!("{} cannot be {}", label(path), quoted(text));
                self.problems.push(&value.span(), Problem::error(what).cause(range));
                None
            }
            DeValue::String(text) => self.sound(scalar::duration(text), &value.span()),
            DeValue::Integer(number) => {
                let refusal = Refusal::new(
                    format!("{number} is not a duration"),
                    "say the unit, for example \"10s\" or \"500ms\"",
                );
                self.sound(Err(refusal), &value.span())
            }
            _ => self.wrong("a duration", path, value, range),
        }
    }

    fn size(
        &mut self,
        key: &Key,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        min: u64,
        max: u64,
    ) -> Option<Value> {
        let example = key.default.unwrap_or("256MiB");
        let range =
            format!("from {:?} to {:?}, for example {example:?}", write_size(min), write_size(max));
        let bytes = match value.get_ref() {
            DeValue::String(text) => self.sound(scalar::size(text), &value.span())?,
            DeValue::Integer(number) => {
                let refusal = Refusal::new(
                    format!("{number} is not a size"),
                    "say the unit, for example \"64KiB\" or \"16MiB\"",
                );
                return self.sound(Err(refusal), &value.span());
            }
            _ => return self.wrong("a size", path, value, &range),
        };
        if bytes < min || bytes > max {
            self.out_of_range(&shown(value), path, &value.span(), &range);
            return None;
        }
        Some(Value::Size(bytes))
    }

    fn whole(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        min: u64,
        max: u64,
    ) -> Option<u64> {
        let range = format!("from {min} to {max}");
        match value.get_ref() {
            DeValue::Integer(number) => {
                let good = integer(number)
                    .and_then(|number| u64::try_from(number).ok())
                    .filter(|number| (min..=max).contains(number));
                if good.is_none() {
                    self.out_of_range(&number.to_string(), path, &value.span(), &range);
                }
                good
            }
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                self.wrong("a whole number", path, value, "write it without the quotes")
            }
            _ => self.wrong("a whole number", path, value, &range),
        }
    }

    fn factor(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        min: f64,
        max: f64,
    ) -> Option<Value> {
        let range = format!("from {min:?} to {max:?}");
        let (shown, number) = match value.get_ref() {
            DeValue::Float(number) => (number.to_string(), number.as_str().parse::<f64>().ok()),
            #[expect(clippy::cast_precision_loss, reason = "the range is far below 2^53")]
            DeValue::Integer(number) => {
                (number.to_string(), integer(number).map(|number| number as f64))
            }
            _ => return self.wrong("a number", path, value, &range),
        };
        // A comparison with NaN is false, so NaN is out of every range.
        match number.filter(|number| *number >= min && *number <= max) {
            Some(number) => Some(Value::Factor(number)),
            None => {
                self.out_of_range(&shown, path, &value.span(), &range);
                None
            }
        }
    }

    fn choice(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        words: &'static [&'static str],
    ) -> Option<Value> {
        let quoted_words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let list = one_of(&quoted_words, "or");
        let text = self.text_of(value, path, &list, "")?;
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Some(Value::Choice(word));
        }
        let cause = match nearest(text, words.iter().copied()) {
            _ if text.contains("${") => FILLED_IN.to_owned(),
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("one of {list}"),
        };
        let what = format!("{} is not a value of {}", quoted(text), label(path));
        self.problems.push(&value.span(), Problem::error(what).cause(cause));
        None
    }

    /// `{ initial, max }`, one duration (then the gap does not grow), or `"never"`.
    fn retry_after(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        const RANGE: &str =
            "from \"100ms\" to \"1d\", { initial = \"15s\", max = \"5m\" }, or \"never\"";
        let after = match value.get_ref() {
            DeValue::String(text) if text == "never" => RetryAfter::Never,
            DeValue::Table(table) => self.growing(path, table, &value.span(), RANGE)?,
            _ => {
                let gap = self.gap(path, value, RANGE)?;
                RetryAfter::Growing { initial: gap, max: gap }
            }
        };
        Some(Value::RetryAfter(after))
    }

    fn growing(
        &mut self,
        path: &str,
        table: &DeTable<'_>,
        span: &Range<usize>,
        range: &str,
    ) -> Option<RetryAfter> {
        let mut sound = true;
        for (name, _) in table {
            if !matches!(name.get_ref().as_ref(), "initial" | "max") {
                sound = false;
                let what = format!(
                    "unknown key {} in {}",
                    crate::problem::ticked(name.get_ref()),
                    label(path)
                );
                self.problems
                    .push(&name.span(), Problem::error(what).cause("known here: initial, max"));
            }
        }
        let mut part = |name: &str, default: Duration| match table.get(name) {
            Some(value) => self.gap(&format!("{path}.{name}"), value, range),
            None => Some(default),
        };
        let initial = part("initial", Duration::from_secs(15))?;
        let max = part("max", Duration::from_secs(300).max(initial))?;
        if max < initial {
            let what = format!("{}: `max` is shorter than `initial`", label(path));
            self.problems.push(span, Problem::error(what));
            return None;
        }
        sound.then_some(RetryAfter::Growing { initial, max })
    }

    fn gap(&mut self, path: &str, value: &Spanned<DeValue<'_>>, range: &str) -> Option<Duration> {
        let gap = self.plain_duration(path, value, range)?;
        if !(Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&gap) {
            self.out_of_range(&shown(value), path, &value.span(), range);
            return None;
        }
        Some(gap)
    }
}

/// The value as it would be written.
fn shown(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        other => super::kind_of(other).to_owned(),
    }
}

/// TOML allows more digits than any machine type.
fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}
