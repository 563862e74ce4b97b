//! From frames to handlers and back.

use std::io::{self, Read};
use std::time::Duration;

use outboard_wire::{Framer, Item};

use crate::plugin::Plugin;
use crate::session::Session;

/// Bytes of the largest frame that any host sends. How large its own are, it says only in the first of them.
const LARGEST: usize = 64 << 20;

/// Time for calls in progress at the end. A host that wants to wait longer drains before it closes.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Time for shutdown hooks that nobody asked for before, and then for what is still to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why serving ended.
pub(crate) enum Ended {
    Exit,
    EndOfInput,
    Unreadable(io::Error),
}

/// Serves `plugin` from `input`, on this thread and those of its pools.
pub(crate) fn serve(plugin: Plugin, mut input: impl Read) -> Ended {
    let host = plugin.host.clone();
    let mut session = Session::new(plugin);
    let ended = read(Framer::newline(LARGEST), &mut input, &mut session);
    // No answer comes any more, so nobody waits for one.
    host.detach();
    session.finish(LAST_ANSWERS, LAST_WORDS);
    host.close(LAST_WORDS);
    ended
}

/// Who takes what was read.
pub(crate) trait Taker {
    fn take(&mut self, item: Item<'_>);

    /// Whether nothing more is wanted.
    fn has_exited(&self) -> bool;
}

/// Reads to the end. What stands there without its line feed is no frame, and is dropped.
pub(crate) fn read(mut framer: Framer, input: &mut impl Read, taker: &mut impl Taker) -> Ended {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ended::EndOfInput,
            Ok(count) => framer.feed(&buffer[..count], &mut |item| taker.take(item)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ended::Unreadable(error),
        }
        if taker.has_exited() {
            return Ended::Exit;
        }
    }
}
