//! `outboard start`, `stop` and `restart`: change what is wanted, wait, and report what became of it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Ended, connect};
use crate::cli::args::{StartArgs, StopArgs};
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::change::{Asked, ChangeScreen};
use crate::cli::trouble::Trouble;
use crate::control::api::{Change, EventItem};
use crate::control::{ClientError, ControlClient};

/// How often a long wait is looked at.
const TICK: Duration = Duration::from_millis(250);

/// What is common to the three verbs.
pub(super) struct Request {
    ids: Vec<String>,
    all: bool,
    now: bool,
    wait: bool,
}

impl From<&StartArgs> for Request {
    fn from(args: &StartArgs) -> Self {
        Self { ids: args.ids.clone(), all: args.all, now: false, wait: !args.no_wait }
    }
}

impl From<&StopArgs> for Request {
    fn from(args: &StopArgs) -> Self {
        Self { ids: args.ids.clone(), all: args.all, now: args.now, wait: !args.no_wait }
    }
}

pub(super) async fn run(request: &Request, asked: Asked, dir: &Path, screen: &mut Screen) -> Ended {
    let client = connect(dir).await?;
    let status = client.status(&request.ids).await?;
    let ids: Vec<String> = status.plugins.iter().map(|plugin| plugin.id.clone()).collect();
    if request.ids.is_empty() && !request.all {
        let verb = match asked {
            Asked::Start => "start",
            Asked::Stop => "stop",
            Asked::Restart => "restart",
        };
        return Err(Trouble::new(Exit::Usage, "no plugin is named")
            .cause(format!("there are: {}", ids.join(", ")))
            .help(format!("outboard {verb} --all")));
    }
    let (ids_, all) = (&request.ids, request.all);
    let mut shown = ChangeScreen::new(asked, &ids);
    let change = watched(&client, &mut shown, screen, async {
        match asked {
            Asked::Start => client.start(ids_, all, request.wait).await,
            Asked::Stop => client.stop(ids_, all, request.now, request.wait).await,
            Asked::Restart => client.restart(ids_, all, request.now, request.wait).await,
        }
    })
    .await?;
    shown.finish(screen, &change);
    Ok(Exit::of_change(&change))
}

/// Waits for a change and shows meanwhile how it comes about.
pub(super) async fn watched(
    client: &ControlClient,
    shown: &mut ChangeScreen,
    screen: &mut Screen,
    change: impl Future<Output = Result<Change, ClientError>>,
) -> Result<Change, ClientError> {
    let mut events = client.subscribe_events(None).await?;
    let mut ticks = tokio::time::interval(TICK);
    let mut more = true;
    tokio::pin!(change);
    let change = loop {
        tokio::select! {
            change = &mut change => break change?,
            item = events.next(), if more => match item {
                Some(Ok(EventItem::Event(event))) => shown.event(screen, &event),
                // The answer says what these would have said.
                Some(Ok(EventItem::Missed(_)) | Err(_)) => {}
                None => more = false,
            },
            _ = ticks.tick() => shown.tick(screen, Timestamp::now()),
        }
    };
    // The answer may come before the events that led to it.
    let unopened = shown.unopened(&change);
    if !unopened.is_empty()
        && let Ok(status) = client.status(&unopened).await
    {
        shown.opened_as(&status);
    }
    Ok(change)
}
