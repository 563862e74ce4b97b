//! The members of an event.

use std::time::Duration;

use serde_json::Value;

use crate::control::api::{Event, Exit};
use crate::control::words::span;

/// An event's members, read leniently: an event of another version is still shown.
pub(super) struct Fields<'a>(pub(super) &'a Event);

impl Fields<'_> {
    pub(super) fn text(&self, name: &str) -> String {
        match self.0.fields.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.0.fields.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    pub(super) fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    pub(super) fn span(&self, name: &str) -> String {
        span(self.millis(name))
    }

    pub(super) fn list(&self, name: &str) -> String {
        self.joined(name, ", ")
    }

    /// The first of a list of texts.
    pub(super) fn first(&self, name: &str) -> String {
        let items = self.0.fields.get(name).and_then(Value::as_array);
        let first = items.and_then(|items| items.first()).and_then(Value::as_str);
        first.unwrap_or_default().to_owned()
    }

    pub(super) fn words(&self, name: &str) -> String {
        self.joined(name, " ")
    }

    fn joined(&self, name: &str, between: &str) -> String {
        match self.0.fields.get(name) {
            Some(Value::Array(items)) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                items.join(between)
            }
            _ => self.text(name),
        }
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        let exit = self.0.fields.get("exit").filter(|exit| exit.is_object())?;
        serde_json::from_value(exit.clone()).ok()
    }
}
