//! Masks a stream that arrives in pieces.

use serde::{Deserialize, Serialize};

use super::{MASK, Redactor};

/// So many bytes of a secret at the end of a stream are not shown either: whoever wrote them was cut off.
const SHOWN_AT_MOST: usize = 4;

/// Masks a stream. What may be the beginning of a secret is held back until it is known: less than the longest secret, and
/// never beyond the end of a line.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    redactor: Redactor,
    pub(super) held: Vec<u8>,
    /// So many of the held bytes are of a secret that has been masked already.
    covered: usize,
}

/// What a masker holds back, for the supervisor's next build.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    #[serde(with = "outboard_wire::octets")]
    held: Vec<u8>,
    covered: usize,
}

impl Masker {
    #[must_use]
    pub(crate) fn kept(&self) -> Held {
        Held { held: self.held.clone(), covered: self.covered }
    }

    #[must_use]
    pub(crate) fn restore(Held { held, covered }: Held, redactor: Redactor) -> Self {
        Self { redactor, held, covered }
    }

    #[must_use]
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self { redactor, held: Vec::new(), covered: 0 }
    }

    /// Feeds `bytes`; `sink` gets what may be shown.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
        if self.redactor.forms.is_empty() {
            return sink(bytes);
        }
        if self.held.is_empty() {
            self.pass(bytes, sink);
        } else {
            let mut text = std::mem::take(&mut self.held);
            text.extend_from_slice(bytes);
            self.pass(&text, sink);
        }
    }

    fn pass(&mut self, text: &[u8], sink: &mut impl FnMut(&[u8])) {
        let until = self.redactor.unfinished(text);
        let mut done = self.covered;
        // Those that begin in what is held back are found again when more has come.
        for span in self.redactor.spans(text).into_iter().take_while(|span| span.start < until) {
            if span.start >= done {
                give(&text[done..span.start], sink);
                sink(MASK.as_bytes());
            }
            done = done.max(span.end);
        }
        if done < until {
            give(&text[done..until], sink);
            done = until;
        }
        self.covered = done - until;
        self.held = text[until..].to_vec();
    }

    /// The end of the stream: what was held back was no secret after all, or a good part of one.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(&[u8])) {
        let held = std::mem::take(&mut self.held);
        let covered = std::mem::take(&mut self.covered);
        // The start of one secret may be the whole of another.
        if held.len() >= SHOWN_AT_MOST || !self.redactor.spans(&held).is_empty() {
            if covered == 0 {
                sink(MASK.as_bytes());
            }
        } else if covered < held.len() {
            sink(&held[covered..]);
        }
    }
}

fn give(bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
    if !bytes.is_empty() {
        sink(bytes);
    }
}
