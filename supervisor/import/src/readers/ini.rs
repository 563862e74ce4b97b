//! The INI files of supervisord: sections, keys, lines that go on when they are indented.

/// A section, in the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) keys: Vec<Key>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) value: String,
}

/// Reads a whole text.
///
/// # Errors
///
/// The line that is neither a section nor a key, and why.
pub(crate) fn parse(text: &str) -> Result<Vec<Section>, (usize, &'static str)> {
    let mut sections: Vec<Section> = Vec::new();
    for (at, raw) in text.lines().enumerate() {
        let line = at + 1;
        let content = without_comment(raw);
        let plain = content.trim();
        if plain.is_empty() {
            continue;
        }
        if raw.starts_with([' ', '\t'])
            && let Some(key) = sections.last_mut().and_then(|section| section.keys.last_mut())
        {
            key.value.push('\n');
            key.value.push_str(plain);
            continue;
        }
        if let Some(name) = plain.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else {
                return Err((line, "a section without its `]`"));
            };
            sections.push(Section { name: name.trim().to_owned(), line, keys: Vec::new() });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            return Err((line, "a key before the first section"));
        };
        // `=` and `:` both part a key from its value; whichever comes first.
        let Some((name, value)) = plain.find(['=', ':']).map(|at| (&plain[..at], &plain[at + 1..]))
        else {
            return Err((line, "neither a section nor `key = value`"));
        };
        let name = name.trim().to_lowercase();
        section.keys.push(Key { name, line, value: value.trim().to_owned() });
    }
    Ok(sections)
}

/// A comment is a line of its own, or follows ` ;`.
fn without_comment(line: &str) -> &str {
    if line.starts_with([';', '#']) {
        return "";
    }
    let cut = [" ;", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    &line[..cut.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_comments_and_long_values() {
        let text = "; top\n[program:a]\ncommand = x ; why\nenv=A=\"1\",\n  B=\"2;3\"\n\n[b]\n";
        let sections = parse(text).unwrap();
        assert_eq!(sections.len(), 2);
        let keys: Vec<_> =
            sections[0].keys.iter().map(|key| (&*key.name, key.line, &*key.value)).collect();
        assert_eq!(keys, [("command", 3, "x"), ("env", 4, "A=\"1\",\nB=\"2;3\"")]);
        assert_eq!(parse("a=b"), Err((1, "a key before the first section")));
        assert_eq!(parse("[a]\nb"), Err((2, "neither a section nor `key = value`")));
    }
}
