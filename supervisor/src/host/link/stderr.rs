//! stderr: free text that becomes log lines. Always drained, so that a plugin never blocks on it.

use std::io;
use std::sync::Arc;

use outboard_core::Seen;
use serde::{Deserialize, Serialize};

use super::super::lines::{Line, LineCutter, lossless};
use super::super::redact::{Held, Masker, Redactor};
use super::super::view::LogSource;
use super::{Link, Pumped, lock, read_now};

/// Reads in a row before other plugins get their turn.
const ROUNDS: usize = 8;

/// Bytes of one read. On the stack, so that nothing is kept between reads.
const READ: usize = 8 * 1024;

/// What has been read and is no line yet. Masked first and cut then, so that no secret is cut in two.
#[derive(Debug)]
pub(super) struct Said {
    masker: Masker,
    cutter: LineCutter,
}

impl Said {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { masker: Masker::new(redactor), cutter: LineCutter::default() }
    }

    fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(Line<'_>)) {
        self.masker.feed(bytes, &mut |piece| self.cutter.feed(piece, sink));
    }

    fn finish(&mut self, sink: &mut impl FnMut(Line<'_>)) {
        self.masker.finish(&mut |piece| self.cutter.feed(piece, sink));
        self.cutter.finish(sink);
    }
}

/// The same, without the secrets that are looked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptSaid {
    masker: Held,
    cutter: LineCutter,
}

impl Said {
    pub(super) fn kept(&self) -> KeptSaid {
        KeptSaid { masker: self.masker.kept(), cutter: self.cutter.clone() }
    }

    pub(super) fn restore(kept: KeptSaid, redactor: Redactor) -> Self {
        Self { masker: Masker::restore(kept.masker, redactor), cutter: kept.cutter }
    }
}

impl Link {
    pub(super) async fn read_stderr(self: Arc<Self>) {
        loop {
            if self.stderr.readable().await.is_err() || self.is_over() {
                return;
            }
            match self.pump_words(|buffer| self.stderr.try_read(buffer)) {
                Pumped::Dry => {}
                Pumped::More => tokio::task::yield_now().await,
                Pumped::End => return,
            }
        }
    }

    /// Reads what lies in the pipe now.
    pub(super) fn pump_stderr(&self) -> Pumped {
        self.pump_words(|buffer| read_now(&self.stderr, buffer))
    }

    fn pump_words(&self, mut fill: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Pumped {
        let mut said = lock(&self.said);
        let mut sink = |line: Line<'_>| self.said_on_stderr(&line);
        let mut buffer = [0; READ];
        let mut read = false;
        let pumped = 'read: {
            for _ in 0..ROUNDS {
                match fill(&mut buffer) {
                    Ok(0) => {
                        said.finish(&mut sink);
                        break 'read Pumped::End;
                    }
                    Ok(n) => {
                        read = true;
                        said.feed(&buffer[..n], &mut sink);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        break 'read Pumped::Dry;
                    }
                    Err(_) => break 'read Pumped::End,
                }
            }
            Pumped::More
        };
        if read {
            let mut state = self.state();
            state.activity += 1;
            if state.seen == Seen::Nothing {
                state.seen = Seen::StderrOnly;
            }
        }
        pumped
    }

    /// The last words of a process that has ended: what is left without an end of line counts too.
    pub(crate) fn finish_words(&self) {
        self.pump_stderr();
        lock(&self.said).finish(&mut |line| self.said_on_stderr(&line));
    }

    fn said_on_stderr(&self, line: &Line<'_>) {
        // In a flood the file gets a share; the last words are always the newest.
        self.slot.words().push(self.generation, self.recorder.clock.wall_us(), line.bytes);
        if !self.recorder.admits(&self.slot, self.generation) {
            return self.dropped_line(&mut self.state());
        }
        let mut text = lossless(line.bytes);
        if line.continues {
            text.insert(0, '…');
        }
        if line.cut {
            text.push('…');
        }
        self.recorder.log(&self.slot, self.generation, LogSource::Err, None, text);
    }
}
