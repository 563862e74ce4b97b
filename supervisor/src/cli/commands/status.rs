//! `outboard status`: truth at a glance, once or whenever it changes.

use std::path::Path;
use std::time::Duration;

use super::follow::{Heard, again, foreign, heard, over};
use super::{Ended, connect};
use crate::cli::args::StatusArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, status};
use crate::control::api::{Plugin, Status};
use crate::control::{ClientError, ControlClient, Events};

/// What happens within this time of each other is shown once: a start alone is six events.
const SETTLES: Duration = Duration::from_millis(50);

/// Events that never settle are shown this often all the same.
const AT_LEAST_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(args: &StatusArgs, dir: &Path, screen: &mut Screen) -> Ended {
    if args.watch {
        return watch(args, dir, screen).await;
    }
    let answer = connect(dir).await?.status(&args.ids).await?;
    status::status(screen, &answer);
    Ok(Exit::Done)
}

async fn watch(args: &StatusArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    tokio::select! {
        ended = follow(args, dir, screen) => ended,
        // How a watch ends: that is no failure.
        _ = &mut interrupted => Ok(Exit::Done),
    }
}

async fn follow(args: &StatusArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let mut client = connect(dir).await?;
    let mut shown = None;
    while let Heard::NoMore = heard(look(&client, args, &mut shown, screen).await)? {
        match again(&client, dir).await? {
            Some(next) => client = next,
            None => return over(screen),
        }
    }
    Ok(Exit::Done)
}

/// Looks whenever something happens on this connection.
async fn look(
    client: &ControlClient,
    args: &StatusArgs,
    shown: &mut Option<(u64, Vec<Plugin>)>,
    screen: &mut Screen,
) -> Result<Heard, ClientError> {
    // Subscribed before the first look, so that nothing falls between the two.
    let mut events = client.subscribe_events(None).await?;
    loop {
        let now = client.status(&args.ids).await?;
        // On a terminal the whole is drawn again: durations have moved on too. Elsewhere only what is new is printed.
        let picture = picture(&now);
        if screen.redraws() {
            screen.page(|screen| status::status(screen, &now));
        } else if shown.as_ref() != Some(&picture) {
            if shown.is_some() && !screen.is_json() {
                screen.line("");
            }
            status::status(screen, &now);
        }
        *shown = Some(picture);
        if screen.is_gone() {
            return Ok(Heard::Enough);
        }
        if something_happens(&mut events).await? {
            return Ok(Heard::NoMore);
        }
    }
}

/// Waits for an event, and for those that come with it; says whether they have come to their end.
async fn something_happens(events: &mut Events) -> Result<bool, ClientError> {
    let Some(first) = events.next().await else { return Ok(true) };
    first.map_err(|error| foreign(&error))?;
    let until = tokio::time::Instant::now() + AT_LEAST_EVERY;
    loop {
        let settled = (tokio::time::Instant::now() + SETTLES).min(until);
        match tokio::time::timeout_at(settled, events.next()).await {
            Ok(Some(more)) => drop(more.map_err(|error| foreign(&error))?),
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

/// What counts as a change: everything but how long it has been so, and calls that come and go.
fn picture(status: &Status) -> (u64, Vec<Plugin>) {
    let plugins = status.plugins.iter().cloned().map(|mut plugin| {
        plugin.since_ms = 0;
        plugin.health.last_ok_ms_ago = None;
        plugin.in_flight = 0;
        plugin.next_try_ms = plugin.next_try_ms.map(|_| 0);
        // Worked out from "so long ago", and so a little different each time; the generation tells two apart.
        if let Some(failure) = &mut plugin.last_failure {
            failure.at.clear();
        }
        // It is made of what else is here, with durations in it.
        plugin.note = None;
        plugin
    });
    (status.supervisor.revision, plugins.collect())
}
