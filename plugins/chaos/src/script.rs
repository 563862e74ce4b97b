//! Scripts as steps. The README is the language's reference.

use crate::text::Text;

/// One step and the line it stands on.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) act: Act,
}

pub(crate) type Block = Vec<Step>;

/// What a step does.
#[derive(Debug, PartialEq)]
pub(crate) enum Act {
    Say { fd: i32, text: Text, newline: bool },
    SayRepeat { times: Text, text: Text },
    Flood { fd: i32, lines: Option<Text>, text: Text },
    Reply(Text),
    ReplyError { code: Text, message: Text },
    ReplySelf,
    Pry(Text),
    Forge { way: Way, pid: Text, text: Text },
    Ask { method: Text, params: Text },
    Read { method: Option<String> },
    Serve { dialect: Dialect, until: Option<String> },
    On { method: String, block: Block },
    Defer { gate: Text, block: Block },
    Gate(Text),
    At { name: Text, text: Option<Text> },
    Pause,
    Spin,
    Stop,
    Exit(Text),
    Raise(Text),
    Ignore(Text),
    IgnoreEof,
    Default(Text),
    Close(Text),
    Fork(Block),
    Setsid,
    Daemon(Block),
    Scrub,
    Alloc(Text),
    Bomb(Text),
    Loop { times: Option<Text>, block: Block },
    First { name: Text, block: Block },
    Generation { from: u64, to: u64, block: Block },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dialect {
    Native,
    Mcp,
    Lsp,
}

/// How a script comes to what another process has open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// Opens it again, through `/proc`.
    Open,
    /// Copies the descriptor.
    Copy,
}

/// Reads a whole script. The error names the line.
pub(crate) fn parse(source: &[u8]) -> Result<Block, String> {
    let mut lines = source
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"));
    block(&mut lines, None)
}

/// Steps up to the end of the source, or up to the `}` of the block opened on line `opened`.
fn block<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
    opened: Option<usize>,
) -> Result<Block, String> {
    let mut steps = Vec::new();
    loop {
        let Some((line, source)) = lines.next() else {
            return match opened {
                None => Ok(steps),
                Some(line) => Err(format!("line {line}: this block is never closed")),
            };
        };
        if source == b"}" {
            return match opened {
                Some(_) => Ok(steps),
                None => Err(format!("line {line}: }} closes nothing")),
            };
        }
        let at_line = |problem: String| format!("line {line}: {problem}");
        let act = match Head::split(source) {
            None => simple(source).map_err(at_line)?,
            Some(Head { head, inline: Some(step) }) => {
                let inner = block(&mut [(line, step)].into_iter(), None)?;
                compound(head, inner).map_err(at_line)?
            }
            Some(Head { head, inline: None }) => {
                let inner = block(lines, Some(line))?;
                compound(head, inner).map_err(at_line)?
            }
        };
        steps.push(Step { line, act });
    }
}

/// The head of a block, and its only step if it is all on one line.
struct Head<'a> {
    head: &'a [u8],
    inline: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    const WORDS: [&'static [u8]; 7] =
        [b"on", b"defer", b"fork", b"daemon", b"loop", b"first", b"generation"];

    /// `None` when the line opens no block, though its text may hold braces.
    fn split(line: &'a [u8]) -> Option<Self> {
        let (word, _) = words(line);
        if !Self::WORDS.contains(&word) {
            return None;
        }
        let open = line.windows(2).position(|two| two == b" {")?;
        let (head, rest) = (line[..open].trim_ascii(), line[open + 2..].trim_ascii());
        match rest {
            [] => Some(Self { head, inline: None }),
            [step @ .., b'}'] => Some(Self { head, inline: Some(step.trim_ascii()) }),
            _ => None,
        }
    }
}

/// The first word, and the rest without blanks around it.
fn words(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    (&line[..end], line[end..].trim_ascii())
}

fn text(source: &[u8]) -> Result<Text, String> {
    Text::parse(source)
}

fn constant(source: &[u8]) -> String {
    String::from_utf8_lossy(source).into_owned()
}

/// An argument that must be there and be a single word.
fn one(step: &str, rest: &[u8]) -> Result<Text, String> {
    match words(rest) {
        (b"", _) => Err(format!("{step} wants an argument")),
        (word, b"") => text(word),
        // A variable's default may hold blanks.
        _ if rest.starts_with(b"${") && rest.ends_with(b"}") => text(rest),
        _ => Err(format!("{step} wants one argument")),
    }
}

