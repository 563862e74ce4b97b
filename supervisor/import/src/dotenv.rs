//! Files of variables, as editors and Node's `dotenv` read them: `NAME=value`, `export`, quotes, comments.

use crate::words;

/// One variable, or what is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) at: usize,
    pub(crate) set: Set,
}

/// Name and value, or why there is none.
type Set = Result<(String, String), &'static str>;

/// Everything that a file sets, in its order. What is not understood is told without its text, which may be a secret.
pub(crate) fn parse(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut rest, mut at) = (text.trim_start_matches('\u{feff}'), 1);
    while !rest.is_empty() {
        let (set, used) = one(rest);
        lines.extend(set.map(|set| Line { at, set }));
        at += rest[..used].matches('\n').count();
        rest = &rest[used..];
    }
    lines
}

/// What the text begins with, and the bytes that it takes up, its line end among them.
fn one(text: &str) -> (Option<Set>, usize) {
    let end = text.find('\n').map_or(text.len(), |at| at + 1);
    let line = text[..end].trim();
    if line.is_empty() || line.starts_with('#') {
        return (None, end);
    }
    let Some(mark) = text[..end].find('=') else {
        return (Some(Err("something that is not NAME=value was left out")), end);
    };
    let name = text[..mark].trim();
    let name = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let name = name.unwrap_or(&text[..mark]).trim();
    if !words::is_name(name) {
        return (Some(Err("something without the name of a variable was left out")), end);
    }
    let value = &text[mark + 1..];
    let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
    let quote = value[blank..].chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let Some(quote) = quote else {
        let value = text[mark + 1..end].trim();
        // A comment begins behind a blank: `#` may be part of a password.
        let cut = [" #", "\t#"].iter().filter_map(|mark| value.find(mark)).min();
        let value = if value.starts_with('#') { "" } else { &value[..cut.unwrap_or(value.len())] };
        return (Some(Ok((name.to_owned(), value.trim_end().to_owned()))), end);
    };
    // Quotes hold over line ends.
    let begin = mark + 1 + blank + 1;
    let Some((value, length)) = within(&text[begin..], quote) else {
        return (Some(Err("a variable whose quote is not closed was left out")), end);
    };
    let behind = begin + length;
    let end = text[behind..].find('\n').map_or(text.len(), |at| behind + at + 1);
    (Some(Ok((name.to_owned(), value))), end)
}

/// The text up to the closing quote, and the bytes to behind it. Only double quotes know of `\n` and its kind.
fn within(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((value, at + c.len_utf8())),
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_as_people_write_them() {
        let text = "\u{feff}# top\nA=1\n export B = two words # why\nC='a #b' # c\nD=\"x\\ny\\\"\\q\"\n\
                    E=\nF=p#w\nG=\"one\ntwo\"\r\nH=`it's`\nnone\n2=3\nI='open\nJ=#\n";
        let ok = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        let lines: Vec<_> = parse(text).into_iter().map(|line| (line.at, line.set)).collect();
        assert_eq!(
            lines,
            [
                (2, ok("A", "1")),
                (3, ok("B", "two words")),
                (4, ok("C", "a #b")),
                (5, ok("D", "x\ny\"\\q")),
                (6, ok("E", "")),
                (7, ok("F", "p#w")),
                (8, ok("G", "one\ntwo")),
                (10, ok("H", "it's")),
                (11, Err("something that is not NAME=value was left out")),
                (12, Err("something without the name of a variable was left out")),
                (13, Err("a variable whose quote is not closed was left out")),
                (14, ok("J", "")),
            ]
        );
        assert!(parse("").is_empty());
    }
}
