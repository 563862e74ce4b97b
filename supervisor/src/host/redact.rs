//! Keeps secrets out of everything that outboard itself prints or stores.
//!
//! Streams are masked before they are cut into lines ([`Masker`]), and texts before they are shortened
//! ([`Redactor::excerpt`]): a value is never cut in two first and then not known any more.

mod forms;
mod stream;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use forms::Form;
use outboard_core::Event;
pub(crate) use stream::{Held, Masker};

use super::lines::lossless;

/// What stands in place of a secret.
pub(super) const MASK: &str = "[redacted]";

/// The secret values of one generation. Answers to callers are payload and do not pass through here.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    forms: Arc<[Form]>,
}

/// Never prints a value.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    /// Masks each of `secrets`, also in the forms that JSON strings give it, and a value of several lines line by line.
    #[must_use]
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self { forms: forms::of_all(secrets) }
    }

    /// What is masked, for the supervisor's next build.
    #[must_use]
    pub(crate) fn kept(&self) -> Vec<String> {
        self.forms.iter().map(|form| String::from_utf8_lossy(form.text()).into_owned()).collect()
    }

    /// Masks exactly these.
    #[must_use]
    pub(crate) fn restore(kept: &[String]) -> Self {
        Self { forms: kept.iter().map(|text| Form::new(text)).collect() }
    }

    /// Both: what the generation before said may still be on its way when the next one starts.
    #[must_use]
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut all: Vec<Form> = self.forms.to_vec();
        all.extend(other.forms.iter().filter(|form| !self.forms.contains(form)).cloned());
        if all.len() == self.forms.len() { self.clone() } else { Self { forms: all.into() } }
    }

    /// `text` without secrets; the same string when there was none in it.
    #[must_use]
    pub(crate) fn mask(&self, text: String) -> String {
        let spans = self.spans(text.as_bytes());
        if spans.is_empty() {
            return text;
        }
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for span in spans {
            masked.push_str(&text[from..span.start]);
            masked.push_str(MASK);
            from = span.end;
        }
        masked.push_str(&text[from..]);
        masked
    }

    /// The first `limit` bytes as text, masked before they are cut; `…` says that there is more.
    #[must_use]
    pub(crate) fn excerpt(&self, bytes: &[u8], limit: usize) -> String {
        let longest = self.forms.iter().map(|form| form.text().len()).max().unwrap_or(0);
        let head = &bytes[..bytes.len().min(limit + longest)];
        let mut masked = Vec::with_capacity(head.len());
        let mut masker = Masker::new(self.clone());
        let mut take = |piece: &[u8]| masked.extend_from_slice(piece);
        masker.feed(head, &mut take);
        masker.finish(&mut take);
        let cut = masked.len() > limit || head.len() < bytes.len();
        masked.truncate(limit);
        let shown = lossless(&masked);
        if cut { format!("{shown}…") } else { shown }
    }

    /// Where secrets are, in order; those that overlap are one.
    fn spans(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for form in self.forms.iter() {
            form.find_all(text, &mut found);
        }
        found.sort_unstable_by_key(|span| (span.start, span.end));
        found.dedup_by(|next, kept| {
            let overlaps = next.start < kept.end;
            if overlaps {
                kept.end = kept.end.max(next.end);
            }
            overlaps
        });
        found
    }

    /// Where the longest end of `text` begins that may be the beginning of a secret; the length of the text when none is.
    fn unfinished(&self, text: &[u8]) -> usize {
        self.forms.iter().fold(text.len(), |from, form| form.unfinished(text, from))
    }
}

/// The words in an event of a plugin that come from outside.
pub(super) fn words_of(event: &mut Event) -> Option<&mut String> {
    match event {
        Event::Refused(detail)
        | Event::LinkBroken(detail)
        | Event::SpawnFailed { detail, .. }
        | Event::OpenFailed { detail, .. } => Some(&mut detail.message),
        Event::Said(report) => report.message.as_mut(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