fn none(step: &str, rest: &[u8], act: Act) -> Result<Act, String> {
    if rest.is_empty() { Ok(act) } else { Err(format!("{step} takes no argument")) }
}

fn simple(line: &[u8]) -> Result<Act, String> {
    let (word, rest) = words(line);
    let name = &*String::from_utf8_lossy(word);
    Ok(match name {
        "say" => Act::Say { fd: 1, text: text(rest)?, newline: true },
        "say-raw" => Act::Say { fd: 1, text: text(rest)?, newline: false },
        "err" => Act::Say { fd: 2, text: text(rest)?, newline: true },
        "err-raw" => Act::Say { fd: 2, text: text(rest)?, newline: false },
        "say-repeat" => {
            let (times, rest) = words(rest);
            Act::SayRepeat { times: one(name, times)?, text: text(rest)? }
        }
        "flood-out" => flood(1, rest)?,
        "flood-err" => flood(2, rest)?,
        "reply" => Act::Reply(text(rest)?),
        "reply-error" => {
            let (code, message) = words(rest);
            // `${p.code:-1} text`: the variable has no blanks, so the word is whole.
            Act::ReplyError { code: one(name, code)?, message: text(message)? }
        }
        "ask" => {
            let (method, params) = words(rest);
            Act::Ask { method: one(name, method)?, params: text(params)? }
        }
        "reply-self" => none(name, rest, Act::ReplySelf)?,
        "pry" => Act::Pry(one(name, rest)?),
        "forge" => forge(rest)?,
        "read" => Act::Read { method: (!rest.is_empty()).then(|| constant(rest)) },
        "serve" => serve(rest)?,
        "gate" => Act::Gate(one(name, rest)?),
        "at" => {
            let (tag, rest) = words(rest);
            let rest = if rest.is_empty() { None } else { Some(text(rest)?) };
            Act::At { name: one(name, tag)?, text: rest }
        }
        "pause" => none(name, rest, Act::Pause)?,
        "spin" => none(name, rest, Act::Spin)?,
        "stop" => none(name, rest, Act::Stop)?,
        "exit" => Act::Exit(one(name, rest)?),
        "raise" => Act::Raise(one(name, rest)?),
        "ignore" if rest == b"EOF" => Act::IgnoreEof,
        "ignore" => Act::Ignore(one(name, rest)?),
        "default" => Act::Default(one(name, rest)?),
        "close" => Act::Close(one(name, rest)?),
        "fork-hold" => none(name, rest, Act::Fork(pausing()))?,
        "setsid" => none(name, rest, Act::Setsid)?,
        "daemon" => none(name, rest, Act::Daemon(pausing()))?,
        "scrub" => none(name, rest, Act::Scrub)?,
        "alloc" => Act::Alloc(one(name, rest)?),
        "bomb" => Act::Bomb(one(name, rest)?),
        "on" | "defer" | "fork" | "loop" | "first" | "generation" => {
            return Err(format!("{name} wants a block: `{name} … {{`"));
        }
        _ => return Err(format!("unknown step `{name}`")),
    })
}

fn pausing() -> Block {
    vec![Step { line: 0, act: Act::Pause }]
}

fn flood(fd: i32, rest: &[u8]) -> Result<Act, String> {
    let (lines, rest) = words(rest);
    let lines = if lines == b"forever" { None } else { Some(one("a flood", lines)?) };
    let text = text(if rest.is_empty() { b"line $n" } else { rest })?;
    Ok(Act::Flood { fd, lines, text })
}

fn forge(rest: &[u8]) -> Result<Act, String> {
    let (way, rest) = match words(rest) {
        (b"open", rest) => (Way::Open, rest),
        (b"copy", rest) => (Way::Copy, rest),
        _ => return Err("forge open|copy PID TEXT".to_owned()),
    };
    let (pid, rest) = words(rest);
    Ok(Act::Forge { way, pid: one("forge", pid)?, text: text(rest)? })
}

