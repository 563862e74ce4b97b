//! Plugins' log lines: four sources on one clock, bounded, masked, stored and shown.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outboard_core::{PluginId, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::bucket::Bucket;
use super::clock::Clock;
use super::redact::Redactor;
use super::sink::{Job, Line, Rotation, Sink, rotated};
use super::tail;
use super::view::{LogLine, LogSource};
use crate::observe;

/// Lines of one plugin that are stored in a second, and in a burst; the rest is counted and said.
const RATE: u32 = 1000;
const BURST: u32 = 5000;

/// How often dropped lines are said while they go on being dropped.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Log lines a slow listener may lag behind before it is told how many it lost.
const LAG: usize = 2048;

/// The most text that one look at the log reads: whoever asks for ten thousand lines gets fewer where they are long.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Where all plugins' lines go.
#[derive(Debug)]
pub(crate) struct LogBook {
    sink: Arc<Sink>,
    dir: PathBuf,
    limits: Rotation,
    clock: Clock,
    listeners: broadcast::Sender<Arc<LogLine>>,
}

/// The lines of one plugin.
#[derive(Debug)]
pub(crate) struct PluginLog {
    plugin: PluginId,
    file: Arc<Path>,
    state: Mutex<State>,
}

/// The bounds of a plugin's lines and what is masked in them, for the supervisor's next build.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptLog {
    bucket: Bucket,
    redactor: Vec<String>,
    latest: Vec<String>,
    dropped: u64,
    said_at: Option<Time>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    /// Of this generation and of the one before.
    redactor: Redactor,
    /// Of this generation alone.
    latest: Redactor,
    dropped: u64,
    said_at: Option<Time>,
}

/// Which lines to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// One plugin, or all of them.
    pub plugin: Option<PluginId>,
    /// The last so many.
    pub lines: usize,
    pub since_us: Option<i64>,
    pub generation: Option<u64>,
    /// Empty for all.
    pub sources: Vec<LogSource>,
}

impl LogBook {
    /// A book whose files lie in `dir`, one for each plugin, rotated by `limits`.
    #[must_use]
    pub(crate) fn new(dir: PathBuf, limits: Rotation, sink: Arc<Sink>, clock: Clock) -> Self {
        Self { sink, dir, limits, clock, listeners: broadcast::channel(LAG).0 }
    }

    /// How large a file may grow, and how many old ones stay.
    #[must_use]
    pub(crate) fn limits(&self) -> (u64, u32) {
        (self.limits.size, self.limits.keep)
    }

    /// The lines of one plugin.
    #[must_use]
    pub(crate) fn plugin(&self, plugin: PluginId) -> PluginLog {
        let file = self.file(&plugin).into();
        let bucket = Bucket::new(RATE, BURST, self.clock.now());
        let state = State {
            bucket,
            redactor: Redactor::default(),
            latest: Redactor::default(),
            dropped: 0,
            said_at: None,
        };
        PluginLog { plugin, file, state: Mutex::new(state) }
    }

    fn file(&self, plugin: &str) -> PathBuf {
        self.dir.join(format!("{plugin}.jsonl"))
    }

