//! Reads a parsed TOML table against the key tables: typed values out, every problem noted, nothing given up early.

mod defaults;
mod kinds;
mod unknown;

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use defaults::built_in;
pub(crate) use kinds::{RESERVED, id_of};

use crate::keys::{Effect, Key, Kind, Section};
use crate::problem::{Problem, quoted, ticked};
use crate::scalar::Refusal;
use crate::source::{Source, Spot};
use crate::value::{Value, Values};

/// More problems than this in one file are counted, not listed.
const MOST_PROBLEMS: usize = 100;

/// The problems of one file, in the order of their places.
pub(crate) struct Problems<'a> {
    source: &'a Arc<Source>,
    list: Vec<(usize, Problem)>,
    dropped: usize,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(source: &'a Arc<Source>) -> Self {
        Self { source, list: Vec::new(), dropped: 0 }
    }

    pub(crate) fn push(&mut self, span: &Range<usize>, problem: Problem) {
        if self.list.len() < MOST_PROBLEMS {
            self.list.push((span.start, problem.at(self.source.place(span))));
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn refuse(&mut self, span: &Range<usize>, refusal: Refusal) {
        let mut problem = Problem::error(refusal.what).cause(refusal.cause);
        problem.help = refusal.help.map(str::to_owned);
        self.push(span, problem);
    }

    pub(crate) fn into_list(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|(at, _)| *at);
        let mut list: Vec<Problem> = self.list.into_iter().map(|(_, problem)| problem).collect();
        if self.dropped > 0 {
            let path = crate::problem::shown(self.source.path(), "".as_ref());
            list.push(Problem::error(format!("{} more problems in {path}", self.dropped)));
        }
        list
    }
}

/// The hint for a hole where nothing is filled in.
const FILLED_IN: &str = "filled in only in `command`, `cwd` and `env`";

/// Parses one file. Syntax errors come alone: what the rest of the file means is then a guess.
pub(crate) fn parse<'a>(
    source: &'a Source,
    problems: &mut Problems<'_>,
) -> (Spanned<DeTable<'a>>, bool) {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut last_line = None;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let line = source.place(&span).line;
        // The parser goes on in the middle of a line it did not understand: the first word about it is the best.
        if last_line.replace(line) == Some(line) {
            continue;
        }
        let (what, cause) = match error.message().split_once(", expected ") {
            Some((what @ "string values must be quoted", _)) => {
                (what, "text stands in quotes: \"…\"".to_owned())
            }
            Some((what, expected)) => (what, format!("expected {expected}")),
            None => (error.message(), String::new()),
        };
        let mut problem = Problem::error(format!("not valid TOML: {what}"));
        if !cause.is_empty() {
            problem = problem.cause(cause);
        }
        problems.push(&span, problem);
    }
    (table, errors.is_empty())
}

/// Reads one table; problems go into `problems`, what is sound into `values`.
pub(crate) struct Reader<'a, 'p> {
    pub(crate) source: &'a Arc<Source>,
    pub(crate) problems: &'p mut Problems<'a>,
    pub(crate) values: Values,
}

impl<'a, 'p> Reader<'a, 'p> {
    pub(crate) fn new(source: &'a Arc<Source>, problems: &'p mut Problems<'a>) -> Self {
        Self { source, problems, values: Values::default() }
    }

