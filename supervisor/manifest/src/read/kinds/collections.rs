//! Lists, variables and free tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::{Reader, kind_of, label};
use super::id_of;
use crate::keys::{Key, Kind};
use crate::problem::{Problem, quoted, ticked};
use crate::source::{Placed, Spot};
use crate::template::Template;
use crate::value::{EnvEntry, EnvValue, Value};

/// Set by the host for every plugin; a manifest that set them would only break it.
pub(crate) const RESERVED: [&str; 6] = [
    "OUTBOARD_PROTOCOL",
    "OUTBOARD_PLUGIN",
    "OUTBOARD_INSTANCE",
    "OUTBOARD_GENERATION",
    "OUTBOARD_RUN",
    "OUTBOARD_RPC_FD",
];

impl Reader<'_, '_> {
    pub(super) fn collection(
        &mut self,
        key: &'static Key,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        match key.kind {
            Kind::Command => self.command(path, value).map(Value::Templates),
            Kind::Argv | Kind::Paths | Kind::Globs => {
                let what = "a list of texts";
                let cause = format!("for example {} = [\"…\"]", key.name);
                self.texts(path, value, what, &cause).map(Value::Texts)
            }
            Kind::Templates => {
                let cause = format!("for example {} = [\"~/bin\"]", key.name);
                let texts = self.texts(path, value, "a list of folders", &cause)?;
                let mut templates = Vec::with_capacity(texts.len());
                for text in texts {
                    match Template::parse(&text.value, Some(text.spot.clone())) {
                        Ok(template) => templates.push(template),
                        Err(refusal) => {
                            self.problems.refuse(&text.spot.span(), refusal);
                            return None;
                        }
                    }
                }
                Some(Value::Templates(templates))
            }
            Kind::Ids => {
                let cause = format!("for example {} = [\"cache\"]", key.name);
                let texts = self.texts(path, value, "a list of names", &cause)?;
                let mut sound = true;
                for text in &texts {
                    sound &= self.sound(id_of(&text.value), &text.spot.span()).is_some();
                }
                sound.then_some(Value::Texts(texts))
            }
            Kind::Counts { min, max } => {
                let DeValue::Array(items) = value.get_ref() else {
                    return self.wrong("a list of whole numbers", path, value, "");
                };
                let numbers: Vec<Option<u64>> =
                    items.iter().map(|item| self.whole(path, item, min, max)).collect();
                numbers.into_iter().collect::<Option<Vec<_>>>().map(Value::Counts)
            }
            Kind::Env => match value.get_ref() {
                DeValue::Table(table) => self.env(path, table).map(Value::Env),
                _ => self.wrong("a table", path, value, "for example { LOG = \"debug\" }"),
            },
            Kind::Object => match value.get_ref() {
                DeValue::Table(table) => self.object(path, table).map(Value::Object),
                _ => self.wrong("a table", path, value, ""),
            },
            Kind::Json => self.json(path, value).map(Value::Json),
            _ => None,
        }
    }

    /// A list of texts, none empty, none with NUL.
    fn texts(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        what: &str,
        cause: &str,
    ) -> Option<Vec<Placed<String>>> {
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong(what, path, value, cause);
        };
        let mut sound = true;
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter() {
            match self.text(path, item, "a text", cause) {
                Some(text) => {
                    let spot = Spot::new(self.source, item.span());
                    texts.push(Placed { value: text.to_owned(), spot });
                }
                None => sound = false,
            }
        }
        sound.then_some(texts)
    }

    /// A program with its arguments, which may be empty texts.
    fn command(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Template>> {
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            DeValue::String(text) => {
                let words: Vec<String> = text.split_whitespace().take(6).map(quoted).collect();
                let cause = format!("a list, for example [{}]", words.join(", "));
                return self.wrong("a list of texts", path, value, &cause);
            }
            _ => {
                let cause =
                    "a program and its arguments, for example [\"python3\", \"weather.py\"]";
                return self.wrong("a list of texts", path, value, cause);
            }
        };
        let mut sound = true;
        let mut command = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let text = match item.get_ref() {
                DeValue::String(text)
                    if !text.contains('\0') && (index > 0 || !text.is_empty()) =>
                {
                    text
                }
                DeValue::String(text) if text.contains('\0') => {
                    sound = false;
                    let what = format!("a NUL character in {}", label(path));
                    self.problems.push(&item.span(), Problem::error(what));
                    continue;
                }
                DeValue::String(_) => {
                    sound = false;
                    let what = format!("the program in {} is empty", label(path));
                    self.problems.push(&item.span(), Problem::error(what));
                    continue;
                }
                other => {
                    sound = false;
                    let cause = match other {
                        DeValue::Integer(number) => format!("write it as a text: \"{number}\""),
                        _ => String::new(),
                    };
                    self.expected("a text", path, item, &cause);
                    continue;
                }
            };
            match self.template(text, &item.span()) {
                Some(template) => command.push(template),
                None => sound = false,
            }
        }
        if items.is_empty() {
            sound = false;
            let problem = Problem::error(format!("{} is empty", label(path)))
                .cause("a program and its arguments, for example [\"python3\", \"weather.py\"]");
            self.problems.push(&value.span(), problem);
        }
        sound.then_some(command)
    }

    fn env(&mut self, path: &str, table: &DeTable<'_>) -> Option<BTreeMap<String, EnvEntry>> {
        let mut sound = true;
        let mut variables = BTreeMap::new();
        for (name, value) in table {
            let word: &str = name.get_ref();
            let refusal = if word.is_empty() || word.contains(['=', '\0']) {
                Some(format!("{} cannot be the name of a variable", quoted(word)))
            } else if RESERVED.contains(&word) {
                Some(format!("{} is set by outboard itself", ticked(word)))
            } else {
                None
            };
            if let Some(what) = refusal {
                sound = false;
                self.problems.push(&name.span(), Problem::error(what));
                continue;
            }
            match self.env_value(&format!("{path}.{word}"), value) {
                Some(read) => {
                    let spot = Spot::new(self.source, value.span());
                    variables.insert(word.to_owned(), EnvEntry { value: read, spot });
                }
                None => sound = false,
            }
        }
        sound.then_some(variables)
    }

    fn env_value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<EnvValue> {
        const SHAPE: &str = "a text, { from_env = \"NAME\" } or { from_file = \"PATH\" }";
        let span = value.span();
        match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                let what = format!("a NUL character in {}", label(path));
                self.problems.push(&span, Problem::error(what));
                None
            }
            DeValue::String(text) => {
                let template = self.template(text, &span)?;
                self.hint_bare(&template, &span);
                Some(EnvValue::Text(template))
            }
            DeValue::Integer(number) => {
                let cause = format!("write it as a text: \"{number}\"");
                self.wrong("a text", path, value, &cause)
            }
            DeValue::Boolean(flag) => {
                let cause = format!("write it as a text: \"{flag}\"");
                self.wrong("a text", path, value, &cause)
            }
            DeValue::Table(table) => {
                let mut entries = table.iter();
                let (Some((name, source)), None) = (entries.next(), entries.next()) else {
                    let what = format!("{} names {} sources", label(path), table.len());
                    self.problems.push(&span, Problem::error(what).cause(SHAPE));
                    return None;
                };
                match name.get_ref().as_ref() {
                    "from_env" => {
                        let from = self.text(path, source, "the name of a variable", SHAPE)?;
                        Some(EnvValue::FromEnv(from.to_owned()))
                    }
                    "from_file" => {
                        let from = self.text(path, source, "a path", SHAPE)?;
                        self.hint_plain(path, from, &source.span());
                        Some(EnvValue::FromFile(PathBuf::from(from)))
                    }
                    other => {
                        let what = format!("unknown key {} in {}", ticked(other), label(path));
                        self.problems.push(&name.span(), Problem::error(what).cause(SHAPE));
                        None
                    }
                }
            }
            other => {
                let what = format!("expected a text for {}, found {}", label(path), kind_of(other));
                self.problems.push(&span, Problem::error(what).cause(SHAPE));
                None
            }
        }
    }
}
