//! The event journal: numbered, on disk, in a ring, and to whoever listens.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use outboard_core::PluginId;
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::sink::{Job, Line, Rotation, Sink, rotated};
use super::tail;
use super::view::EventRecord;
use crate::observe;

/// Events kept in memory; older ones are read from the file.
const RING: usize = 1024;

/// Events a slow listener may lag behind before it is told how many it lost.
const LAG: usize = 4096;

/// Numbers events and hands them on. `seq` goes on over runs of one state directory.
#[derive(Debug)]
pub(crate) struct Journal {
    inner: Mutex<Inner>,
    listeners: broadcast::Sender<Arc<EventRecord>>,
    sink: Arc<Sink>,
    file: Arc<Path>,
    /// Of all its files together.
    size: u64,
    limits: Rotation,
}

#[derive(Debug)]
struct Inner {
    next_seq: u64,
    ring: VecDeque<Arc<EventRecord>>,
}

impl Journal {
    /// Opens the journal at `file`, going on behind its last event. `size` is the bound of all its files together.
    #[must_use]
    pub(crate) fn open(file: Arc<Path>, size: u64, sink: Arc<Sink>) -> Self {
        let last = tail::last_lines(&file, 1, usize::MAX, |_| true).pop();
        let next_seq = last.and_then(|l| parse(&l)).map_or(1, |record| record.seq + 1);
        Self {
            inner: Mutex::new(Inner { next_seq, ring: VecDeque::new() }),
            listeners: broadcast::channel(LAG).0,
            sink,
            file,
            size,
            limits: Rotation { size: (size / 2).max(4096), keep: 1 },
        }
    }

    /// The bound of all its files together.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The number of the next event.
    #[must_use]
    pub(crate) fn next_seq(&self) -> u64 {
        self.lock().next_seq
    }

    /// Goes on where the image before this one stopped: at `next_seq`, whatever the disk took, with its last events.
    pub(crate) fn go_on(&self, next_seq: u64) {
        let before = self.before();
        let mut inner = self.lock();
        inner.next_seq = next_seq.max(inner.next_seq);
        inner.ring = before.into();
    }

    /// Records one event.
    pub(crate) fn record(
        &self,
        at_us: i64,
        plugin: Option<PluginId>,
        generation: u64,
        event: &'static str,
        fields: Map<String, Value>,
    ) -> Arc<EventRecord> {
        let mut inner = self.lock();
        let record =
            Arc::new(EventRecord { seq: inner.next_seq, at_us, plugin, generation, event, fields });
        inner.next_seq += 1;
        if inner.ring.len() == RING {
            inner.ring.pop_front();
        }
        inner.ring.push_back(record.clone());
        let line = Line::Event(record.clone());
        let job = Job::Append { file: self.file.clone(), line, limits: self.limits };
        // The ring and the listeners have it; the gap in `seq` tells readers of the file.
        let _saved = self.sink.offer(job);
        drop(inner);
        // No listener is no error.
        self.listeners.send(record.clone()).unwrap_or_default();
        record
    }

    /// Events from `seq` on, at most `limit`, oldest first.
    #[must_use]
    pub(crate) fn since(&self, seq: u64, limit: usize) -> Vec<Arc<EventRecord>> {
        let inner = self.lock();
        let in_ring = inner.ring.front().is_none_or(|first| first.seq <= seq);
        if in_ring {
            return inner.ring.iter().filter(|r| r.seq >= seq).take(limit).cloned().collect();
        }
        drop(inner);
        let mut found = Vec::new();
        for file in [rotated(&self.file, 1), self.file.to_path_buf()] {
            for line in tail::lines(&file) {
                if found.len() == limit {
                    return found;
                }
                found.extend(parse(&line).filter(|r| r.seq >= seq).map(Arc::new));
            }
        }
        found
    }

