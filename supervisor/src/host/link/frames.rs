//! The last frames both ways, for `why`: sizes and beginnings, in a fixed room that is written over.

use outboard_core::Time;

use super::super::clock::Clock;
use super::super::redact::{Masker, Redactor};
use super::super::view::Frame;
use super::Link;

/// Frames kept of each direction.
const KEPT: usize = 5;

/// Bytes kept of each: its method and the beginning of what it carries.
const HEAD: usize = 96;

/// Both directions. Nothing is allocated for a frame, and no more than [`HEAD`] bytes of it are copied.
#[derive(Debug, Default)]
pub(super) struct Frames {
    sent: Ring,
    read: Ring,
}

#[derive(Debug, Default)]
struct Ring {
    heads: [Head; KEPT],
    /// How many there were so far.
    total: usize,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    at: Time,
    /// Of the host's own call; 0 for what has none.
    id: u32,
    bytes: usize,
    kept: u8,
    text: [u8; HEAD],
}

impl Default for Head {
    fn default() -> Self {
        Self { at: Time::ZERO, id: 0, bytes: 0, kept: 0, text: [0; HEAD] }
    }
}

impl Ring {
    fn push(&mut self, at: Time, id: u32, parts: [&str; 2]) {
        let head = &mut self.heads[self.total % KEPT];
        self.total += 1;
        *head = Head { at, id, bytes: parts[0].len() + parts[1].len(), kept: 0, text: head.text };
        let mut kept = 0;
        for part in parts {
            let n = part.len().min(HEAD - kept);
            head.text[kept..kept + n].copy_from_slice(&part.as_bytes()[..n]);
            kept += n;
        }
        head.kept = u8::try_from(kept).unwrap_or(u8::MAX);
    }

    fn last(&self) -> impl Iterator<Item = &Head> {
        (self.total.saturating_sub(KEPT)..self.total).map(|n| &self.heads[n % KEPT])
    }
}

impl Frames {
    /// A frame was put together for the plugin: its method, and its params as text.
    pub(super) fn sent(&mut self, at: Time, id: u32, method: &str, params: &str) {
        self.sent.push(at, id, [method, params]);
    }

    /// A frame of the plugin was read.
    pub(super) fn read(&mut self, at: Time, frame: &str) {
        self.read.push(at, 0, [frame, ""]);
    }

    /// All of them, by time. A secret is masked also where only its beginning was kept.
    fn told(&self, clock: Clock, redactor: &Redactor) -> Vec<Frame> {
        let (now, wall) = (clock.now(), clock.wall_us());
        let tell = |head: &Head, out: bool| {
            let kept = usize::from(head.kept);
            let mut text = Vec::new();
            let mut masker = Masker::new(redactor.clone());
            masker.feed(&head.text[..kept], &mut |piece| text.extend_from_slice(piece));
            if kept == head.bytes {
                masker.finish(&mut |piece| text.extend_from_slice(piece));
            }
            let ago = i64::try_from(now.since(head.at).as_micros()).unwrap_or(i64::MAX);
            Frame {
                at_us: wall.saturating_sub(ago),
                out,
                id: (head.id != 0).then_some(head.id),
                bytes: head.bytes as u64,
                cut: kept < head.bytes,
                text: String::from_utf8_lossy(&text).trim_end_matches('\u{fffd}').to_owned(),
            }
        };
        let sent = self.sent.last().map(|head| tell(head, true));
        let read = self.read.last().map(|head| tell(head, false));
        let mut all: Vec<Frame> = sent.chain(read).collect();
        all.sort_by_key(|frame| frame.at_us);
        all
    }
}

impl Link {
    /// The last frames both ways; probes and their answers, which all look the same, are left out.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let redactor = self.slot.log.redactor();
        self.state().frames.told(self.clock, &redactor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::from_start(std::time::Duration::from_secs(secs))
    }

    #[test]
    fn the_newest_of_each_direction_are_kept_in_their_order() {
        let mut frames = Frames::default();
        for n in 1..=7 {
            frames.sent(at(n), u32::try_from(n).unwrap(), "echo", &format!("{{\"n\":{n}}}"));
        }
        frames.read(at(4), "{\"id\":4}");
        let told = frames.told(Clock::start(), &Redactor::default());
        let shown: Vec<_> = told.iter().map(|f| (f.out, f.id, f.text.as_str())).collect();
        assert_eq!(shown.len(), KEPT + 1);
        assert!(shown.contains(&(false, None, "{\"id\":4}")));
        assert!(shown.contains(&(true, Some(3), "echo{\"n\":3}")));
        assert!(!shown.iter().any(|(.., text)| text.contains(":2}")));
    }

    #[test]
    fn a_large_frame_leaves_its_size_and_its_beginning() {
        let mut frames = Frames::default();
        frames.read(at(1), &"ż".repeat(1 << 20));
        let told = frames.told(Clock::start(), &Redactor::default());
        assert_eq!((told[0].bytes, told[0].cut, told[0].text.chars().count()), (2 << 20, true, 48));
    }

    #[test]
    fn sec_a_secret_is_masked_whole_and_where_it_is_cut() {
        let secret = "hunter22-hunter22";
        let redactor = Redactor::new([secret.to_owned()]);
        for before in 0..=HEAD {
            let mut frames = Frames::default();
            frames.sent(
                at(1),
                1,
                "m",
                &format!("{}{secret}{}", ".".repeat(before), "x".repeat(99)),
            );
            let told = frames.told(Clock::start(), &redactor);
            assert!(!told[0].text.contains("hunt"), "{before}: {}", told[0].text);
        }
    }
}
