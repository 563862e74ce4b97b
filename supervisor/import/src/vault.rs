//! What is taken out of a manifest: each secret gets a variable, and the `.env` a line.

use crate::plan::{Plan, Surroundings};
use crate::words::{self, Piece, Words};
use crate::{quote, secret, toml};

/// A secret that is shorter is refused by `from_env`: masking it would blank everything.
const SHORTEST_SECRET: usize = 6;

/// Where secrets go while one manifest is written.
pub(crate) struct Vault<'v, 's> {
    plan: &'v Plan,
    pub(crate) around: &'v Surroundings<'s>,
    id: &'v str,
    /// Lines for the `.env` that are not there yet.
    pub(crate) new: Vec<(String, String)>,
    /// Every variable that a secret of this manifest is in.
    pub(crate) names: Vec<String>,
}

impl<'v, 's> Vault<'v, 's> {
    pub(crate) fn new(plan: &'v Plan, around: &'v Surroundings<'s>, id: &'v str) -> Self {
        Self { plan, around, id, new: Vec::new(), names: Vec::new() }
    }

    /// The variable that holds `value` from now on: `name` itself, or one of the plugin's own where that means something
    /// else already.
    fn keep(&mut self, name: &str, value: &str) -> String {
        let own = Some(upper(name)).filter(|_| !words::is_name(name)).unwrap_or(name.to_owned());
        let long = name_of(&format!("{}_{own}", upper(self.id)));
        let numbered = (2..u32::MAX).map(|n| format!("{long}_{n}"));
        let names = [name_of(&own), long.clone()].into_iter().chain(numbered);
        let free = names.into_iter().find(|name| self.is_free(name, value));
        let name = free.unwrap_or(long);
        let is_new = !self.all().any(|(there, _)| *there == name);
        if is_new {
            self.new.push((name.clone(), value.to_owned()));
        }
        if !self.names.contains(&name) {
            self.names.push(name.clone());
        }
        name
    }

    /// The same for an argument: names of flags are common to many programs, so the plugin's own comes first.
    fn keep_argument(&mut self, flag: &str, value: &str) -> String {
        let name = format!("{}_{}", upper(self.id), upper(flag.trim_start_matches('-')));
        self.keep(&name_of(&name), value)
    }

    fn all(&self) -> impl Iterator<Item = &(String, String)> {
        self.around.dotenv.iter().chain(&self.plan.dotenv).chain(&self.new)
    }

    /// Whether a variable means this value or nothing yet. The environment is looked at first, so it must not differ.
    fn is_free(&self, name: &str, value: &str) -> bool {
        let holds = (self.around.environment)(name);
        holds.is_none_or(|holds| holds == value)
            && self.all().filter(|(there, _)| there == name).all(|(_, holds)| holds == value)
    }

    /// The value of a variable, as TOML.
    pub(crate) fn variable(&mut self, name: &str, words: &Words) -> String {
        if let Some(from) =
            words.as_variable().filter(|from| secret::is_name(name) || secret::is_name(from))
        {
            return format!("{{ from_env = {} }}", toml::text(from));
        }
        if let Some(value) = words.as_plain() {
            let secret =
                (secret::is_name(name) && secret::could_be(value)) || secret::is_value(value);
            if !secret {
                return toml::text(&words.template());
            }
            let variable = self.keep(name, value);
            // What is too short to be masked goes by a template, which shows its name only.
            return if value.len() < SHORTEST_SECRET {
                toml::text(&format!("${{{variable}}}"))
            } else {
                format!("{{ from_env = {} }}", toml::text(&variable))
            };
        }
        toml::text(&self.pieces(name, words).template())
    }

    /// A mixed text, its secret pieces taken out.
    fn pieces(&mut self, name: &str, words: &Words) -> Words {
        let pieces = words.0.iter().map(|piece| match piece {
            Piece::Text(text) if secret::is_value(text) => {
                Piece::Variable { name: self.keep(name, text), default: None }
            }
            Piece::Variable { name: from, default: Some(default) } if secret::is_value(default) => {
                Piece::Variable { name: self.keep(from, default), default: None }
            }
            piece => piece.clone(),
        });
        Words(pieces.collect())
    }

    /// The words of a command: `--api-key VALUE`, `--api-key=VALUE`, `NAME=VALUE`, `Header: VALUE`, and what looks like
    /// a key wherever it stands.
    pub(crate) fn command(&mut self, command: &[Words]) -> Vec<Words> {
        let mut before: Option<String> = None;
        let mut safe = Vec::new();
        for (at, word) in command.iter().enumerate() {
            let flag = before.take();
            let Some(text) = word.as_plain() else {
                safe.push(self.pieces(&format!("{}_ARGUMENT", upper(self.id)), word));
                continue;
            };
            if at > 0 && text.starts_with('-') && !text.contains('=') && secret::is_name(text) {
                before = Some(text.to_owned());
            }
            safe.push(match flag.filter(|_| !text.starts_with('-') && secret::could_be(text)) {
                Some(flag) => Words::variable(self.keep_argument(&flag, text)),
                None if at == 0 => word.clone(),
                None => self.argument(text),
            });
        }
        safe
    }

    fn argument(&mut self, text: &str) -> Words {
        for mark in ["=", ": ", ":"] {
            let Some((name, value)) = text.split_once(mark) else { continue };
            let named =
                secret::is_name(name) && !name.contains(['/', ' ']) && secret::could_be(value);
            if named {
                // `Bearer` is no secret, and says what follows.
                let (scheme, value) = match value.split_once(' ') {
                    Some((scheme @ ("Bearer" | "Basic" | "token"), value)) => {
                        (format!("{scheme} "), value)
                    }
                    _ => (String::new(), value),
                };
                let variable = self.keep_argument(name, value);
                let before = Piece::Text(format!("{name}{mark}{scheme}"));
                return Words(vec![before, Piece::Variable { name: variable, default: None }]);
            }
        }
        if !secret::is_value(text) {
            return Words::plain(text);
        }
        // Of `--url=postgres://…` the flag stays where it is.
        match text.split_once('=').filter(|(flag, _)| flag.starts_with('-')) {
            Some((flag, value)) => {
                let variable = self.keep_argument(flag, value);
                Words(vec![
                    Piece::Text(format!("{flag}=")),
                    Piece::Variable { name: variable, default: None },
                ])
            }
            None => Words::variable(self.keep_argument("argument", text)),
        }
    }
}

fn upper(text: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    text.chars().map(upper).collect()
}

/// A name that a variable may have.
fn name_of(text: &str) -> String {
    if words::is_name(text) { text.to_owned() } else { format!("PLUGIN_{text}") }
}

/// A value that a `.env` gives back as it was.
pub(crate) fn dotenv_value(value: &str) -> String {
    if !value.contains(['\'', '\n', '\r']) {
        return format!("'{value}'");
    }
    quote::dotenv(value)
}
