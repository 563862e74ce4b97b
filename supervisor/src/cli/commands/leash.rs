//! `run --exit-on-eof`: standard input as a leash, held by whoever starts a supervisor and must not leave it behind.

use std::future::Future;
use std::io;
use std::thread;

use tokio::sync::oneshot;

use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;

/// Resolves once standard input has ended: the other end was let go of, at the latest by the end of who held it. What
/// comes before that is thrown away.
///
/// It is read by a plain thread. A runtime would wait for one of its own to come back from a read, and to know of an end
/// without reading there is no way that holds for pipes, sockets, terminals and files.
///
/// # Errors
///
/// When there is no thread to be had.
pub(super) fn stdin_ends() -> Result<impl Future<Output = ()>, Trouble> {
    let (ended, end) = oneshot::channel::<()>();
    let read = move || {
        // An error is an end too: what cannot be read cannot hold anything.
        io::copy(&mut io::stdin().lock(), &mut io::sink()).unwrap_or_default();
        drop(ended);
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(read).map_err(|error| {
        Trouble::new(Exit::Unavailable, "standard input cannot be watched").cause(error.to_string())
    })?;
    Ok(async { end.await.unwrap_or_default() })
}
