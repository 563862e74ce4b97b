//! Standard input and output of a bridge, each on a thread of its own: whatever they are (a pipe, a socket, a file), they
//! are read and written as they were handed over, and neither holds up the end of the process.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{Permit, Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;

/// Chunks on their way: behind them whoever sends has to wait.
const CHUNKS: usize = 4;

/// What the client says. `None` at its end.
pub(super) type Input = Receiver<Vec<u8>>;

/// The way to the client.
#[derive(Debug)]
pub(super) struct Output {
    chunks: Sender<Written>,
    broken: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Written {
    Bytes(Vec<u8>),
    /// Everything before this has been written, or cannot be.
    Flush(oneshot::Sender<()>),
}

/// Reads `from` until its end.
pub(super) fn input(mut from: impl Read + Send + 'static) -> std::io::Result<Input> {
    let (sender, receiver) = channel(CHUNKS);
    std::thread::Builder::new().name("ob-stdin".into()).spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            match from.read(&mut chunk) {
                Ok(0) => return,
                Ok(n) => {
                    chunk.truncate(n);
                    if sender.blocking_send(chunk).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })?;
    Ok(receiver)
}

/// Writes to `to` what is given.
pub(super) fn output(mut to: impl Write + Send + 'static) -> std::io::Result<Output> {
    let (sender, mut receiver) = channel(CHUNKS);
    let broken = Arc::new(AtomicBool::new(false));
    let seen = broken.clone();
    std::thread::Builder::new().name("ob-stdout".into()).spawn(move || {
        while let Some(written) = receiver.blocking_recv() {
            match written {
                Written::Bytes(bytes) => {
                    if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                        seen.store(true, Ordering::Relaxed);
                        return;
                    }
                }
                // Whoever asked may not wait any more.
                Written::Flush(done) => done.send(()).unwrap_or_default(),
            }
        }
    })?;
    Ok(Output { chunks: sender, broken })
}

/// Room for one more chunk.
pub(super) struct Room<'a>(Permit<'a, Written>);

impl Room<'_> {
    pub(super) fn give(self, bytes: Vec<u8>) {
        self.0.send(Written::Bytes(bytes));
    }
}

impl Output {
    /// Hands over bytes; waits while the client does not read. False when there is nobody to read them.
    pub(super) async fn write(&self, bytes: Vec<u8>) -> bool {
        bytes.is_empty() || self.chunks.send(Written::Bytes(bytes)).await.is_ok()
    }

    /// Waits until there is room for more; `None` when there is nobody to read it. Dropped, it has had no effect.
    pub(super) async fn room(&self) -> Option<Room<'_>> {
        self.chunks.reserve().await.ok().map(Room)
    }

    /// Waits until everything has been written, or cannot be.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.chunks.send(Written::Flush(done)).await.is_ok() {
            // An error says that it cannot be.
            wait.await.unwrap_or_default();
        }
    }

    /// Nobody reads any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}
