//! What one process did, and questions about it.

use std::time::Duration;

use outboard_keeper::ExitStatus;
use outboard_wire::{Id, JunkKind, Reason};
use serde_json::Value;

use crate::quote::{mask, quote};

/// What was seen, and when, counted from the start of the process.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The story came to this point.
    Mark(&'static str),
    /// The story asked something under this id.
    Asked(u32),
    Answer(Answer),
    /// An error with a null id.
    Orphan {
        code: i64,
        text: String,
    },
    /// A request of its own.
    Request {
        text: String,
    },
    Note {
        method: String,
        params: String,
        text: String,
    },
    /// A frame that is no message.
    Reject {
        reason: Reason,
        text: String,
    },
    Junk {
        kind: JunkKind,
        line: Vec<u8>,
    },
    /// From here on nobody can tell where a frame begins; the bytes that show it.
    Lost {
        near: Vec<u8>,
    },
    /// A frame beyond the cap.
    TooLong {
        bytes: u64,
    },
    /// Bytes behind the last LF, at the end of stdout.
    Tail {
        line: Vec<u8>,
    },
}

/// An answer, as the plugin wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) id: Id,
    /// JSON text of the result, or the code of the error.
    pub(crate) outcome: Result<String, i64>,
    /// The whole frame, cut where it is long.
    pub(crate) text: String,
}

impl Answer {
    /// The result as a value; `None` for an error and for what is too long to have been kept.
    pub(crate) fn result(&self) -> Option<Value> {
        serde_json::from_str(self.outcome.as_ref().ok()?).ok()
    }

    pub(crate) fn is_error(&self, code: i64) -> bool {
        self.outcome == Err(code)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) at: Duration,
    pub(crate) exit: ExitStatus,
}

/// What became of the rest of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    /// Processes that outlived the leader by more than they may, and were killed.
    pub(crate) swept: u32,
    /// From the leader's end.
    pub(crate) took: Duration,
}

/// What one process did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) seen: Vec<Seen>,
    /// Its end by itself or as the story asked; `None` for one that was killed when the story was over.
    pub(crate) ended: Option<Ended>,
    /// With an end by itself.
    pub(crate) gone: Option<Gone>,
    /// Bytes on stdout, and the first of them.
    pub(crate) bytes: u64,
    pub(crate) head: Vec<u8>,
    /// The last that it wrote to stderr.
    pub(crate) stderr: Vec<u8>,
    /// It wrote more than anybody would read; the story ended there.
    pub(crate) flooded: bool,
    /// The story was told to its end.
    pub(crate) whole: bool,
    pub(crate) took: Duration,
    pub(crate) secrets: Vec<String>,
}

impl Record {
    /// A piece of what it wrote, for people.
    pub(crate) fn quote(&self, bytes: impl AsRef<[u8]>) -> String {
        let text = String::from_utf8_lossy(bytes.as_ref());
        match self.secrets.is_empty() {
            true => quote(bytes.as_ref()),
            false => quote(mask(&text, &self.secrets).as_bytes()),
        }
    }

    /// What came after a mark; nothing when the story did not come so far.
    pub(crate) fn after(&self, mark: &'static str) -> &[Seen] {
        let at = self.seen.iter().position(|seen| matches!(seen.what, What::Mark(m) if m == mark));
        at.map_or(&[], |at| &self.seen[at + 1..])
    }

    /// When the story came to a mark.
    pub(crate) fn moment(&self, mark: &'static str) -> Option<Duration> {
        let is_it = |seen: &&Seen| matches!(seen.what, What::Mark(m) if m == mark);
        self.seen.iter().find(is_it).map(|seen| seen.at)
    }

    pub(crate) fn answers(&self) -> impl Iterator<Item = (Duration, &Answer)> {
        self.seen.iter().filter_map(|seen| match &seen.what {
            What::Answer(answer) => Some((seen.at, answer)),
            _ => None,
        })
    }

    /// The first answer under an id of ours.
    pub(crate) fn answer(&self, id: u32) -> Option<&Answer> {
        let id = Id::from(id);
        self.answers().map(|(_, answer)| answer).find(|answer| answer.id == id)
    }

    pub(crate) fn count_of(&self, id: u32) -> usize {
        let id = Id::from(id);
        self.answers().filter(|(_, answer)| answer.id == id).count()
    }

    /// The answer to initialize: the first frame that answers anything, whatever its id.
    pub(crate) fn opening(&self) -> Option<&Seen> {
        let mut answers = self.after("initialize").iter();
        answers.find(|seen| matches!(seen.what, What::Answer(_) | What::Orphan { .. }))
    }

    /// The result of the opening, if it is one.
    pub(crate) fn opened(&self) -> Option<Value> {
        match &self.opening()?.what {
            What::Answer(answer) => answer.result(),
            _ => None,
        }
    }

    /// From question to answer.
    pub(crate) fn latency(&self, id: u32) -> Option<Duration> {
        let asked = self.seen.iter().find(|s| matches!(s.what, What::Asked(n) if n == id))?.at;
        let own = Id::from(id);
        let answered = self.answers().find(|(_, answer)| answer.id == own)?.0;
        Some(answered.saturating_sub(asked))
    }

    /// The text of a frame that answers something.
    pub(crate) fn text_of<'a>(&self, seen: &'a Seen) -> &'a str {
        match &seen.what {
            What::Answer(answer) => &answer.text,
            What::Orphan { text, .. }
            | What::Request { text, .. }
            | What::Note { text, .. }
            | What::Reject { text, .. } => text,
            What::Mark(_) | What::Asked(_) => "",
            What::Junk { line, .. } | What::Tail { line } | What::Lost { near: line } => {
                std::str::from_utf8(line).unwrap_or_default()
            }
            What::TooLong { .. } => "a frame beyond the cap",
        }
    }

    /// Where its frames were lost.
    pub(crate) fn lost(&self) -> Option<&[u8]> {
        self.seen.iter().find_map(|seen| match &seen.what {
            What::Lost { near } => Some(&**near),
            _ => None,
        })
    }

    /// Why something did not come: how the process ended, or that it only kept silent.
    pub(crate) fn instead(&self) -> String {
        let mut text = if self.flooded {
            "it wrote without end instead".to_owned()
        } else if let Some(near) = self.lost() {
            format!("it may have, but its frames cannot be told apart, near {}", self.quote(near))
        } else {
            match &self.ended {
                Some(ended) => format!("it ended: {}", exit_words(ended.exit)),
                None => "it kept silent".to_owned(),
            }
        };
        let lines = String::from_utf8_lossy(&self.stderr);
        if self.ended.is_some()
            && let Some(line) = lines.lines().rev().find(|line| !line.trim().is_empty())
        {
            text.push_str(&format!("; its last words: {}", self.quote(line)));
        }
        text
    }
}

/// `exit status 3`, `SIGSEGV`.
pub(crate) fn exit_words(exit: ExitStatus) -> String {
    match exit {
        ExitStatus::Code(code) => format!("exit status {code}"),
        ExitStatus::Signal { signal, .. } => match exit.signal_name() {
            Some(name) => name.to_owned(),
            None => format!("signal {signal}"),
        },
    }
}
