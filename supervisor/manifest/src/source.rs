//! The text of one file, and places in it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::problem::{Place, safe};

/// Excerpts are cut to this many characters around what they show.
const EXCERPT: usize = 96;
/// Carets beyond this say nothing more.
const LONGEST_CARET: usize = 60;

/// The text of one file with its lines found.
pub(crate) struct Source {
    path: PathBuf,
    text: String,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.path, f)
    }
}

impl Source {
    pub(crate) fn new(path: &Path, text: String) -> Arc<Self> {
        let lines = std::iter::once(0)
            .chain(
                text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1),
            )
            .collect();
        Arc::new(Self { path: path.to_owned(), text, lines })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The place of a span of bytes; a span outside of the text is moved into it.
    pub(crate) fn place(&self, span: &Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end.max(start));
        let line = self.lines.partition_point(|at| *at <= start).max(1) - 1;
        let line_start = self.lines.get(line).copied().unwrap_or(0);
        let line_end = self.text[line_start..]
            .find('\n')
            .map_or(self.text.len(), |length| line_start + length);
        let whole = self.text[line_start..line_end].trim_end_matches('\r');
        let start = start.min(line_start + whole.len());
        let end = end.clamp(start, line_start + whole.len());
        let before = &self.text[line_start..start];
        let (excerpt, caret) = excerpt(before, &self.text[start..end], &whole[end - line_start..]);
        Place {
            file: self.path.clone(),
            line: line + 1,
            column: before.chars().count() + 1,
            excerpt,
            caret,
        }
    }
}

/// Joins the three parts of a line into what is shown of it, and says where the middle part stands.
fn excerpt(before: &str, under: &str, after: &str) -> (String, Range<usize>) {
    let lead_in = before.chars().rev().take(EXCERPT).collect::<String>();
    let lead_in = shown(&lead_in.chars().rev().collect::<String>());
    let under = shown(&under.chars().take(EXCERPT).collect::<String>());
    let after = shown(&after.chars().take(EXCERPT).collect::<String>());
    let under_width = under.chars().count();
    let after_width = after.chars().count();

    // What stands before gets the room that the rest leaves, a third at least.
    let room = EXCERPT.saturating_sub(under_width + after_width).max(EXCERPT / 3);
    let lead_width = lead_in.chars().count();
    let cut_front = lead_width > room || before.chars().nth(EXCERPT).is_some();
    let mut line = String::new();
    if cut_front {
        line.push('…');
        line.extend(lead_in.chars().skip(lead_width.saturating_sub(room)));
    } else {
        line.push_str(&lead_in);
    }
    let start = line.chars().count();
    line.push_str(&under);
    line.push_str(&after);
    if line.chars().count() > EXCERPT + 1 {
        line = line.chars().take(EXCERPT).chain(['…']).collect();
    }
    let length = line.chars().count();
    let line = line.trim_end().to_owned();
    if line.is_empty() {
        return (line, 0..0);
    }
    let end = (start + under_width.min(LONGEST_CARET)).min(length).max(start + 1);
    (line, start..end)
}

fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' {
            out.push_str("    ");
        } else {
            out.push(safe(c));
        }
    }
    out
}

/// Where a value came from; its [`Place`] is worked out when a message needs it.
#[derive(Clone)]
pub struct Spot {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Spot {
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self { source: Arc::clone(source), span }
    }

    /// File, line, column and excerpt.
    pub fn place(&self) -> Place {
        self.source.place(&self.span)
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn file(&self) -> &Path {
        self.source.path()
    }
}

impl fmt::Debug for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        write!(f, "{}:{}:{}", place.file.display(), place.line, place.column)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub value: T,
    pub spot: Spot,
}
