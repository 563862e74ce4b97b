//! As much of JSON Schema as the product's documents use. A keyword that is not known here is a failure and not ignored:
//! what this cannot check, it must not seem to have checked.

use serde_json::Value;

/// What is wrong with a value by the schema, each with its place; `root` is where `$ref` begins.
#[must_use]
pub fn problems(value: &Value, schema: &Value, root: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    Check { root, problems: &mut problems }.value("answer", value, schema);
    problems
}

struct Check<'a> {
    root: &'a Value,
    problems: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, at: &str, value: &Value, schema: &Value) {
        let Value::Object(keywords) = schema else {
            if *schema != Value::Bool(true) {
                self.problem(at, format_args!("no value is allowed by {schema}"));
            }
            return;
        };
        for (keyword, rule) in keywords {
            self.keyword(at, value, keyword, rule, schema);
        }
    }

    fn keyword(&mut self, at: &str, value: &Value, keyword: &str, rule: &Value, schema: &Value) {
        let list = || rule.as_array().map_or(&[][..], Vec::as_slice);
        match keyword {
            // These say something to people, or are a matter of range that the type has.
            "description" | "title" | "default" | "format" => {}
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#'));
                match path.and_then(|path| self.root.pointer(path)) {
                    Some(target) => self.value(at, value, target),
                    None => self.problem(at, format_args!("{rule} leads nowhere")),
                }
            }
            "type" => {
                let one = std::slice::from_ref(rule);
                let types = rule.as_array().map_or(one, Vec::as_slice);
                if !types.iter().any(|name| is_a(value, name.as_str().unwrap_or_default())) {
                    self.problem(at, format_args!("{value} is no {rule}"));
                }
            }
            "enum" if !list().contains(value) => {
                self.problem(at, format_args!("{value} is none of {rule}"))
            }
            "const" if value != rule => self.problem(at, format_args!("{value} is not {rule}")),
            "enum" | "const" => {}
            "minimum" => {
                let too_small =
                    value.as_f64().zip(rule.as_f64()).is_some_and(|(it, least)| it < least);
                if too_small {
                    self.problem(at, format_args!("{value} is less than {rule}"));
                }
            }
            "required" => {
                let object = value.as_object();
                for name in list().iter().filter_map(Value::as_str) {
                    if object.is_some_and(|object| !object.contains_key(name)) {
                        self.problem(at, format_args!("`{name}` is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().into_iter().flatten() {
                    if let Some(member) = value.get(name) {
                        self.value(&format!("{at}.{name}"), member, schema);
                    }
                }
            }
            "additionalProperties" => {
                let known = &schema["properties"];
                for (name, member) in value.as_object().into_iter().flatten() {
                    if known.get(name).is_none() {
                        self.value(&format!("{at}.{name}"), member, rule);
                    }
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.value(&format!("{at}[{number}]"), item, rule);
                }
            }
            "anyOf" | "oneOf" => {
                let fitting = list()
                    .iter()
                    .filter(|schema| problems(value, schema, self.root).is_empty())
                    .count();
                if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                    self.problem(at, format_args!("{value} fits {fitting} of {rule}"));
                }
            }
            "allOf" => list().iter().for_each(|schema| self.value(at, value, schema)),
            unknown => {
                self.problem(at, format_args!("the keyword `{unknown}` is not known to this check"))
            }
        }
    }

    fn problem(&mut self, at: &str, what: std::fmt::Arguments<'_>) {
        self.problems.push(format!("{at}: {what}"));
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_seen() {
        let root = json!({"defs": {"word": {"enum": ["up", "down"]}}});
        let schema = json!({
            "type": "object",
            "required": ["n"],
            "properties": {
                "n": {"type": ["integer", "null"], "minimum": 1},
                "list": {"items": {"$ref": "#/defs/word"}},
                "either": {"oneOf": [{"const": 1}, {"type": "string"}]},
            },
            "additionalProperties": false,
        });
        let table = [
            (json!({"n": 1, "list": ["up"], "either": "x"}), 0),
            (json!({"n": null}), 0),
            (json!([]), 1),
            (json!({}), 1),
            (json!({"n": 0}), 1),
            (json!({"n": 1.5}), 1),
            (json!({"n": 1, "list": ["up", "left"]}), 1),
            (json!({"n": 1, "either": 2}), 1),
            (json!({"n": 1, "more": 2}), 1),
        ];
        for (value, expected) in table {
            let found = problems(&value, &schema, &root);
            assert_eq!(found.len(), expected, "{value}: {found:?}");
        }
        assert_eq!(problems(&json!(1), &json!({"multipleOf": 2}), &root).len(), 1);
        assert_eq!(problems(&json!(1), &json!({"$ref": "#/no/where"}), &root).len(), 1);
    }
}
