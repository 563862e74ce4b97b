//! Raw JSON laid out anew without touching its values: digits of large numbers and odd escapes survive.
//!
//! Both functions take text that a JSON parser has accepted; they look at strings and brackets only.

/// On one line, without spaces between tokens: what a frame needs.
pub(in crate::cli) fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut string = StringScan::default();
    for c in raw.chars() {
        if string.holds(c) || !c.is_ascii_whitespace() {
            out.push(c);
        }
    }
    out
}

/// Indented by two spaces, for people.
pub(in crate::cli) fn pretty(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let mut string = StringScan::default();
    let mut depth = 0_usize;
    let compact = compact(raw);
    let mut chars = compact.chars().peekable();
    while let Some(c) = chars.next() {
        if string.holds(c) {
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Tells what is inside of a string, quotes included.
#[derive(Default)]
struct StringScan {
    inside: bool,
    escaped: bool,
}

impl StringScan {
    fn holds(&mut self, c: char) -> bool {
        let was = self.inside;
        if self.escaped {
            self.escaped = false;
        } else if self.inside && c == '\\' {
            self.escaped = true;
        } else if c == '"' {
            self.inside = !self.inside;
        }
        was || self.inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_as_they_are() {
        let raw = "{ \"n\" : 1234567890123456789012345, \"e\":1e400,\n \"s\":\"a \\\" {,: b\\\\\", \"u\":\"\\ud800\" }";
        let one_line = "{\"n\":1234567890123456789012345,\"e\":1e400,\"s\":\"a \\\" {,: b\\\\\",\"u\":\"\\ud800\"}";
        assert_eq!(compact(raw), one_line);
        assert_eq!(compact(&pretty(raw)), one_line);
    }

    #[test]
    fn people_get_it_indented() {
        insta::assert_snapshot!(pretty(r#"{"a":[1,{"b":[]},{}],"c":"x:y","d":null}"#), @r#"
        {
          "a": [
            1,
            {
              "b": []
            },
            {}
          ],
          "c": "x:y",
          "d": null
        }
        "#);
        assert_eq!(pretty("\"just text\""), "\"just text\"");
    }
}
