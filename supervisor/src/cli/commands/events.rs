//! `outboard events`: what happened.

use std::path::Path;

use super::{Ended, connect};
use crate::cli::args::EventsArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, events};
use crate::cli::trouble::Trouble;
use crate::control::ClientError;

pub(super) async fn run(args: &EventsArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let client = connect(dir).await?;
    if !args.follow {
        let mut last = 0;
        loop {
            let page = client.events(last).await?;
            let Some(newest) = page.last() else { return Ok(Exit::Done) };
            last = newest.seq;
            for event in &page {
                events::line(screen, event);
            }
            if screen.is_gone() {
                return Ok(Exit::Done);
            }
        }
    }
    let mut stream = client.subscribe_events(Some(0)).await?;
    while let Some(item) = stream.next().await {
        let item = item.map_err(|error| foreign(&error))?;
        events::item(screen, &item);
        if screen.is_gone() {
            return Ok(Exit::Done);
        }
    }
    screen.progress("the supervisor has ended");
    Ok(Exit::Done)
}

pub(super) fn foreign(error: &serde_json::Error) -> Trouble {
    ClientError::Foreign { reason: error.to_string() }.into()
}
