//! Log lines: four sources, one clock.

use super::screen::{Screen, Tone};
use super::text::{clock, pad, visible};
use crate::control::api::{LogLine, Source};

/// One line.
pub(in crate::cli) fn line(screen: &mut Screen, line: &LogLine) {
    if screen.is_json() {
        screen.json_line(line);
        return;
    }
    let time = clock(&line.at, screen.zone());
    let level = line.level.as_deref().map_or_else(String::new, |level| pad(&visible(level), 6));
    let before = format!("{time} {}/{} ", visible(&line.plugin), line.generation);
    let tone = match (line.source, line.level.as_deref()) {
        (_, Some("error")) => Tone::Bad,
        (_, Some("warn")) => Tone::Warning,
        (Source::Host, _) => Tone::Faint,
        _ => Tone::Plain,
    };
    // A message may have lines of its own, a traceback for one. They stand below it, where no line of ours begins.
    let mut lines = line.text.trim_end_matches('\n').split('\n');
    let first = visible(lines.next().unwrap_or_default());
    let source = pad(line.source.word(), 5);
    let below = " ".repeat(before.chars().count() + source.chars().count() + 1);
    screen.toned(&before, tone, &source, &format!(" {level}{first}{}", junk(line.source)));
    for more in lines {
        screen.line(&format!("{below}{}", visible(more)));
    }
}

/// Whoever wrote it took it for a log line: it is told that it is not where it belongs.
fn junk(source: Source) -> &'static str {
    match source {
        Source::Out => "  (on stdout, not a message)",
        Source::Host | Source::Err | Source::Log => "",
    }
}

/// Lines that went by unread.
pub(in crate::cli) fn missed(screen: &mut Screen, missed: u64) {
    if screen.is_json() {
        screen.json_line(&serde_json::json!({ "missed": missed }));
    } else {
        screen
            .line(&format!("------------ {missed} lines went by faster than they could be shown"));
    }
}
