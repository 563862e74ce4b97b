//! From what a client is owed to its socket.

use std::io;
use std::sync::Arc;

use super::super::SCRATCH;
use super::{Client, STALLED, UNREAD, Unwritten};

impl Client {
    /// Writes what it is owed. Whenever this waits, what it holds lies in the client: see [`Client::kept`].
    pub(in super::super) async fn write(self: Arc<Self>) {
        let mut now = self.pick_up();
        loop {
            while now.written < now.bytes.len() {
                match self.stream.try_write(&now.bytes[now.written..]) {
                    Ok(n) => {
                        now.written += n;
                        let left = now.bytes.len() - now.written;
                        if left > SCRATCH {
                            self.out().wrote_down_to(left);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.out().unwritten = now;
                        match tokio::time::timeout(STALLED, self.stream.writable()).await {
                            Ok(Ok(())) => {}
                            Ok(Err(_)) => return self.out().close(),
                            Err(_) => self.stalled(),
                        }
                        if self.is_elsewhere() {
                            return;
                        }
                        now = self.pick_up();
                    }
                    Err(_) => return self.out().close(),
                }
            }
            now.written = 0;
            now.bytes.clear();
            if now.bytes.capacity() > 4 * SCRATCH {
                now.bytes = Vec::new();
            }
            let (room, wait) = {
                let mut out = self.out();
                out.wrote_down_to(0);
                if out.elsewhere || (out.bytes.is_empty() && out.over) {
                    return;
                }
                std::mem::swap(&mut now.bytes, &mut out.bytes);
                out.writing = now.bytes.len();
                (std::mem::take(&mut out.starved), now.bytes.is_empty())
            };
            if room {
                self.room.notify_one();
            }
            if wait {
                self.kick.notified().await;
            }
        }
    }

    fn pick_up(&self) -> Unwritten {
        std::mem::take(&mut self.out().unwritten)
    }

    /// It has read nothing for a long time. As long as little is owed, that is its own affair.
    fn stalled(&self) {
        let mut out = self.out();
        if out.owed() > UNREAD {
            self.cut_off(&mut out, "stalled");
        }
    }
}
