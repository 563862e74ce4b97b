//! Writes down what happens: one call makes the journal event, the timeline entry and the log line.

use std::sync::Arc;

use outboard_core::Note;
use serde_json::{Map, Value};

use super::clock::Clock;
use super::journal::{Journal, to_json};
use super::logbook::LogBook;
use super::slot::Slot;
use super::view::{EventRecord, LogSource};
use crate::observe;

/// Journal and log book on one clock.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub journal: Arc<Journal>,
    pub logs: Arc<LogBook>,
    pub clock: Clock,
}

impl Recorder {
    /// An event of the supervisor itself.
    pub(crate) fn supervisor(&self, event: &'static str, fields: Value) -> Arc<EventRecord> {
        let record = self.journal.record(self.clock.wall_us(), None, 0, event, members(fields));
        tracing::debug!(target: "outboard", event, "{}", to_json(&record));
        record
    }

    /// An event of one plugin.
    pub(crate) fn plugin(&self, slot: &Slot, generation: u64, event: &'static str, fields: Value) {
        self.write(slot, generation, event, members(fields));
    }

    /// A note of the core.
    pub(crate) fn note(&self, slot: &Slot, generation: u64, note: &Note) {
        let (event, fields) = observe::describe(note);
        self.write(slot, generation, event, fields);
    }

    fn write(
        &self,
        slot: &Slot,
        generation: u64,
        event: &'static str,
        mut fields: Map<String, Value>,
    ) {
        for value in fields.values_mut() {
            mask(slot, value);
        }
        let at_us = self.clock.wall_us();
        let plugin = Some(slot.id.clone());
        let record = self.journal.record(at_us, plugin, generation, event, fields);
        tracing::debug!(target: "outboard", plugin = &*slot.id, generation, event, "{}", to_json(&record));
        if let Some(text) = observe::sentence(&record) {
            // The supervisor's own acts are few, and not the plugin's doing: they always pass.
            let say_dropped = self.logs.write(&slot.log, generation, LogSource::Host, None, text);
            slot.remember(&record);
            // Said at most once a second, so saying it, which comes by here too, leads to nothing more.
            self.dropped(slot, generation, say_dropped);
        } else {
            slot.remember(&record);
        }
    }

    /// Whether the plugin may store one more log line now. If not, the line is counted as dropped, and nothing has to
    /// be made of it.
    pub(crate) fn admits(&self, slot: &Slot, generation: u64) -> bool {
        let (admitted, say_dropped) = self.logs.admits(&slot.log);
        self.dropped(slot, generation, say_dropped);
        admitted
    }

    /// One log line of a plugin that was admitted.
    pub(crate) fn log(
        &self,
        slot: &Slot,
        generation: u64,
        source: LogSource,
        level: Option<&'static str>,
        text: String,
    ) {
        let say_dropped = self.logs.write(&slot.log, generation, source, level, text);
        self.dropped(slot, generation, say_dropped);
    }

    /// Says how many lines were dropped, if it is time.
    pub(crate) fn dropped(&self, slot: &Slot, generation: u64, count: Option<u64>) {
        if let Some(n) = count {
            slot.stats.dropped_lines.add(n);
            self.plugin(slot, generation, "log.dropped", serde_json::json!({"n": n}));
        }
    }
}

fn mask(slot: &Slot, value: &mut Value) {
    match value {
        Value::String(text) => *text = slot.log.mask(std::mem::take(text)),
        Value::Array(values) => values.iter_mut().for_each(|v| mask(slot, v)),
        Value::Object(members) => members.values_mut().for_each(|v| mask(slot, v)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn members(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
