//! A text with holes: what one program fills in as `${env:NAME}` or `%(ENV_NAME)s` becomes what a manifest fills in.

use std::ffi::OsString;
use std::path::PathBuf;

/// A part of [`Words`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Variable {
        name: String,
        /// Taken when the variable is unset or empty.
        default: Option<String>,
    },
}

/// A text whose holes are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<Piece>);

impl Words {
    /// A text without holes.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    pub(crate) fn variable(name: impl Into<String>) -> Self {
        Self(vec![Piece::Variable { name: name.into(), default: None }])
    }

    /// The text, if there are no holes in it.
    pub(crate) fn as_plain(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The name, if it is one variable and nothing else.
    pub(crate) fn as_variable(&self) -> Option<&str> {
        match &self.0[..] {
            [Piece::Variable { name, default: None }] => Some(name),
            _ => None,
        }
    }

    /// As a manifest's template: `$` doubled, variables in braces.
    pub(crate) fn template(&self) -> String {
        let mut template = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => template.push_str(&text.replace('$', "$$")),
                Piece::Variable { name, default: None } => {
                    template.push_str(&format!("${{{name}}}"))
                }
                Piece::Variable { name, default: Some(default) } => {
                    template.push_str(&format!("${{{name}:-{default}}}"));
                }
            }
        }
        template
    }

    /// The text with every hole filled by `value`; `None` when that has nothing for one of them.
    pub(crate) fn filled(&self, value: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let mut filled = OsString::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push(text),
                Piece::Variable { name, .. } => filled.push(value(name)?),
            }
        }
        Some(filled.into())
    }

    fn push(&mut self, text: &str) {
        if let Some(Piece::Text(last)) = self.0.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.0.push(Piece::Text(text.to_owned()));
        }
    }
}

/// What the program that a file was written for fills in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filling<'a> {
    /// Nothing.
    None,
    /// `${NAME}` with what editors and MCP clients put before the name; `folder` is the project's.
    Braces { folder: Option<&'a str> },
    /// `%(NAME)s`, as in supervisord's files.
    Percent { here: &'a str, program: &'a str },
}

/// Reads a text as the program that it was written for does. What cannot be filled in stays as it is written and is
/// returned as a remark.
pub(crate) fn read(text: &str, filling: Filling<'_>) -> (Words, Vec<String>) {
    match filling {
        Filling::None => (Words::plain(text), Vec::new()),
        Filling::Braces { folder } => braces(text, folder),
        Filling::Percent { here, program } => percent(text, here, program),
    }
}

/// The variable that stands for what VS Code asks its user.
pub(crate) fn variable_of_input(id: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = id.chars().map(upper).collect();
    if is_name(&name) { name } else { format!("INPUT_{name}") }
}

pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn braces(text: &str, folder: Option<&str>) -> (Words, Vec<String>) {
    let (mut words, mut remarks) = (Words::default(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        words.push(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            rest = &rest[at..];
            break;
        };
        let inside = &rest[at + 2..at + end];
        match hole(inside, folder) {
            Some(Piece::Text(text)) => words.push(&text),
            Some(variable) => words.0.push(variable),
            None => {
                words.push(&rest[at..=at + end]);
                remarks.push(format!("`${{{inside}}}` means nothing outside of its program"));
            }
        }
        rest = &rest[at + end + 1..];
    }
    words.push(rest);
    (words, remarks)
}

fn hole(inside: &str, folder: Option<&str>) -> Option<Piece> {
    let text = |text: &str| Some(Piece::Text(text.to_owned()));
    let variable = |name: &str, default: Option<&str>| {
        let default = default.map(str::to_owned);
        is_name(name).then(|| Piece::Variable { name: name.to_owned(), default })
    };
    match inside {
        "workspaceFolder" | "workspaceRoot" | "CLAUDE_PROJECT_DIR" | "CLAUDE_PLUGIN_ROOT" => {
            return folder.and_then(text);
        }
        "workspaceFolderBasename" => {
            return folder.and_then(|folder| text(folder.rsplit('/').next()?));
        }
        "userHome" => return variable("HOME", None),
        "pathSeparator" | "/" => return text("/"),
        _ => {}
    }
    if let Some(id) = inside.strip_prefix("input:") {
        return variable(&variable_of_input(id), None);
    }
    let name = inside.strip_prefix("env:").unwrap_or(inside);
    match name.split_once(":-") {
        // A manifest takes no variable within the default of another.
        Some((_, default)) if default.contains("${") => None,
        Some((name, default)) => variable(name, Some(default)),
        None => variable(name, None),
    }
}

fn percent(text: &str, here: &str, program: &str) -> (Words, Vec<String>) {
    let (mut words, mut remarks) = (Words::default(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        words.push(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('%') {
            words.push("%");
            rest = after;
            continue;
        }
        let inside = after.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        let Some((name, tail)) = inside else {
            words.push("%");
            rest = after;
            continue;
        };
        // `s`, `d` and `02d`: with one process there is nothing to count.
        let format = tail.bytes().take_while(u8::is_ascii_digit).count();
        let kind = tail[format..].starts_with(['s', 'd']);
        match (name, name.strip_prefix("ENV_").filter(|name| is_name(name))) {
            (_, Some(name)) => {
                words.0.push(Piece::Variable { name: name.to_owned(), default: None })
            }
            ("here", _) => words.push(here),
            ("program_name" | "group_name", _) => words.push(program),
            ("process_num", _) => words.push("0"),
            (other, None) => {
                words.push(&format!("%({other})s"));
                remarks.push(format!("`%({other})s` means nothing outside of supervisord"));
            }
        }
        rest = &tail[format + usize::from(kind)..];
    }
    words.push(rest);
    (words, remarks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_of_clients_become_holes_of_manifests() {
        let folder = Some("/w/app");
        for (text, template) in [
            ("plain", "plain"),
            ("a$b", "a$$b"),
            ("${HOME}/x", "${HOME}/x"),
            ("${env:TOKEN}", "${TOKEN}"),
            ("${PORT:-80}", "${PORT:-80}"),
            ("${input:api-key}", "${API_KEY}"),
            ("${input:2fa}", "${INPUT_2FA}"),
            ("${workspaceFolder}/s.js", "/w/app/s.js"),
            ("${workspaceFolderBasename}", "app"),
            ("${userHome}${/}x", "${HOME}/x"),
            ("${command:x}", "$${command:x}"),
            ("${open", "$${open"),
        ] {
            assert_eq!(read(text, Filling::Braces { folder }).0.template(), template, "{text}");
        }
        assert_eq!(read("${HOME}", Filling::None).0.template(), "$${HOME}");
        assert_eq!(read("${workspaceFolder}", Filling::Braces { folder: None }).1.len(), 1);
    }

    #[test]
    fn holes_of_supervisord_become_holes_of_manifests() {
        let filling = Filling::Percent { here: "/etc/s", program: "web" };
        for (text, template) in [
            ("%(here)s/run", "/etc/s/run"),
            ("%(ENV_HOME)s", "${HOME}"),
            ("%(program_name)s_%(process_num)02d", "web_0"),
            ("100%%", "100%"),
            ("5% of $x", "5% of $$x"),
            ("%(host_node_name)s", "%(host_node_name)s"),
        ] {
            assert_eq!(read(text, filling).0.template(), template, "{text}");
        }
    }
}