    /// Everything stored from now on.
    #[must_use]
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.listeners.subscribe()
    }

    /// Takes one line from the plugin's rate. Where there is none left the line is counted as dropped. Also gives how
    /// many were dropped, when it is time to say so.
    pub(crate) fn admits(&self, log: &PluginLog) -> (bool, Option<u64>) {
        let now = self.clock.now();
        let mut state = log.state.lock().expect("nothing panics while it holds a log");
        let admitted = state.bucket.take(now);
        state.dropped += u64::from(!admitted);
        (admitted, state.due(now))
    }

    /// Stores one line, or counts it as dropped when the disk is behind. Gives how many were dropped, when it is time
    /// to say so.
    pub(crate) fn write(
        &self,
        log: &PluginLog,
        generation: u64,
        source: LogSource,
        level: Option<&'static str>,
        text: String,
    ) -> Option<u64> {
        let now = self.clock.now();
        let mut state = log.state.lock().expect("nothing panics while it holds a log");
        let line = Arc::new(LogLine {
            at_us: self.clock.wall_us(),
            plugin: log.plugin.clone(),
            generation,
            source,
            level,
            text: state.redactor.mask(text).into(),
        });
        let (file, stored) = (log.file.clone(), Line::Log(line.clone()));
        let job = Job::Append { file, line: stored, limits: self.limits };
        if !self.sink.offer(job) {
            state.dropped += 1;
        }
        let say_dropped = state.due(now);
        drop(state);
        if self.listeners.receiver_count() > 0 {
            // A listener that went away a moment ago is no error.
            self.listeners.send(line).unwrap_or_default();
        }
        say_dropped
    }

    /// Lines that were dropped and not said yet, whatever the time: at the end of a generation.
    #[must_use]
    pub(crate) fn take_dropped(&self, log: &PluginLog) -> u64 {
        std::mem::take(&mut log.state.lock().expect("nothing panics while it holds a log").dropped)
    }

    /// Reads stored lines, oldest first. Blocks on the disk: for a thread that may.
    #[must_use]
    pub(crate) fn read(&self, query: &LogQuery) -> Vec<LogLine> {
        let mut plugins: Vec<PluginId> = match &query.plugin {
            Some(plugin) => vec![plugin.clone()],
            None => self.stored_plugins(),
        };
        plugins.sort();
        let mut lines: Vec<LogLine> = Vec::new();
        for plugin in &plugins {
            lines.extend(self.read_one(plugin, query));
            lines.sort_by_key(|line| line.at_us);
            keep_newest(&mut lines, query.lines);
        }
        lines
    }

    fn stored_plugins(&self) -> Vec<PluginId> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|e| e.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(".jsonl").map(PluginId::from)).collect()
    }

    fn read_one(&self, plugin: &PluginId, query: &LogQuery) -> Vec<LogLine> {
        let current = self.file(plugin);
        let files = std::iter::once(current.clone())
            .chain((1..=self.limits.keep).map(|n| rotated(&current, n)));
        let mut found: Vec<LogLine> = Vec::new();
        for file in files {
            let missing = query.lines - found.len().min(query.lines);
            if missing == 0 {
                break;
            }
            let wanted = |line: &str| decode(plugin, line).is_some_and(|line| query.wants(&line));
            let texts = tail::last_lines(&file, missing, MOST_BYTES, wanted);
            let older = texts.iter().filter_map(|line| decode(plugin, line));
            found.splice(0..0, older);
            keep_newest(&mut found, query.lines);
        }
        found
    }
}

/// Leaves the last so many lines, and fewer where they are long.
fn keep_newest(lines: &mut Vec<LogLine>, count: usize) {
    let mut bytes = MOST_BYTES;
    let fit = |line: &LogLine| {
        bytes = bytes.checked_sub(line.text.len())?;
        Some(())
    };
    let kept = lines.iter().rev().take(count).map_while(fit).count();
    lines.drain(..lines.len() - kept);
}

impl LogQuery {
    /// Whether a line is among those asked for.
    #[must_use]
    pub fn wants(&self, line: &LogLine) -> bool {
        self.plugin.as_ref().is_none_or(|p| *p == line.plugin)
            && self.since_us.is_none_or(|since| line.at_us >= since)
            && self.generation.is_none_or(|generation| line.generation == generation)
            && (self.sources.is_empty() || self.sources.contains(&line.source))
    }
}

impl PluginLog {
    /// What to mask from now on: the secrets of the generation that starts, and of the one that may still speak.
    pub(crate) fn set_redactor(&self, redactor: Redactor) {
        let mut state = self.state.lock().expect("nothing panics while it holds a log");
        state.redactor = redactor.and(&state.latest);
        state.latest = redactor;
    }

    /// All that is not on the disk.
    #[must_use]
    pub(crate) fn kept(&self) -> KeptLog {
        let state = self.state.lock().expect("nothing panics while it holds a log");
        KeptLog {
            bucket: state.bucket.clone(),
            redactor: state.redactor.kept(),
            latest: state.latest.kept(),
            dropped: state.dropped,
            said_at: state.said_at,
        }
    }

    /// Takes back what [`PluginLog::kept`] gave.
    pub(crate) fn restore(&self, kept: KeptLog) {
        let mut state = self.state.lock().expect("nothing panics while it holds a log");
        *state = State {
            bucket: kept.bucket,
            redactor: Redactor::restore(&kept.redactor),
            latest: Redactor::restore(&kept.latest),
            dropped: kept.dropped,
            said_at: kept.said_at,
        };
    }

    /// What is masked now.
    #[must_use]
    pub(crate) fn redactor(&self) -> Redactor {
        self.state.lock().expect("nothing panics while it holds a log").redactor.clone()
    }

    /// `text` as it may be stored.
    #[must_use]
    pub(crate) fn mask(&self, text: String) -> String {
        self.redactor().mask(text)
    }
}