    /// The newest events of earlier runs, oldest first. Before the first event of this one.
    #[must_use]
    pub(crate) fn before(&self) -> Vec<Arc<EventRecord>> {
        let lines = tail::last_lines(&self.file, RING, usize::MAX, |_| true);
        lines.iter().filter_map(|line| parse(line)).map(Arc::new).collect()
    }

    /// The last `count` events, oldest first.
    #[must_use]
    pub(crate) fn last(&self, count: usize) -> Vec<Arc<EventRecord>> {
        let from = self.lock().next_seq.saturating_sub(count as u64);
        self.since(from, count)
    }

    /// Everything recorded from now on.
    #[must_use]
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.listeners.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the journal")
    }
}

/// The record as one JSON line: the common members first, then its own.
#[must_use]
pub fn to_json(record: &EventRecord) -> String {
    use std::fmt::Write;
    let plugin = record.plugin.as_deref().map_or(Value::Null, Value::from);
    let (seq, at, generation, event) =
        (record.seq, rfc3339(record.at_us), record.generation, record.event);
    let mut line = format!(
        r#"{{"seq":{seq},"at":"{at}","plugin":{plugin},"generation":{generation},"event":"{event}""#
    );
    for (name, value) in &record.fields {
        write!(line, ",{}:{value}", Value::from(name.as_str()))
            .expect("writing to a string cannot fail");
    }
    line.push('}');
    observe::printable_json(line)
}

/// Microseconds since the epoch as RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).map(|t| format!("{t:.6}")).unwrap_or_default()
}

pub(super) fn parse(line: &str) -> Option<EventRecord> {
    let Value::Object(mut object) = serde_json::from_str(line).ok()? else { return None };
    let seq = object.remove("seq")?.as_u64()?;
    let at: jiff::Timestamp = object.remove("at")?.as_str()?.parse().ok()?;
    let plugin = object.remove("plugin")?.as_str().map(PluginId::from);
    let generation = object.remove("generation")?.as_u64()?;
    let event = observe::event_name(object.remove("event")?.as_str()?)?;
    let at_us = at.as_microsecond();
    Some(EventRecord { seq, at_us, plugin, generation, event, fields: object })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(journal: &Journal, n: u64) {
        let mut fields = Map::new();
        fields.insert("ms".into(), n.into());
        journal.record(1_000_000, Some("geo".into()), 3, "clock.stall", fields);
    }

    #[test]
    fn seq_goes_on_over_runs_and_old_events_come_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file: Arc<Path> = dir.path().join("events.jsonl").into();
        for run in 0..2_u64 {
            let sink = Arc::new(Sink::start(|_| ()).unwrap());
            let journal = Journal::open(file.clone(), 1 << 20, sink);
            for n in 0..5 {
                record(&journal, run * 5 + n);
            }
            assert_eq!(
                journal.last(2).iter().map(|r| r.seq).collect::<Vec<_>>(),
                [run * 5 + 4, run * 5 + 5]
            );
            drop(journal);
        }
        let sink = Arc::new(Sink::start(|_| ()).unwrap());
        let journal = Journal::open(file, 1 << 20, sink);
        record(&journal, 10);
        let all = journal.since(3, 4);
        assert_eq!(all.iter().map(|r| r.seq).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(all[0].fields["ms"], 2);
        assert_eq!(
            (all[0].plugin.as_deref(), all[0].generation, all[0].event),
            (Some("geo"), 3, "clock.stall")
        );
    }

    #[test]
    fn an_event_is_one_json_line_with_the_common_members_first() {
        let record = EventRecord {
            seq: 7,
            at_us: 1_700_000_000_123_456,
            plugin: None,
            generation: 0,
            event: "clock.stall",
            fields: Map::from_iter([("ms".to_owned(), Value::from(12))]),
        };
        assert_eq!(
            to_json(&record),
            r#"{"seq":7,"at":"2023-11-14T22:13:20.123456Z","plugin":null,"generation":0,"event":"clock.stall","ms":12}"#
        );
    }
}
