//! `outboard logs`: what plugins said, and what was done to them.

use std::path::Path;

use jiff::Timestamp;

use super::follow::{Heard, again, foreign, heard, over};
use super::{Ended, connect};
use crate::cli::args::LogsArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, logs};
use crate::control::api::{LogFilter, LogItem, LogLine};
use crate::control::{ClientError, ControlClient};

pub(super) async fn run(args: &LogsArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let now = Timestamp::now();
    let filter = filter(args, now);
    let client = connect(dir).await?;
    if args.follow {
        return follow(client, filter, now, dir, screen).await;
    }
    for line in &client.logs(filter).await? {
        logs::line(screen, line);
    }
    Ok(Exit::Done)
}

async fn follow(
    mut client: ControlClient,
    mut filter: LogFilter,
    now: Timestamp,
    dir: &Path,
    screen: &mut Screen,
) -> Ended {
    let mut shown = Shown::from(format!("{now:.6}"));
    while let Heard::NoMore = heard(hear(&client, &filter, &mut shown, screen).await)? {
        match again(&client, dir).await? {
            Some(next) => client = next,
            None => return over(screen),
        }
        // All that came since, and not the last so many of everything.
        filter.since = Some(shown.at.clone());
        filter.lines = Some(u32::MAX);
    }
    Ok(Exit::Done)
}

/// Shows the lines that there are on this connection, and then those that come.
async fn hear(
    client: &ControlClient,
    filter: &LogFilter,
    shown: &mut Shown,
    screen: &mut Screen,
) -> Result<Heard, ClientError> {
    // Subscribed before the past is read, so that nothing falls between the two.
    let mut stream = client.subscribe_logs(filter.clone()).await?;
    let past = client.logs(filter.clone()).await?;
    shown.past(&past).for_each(|line| logs::line(screen, line));
    shown.may_come_again(past);
    while !screen.is_gone() {
        match stream.next().await {
            Some(Ok(LogItem::Line(line))) => {
                if shown.is_new(&line) {
                    logs::line(screen, &line);
                }
            }
            Some(Ok(LogItem::Missed(missed))) => logs::missed(screen, missed),
            Some(Err(error)) => return Err(foreign(&error)),
            None => return Ok(Heard::NoMore),
        }
    }
    Ok(Heard::Enough)
}

/// How far a log has been shown, so that two readings of it that overlap show each line once.
#[derive(Debug, Default)]
struct Shown {
    /// The time of the newest line. Times are fixed-width RFC 3339 in UTC: text order is time order.
    at: String,
    /// What has been shown of that time.
    newest: Vec<LogLine>,
    /// What has been shown and may come once more.
    again: Vec<LogLine>,
}

impl Shown {
    /// Nothing, and nothing older than this is asked for again.
    fn from(at: String) -> Self {
        Self { at, ..Self::default() }
    }

    /// Another reading begins, at the newest line; what of it has not been shown.
    fn past<'a>(&mut self, lines: &'a [LogLine]) -> impl Iterator<Item = &'a LogLine> {
        self.again = self.newest.clone();
        lines.iter().filter(|line| self.is_new(line))
    }

    /// These may come once more, up to the first that is newer.
    fn may_come_again(&mut self, lines: Vec<LogLine>) {
        self.again = lines;
    }

    /// Whether a line is to be shown: then it counts as shown.
    fn is_new(&mut self, line: &LogLine) -> bool {
        if line.at > self.at {
            self.at.clone_from(&line.at);
            self.newest.clear();
            self.again.clear();
        }
        // One for one: a plugin may say the same twice at the same time.
        if let Some(at) = self.again.iter().rposition(|shown| shown == line) {
            self.again.swap_remove(at);
            return false;
        }
        if line.at == self.at {
            self.newest.push(line.clone());
        }
        true
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::Source;

    fn line(at: u32, text: &str) -> LogLine {
        LogLine {
            at: format!("2026-01-01T00:00:00.{at:06}Z"),
            plugin: "geo".to_owned(),
            generation: 1,
            source: Source::Err,
            level: None,
            text: text.to_owned(),
        }
    }

    fn texts(shown: &mut Shown, past: &[LogLine]) -> String {
        let new: Vec<_> = shown.past(past).map(|line| line.text.as_str()).collect();
        shown.may_come_again(past.to_vec());
        new.join(" ")
    }

    #[test]
    fn two_readings_that_overlap_show_each_line_once_and_twins_twice() {
        let mut shown = Shown::from(line(0, "").at);
        assert_eq!(texts(&mut shown, &[line(1, "a"), line(2, "b"), line(2, "b")]), "a b b");
        // Written between the subscription and the reading.
        assert!(!shown.is_new(&line(1, "a")));
        assert!(!shown.is_new(&line(2, "b")));
        assert!(!shown.is_new(&line(2, "b")));
        // Twins of the same moment are two lines.
        assert!(shown.is_new(&line(3, "c")));
        assert!(shown.is_new(&line(3, "c")));
        // Another build is read from the time of the newest line.
        assert_eq!(shown.at, line(3, "").at);
        let past = [line(3, "c"), line(3, "c"), line(3, "d"), line(4, "e")];
        assert_eq!(texts(&mut shown, &past), "d e");
        assert!(!shown.is_new(&line(3, "d")));
        assert!(!shown.is_new(&line(4, "e")));
        assert!(shown.is_new(&line(4, "f")));
    }
}
