//! Configuration of supervisord.

use std::path::Path;

use crate::found::{Found, Lost, Program};
use crate::words::{self, Filling, Words};
use crate::{Beside, Format, Reading, Source, Unread, glob, shell, toml};

use super::ini::{self, Key, Section};

pub(crate) fn read(source: &Source<'_>) -> Result<Reading, Unread> {
    let sections = ini::parse(source.text)
        .map_err(|(line, what)| Unread { line: Some(line), what: what.to_owned() })?;
    let mut reading = Reading { format: Format::Supervisord, found: Vec::new(), lost: Vec::new() };
    let here = source.path.parent().unwrap_or(Path::new("/"));
    take(&mut reading, &sections, here, None);
    for section in sections.iter().filter(|section| section.name == "include") {
        for key in section.keys.iter().filter(|key| key.name == "files") {
            include(&mut reading, key, here, source.beside);
        }
    }
    if reading.found.is_empty() {
        let lost = reading.lost.iter().filter(|lost| lost.what.starts_with(INCLUDE));
        let why: Vec<&str> = lost.map(|lost| lost.what.as_str()).collect();
        let what = match &why[..] {
            [] => "no `[program:…]` in it, nor in what it includes".to_owned(),
            why => format!("no `[program:…]` in it; {}", why.join("; ")),
        };
        return Err(Unread { line: None, what });
    }
    Ok(reading)
}

/// Begins what is said of files that could not be read.
const INCLUDE: &str = "`[include]`: ";

/// Reads the files that an `[include]` names, as supervisord does: patterns with blanks between, from this file's folder.
fn include(reading: &mut Reading, key: &Key, here: &Path, beside: &dyn Beside) {
    let shown = here.display().to_string();
    let lost = |file: Option<&Path>, line, what: String| Lost {
        file: file.map(Path::to_owned),
        line,
        what: format!("{INCLUDE}{what}"),
    };
    for pattern in key.value.split_whitespace() {
        let (words, _) = words::read(pattern, Filling::Percent { here: &shown, program: "" });
        let Some(plain) = words.as_plain().filter(|text| !text.contains("%(")) else {
            let what =
                format!("what `{pattern}` is, only supervisord knows; import those files by name");
            reading.lost.push(lost(None, key.line, what));
            continue;
        };
        let files = glob::files(&here.join(plain), beside);
        if files.is_empty() {
            reading.lost.push(lost(None, key.line, format!("no file is `{pattern}`")));
        }
        for file in files {
            let text = match beside.text(&file) {
                Ok(text) => text,
                Err(why) => {
                    let what = format!("{} was not read: {why}", file.display());
                    reading.lost.push(lost(None, key.line, what));
                    continue;
                }
            };
            match ini::parse(&text) {
                Ok(sections) => {
                    let here = file.parent().unwrap_or(here);
                    take(reading, &sections, here, Some(&file));
                }
                Err((line, what)) => {
                    reading.lost.push(lost(Some(&file), line, format!("not read: {what}")));
                }
            }
        }
    }
}

/// Takes over the sections of one file; `file` where it is included.
fn take(reading: &mut Reading, sections: &[Section], here: &Path, file: Option<&Path>) {
    for section in sections {
        let lose = |what: &str| Lost {
            file: file.map(Path::to_owned),
            line: section.line,
            what: format!("`[{}]`: {what}", section.name),
        };
        let found = |name: &str| {
            let mut found = Found::new(name.trim(), section.line);
            found.file = file.map(Path::to_owned);
            found
        };
        match section.name.split_once(':') {
            Some(("program", name)) => {
                reading.found.push(program(found(name), name.trim(), section, here));
            }
            Some(("fcgi-program", name)) => {
                let why = "it is given a socket, and speaks FastCGI";
                reading.found.push(found(name).left_alone(why));
            }
            Some(("eventlistener", name)) => {
                let why = "it listens to supervisord's own events: see `outboard events`";
                reading.found.push(found(name).left_alone(why));
            }
            Some(("group", _)) => {
                reading.lost.push(lose("ids take globs, such as `outboard stop 'web-*'`"));
            }
            // Of the file itself it is followed.
            _ if section.name == "include" && file.is_none() => {}
            _ if section.name == "include" => {
                reading.lost.push(lose("supervisord follows it in its own file alone"));
            }
            _ => reading.lost.push(lose("about supervisord itself")),
        }
    }
}

fn program(mut found: Found, name: &str, section: &Section, here: &Path) -> Found {
    let shown = here.display().to_string();
    let filling = Filling::Percent { here: &shown, program: name };
    let Some(command) = section.keys.iter().rev().find(|key| key.name == "command") else {
        return found.left_alone("no `command` in it");
    };
    let Ok(split) = shell::split(&command.value) else {
        return found.left_alone("its command cannot be told apart: a quote is not closed");
    };
    if split.is_empty() {
        return found.left_alone("its command is empty");
    }
    let mut program = Program::new("");
    program.project = Some(here.to_owned());
    for word in &split {
        let word = filled(&mut found, command.line, word, filling);
        program.command.push(word);
    }
    // supervisord restarts what ends otherwise than expected, unless it is told to.
    program.set("restart", "policy", toml::text("on-failure"));
    for key in &section.keys {
        key_of(&mut program, &mut found, key, filling);
    }
    program.dialect = dialect_of(&program.command);
    note_dialect(&mut program, &mut found);
    found.program(program)
}

