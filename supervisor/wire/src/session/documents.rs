//! Documents that a client of a language server has open, as it said them.
//!
//! A server's process knows of a document what it was told. Kept are the messages and not a text that they would make:
//! said again in their order they make the same document, in whatever unit its positions are counted.

use serde::{Deserialize, Serialize};

use crate::json::{member, quoted, text_member};

pub(super) const OPEN: &str = "textDocument/didOpen";
pub(super) const CHANGE: &str = "textDocument/didChange";
pub(super) const CLOSE: &str = "textDocument/didClose";

/// Bytes of messages that are kept for one client.
const MOST_BYTES: usize = 32 << 20;

/// Documents of one client that are kept.
const MOST_DOCUMENTS: usize = 1024;

/// What one client has open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Documents {
    open: Vec<Document>,
    /// Bytes of all messages that are kept.
    bytes: usize,
    /// Documents for which there was no room since they were opened.
    lost: Vec<Box<str>>,
    /// Documents of which the process has missed something. What is kept of them is whole all the same.
    #[serde(default)]
    behind: Vec<Box<str>>,
}

/// One open document: the params of its opening, and of each change since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    uri: Box<str>,
    said: Vec<Box<str>>,
}

impl Documents {
    /// The client says something of a document, if `method` is one of the three.
    pub(super) fn note(&mut self, method: &str, params: &str) {
        let document = member(params, "textDocument").unwrap_or("");
        let Some(uri) = text_member(document, "uri") else { return };
        match method {
            OPEN => {
                self.forget(&uri);
                let document = Document { uri: uri.as_ref().into(), said: Vec::new() };
                self.open.push(document);
                self.keep(self.open.len() - 1, params);
            }
            CHANGE => {
                let Some(at) = self.open.iter().position(|it| *it.uri == *uri) else { return };
                if is_whole(params) {
                    // Nothing that was changed before is left. The opening stays: it names the language.
                    let before = self.open[at].said.drain(1..);
                    self.bytes -= before.map(|said| said.len()).sum::<usize>();
                }
                self.keep(at, params);
            }
            CLOSE => self.forget(&uri),
            _ => {}
        }
    }

    /// What a process has to be told that knows of none of them: method and params.
    pub(super) fn again(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let said = self.open.iter().flat_map(|document| document.said.iter().enumerate());
        said.map(|(n, params)| (if n == 0 { OPEN } else { CHANGE }, &**params))
    }

    /// What a process has to be told when the client has gone without a word: params of `didClose`.
    pub(super) fn closings(&self) -> Vec<String> {
        let uris = self.open.iter().map(|document| &document.uri).chain(&self.lost);
        uris.map(|uri| format!("{{\"textDocument\":{{\"uri\":{}}}}}", quoted(uri))).collect()
    }

    /// What was said of a document did not reach the process. Gives the document's name if that is news.
    pub(super) fn missed(&mut self, method: &str, params: &str) -> Option<String> {
        if !matches!(method, OPEN | CHANGE) {
            return None;
        }
        let uri = text_member(member(params, "textDocument")?, "uri")?;
        let known = self.behind.iter().any(|behind| **behind == *uri);
        if known || self.behind.len() >= MOST_DOCUMENTS {
            return None;
        }
        self.behind.push(uri.as_ref().into());
        Some(uri.into_owned())
    }

    /// Another process was told everything that is kept.
    pub(super) fn caught_up(&mut self) {
        self.behind.clear();
    }

    /// How many open documents could not be kept.
    pub(super) fn lost(&self) -> usize {
        self.lost.len()
    }

    /// Keeps one more message of a document, or nothing of it when there is no room.
    fn keep(&mut self, at: usize, params: &str) {
        self.bytes += params.len();
        self.open[at].said.push(params.into());
        if self.bytes > MOST_BYTES || self.open.len() > MOST_DOCUMENTS {
            let Document { uri, said } = self.open.remove(at);
            self.bytes -= said.iter().map(|said| said.len()).sum::<usize>();
            if self.lost.len() < MOST_DOCUMENTS {
                self.lost.push(uri);
            }
        }
    }

