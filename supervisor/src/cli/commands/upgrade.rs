//! `outboard upgrade`: another build goes on in place of the one that runs.

use std::path::Path;
use std::time::Duration;

use super::{Ended, connect};
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::upgrade::{failed, refused, upgraded};
use crate::cli::trouble::Trouble;
use crate::control::api::{Event, EventItem};
use crate::control::upgrade::answer;
use crate::control::{ClientError, ControlClient};

/// How long the next build may take until it serves. It reads its state in milliseconds.
const WITHIN: Duration = Duration::from_secs(30);

/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_millis(20);

pub(super) async fn run(dir: &Path, screen: &mut Screen) -> Ended {
    let client = connect(dir).await?;
    let granted = match client.upgrade().await {
        Ok(granted) => granted,
        Err(error) => return Err(refused(error)),
    };
    drop(client);
    let outcome = tokio::time::timeout(WITHIN, outcome(dir, granted.seq)).await;
    let event = outcome.map_err(|_| {
        Trouble::new(Exit::Deadline, "the build that goes on does not answer")
            .cause(format!("version {} was executed in place of {}", granted.to, granted.from))
            .help("outboard status")
    })??;
    if event.event != "supervisor.upgraded" {
        return Err(failed(&event));
    }
    match screen.is_json() {
        true => screen.json(&event),
        false => upgraded(screen, &event),
    }
    Ok(Exit::Done)
}

/// The event that tells what became of it: asked for until somebody serves who knows.
async fn outcome(dir: &Path, seq: u64) -> Result<Event, Trouble> {
    loop {
        match told(dir, seq).await {
            Ok(Some(event)) => return Ok(event),
            Ok(None)
            | Err(ClientError::Lost | ClientError::NotAnswering { .. } | ClientError::Busy) => {}
            Err(ClientError::NoSupervisor { state_dir }) => {
                return Err(Trouble::new(
                    Exit::NoSupervisor,
                    "the supervisor has ended in the middle of the upgrade",
                )
                .cause(format!("nobody serves {} any more", state_dir.display()))
                .help("outboard run DIR"));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn told(dir: &Path, seq: u64) -> Result<Option<Event>, ClientError> {
    let client = ControlClient::connect(dir).await?;
    let mut events = client.subscribe_events(Some(seq)).await?;
    while let Some(item) = events.next().await {
        if let Ok(EventItem::Event(event)) = item
            && matches!(&*event.event, "supervisor.upgraded" | "supervisor.upgrade_failed")
        {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// Asked by a running supervisor, with its state on standard input: the answer is one line of JSON.
pub(super) fn rehearse(screen: &mut Screen) -> Ended {
    let answer = answer(std::io::stdin().lock()).map_err(|error| {
        Trouble::new(Exit::Usage, "no state of a supervisor can be read from standard input")
            .cause(error.to_string())
            .help("outboard upgrade")
    })?;
    screen.json_line(&answer);
    Ok(if answer.unreadable.is_some() { Exit::Unavailable } else { Exit::Done })
}
