//! A stop in words, step by step.

use std::time::Duration;

use super::fields::Fields;
use crate::control::api::{Event, Rung, Stop};
use crate::control::words::{exit, span};

/// A drain shorter than this had nothing to wait for.
const NOTICEABLE: Duration = Duration::from_millis(50);

/// The step that a stop has come to, and how long it may take.
pub(super) fn step(event: &Event) -> String {
    let f = Fields(event);
    let most = f.span("within_ms");
    match rung(event) {
        Rung::Drain => format!("its calls finish first, for {most} at most"),
        Rung::Ask => format!("asked to shut down; exit is next, in {most} at most"),
        Rung::Leave => format!("asked to exit, stdin closed; SIGTERM in {most}"),
        Rung::Term => format!("ignored shutdown and closed stdin; SIGTERM sent, SIGKILL in {most}"),
        Rung::Kill => format!("SIGKILL sent; {most} until it counts as unkillable"),
        Rung::Unknown => format!("{}, for {most} at most", f.text("rung")),
    }
}

/// The step that an event tells of.
fn rung(event: &Event) -> Rung {
    let word = event.fields.get("rung").cloned().unwrap_or_default();
    serde_json::from_value(word).unwrap_or(Rung::Unknown)
}

/// How a stop ended, from its event.
pub(super) fn finished(event: &Event) -> String {
    record(event).map_or_else(|| "stopped".to_owned(), |stop| how(&stop))
}

/// The record in a `stop.finished` event.
pub(super) fn record(event: &Event) -> Option<Stop> {
    serde_json::from_value(serde_json::Value::Object(event.fields.clone())).ok()
}

/// How a stop ended: `left when asked, exit 0`, `killed; 3 processes of it are gone`.
pub(super) fn how(stop: &Stop) -> String {
    let end = stop.exit.as_ref().map(exit);
    let mut words = match (stop.by_itself, stop.rungs.last().map(|last| last.rung)) {
        (true, _) => join("it ended by itself", end),
        (false, None) => end.unwrap_or_else(|| "it was not running".to_owned()),
        (false, Some(Rung::Kill)) => "killed".to_owned(),
        (false, Some(Rung::Term)) => join("left on SIGTERM", end.filter(|end| end != "SIGTERM")),
        (false, Some(Rung::Ask)) => join("answered shutdown", end),
        (false, Some(Rung::Leave)) => join("left when asked", end),
        (false, Some(Rung::Drain | Rung::Unknown)) => end.unwrap_or_else(|| "left".to_owned()),
    };
    let drained = stop.rungs.iter().find(|step| step.rung == Rung::Drain);
    if let Some(step) = drained.filter(|step| Duration::from_millis(step.ms) >= NOTICEABLE) {
        words =
            format!("its calls had {} to finish; {words}", span(Duration::from_millis(step.ms)));
    }
    match stop.swept {
        0 => words,
        1 => format!("{words}; 1 process of it is gone too"),
        n => format!("{words}; {n} processes of it are gone"),
    }
}

fn join(what: &str, end: Option<String>) -> String {
    match end {
        Some(end) => format!("{what}, {end}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{Exit, RungTime};

    fn stopped(rungs: &[(Rung, u64)], exit: Option<Exit>, swept: u32) -> String {
        let rungs = rungs.iter().map(|(rung, ms)| RungTime { rung: *rung, ms: *ms }).collect();
        how(&Stop { rungs, exit, swept, by_itself: false })
    }

    #[test]
    fn a_stop_says_what_ended_it() {
        let zero = || Some(Exit { code: Some(0), ..Default::default() });
        let term = || Some(Exit { signal: Some("SIGTERM".into()), ..Default::default() });
        let table = [
            stopped(&[(Rung::Drain, 1), (Rung::Ask, 4), (Rung::Leave, 10)], zero(), 0),
            stopped(&[(Rung::Drain, 4_100), (Rung::Ask, 4), (Rung::Leave, 10)], zero(), 0),
            stopped(&[(Rung::Leave, 2_000), (Rung::Term, 3)], term(), 0),
            stopped(&[(Rung::Term, 5_000), (Rung::Kill, 3)], None, 3),
            stopped(&[], None, 0),
        ];
        insta::assert_snapshot!(table.join("\n"), @r"
        left when asked, exit 0
        its calls had 4.1s to finish; left when asked, exit 0
        left on SIGTERM
        killed; 3 processes of it are gone
        it was not running
        ");
    }
}