    /// `path` is the dotted path of the section, empty for the whole file.
    pub(crate) fn section(&mut self, section: &'static Section, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            match section.key(name.get_ref()) {
                Some(key) => self.key(key, &join(path, key.name), name, value),
                None => self.unknown(section, path, name, value),
            }
        }
    }

    fn key(
        &mut self,
        key: &'static Key,
        path: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        match key.kind {
            Kind::Section(section) => match value.get_ref() {
                DeValue::Table(table) => self.section(section, path, table),
                _ => self.expected(
                    "a section",
                    path,
                    value,
                    &format!("its keys stand below [{path}]"),
                ),
            },
            Kind::Tables(section) => self.tables(key, section, path, name, value),
            _ => {
                if let Some(read) = self.value(key, path, value) {
                    self.effect(key, path, name, value, &read);
                    let spot = Spot::new(self.source, value.span());
                    self.values.insert(path.to_owned(), read, Some(spot));
                }
            }
        }
    }

    /// An array of tables: checked here, and read by what it is for.
    fn tables(
        &mut self,
        key: &'static Key,
        section: &'static Section,
        path: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let DeValue::Array(items) = value.get_ref() else {
            return self.expected("sections", path, value, &format!("each begins with [[{path}]]"));
        };
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let mut inner = Reader::new(self.source, self.problems);
                    inner.section(section, path, table);
                }
                _ => {
                    self.expected("a section", path, item, &format!("each begins with [[{path}]]"))
                }
            }
        }
        if key.effect == Effect::Later {
            let what = format!("[[{path}]] has no effect yet");
            self.problems.push(&name.span(), Problem::warning(what));
        }
    }

    /// Says so where a key changes nothing today.
    fn effect(
        &mut self,
        key: &Key,
        path: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        read: &Value,
    ) {
        if let Value::Choice(word) = read
            && key.not_yet.contains(word)
        {
            let what = format!("{} {} is not there yet", key.name, ticked(word));
            let there: Vec<String> = match key.kind {
                Kind::Choice(words) => words
                    .iter()
                    .filter(|word| !key.not_yet.contains(word))
                    .map(|word| quoted(word))
                    .collect(),
                _ => Vec::new(),
            };
            let cause = format!("there are {}", one_of(&there, "and"));
            self.problems.push(&value.span(), Problem::error(what).cause(cause));
            return;
        }
        let as_default = match defaults::of(key) {
            Some(default) => default.canonical() == read.canonical(),
            None => matches!(read, Value::Texts(list) if list.is_empty()),
        };
        if as_default {
            return;
        }
        let what = format!("{} has no effect yet", label(path));
        match key.effect {
            // The last depends on another key, which may stand in another file.
            Effect::Now | Effect::ProtectsIfRequired => {}
            Effect::Later => self.problems.push(&name.span(), Problem::warning(what)),
            Effect::Protects => self.problems.push(
                &name.span(),
                Problem::error(what).cause("what it asks for would not be done: leave it out"),
            ),
        }
    }

    fn expected(&mut self, what: &str, path: &str, found: &Spanned<DeValue<'_>>, cause: &str) {
        let what =
            format!("expected {what} for {}, found {}", label(path), kind_of(found.get_ref()));
        let mut problem = Problem::error(what);
        if !cause.is_empty() {
            problem = problem.cause(cause);
        }
        self.problems.push(&found.span(), problem);
    }

    fn out_of_range(&mut self, shown: &str, path: &str, span: &Range<usize>, range: &str) {
        let what = format!("{shown} is out of range for {}", label(path));
        self.problems.push(span, Problem::error(what).cause(range));
    }

    /// `${…}` in a text that is not filled in.
    fn hint_plain(&mut self, path: &str, text: &str, span: &Range<usize>) {
        let Some(at) = text.find("${") else { return };
        let hole = &text[at..];
        let hole = &hole[..hole.find('}').map_or(hole.len(), |end| end + 1)];
        let problem =
            Problem::warning(format!("{} is plain text in {}", ticked(hole), label(path)))
                .cause(FILLED_IN);
        self.problems.push(span, problem);
    }
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A key as people find it in the file: `` `[restart] backoff.max` ``, or `` `lazy` ``.
pub(crate) fn label(path: &str) -> String {
    let (prefix, rest) = ["discover.python.defaults.", "defaults."]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix).map(|rest| (*prefix, rest)))
        .unwrap_or(("", path));
    if let Some(key) = rest.strip_prefix("discover.python.") {
        return format!("`[[discover.python]] {key}`");
    }
    match rest.split_once('.') {
        Some((section, key)) => format!("`[{prefix}{section}] {key}`"),
        None => format!("`{prefix}{rest}`"),
    }
}

pub(crate) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `a, b or c`.
fn one_of(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
