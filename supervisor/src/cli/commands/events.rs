//! `outboard events`: what happened.

use std::path::Path;

use super::follow::{Heard, again, foreign, heard, over};
use super::{Ended, connect};
use crate::cli::args::EventsArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, events};
use crate::control::api::EventItem;
use crate::control::{ClientError, ControlClient};

pub(super) async fn run(args: &EventsArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let client = connect(dir).await?;
    if args.follow {
        return follow(client, dir, screen).await;
    }
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

async fn follow(mut client: ControlClient, dir: &Path, screen: &mut Screen) -> Ended {
    let mut last = 0;
    while let Heard::NoMore = heard(hear(&client, &mut last, screen).await)? {
        match again(&client, dir).await? {
            Some(next) => client = next,
            None => return over(screen),
        }
    }
    Ok(Exit::Done)
}

/// Shows what comes after the event `last` on this connection, and moves `last` along.
async fn hear(
    client: &ControlClient,
    last: &mut u64,
    screen: &mut Screen,
) -> Result<Heard, ClientError> {
    let mut stream = client.subscribe_events(Some(*last)).await?;
    while let Some(item) = stream.next().await {
        let item = item.map_err(|error| foreign(&error))?;
        events::item(screen, &item);
        if let EventItem::Event(event) = &item {
            *last = event.seq;
        }
        if screen.is_gone() {
            return Ok(Heard::Enough);
        }
    }
    Ok(Heard::NoMore)
}
