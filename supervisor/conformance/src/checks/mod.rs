//! Stories and their judges, a file for each theme.

mod bounds;
mod calls;
mod end;
mod frames;
mod opening;
mod running;

use std::time::Duration;

use crate::record::{Record, Seen, What};
use crate::report::Verdict;
use crate::rules::Id;
use crate::script::Script;
use crate::subject::Subject;

pub(crate) use opening::SURVEY;

/// One story, and the rules that it tells about.
pub(crate) struct Scene {
    /// `Err`: it cannot be told to this plugin, and why.
    pub(crate) script: fn(&Subject) -> Result<Script, String>,
    pub(crate) rules: &'static [(Id, Judge)],
}

/// Judges one rule by what one process did. It is pure.
pub(crate) type Judge = fn(&Subject, &Record) -> Verdict;

/// Judges one rule by what all processes did.
pub(crate) type Overall = fn(&Subject, &[Record]) -> Verdict;

/// Every story but the survey. Long ones come first, so that no one of them is waited for alone.
pub(crate) const SCENES: &[&[Scene]] =
    &[bounds::SCENES, calls::SCENES, opening::SCENES, end::SCENES, running::SCENES];

/// The rules that are judged by all stories together.
pub(crate) const OVERALL: &[(Id, Overall)] = frames::OVERALL;

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
    use crate::rules::RULES;

    #[test]
    fn every_rule_has_one_judge() {
        let mut judges: BTreeMap<Id, u32> = BTreeMap::new();
        let scenes = SCENES.iter().copied().flatten().chain([&SURVEY]);
        let single = scenes.flat_map(|scene| scene.rules.iter().map(|(id, _)| *id));
        for id in single.chain(OVERALL.iter().map(|(id, _)| *id)) {
            *judges.entry(id).or_default() += 1;
        }
        let all: BTreeMap<Id, u32> = RULES.iter().map(|rule| (rule.id, 1)).collect();
        assert_eq!(judges, all);
    }
}