fn serve(rest: &[u8]) -> Result<Act, String> {
    let (dialect, rest) = match words(rest) {
        (b"mcp", rest) => (Dialect::Mcp, rest),
        (b"lsp", rest) => (Dialect::Lsp, rest),
        (b"native", rest) => (Dialect::Native, rest),
        _ => (Dialect::Native, rest),
    };
    let until = match words(rest) {
        (b"", _) => None,
        (b"until", method) if !method.is_empty() => Some(constant(method)),
        _ => return Err("serve [native|mcp|lsp] [until METHOD]".to_owned()),
    };
    Ok(Act::Serve { dialect, until })
}

fn compound(head: &[u8], block: Block) -> Result<Act, String> {
    let (word, rest) = words(head);
    let name = &*String::from_utf8_lossy(word);
    Ok(match name {
        "on" if !rest.is_empty() => Act::On { method: constant(rest), block },
        "on" => return Err("on wants a method, or *".to_owned()),
        "defer" => Act::Defer { gate: one(name, rest)?, block },
        "fork" => none(name, rest, Act::Fork(block))?,
        "daemon" => none(name, rest, Act::Daemon(block))?,
        "loop" if rest.is_empty() => Act::Loop { times: None, block },
        "loop" => Act::Loop { times: Some(one(name, rest)?), block },
        "first" => Act::First { name: one(name, rest)?, block },
        "generation" => {
            let range = constant(rest);
            let (from, to) = match range.split_once('-') {
                None => (range.parse(), range.parse()),
                Some((from, "")) => (from.parse(), Ok(u64::MAX)),
                Some((from, to)) => (from.parse(), to.parse()),
            };
            let wrong = |_| "generation wants N, N-M or N-".to_owned();
            Act::Generation { from: from.map_err(wrong)?, to: to.map_err(wrong)?, block }
        }
        _ => return Err(format!("unknown block `{name}`")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(source: &str) -> Vec<Act> {
        parse(source.as_bytes()).expect(source).into_iter().map(|step| step.act).collect()
    }

    fn text(source: &str) -> Text {
        Text::parse(source.as_bytes()).expect(source)
    }

    #[test]
    fn braces_in_a_text_open_no_block() {
        assert_eq!(
            acts("say {\"a\": {\n  reply { }"),
            [Act::Say { fd: 1, text: text("{\"a\": {"), newline: true }, Act::Reply(text("{ }")),]
        );
    }

    #[test]
    fn a_block_on_one_line_is_the_block_on_three() {
        let long = "on hold {\n defer $p.gate {\n reply {\"a\":{}}\n }\n}";
        let short = "on hold { defer $p.gate { reply {\"a\":{}} } }";
        let strip = |source| format!("{:?}", acts(source)).replace(char::is_numeric, "");
        assert_eq!(strip(long), strip(short));
    }

    #[test]
    fn a_variable_with_a_default_opens_no_block() {
        assert_eq!(
            acts("loop ${p.times:-3} { pause }"),
            [Act::Loop {
                times: Some(text("${p.times:-3}")),
                block: vec![Step { line: 1, act: Act::Pause }]
            }]
        );
    }

    #[test]
    fn generations_are_one_a_range_or_open() {
        let ranges = |source| match acts(source).remove(0) {
            Act::Generation { from, to, .. } => (from, to),
            other => panic!("{other:?}"),
        };
        assert_eq!(ranges("generation 2 { pause }"), (2, 2));
        assert_eq!(ranges("generation 1-2 { pause }"), (1, 2));
        assert_eq!(ranges("generation 3- { pause }"), (3, u64::MAX));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (source, problem) in [
            ("say a\nshout b", "line 2: unknown step `shout`"),
            ("fork {\n pause", "line 1: this block is never closed"),
            ("# x\n\n}", "line 3: } closes nothing"),
            ("on {\n}", "line 1: on wants a method, or *"),
            ("fork", "line 1: fork wants a block: `fork … {`"),
            ("exit", "line 1: exit wants an argument"),
            ("exit 1 2", "line 1: exit wants one argument"),
            ("pause 3", "line 1: pause takes no argument"),
            ("fork { shout }", "line 1: unknown step `shout`"),
            ("generation x { pause }", "line 1: generation wants N, N-M or N-"),
            ("serve http", "line 1: serve [native|mcp|lsp] [until METHOD]"),
            ("say \\q", "line 1: unknown escape \\q"),
        ] {
            assert_eq!(parse(source.as_bytes()), Err(problem.to_owned()), "{source}");
        }
    }
}
