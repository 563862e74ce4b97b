//! What is wrong, where, and what to do about it: the one shape of every message about a file.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An error refuses the plugin (or the set); a warning refuses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a file, with the line as people may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    /// From 1; 0 stands for the file as a whole.
    pub line: usize,
    /// From 1, in characters of the line as it stands in the file (a tab is one); 0 with line 0.
    pub column: usize,
    /// The line, safe for a terminal: tabs are four spaces, control characters replaced, long lines cut with `…`.
    /// Empty where the line must not be shown because it may hold a secret.
    pub excerpt: String,
    /// What the carets stand under, in characters of `excerpt`; never empty unless `excerpt` is.
    pub caret: Range<usize>,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn whole(file: &Path) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, excerpt: String::new(), caret: 0..0 }
    }

    fn shown(&self, relative_to: &Path) -> String {
        let file = shown(&self.file, relative_to);
        match self.line {
            0 => file,
            line => format!("{file}:{line}:{}", self.column),
        }
    }
}

/// One thing that is wrong with a file or with the surroundings. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// One line: what is wrong.
    pub what: String,
    pub place: Option<Place>,
    /// Further places that belong to it: the other half of a duplicate, the rest of a circle.
    pub also: Vec<Place>,
    /// Stands behind the carets: why, or the nearest right thing.
    pub cause: Option<String>,
    /// One thing to do.
    pub help: Option<String>,
}

impl Problem {
    /// An error without a place yet.
    pub fn error(what: impl Into<String>) -> Self {
        Self::new(Severity::Error, what)
    }

    /// A warning without a place yet.
    pub fn warning(what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what)
    }

    fn new(severity: Severity, what: impl Into<String>) -> Self {
        Self { severity, what: what.into(), place: None, also: Vec::new(), cause: None, help: None }
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    #[must_use]
    pub fn also(mut self, places: impl IntoIterator<Item = Place>) -> Self {
        self.also.extend(places);
        self
    }

    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `what (file.toml:5)`, for one line in a status or start-up screen.
    pub fn sentence(&self) -> String {
        match &self.place {
            Some(place) if place.line == 0 => format!("{} ({})", self.what, name_of(&place.file)),
            Some(place) => format!("{} ({}:{})", self.what, name_of(&place.file), place.line),
            None => self.what.clone(),
        }
    }

    /// The problem as plain text, each line ended; paths are shown without the prefix `relative_to`.
    ///
    /// A warning that carries neither cause nor help takes one line.
    pub fn render(&self, relative_to: &Path) -> String {
        let word = self.severity.word();
        if self.severity == Severity::Warning
            && self.cause.is_none()
            && self.help.is_none()
            && self.also.is_empty()
        {
            return format!("{word}: {}\n", self.sentence());
        }
        let mut out = format!("{word}: {}\n", self.what);
        let places = self.place.iter().chain(&self.also);
        let places: Vec<String> = places.map(|place| place.shown(relative_to)).collect();
        if !places.is_empty() {
            out.push_str(&format!("  {}\n", places.join(" · ")));
        }
        match &self.place {
            Some(place) if self.also.is_empty() && !place.excerpt.is_empty() => {
                draw(&mut out, place, self.cause.as_deref());
            }
            _ => {
                if let Some(cause) = &self.cause {
                    out.push_str(&format!("  {cause}\n"));
                }
            }
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("help: {help}\n"));
        }
        out
    }
}

/// Screens are at most this wide; what is wider than that goes to a line of its own.
const WIDTH: usize = 100;

/// The excerpt with its carets, and the cause behind them where there is room.
fn draw(out: &mut String, place: &Place, cause: Option<&str>) {
    let number = place.line.to_string();
    let width = number.len().max(5);
    let carets = "^".repeat(place.caret.len().max(1));
    let indent = " ".repeat(place.caret.start);
    let end = width + 3 + place.caret.end;
    let (label, below) = match cause {
        Some(cause) if end + 1 + cause.chars().count() <= WIDTH => (format!(" {cause}"), None),
        cause => (String::new(), cause),
    };
    // Writing to a String cannot fail.
    _ = writeln!(out, "{number:>width$} | {}", place.excerpt);
    _ = writeln!(out, "{:>width$} | {indent}{carets}{label}", "");
    if let Some(cause) = below {
        _ = writeln!(out, "  {cause}");
    }
}

/// A path as shown to people: without the given prefix, without anything a terminal would act on.
pub(crate) fn shown(path: &Path, relative_to: &Path) -> String {
    let path = path.strip_prefix(relative_to).unwrap_or(path);
    let path = path.strip_prefix(".").unwrap_or(path);
    path.to_string_lossy().chars().map(safe).collect()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().chars().map(safe).collect()
}

/// Outside text within a message: quoted, without control characters, cut at 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(text))
}

/// As [`quoted`], in the backticks used for names.
pub(crate) fn ticked(text: &str) -> String {
    format!("`{}`", cut(text))
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).map(safe).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Replaces what a terminal would act on: control characters, and marks that turn the direction of text
/// (Unicode bidirectional formatting, the "Trojan Source" characters).
pub(crate) fn safe(c: char) -> char {
    match c {
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}