fn filled(found: &mut Found, line: usize, text: &str, filling: Filling<'_>) -> Words {
    let (words, remarks) = words::read(text, filling);
    remarks.into_iter().for_each(|remark| found.lose(line, remark));
    words
}

fn key_of(program: &mut Program, found: &mut Found, key: &Key, filling: Filling<'_>) {
    let value = key.value.as_str();
    let mut lose = |why: &str| found.lose(key.line, format!("`{}`: {why}", key.name));
    match key.name.as_str() {
        // Every stop here reaches the whole group.
        "command" | "stopasgroup" | "killasgroup" | "process_name" => {}
        "directory" => program.cwd = Some(filled(found, key.line, value, filling)),
        "environment" => environment(program, found, key, filling),
        "autostart" => program.enabled = is_true(value),
        "autorestart" => {
            let policy = match value.to_lowercase().as_str() {
                "unexpected" => "on-failure",
                value if is_true(value) => "always",
                _ => "never",
            };
            program.set("restart", "policy", toml::text(policy));
        }
        "startretries" => match value.parse::<u32>() {
            Ok(most) if most <= 100_000 => {
                let budget = format!("{{ restarts = {most}, within = \"5m\" }}");
                program.set("restart", "budget", budget);
            }
            _ => lose("not a number; the usual budget holds"),
        },
        "stopwaitsecs" => match value.parse::<u64>() {
            Ok(seconds) if seconds <= 3600 => {
                program.set("stop", "term", toml::span(seconds * 1000));
            }
            _ => lose("out of range; the usual time holds"),
        },
        "umask" => match value {
            value if value.len() <= 4 && value.bytes().all(|b| (b'0'..=b'7').contains(&b)) => {
                program.set("process", "umask", toml::text(&format!("{value:0>4}")));
            }
            _ => lose("not octal; the supervisor's own holds"),
        },
        "numprocs" if value == "1" => {}
        "stopsignal" if matches!(value, "TERM" | "SIGTERM") => {}
        "exitcodes" if value == "0" => {}
        "redirect_stderr" if !is_true(value) => {}
        "redirect_stderr" => {
            lose("standard output is for messages; what is said on standard error is kept apart")
        }
        "numprocs" | "numprocs_start" => {
            lose("a plugin is one process; it serves many callers at once")
        }
        "stopsignal" => lose("a stop asks over the protocol first, and then sends SIGTERM"),
        "exitcodes" => lose("only 0 is a good end, and 125 says: do not restart me"),
        "startsecs" => lose("a plugin is up when it answers, and not after a time"),
        "priority" => lose("order is said by name: `[start] after` and `requires`"),
        "user" => lose("`[process] user` has no effect yet, and would be refused"),
        "serverurl" => lose("there is none: `outboard --help`"),
        name if name.starts_with("stdout_") || name.starts_with("stderr_") => {
            lose("outboard keeps what it says: `outboard logs`");
        }
        _ => lose("no manifest has anything like it"),
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.to_lowercase().as_str(), "true" | "yes" | "on" | "1")
}

/// `A="1",B=2`, with blanks and line ends between.
fn environment(program: &mut Program, found: &mut Found, key: &Key, filling: Filling<'_>) {
    for pair in pairs(&key.value) {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty())
        else {
            // Never the text itself, which may be a secret.
            found.lose(key.line, "`environment`: something that is not NAME=value was left out");
            continue;
        };
        let value = value.trim();
        let value = ['"', '\'']
            .iter()
            .find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q))
            .unwrap_or(value);
        let words = filled(found, key.line, value, filling);
        program.env.push((name.trim().to_owned(), words));
    }
}

/// Cuts at commas outside of quotes.
fn pairs(text: &str) -> Vec<&str> {
    let (mut pairs, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (',', None) => {
                pairs.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pairs.push(&text[start..]);
    pairs.into_iter().map(str::trim).filter(|pair| !pair.is_empty()).collect()
}

/// What a program speaks that was run without its input and output being looked at: nobody can tell, save where a
/// word of its command says `mcp`.
pub(crate) fn dialect_of(command: &[Words]) -> &'static str {
    let says_mcp = |word: &Words| {
        let text = word.as_plain().unwrap_or_default().to_lowercase();
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "mcp")
            || text.contains("modelcontextprotocol")
    };
    if command.iter().any(says_mcp) { "mcp" } else { "native" }
}

/// Says so where it was only guessed.
pub(crate) fn note_dialect(program: &mut Program, found: &mut Found) {
    let what = match program.dialect {
        "mcp" => "Taken for an MCP server by its name; if it is none, change `dialect`",
        _ => {
            "Outboard speaks JSON-RPC with a plugin over standard input and output; a program that does not will fail to open"
        }
    };
    program.notes.push(what.to_owned());
    found.lose(found.line, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_cut_at_its_commas() {
        assert_eq!(pairs("A=\"1,2\", B='x',\nC=3,"), ["A=\"1,2\"", "B='x'", "C=3"]);
        assert!(pairs("").is_empty());
    }
}
