//! Members that several formats share: programs, arguments, variables, folders.

use std::path::{Path, PathBuf};

use crate::dotenv;
use crate::found::{Found, Program};
use crate::json::{Member, Node, Value};
use crate::words::{self, Filling, Words};

use super::Page;

/// What to do about a file of variables that was not read.
const BY_HAND: &str =
    "its lines belong into the `.env` beside the manifests, their names under [process.env]";

/// One entry on its way from a file to a program.
pub(crate) struct Entry<'a, 'p> {
    pub(crate) page: &'a Page<'p>,
    pub(crate) filling: Filling<'a>,
    pub(crate) found: Found,
    pub(crate) program: Program,
    /// Members that name a file of variables: read at the end, when it is known where the program runs.
    env_files: Vec<Member>,
}

impl<'a, 'p> Entry<'a, 'p> {
    pub(crate) fn new(
        page: &'a Page<'p>,
        filling: Filling<'a>,
        found: Found,
        program: Program,
    ) -> Self {
        Self { page, filling, found, program, env_files: Vec::new() }
    }

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

    pub(crate) fn env_file(&mut self, member: &Member) {
        if member.value.value != Value::Null {
            self.env_files.push(member.clone());
        }
    }

    /// Takes over what a file of variables holds now. What the entry says itself counts before it.
    fn read_env_file(&mut self, member: &Member) {
        let Some(text) = member.value.text() else { return self.lose(member, "a path is a text") };
        let (words, unknown) = words::read(text, self.filling);
        let Some(path) = self.path_of(&words).filter(|_| unknown.is_empty()) else {
            let why = format!("where `{text}` lies is known to its program alone; {BY_HAND}");
            return self.lose(member, &why);
        };
        let file = self.page.source.beside.text(&path);
        let file = match file {
            Ok(file) => file,
            Err(why) => {
                let why = format!("{} was not read: {why}; {BY_HAND}", path.display());
                return self.lose(member, &why);
            }
        };
        let mut set = Vec::new();
        for line in dotenv::parse(&file) {
            match line.set {
                Ok((name, value)) => {
                    // Of a name that is there twice the last one counts.
                    set.retain(|(there, _)| *there != name);
                    set.push((name, Words::plain(value)));
                }
                Err(why) => self.found.lose_in(&path, line.at, why),
            }
        }
        let env = &mut self.program.env;
        set.retain(|(name, _)| env.iter().all(|(there, _)| there != name));
        env.extend(set);
        let why = format!("`{text}` was copied as it is now; what changes there later is not seen");
        self.lose(member, &why);
    }

    /// A path from where the program runs; `None` when it hangs on what nobody can know.
    fn path_of(&self, words: &Words) -> Option<PathBuf> {
        let home = self.page.source.home;
        let path = match words.as_plain() {
            Some(text) => match text.strip_prefix("~/") {
                Some(rest) => home?.join(rest),
                None => PathBuf::from(text),
            },
            None => words.filled(&|name| home.filter(|_| name == "HOME").map(Path::to_path_buf))?,
        };
        let folder = self.program.project.as_deref().or(self.page.source.path.parent())?;
        let cwd = self.program.cwd.as_ref().and_then(Words::as_plain).unwrap_or_default();
        Some(folder.join(cwd).join(path))
    }

    pub(crate) fn cwd(&mut self, member: &Member) {
        match member.value.text() {
            Some(text) => self.program.cwd = Some(self.words(text, member.value.at.start)),
            None if member.value.value == Value::Null => {}
            None => self.lose(member, "a folder is a text"),
        }
    }

    /// The entry as a program that was found.
    pub(crate) fn done(mut self) -> Found {
        for member in std::mem::take(&mut self.env_files) {
            self.read_env_file(&member);
        }
        self.found.program(self.program)
    }
}

/// A whole number of milliseconds, within what a manifest takes.
pub(crate) fn milliseconds(node: &Node) -> Option<u64> {
    let ms = node.number()?;
    // A day is far beyond what any of these files mean.
    (0.0..=86_400_000.0).contains(&ms).then_some(ms as u64)
}
