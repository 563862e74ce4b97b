//! TOML, as much of it as a manifest needs.

use crate::json::{Node, Value};
pub(crate) use crate::quote::toml as text;

/// Columns that a list may fill before each of its items gets a line.
const WIDTH: usize = 96;

/// A key, quoted only where it has to be.
pub(crate) fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { text(name) }
}

/// A list of values that are TOML already, behind `before`.
pub(crate) fn list(before: &str, items: &[String]) -> String {
    let line = format!("{before}[{}]", items.join(", "));
    if line.chars().count() <= WIDTH {
        return line;
    }
    let items: String = items.iter().map(|item| format!("    {item},\n")).collect();
    format!("{before}[\n{items}]")
}

/// A span of milliseconds.
pub(crate) fn span(ms: u64) -> String {
    if ms > 0 && ms.is_multiple_of(1000) {
        text(&format!("{}s", ms / 1000))
    } else {
        text(&format!("{ms}ms"))
    }
}

/// A JSON value on one line. TOML knows no null: members that are null are left out, and counted.
pub(crate) fn json(node: &Node, nulls: &mut usize) -> String {
    match &node.value {
        Value::Null => {
            *nulls += 1;
            String::from("\"\"")
        }
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => toml_number(number),
        Value::Text(value) => text(value),
        Value::List(items) => {
            let items = items.iter().filter(|item| counted(item, nulls));
            let items: Vec<_> = items.cloned().collect();
            let items: Vec<String> = items.iter().map(|item| json(item, nulls)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(_) => {
            let mut inside: Vec<String> = Vec::new();
            for (at, member) in node.members().iter().enumerate() {
                // Of a name that is there twice the last one counts; TOML refuses the second.
                let again = node.members()[at + 1..].iter().any(|later| later.key == member.key);
                if !again && counted(&member.value, nulls) {
                    inside.push(format!("{} = {}", key(&member.key), json(&member.value, nulls)));
                }
            }
            if inside.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", inside.join(", ")) }
        }
    }
}

fn counted(node: &Node, nulls: &mut usize) -> bool {
    let is_null = node.value == Value::Null;
    *nulls += usize::from(is_null);
    !is_null
}

/// JSON's numbers are TOML's, save for a form such as `1E5` and integers past 64 bits.
fn toml_number(number: &str) -> String {
    if number.contains(['.', 'e', 'E']) || number.parse::<i64>().is_ok() {
        return number.to_owned();
    }
    format!("{number}.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_toml() {
        let value = r#"{"a b":[1,null,{"c":"x\"\n"}],"d":null,"e":1e3,"f":true,"f":{},"g":99999999999999999999}"#;
        let mut nulls = 0;
        let toml = json(&crate::json::parse(value).unwrap(), &mut nulls);
        assert_eq!(
            toml,
            r#"{ "a b" = [1, { c = "x\"\n" }], e = 1e3, f = {}, g = 99999999999999999999.0 }"#
        );
        assert_eq!(nulls, 2);
    }

    #[test]
    fn lists_break_where_a_line_ends() {
        assert_eq!(list("a = ", &[text("b")]), "a = [\"b\"]");
        let long = list("a = ", &[text(&"b".repeat(60)), text(&"c".repeat(60))]);
        assert_eq!(long.lines().count(), 4, "{long}");
        assert_eq!(span(1500), "\"1500ms\"");
        assert_eq!(span(2000), "\"2s\"");
    }
}
