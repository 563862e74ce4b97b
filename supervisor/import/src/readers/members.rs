//! Members that several formats share: programs, arguments, variables, folders.

use crate::found::{Found, Program};
use crate::json::{Member, Node, Value};
use crate::words::{self, Filling, Words};

use super::Page;

/// One entry on its way from a file to a program.
pub(crate) struct Entry<'a, 'p> {
    pub(crate) page: &'a Page<'p>,
    pub(crate) filling: Filling<'a>,
    pub(crate) found: Found,
    pub(crate) program: Program,
}

impl Entry<'_, '_> {
    pub(crate) fn lose(&mut self, member: &Member, why: &str) {
        let line = self.page.line(member.at.start);
        self.found.lose(line, format!("`{}`: {why}", member.key));
    }

    /// A text with its holes.
    pub(crate) fn words(&mut self, text: &str, at: usize) -> Words {
        let (words, remarks) = words::read(text, self.filling);
        let line = self.page.line(at);
        for remark in remarks {
            self.found.lose(line, remark);
        }
        words
    }

    /// A list of texts and numbers.
    pub(crate) fn arguments(&mut self, member: &Member) {
        match &member.value.value {
            Value::List(items) => {
                for item in items {
                    match item.scalar() {
                        Some(text) => {
                            let words = self.words(&text, item.at.start);
                            self.program.command.push(words);
                        }
                        None => self.lose(member, "an argument that is no text was left out"),
                    }
                }
            }
            Value::Null => {}
            Value::Text(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                self.lose(member, "it is no list of texts");
            }
        }
    }

    pub(crate) fn env(&mut self, member: &Member) {
        if !member.value.is_object() {
            if member.value.value != Value::Null {
                self.lose(member, "it is no object");
            }
            return;
        }
        for one in member.value.members() {
            self.variable(one);
        }
    }

    pub(crate) fn variable(&mut self, one: &Member) {
        let sound = !one.key.is_empty() && !one.key.contains(['=', '\0']);
        match one.value.scalar().filter(|_| sound) {
            Some(text) => {
                let words = self.words(&text, one.value.at.start);
                self.program.env.retain(|(name, _)| *name != one.key);
                self.program.env.push((one.key.clone(), words));
            }
            None if one.value.value == Value::Null => {
                self.lose(one, "null is no value of a variable; nothing is set");
            }
            None => self.lose(one, "a variable is a text"),
        }
    }

    pub(crate) fn cwd(&mut self, member: &Member) {
        match member.value.text() {
            Some(text) => self.program.cwd = Some(self.words(text, member.value.at.start)),
            None if member.value.value == Value::Null => {}
            None => self.lose(member, "a folder is a text"),
        }
    }

    /// The entry as a program that was found.
    pub(crate) fn done(self) -> Found {
        self.found.program(self.program)
    }
}

/// A whole number of milliseconds, within what a manifest takes.
pub(crate) fn milliseconds(node: &Node) -> Option<u64> {
    let ms = node.number()?;
    // A day is far beyond what any of these files mean.
    (0.0..=86_400_000.0).contains(&ms).then_some(ms as u64)
}
