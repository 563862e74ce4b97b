//! What one client of `attach.sock` is owed, and how much it may have open.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use outboard_wire::{CallError, Id, encode};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

use super::SCRATCH;
use crate::host::Answer;

/// Answers that may lie here unread before the client is not read from any more.
const UNREAD: usize = 1 << 20;

/// Calls of one client that may be open before it is not read from any more.
const OPEN_CALLS: usize = 1024;

/// One client: what it is owed, and how much of it is open.
#[derive(Debug, Default)]
pub(super) struct Client {
    out: Mutex<Out>,
    /// Something is to be written.
    kick: Notify,
    /// There is room again.
    room: Notify,
}

#[derive(Debug, Default)]
struct Out {
    bytes: Vec<u8>,
    open: usize,
    /// The reader waits for room.
    starved: bool,
    over: bool,
}

impl Answer for Client {
    fn answer(&self, id: &Id, result: Result<&str, &CallError>) {
        let mut out = self.out();
        out.open = out.open.saturating_sub(1);
        let was_empty = out.bytes.is_empty();
        match result {
            Ok(text) => encode::result(&mut out.bytes, id, text),
            Err(error) => encode::error_raw(&mut out.bytes, id, &error.to_json()),
        }
        let room = std::mem::take(&mut out.starved);
        drop(out);
        if was_empty {
            self.kick.notify_one();
        }
        if room {
            self.room.notify_one();
        }
    }
}

impl Client {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().expect("nothing panics while it holds a client")
    }

    /// One more of its calls is open.
    pub(super) fn owe(&self) {
        self.out().open += 1;
    }

    /// An error that is no call's end.
    pub(super) fn refuse(&self, id: &Id, code: i64, message: &str) {
        encode::error(&mut self.out().bytes, id, code, message, None);
        self.kick.notify_one();
    }

    fn full(&self) -> bool {
        let mut out = self.out();
        let full = out.bytes.len() > UNREAD || out.open >= OPEN_CALLS;
        out.starved = full;
        full
    }

    /// Waits until the client has read enough, and enough of its calls have ended.
    pub(super) async fn wait_for_room(&self) {
        while self.full() {
            self.room.notified().await;
        }
    }

    pub(super) fn end(&self) {
        self.out().over = true;
        self.kick.notify_one();
    }

    pub(super) async fn write(self: Arc<Self>, pipe: OwnedWriteHalf) {
        let mut buffer = Vec::new();
        loop {
            self.kick.notified().await;
            loop {
                {
                    let mut out = self.out();
                    if out.bytes.is_empty() {
                        if out.over {
                            return;
                        }
                        break;
                    }
                    std::mem::swap(&mut buffer, &mut out.bytes);
                }
                if write_all(&pipe, &buffer).await.is_err() {
                    return;
                }
                buffer.clear();
                if buffer.capacity() > 4 * SCRATCH {
                    buffer = Vec::new();
                }
                let room = std::mem::take(&mut self.out().starved);
                if room {
                    self.room.notify_one();
                }
            }
        }
    }
}

async fn write_all(pipe: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pipe.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