    fn forget(&mut self, uri: &str) {
        self.lost.retain(|lost| **lost != *uri);
        self.behind.retain(|behind| **behind != *uri);
        if let Some(at) = self.open.iter().position(|document| *document.uri == *uri) {
            let document = self.open.remove(at);
            self.bytes -= document.said.iter().map(|said| said.len()).sum::<usize>();
        }
    }
}

/// Whether a change is of the whole text: one change, without a range.
fn is_whole(params: &str) -> bool {
    let changes = member(params, "contentChanges").and_then(|list| serde_json::from_str(list).ok());
    let changes: Vec<&serde_json::value::RawValue> = changes.unwrap_or_default();
    matches!(changes[..], [only] if member(only.get(), "range").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(uri: &str, text: &str) -> String {
        let text = quoted(text);
        format!(
            r#"{{"textDocument":{{"uri":"{uri}","languageId":"x","version":1,"text":{text}}}}}"#
        )
    }

    fn change(uri: &str, changes: &str) -> String {
        format!(r#"{{"textDocument":{{"uri":"{uri}","version":2}},"contentChanges":[{changes}]}}"#)
    }

    fn again(documents: &Documents) -> Vec<(&str, &str)> {
        documents.again().collect()
    }

    const PART: &str = r#"{"range":{},"text":"a"}"#;
    const WHOLE: &str = r#"{"text":"all"}"#;

    #[test]
    fn what_is_open_is_said_again_in_its_order_until_it_is_closed() {
        let mut documents = Documents::default();
        let (a, b, part) = (open("a", "żółć"), open("b", ""), change("a", PART));
        documents.note(OPEN, &a);
        documents.note(OPEN, &b);
        documents.note(CHANGE, &part);
        documents.note(CHANGE, &change("c", PART));
        assert_eq!(again(&documents), [(OPEN, &*a), (CHANGE, &*part), (OPEN, &*b)]);
        assert_eq!(
            documents.closings(),
            [r#"{"textDocument":{"uri":"a"}}"#, r#"{"textDocument":{"uri":"b"}}"#]
        );
        documents.note(CLOSE, r#"{"textDocument":{"uri":"a"}}"#);
        assert_eq!(again(&documents), [(OPEN, &*b)]);
        documents.note(CLOSE, r#"{"textDocument":{"uri":"b"}}"#);
        assert_eq!(documents, Documents::default());
    }

    #[test]
    fn a_change_of_the_whole_text_makes_those_before_it_needless() {
        let mut documents = Documents::default();
        let (a, whole, both) = (open("a", "x"), change("a", WHOLE), change("a", PART));
        documents.note(OPEN, &a);
        for _ in 0..100 {
            documents.note(CHANGE, &change("a", PART));
        }
        documents.note(CHANGE, &whole);
        documents.note(CHANGE, &both);
        assert_eq!(again(&documents), [(OPEN, &*a), (CHANGE, &*whole), (CHANGE, &*both)]);
        assert_eq!(documents.bytes, a.len() + whole.len() + both.len());
        documents.note(CHANGE, &change("a", &format!("{WHOLE},{PART}")));
        assert_eq!(again(&documents).len(), 4, "more than one change is not looked into");
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_until_it_is_opened_anew() {
        let mut documents = Documents::default();
        documents.note(OPEN, &open("small", ""));
        documents.note(OPEN, &open("large", &"x".repeat(MOST_BYTES)));
        assert_eq!((documents.lost(), again(&documents).len()), (1, 1));
        documents.note(CHANGE, &change("large", PART));
        assert_eq!(documents.closings().len(), 2);
        documents.note(OPEN, &open("large", ""));
        assert_eq!((documents.lost(), again(&documents).len()), (0, 2));
        for n in 0..2 * MOST_DOCUMENTS {
            documents.note(OPEN, &open(&n.to_string(), ""));
        }
        assert_eq!(again(&documents).len(), MOST_DOCUMENTS, "bounded");
        assert!(documents.lost() <= MOST_DOCUMENTS);
    }
}
