//! Tables that are handed on as JSON.

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::{Reader, label};
use crate::problem::Problem;

impl Reader<'_, '_> {
    /// Depth is bounded by the TOML parser, which refuses more than 80 levels.
    pub(super) fn object(&mut self, path: &str, table: &DeTable<'_>) -> Option<Map<String, Json>> {
        let mut sound = true;
        let mut map = Map::new();
        for (name, value) in table {
            match self.json(&format!("{path}.{}", name.get_ref()), value) {
                Some(value) => {
                    map.insert(name.get_ref().to_string(), value);
                }
                None => sound = false,
            }
        }
        sound.then_some(map)
    }

    pub(super) fn json(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Json> {
        let span = value.span();
        match value.get_ref() {
            DeValue::String(text) => {
                self.hint_plain(path, text, &span);
                Some(Json::String(text.to_string()))
            }
            DeValue::Integer(number) => {
                let number = super::integer(number).and_then(Number::from_i128);
                if number.is_none() {
                    let what = format!("{} does not fit into 64 bits", label(path));
                    self.problems.push(&span, Problem::error(what).cause("write it as a text"));
                }
                number.map(Json::Number)
            }
            DeValue::Float(number) => {
                let finite = number.as_str().parse().ok().and_then(Number::from_f64);
                if finite.is_none() {
                    let what = format!("{} is {number}, which JSON cannot say", label(path));
                    self.problems.push(&span, Problem::error(what).cause("write it as a text"));
                }
                finite.map(Json::Number)
            }
            DeValue::Boolean(flag) => Some(Json::Bool(*flag)),
            // JSON has no dates; plugins get the text as it stands.
            DeValue::Datetime(date) => Some(Json::String(date.to_string())),
            DeValue::Array(items) => {
                let items: Vec<Option<Json>> =
                    items.iter().map(|item| self.json(path, item)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
            }
            DeValue::Table(table) => self.object(path, table).map(Json::Object),
        }
    }
}
