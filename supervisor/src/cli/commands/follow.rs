//! What follows goes on over an upgrade: connections of the management socket end with the build that served them, and the
//! next one serves the same socket.

use std::path::Path;
use std::time::Duration;

use super::Ended;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::trouble::Trouble;
use crate::control::{ClientError, ControlClient};

/// How long the same supervisor may take until it serves again. An upgrade takes milliseconds.
const WITHIN: Duration = Duration::from_secs(10);

/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_millis(20);

/// How a connection that was followed on came to its end.
pub(super) enum Heard {
    /// Nobody reads any more what is shown, or it was asked to end.
    Enough,
    /// There is no more on this connection.
    NoMore,
}

/// What came of following on a connection: one that was lost before it told anything has ended as well.
pub(super) fn heard(outcome: Result<Heard, ClientError>) -> Result<Heard, Trouble> {
    match outcome {
        Err(ClientError::Lost) => Ok(Heard::NoMore),
        outcome => Ok(outcome?),
    }
}

/// An item that is not understood.
pub(super) fn foreign(error: &serde_json::Error) -> ClientError {
    ClientError::Foreign { reason: error.to_string() }
}

/// A connection to the same supervisor in place of one that has ended; `None` when it is gone, or another one is there.
///
/// Dropping the future is harmless.
pub(super) async fn again(
    before: &ControlClient,
    dir: &Path,
) -> Result<Option<ControlClient>, Trouble> {
    let connected = async {
        loop {
            match ControlClient::connect(dir).await {
                // An upgrade keeps the pid.
                Ok(next) if next.pid() == before.pid() => return Ok(Some(next)),
                Ok(_) | Err(ClientError::NoSupervisor { .. }) => return Ok(None),
                // Whoever ends for good may still close the socket; then the next try meets nobody.
                Err(ClientError::Lost | ClientError::NotAnswering { .. } | ClientError::Busy) => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::time::timeout(WITHIN, connected).await.unwrap_or(Ok(None))
}

/// How following ends when there is nobody to follow any more.
pub(super) fn over(screen: &mut Screen) -> Ended {
    screen.progress("the supervisor has ended");
    Ok(Exit::Done)
}
