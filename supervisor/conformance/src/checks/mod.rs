//! Stories and their judges: a file for each theme, and one for each dialect.

mod bounds;
mod calls;
mod end;
mod frames;
mod lsp;
mod mcp;
mod methods;
mod native;
mod opening;
mod running;
mod types;

use std::time::Duration;

use outboard_manifest::Dialect;

use crate::record::{Record, Seen, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::Script;
use crate::subject::Subject;

/// One story, and the rules that it tells about.
pub(crate) struct Scene {
    /// `Err`: it cannot be told to this plugin, and why.
    pub(crate) script: fn(&Subject) -> Result<Script<'_>, String>,
    pub(crate) rules: &'static [(Id, Judge)],
}

/// Judges one rule by what one process did. It is pure.
pub(crate) type Judge = fn(&Subject, &Record) -> Verdict;

/// Judges one rule by what all processes did.
pub(crate) type Overall = fn(&Subject, &[Record]) -> Verdict;

/// All that is played to plugins of one dialect.
pub(crate) struct Play {
    /// Told first and alone: what all others are built upon, and a time that nothing else disturbs.
    pub(crate) survey: fn(&Subject) -> Script<'_>,
    /// What the survey tells about.
    pub(crate) seen_at_once: &'static [(Id, Judge)],
    /// Every other story. Long ones come first, so that no one of them is waited for alone.
    pub(crate) scenes: &'static [&'static [Scene]],
    /// The rules that are judged by all stories together.
    pub(crate) overall: &'static [(Id, Overall)],
}

impl Play {
    pub(crate) fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Native => &native::PLAY,
            Dialect::Mcp => &mcp::PLAY,
            Dialect::Lsp => &lsp::PLAY,
        }
    }
}

/// How long something that must not come is waited for.
const QUIET: Duration = Duration::from_millis(300);

/// Frames after a mark that answer something, save those under ids of ours.
fn stray<'r>(
    record: &'r Record,
    mark: &'static str,
    asked: &'r [u32],
) -> impl Iterator<Item = &'r Seen> {
    let is_asked = |id: &outboard_wire::Id| id.as_own().is_some_and(|id| asked.contains(&id));
    record.after(mark).iter().filter(move |seen| match &seen.what {
        What::Answer(answer) => !is_asked(&answer.id),
        What::Orphan { .. } => true,
        _ => false,
    })
}

/// An answer under this id and no other one, for what was asked at the mark.
fn one_answer<'r>(
    record: &'r Record,
    mark: &'static str,
    id: u32,
) -> Result<&'r crate::record::Answer, String> {
    if let Some(seen) = stray(record, mark, &[id]).next() {
        return Err(format!("another id: {}", record.quote(record.text_of(seen))));
    }
    record.answer(id).ok_or_else(|| format!("no answer: {}", record.instead()))
}

/// No frame in answer to what was said at the mark, and the ping after it answered.
fn ignored(record: &Record, mark: &'static str, ping: u32) -> Verdict {
    if let Some(seen) = stray(record, mark, &[ping]).next() {
        return Verdict::broken(format!("it answered: {}", record.quote(record.text_of(seen))));
    }
    Verdict::of(pinged(record, ping).map(|()| "no frame; the next ping was answered".to_owned()))
}

/// Whether a ping that came behind something was answered.
fn pinged(record: &Record, id: u32) -> Result<(), String> {
    match record.answer(id) {
        Some(_) => Ok(()),
        None => Err(format!("the next ping got no answer: {}", record.instead())),
    }
}

/// A time as people say it: tenths of a millisecond do not matter.
fn span(time: Duration) -> String {
    match time.as_millis() {
        0 => "under 1ms".to_owned(),
        ms @ 1..1000 => format!("{ms}ms"),
        ms => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rules::Book;

    #[test]
    fn every_rule_of_a_book_has_one_judge() {
        for dialect in [Dialect::Native, Dialect::Mcp, Dialect::Lsp] {
            let play = Play::of(dialect);
            let mut judges: BTreeMap<Id, u32> = BTreeMap::new();
            let scenes = play.scenes.iter().copied().flatten();
            let single = scenes.flat_map(|scene| scene.rules).chain(play.seen_at_once);
            let single = single.map(|(id, _)| *id);
            for id in single.chain(play.overall.iter().map(|(id, _)| *id)) {
                *judges.entry(id).or_default() += 1;
            }
            let rules = Book::of(dialect).rules;
            let all: BTreeMap<Id, u32> = rules.iter().map(|rule| (rule.id, 1)).collect();
            assert_eq!(judges, all, "{dialect:?}");
        }
    }
}
