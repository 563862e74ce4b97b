//! Events that plugins publish, and who hears them.
//!
//! A topic is a dotted name; whoever listens names patterns of topics. Nothing is kept: who does not listen now does
//! not hear it later. Each listener has bounds of its own and counts what it missed, so that the slowest costs nobody
//! anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use outboard_core::PluginId;
use outboard_manifest::Glob;
use outboard_wire::json::quoted;
use tokio::sync::mpsc;

/// Bytes of the longest topic.
const LONGEST: usize = 128;

/// Events that wait for one listener of this process.
const WAITING: usize = 256;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub topic: String,
    /// The plugin that published it.
    pub source: PluginId,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// JSON text, as it was published.
    pub data: Box<str>,
}

impl Published {
    /// The params of the notification that a listener gets: with a number of its own, and how many it missed.
    #[must_use]
    pub(crate) fn params(&self, seq: u64, missed: u64) -> String {
        let Self { topic, source, time_ms, data } = self;
        format!(
            r#"{{"topic":{},"seq":{seq},"source":{},"timeMs":{time_ms},"missed":{missed},"data":{data}}}"#,
            quoted(topic),
            quoted(source),
        )
    }
}

/// Somebody who hears events.
pub(crate) trait Listen: Send + Sync + std::fmt::Debug {
    /// One that it wants. Never blocks; what cannot be taken is counted by the listener. Whether it was taken.
    fn hear(&self, event: &Arc<Published>) -> bool;
}

/// Everybody who listens.
#[derive(Debug, Default)]
pub(crate) struct Topics(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    next: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    wants: Vec<Glob>,
    /// A plugin does not hear itself: it would be its own loop.
    not_from: Option<PluginId>,
    to: Weak<dyn Listen>,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    number: u64,
    topics: Weak<Topics>,
}

impl Subscription {
    /// What it listens for, as it was named.
    #[must_use]
    pub(crate) fn wants(&self) -> Vec<String> {
        let Some(topics) = self.topics.upgrade() else { return Vec::new() };
        let book = topics.book();
        let entry = book.entries.iter().find(|entry| entry.number == self.number);
        let wants = entry.map(|entry| entry.wants.iter().map(|glob| glob.as_str().to_owned()));
        wants.map(Iterator::collect).unwrap_or_default()
    }
}

impl Topics {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nothing panics while it holds the book of topics")
    }

    /// Enters a listener; `not_from` is the plugin that it is itself.
    #[must_use]
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        wants: &[Glob],
        not_from: Option<PluginId>,
        to: Weak<dyn Listen>,
    ) -> Subscription {
        let mut book = self.book();
        let number = book.next;
        book.next += 1;
        book.entries.push(Entry { number, wants: wants.to_vec(), not_from, to });
        Subscription { number, topics: Arc::downgrade(self) }
    }

    /// Tells everybody who wants to hear it; to how many it was delivered. No listener is told while the book is open.
    pub(crate) fn publish(&self, event: &Arc<Published>) -> usize {
        let wanted: Vec<Arc<dyn Listen>> = self
            .book()
            .entries
            .iter()
            .filter(|entry| entry.not_from.as_ref() != Some(&event.source))
            .filter(|entry| entry.wants.iter().any(|topics| topics.matches(&event.topic)))
            .filter_map(|entry| entry.to.upgrade())
            .collect();
        wanted.iter().filter(|listener| listener.hear(event)).count()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(topics) = self.topics.upgrade() {
            topics.book().entries.retain(|entry| entry.number != self.number);
        }
    }
}

/// Whether something can be called that.
#[must_use]
pub(crate) fn is_topic(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b':' | b'-'))
}

/// Events for somebody in this process, from the moment it was made.
#[derive(Debug)]
pub struct TopicStream {
    queue: mpsc::Receiver<Arc<Published>>,
    ear: Arc<Ear>,
    _subscription: Subscription,
}

#[derive(Debug)]
struct Ear {
    queue: mpsc::Sender<Arc<Published>>,
    missed: AtomicU64,
}

impl Listen for Ear {
    fn hear(&self, event: &Arc<Published>) -> bool {
        let taken = self.queue.try_send(event.clone()).is_ok();
        if !taken {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

impl TopicStream {
    pub(crate) fn new(topics: &Arc<Topics>, wants: &[Glob]) -> Self {
        let (send, queue) = mpsc::channel(WAITING);
        let ear = Arc::new(Ear { queue: send, missed: AtomicU64::new(0) });
        let to: Weak<dyn Listen> = Arc::downgrade(&ear) as Weak<dyn Listen>;
        let subscription = topics.subscribe(wants, None, to);
        Self { queue, ear, _subscription: subscription }
    }

    /// One on which nothing ever comes.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self::new(&Arc::default(), &[])
    }

    /// The next event, and how many were missed since the last one because this listener was too slow: 256 wait for it.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> (Arc<Published>, u64) {
        match self.queue.recv().await {
            Some(event) => (event, self.ear.missed.swap(0, Ordering::Relaxed)),
            // This side holds the other end.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(topic: &str, source: &str) -> Arc<Published> {
        Arc::new(Published {
            topic: topic.to_owned(),
            source: source.into(),
            time_ms: 0,
            data: "null".into(),
        })
    }

    #[tokio::test]
    async fn who_wants_it_hears_it_and_who_is_slow_is_told_what_it_missed() {
        let topics = Arc::new(Topics::default());
        let mut net = TopicStream::new(&topics, &[Glob::new("net.*")]);
        let all = TopicStream::new(&topics, &[Glob::new("*")]);
        assert_eq!(topics.publish(&event("net.up", "a")), 2);
        assert_eq!(topics.publish(&event("geo.up", "a")), 1);
        drop(all);
        assert_eq!(topics.publish(&event("geo.up", "a")), 0);
        for _ in 0..WAITING + 4 {
            topics.publish(&event("net.up", "a"));
        }
        let (first, missed) = net.next().await;
        assert_eq!((&*first.topic, missed), ("net.up", 5));
        assert_eq!(net.next().await.1, 0);
    }

    #[test]
    fn nobody_hears_itself_and_who_is_gone_is_no_listener() {
        let topics = Arc::new(Topics::default());
        let (queue, _hold) = mpsc::channel(4);
        let ear = Arc::new(Ear { queue, missed: AtomicU64::new(0) });
        let to: Weak<dyn Listen> = Arc::downgrade(&ear) as Weak<dyn Listen>;
        let _listening = topics.subscribe(&[Glob::new("*")], Some("a".into()), to);
        assert_eq!(topics.publish(&event("x", "a")), 0);
        assert_eq!(topics.publish(&event("x", "b")), 1);
        drop(ear);
        assert_eq!(topics.publish(&event("x", "b")), 0);
    }

    #[test]
    fn topics_are_names() {
        for (name, legal) in [
            ("geo.updated", true),
            ("a", true),
            ("", false),
            ("a b", false),
            ("ä", false),
            ("*", false),
        ] {
            assert_eq!(is_topic(name), legal, "{name}");
        }
        assert!(!is_topic(&"x".repeat(129)));
    }
}
