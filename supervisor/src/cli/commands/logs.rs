//! `outboard logs`: what plugins said, and what was done to them.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;

use super::events::foreign;
use super::{Ended, connect};
use crate::cli::args::LogsArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, logs};
use crate::control::api::{LogFilter, LogItem, LogLine};

pub(super) async fn run(args: &LogsArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let filter = filter(args, Timestamp::now());
    let client = connect(dir).await?;
    // Subscribed before the past is read, so that nothing falls between the two.
    let stream = match args.follow {
        true => Some(client.subscribe_logs(filter.clone()).await?),
        false => None,
    };
    let past = client.logs(filter).await?;
    for line in &past {
        logs::line(screen, line);
    }
    let Some(mut stream) = stream else { return Ok(Exit::Done) };
    let mut seen: HashSet<_> = past.iter().map(key).collect();
    let newest = past.last().map(|line| line.at.clone()).unwrap_or_default();
    while !screen.is_gone() {
        match stream.next().await {
            Some(Ok(LogItem::Line(line))) => {
                // Times are fixed-width RFC 3339 in UTC: text order is time order.
                if line.at > newest {
                    seen.clear();
                }
                if !seen.contains(&key(&line)) {
                    logs::line(screen, &line);
                }
            }
            Some(Ok(LogItem::Missed(missed))) => logs::missed(screen, missed),
            Some(Err(error)) => return Err(foreign(&error)),
            None => {
                screen.progress("the supervisor has ended");
                break;
            }
        }
    }
    Ok(Exit::Done)
}

fn key(line: &LogLine) -> (String, String, String) {
    (line.at.clone(), line.plugin.clone(), line.text.clone())
}

fn filter(args: &LogsArgs, now: Timestamp) -> LogFilter {
    LogFilter {
        plugin: args.plugin.clone(),
        lines: Some(args.lines),
        since: args.since.map(|since| since.before(now).to_string()),
        generation: args.generation,
        sources: args.source.iter().map(|source| (*source).into()).collect(),
    }
}