impl State {
    fn due(&mut self, now: Time) -> Option<u64> {
        let may = self.said_at.is_none_or(|at| now.since(at) >= SAY_EVERY);
        if self.dropped == 0 || !may {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.dropped))
    }
}

/// The stored form: one JSON object on one line, so that one record never becomes two.
pub(super) fn encode(line: &LogLine) -> String {
    let record = json!({
        "at": line.at_us,
        "gen": line.generation,
        "src": source_name(line.source),
        "level": line.level,
        "text": &*line.text,
    });
    observe::printable_json(record.to_string())
}

fn decode(plugin: &PluginId, text: &str) -> Option<LogLine> {
    let value: Value = serde_json::from_str(text).ok()?;
    Some(LogLine {
        at_us: value.get("at")?.as_i64()?,
        plugin: plugin.clone(),
        generation: value.get("gen")?.as_u64()?,
        source: source_of(value.get("src")?.as_str()?)?,
        level: value.get("level").and_then(Value::as_str).and_then(level_of),
        text: value.get("text")?.as_str()?.into(),
    })
}

/// The contract's word for a source.
#[must_use]
pub fn source_name(source: LogSource) -> &'static str {
    match source {
        LogSource::Host => "host",
        LogSource::Err => "err",
        LogSource::Out => "out",
        LogSource::Log => "log",
    }
}

/// The source of that name.
#[must_use]
pub fn source_of(name: &str) -> Option<LogSource> {
    [LogSource::Host, LogSource::Err, LogSource::Out, LogSource::Log]
        .into_iter()
        .find(|source| source_name(*source) == name)
}

/// The level of that name, in the one spelling.
#[must_use]
pub fn level_of(name: &str) -> Option<&'static str> {
    ["trace", "debug", "info", "warn", "error"].into_iter().find(|level| *level == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(dir: &Path, size: u64) -> LogBook {
        let sink = Arc::new(Sink::start(|_| ()).unwrap());
        LogBook::new(dir.to_owned(), Rotation { size, keep: 3 }, sink, Clock::start())
    }

    #[tokio::test]
    async fn the_last_lines_are_read_over_rotated_files_and_filters_hold() {
        let dir = tempfile::tempdir().unwrap();
        let book = book(dir.path(), 300);
        let log = book.plugin("geo".into());
        for n in 0..12 {
            let source = if n % 2 == 0 { LogSource::Err } else { LogSource::Host };
            book.write(&log, n / 6, source, None, format!("line {n}"));
        }
        book.sink.flush().await;
        let query = LogQuery {
            plugin: Some("geo".into()),
            lines: 4,
            since_us: None,
            generation: None,
            sources: vec![LogSource::Err],
        };
        let texts =
            |q: &LogQuery| book.read(q).iter().map(|l| l.text.to_string()).collect::<Vec<_>>();
        assert_eq!(texts(&query), ["line 4", "line 6", "line 8", "line 10"]);
        let first =
            LogQuery { generation: Some(0), lines: 2, sources: vec![], plugin: None, ..query };
        assert_eq!(texts(&first), ["line 4", "line 5"]);
    }

    #[test]
    fn over_the_rate_lines_are_dropped_and_the_count_is_exact() {
        let dir = tempfile::tempdir().unwrap();
        let book = book(dir.path(), 1 << 20);
        let log = book.plugin("geo".into());
        let (mut kept, mut dropped) = (0, 0);
        for _ in 0..20_000 {
            let (admitted, said) = book.admits(&log);
            kept += u64::from(admitted);
            dropped += said.unwrap_or(0);
        }
        dropped += book.take_dropped(&log);
        assert!(kept >= u64::from(BURST), "{kept}");
        assert_eq!(kept + dropped, 20_000);
    }

    #[test]
    fn a_stored_line_is_masked_and_one_record() {
        let dir = tempfile::tempdir().unwrap();
        let book = book(dir.path(), 1 << 20);
        let log = book.plugin("geo".into());
        log.set_redactor(Redactor::new(["hunter22".to_owned()]));
        let mut listener = book.listen();
        book.write(&log, 1, LogSource::Err, None, "a\nhunter22 \u{1b}[31m".to_owned());
        let line = listener.try_recv().unwrap();
        assert_eq!(&*line.text, "a\n[redacted] \u{1b}[31m");
        assert!(!encode(&line).contains('\n'));
        assert_eq!(decode(&line.plugin, &encode(&line)).unwrap().text, line.text);
    }
}
