//! The texts of steps: escapes and variables, read once, filled in at each use.

/// A text with holes for variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Bytes(Vec<u8>),
    Variable { name: Variable, or: Vec<u8> },
}

/// What a hole is filled with; the README has the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Variable {
    Id,
    Method,
    Params,
    Param(String),
    Round,
    Pid,
    Generation,
    Env(String),
}

impl Text {
    /// Reads `source`. The error says what is wrong with it, without the line.
    pub(crate) fn parse(source: &[u8]) -> Result<Self, String> {
        let mut text = Self::default();
        let mut rest = source;
        while let Some((&first, tail)) = rest.split_first() {
            rest = match first {
                b'\\' => text.escape(tail)?,
                b'$' => text.variable(tail)?,
                _ => {
                    text.push(first);
                    tail
                }
            };
        }
        Ok(text)
    }

    /// The text with each variable replaced by what `value` gives for it.
    pub(crate) fn fill(&self, value: impl Fn(&Variable) -> Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Variable { name, or } => {
                    let filled = value(name);
                    out.extend_from_slice(if filled.is_empty() { or } else { &filled });
                }
            }
        }
        out
    }

    fn push(&mut self, byte: u8) {
        if let Some(Piece::Bytes(bytes)) = self.pieces.last_mut() {
            bytes.push(byte);
        } else {
            self.pieces.push(Piece::Bytes(vec![byte]));
        }
    }

    fn escape<'a>(&mut self, after: &'a [u8]) -> Result<&'a [u8], String> {
        let (&letter, tail) = after.split_first().ok_or("a lone backslash at the end")?;
        let byte = match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
                self.push(byte.ok_or("\\x wants two hexadecimal digits")?);
                return Ok(&tail[2..]);
            }
            other => return Err(format!("unknown escape \\{}", char::from(other))),
        };
        self.push(byte);
        Ok(tail)
    }

    fn variable<'a>(&mut self, after: &'a [u8]) -> Result<&'a [u8], String> {
        if after.first() == Some(&b'$') {
            self.push(b'$');
            return Ok(&after[1..]);
        }
        let (name, or, tail) = if after.first() == Some(&b'{') {
            let end = after.iter().position(|&b| b == b'}').ok_or("${ without }")?;
            let inner = &after[1..end];
            let split = inner.windows(2).position(|two| two == b":-");
            let (name, or) = split.map_or((inner, &b""[..]), |at| (&inner[..at], &inner[at + 2..]));
            (name, or, &after[end + 1..])
        } else {
            // A dot belongs to the name only behind `p` and `env`, and a full stop never does.
            let word = |bytes: &[u8]| bytes.iter().take_while(|b| is_word(**b)).count();
            let mut end = word(after);
            if matches!(&after[..end], b"p" | b"env") && after.get(end) == Some(&b'.') {
                end += 1 + word(&after[end + 1..]);
            }
            (&after[..end], &b""[..], &after[end..])
        };
        let name = Variable::parse(name)?;
        self.pieces.push(Piece::Variable { name, or: or.to_vec() });
        Ok(tail)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl Variable {
    fn parse(name: &[u8]) -> Result<Self, String> {
        let name = String::from_utf8_lossy(name);
        Ok(match &*name {
            "id" => Self::Id,
            "method" => Self::Method,
            "params" => Self::Params,
            "n" => Self::Round,
            "pid" => Self::Pid,
            "generation" => Self::Generation,
            other => match other.split_once('.') {
                Some(("p", member)) if !member.is_empty() => Self::Param(member.to_owned()),
                Some(("env", variable)) if !variable.is_empty() => Self::Env(variable.to_owned()),
                _ => return Err(format!("unknown variable ${other} (a dollar is $$)")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(source: &str) -> String {
        let text = Text::parse(source.as_bytes()).expect("a good text");
        let value = |variable: &Variable| match variable {
            Variable::Id => b"7".to_vec(),
            Variable::Param(name) if name == "gate" => b"g".to_vec(),
            Variable::Param(_) => Vec::new(),
            other => format!("<{other:?}>").into_bytes(),
        };
        text.fill(value).escape_ascii().to_string()
    }

    #[test]
    fn escapes_give_bytes_and_variables_their_values() {
        assert_eq!(filled(r"a\n\x00\xff\\n"), r"a\n\x00\xff\\n");
        assert_eq!(filled(r#"{"id":$id,"result":{}}"#), r#"{\"id\":7,\"result\":{}}"#);
        assert_eq!(filled("$p.gate. ${p.gate}x $$id"), "g. gx $id");
        assert_eq!(filled("${p.signal:-SEGV} $pid."), "SEGV <Pid>.");
    }

    #[test]
    fn mistakes_are_told() {
        for (source, problem) in [
            (r"\q", "unknown escape \\q"),
            (r"\x1", "\\x wants two hexadecimal digits"),
            ("\\", "a lone backslash at the end"),
            ("$idx", "unknown variable $idx (a dollar is $$)"),
            ("${id", "${ without }"),
            ("$p", "unknown variable $p (a dollar is $$)"),
        ] {
            assert_eq!(Text::parse(source.as_bytes()), Err(problem.to_owned()), "{source}");
        }
    }
}
