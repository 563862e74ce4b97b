//! Who is told what, and when; then the verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outboard_manifest::Manifest;
use outboard_wire::Dialect;

use crate::checks::{Judge, Play, Scene};
use crate::clock::Clock;
use crate::crew::Crew;
use crate::drive::drive;
use crate::host::Host;
use crate::launch::Launch;
use crate::record::{Record, What};
use crate::report::{Checked, Report, Verdict};
use crate::rules::{Book, Id};
use crate::subject::Subject;

/// Stories that are told at the same time: most of them wait most of the time.
const SIDE_BY_SIDE: usize = 6;

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule that was asked for means nothing in its dialect.
    #[error("{id} is no rule of {against}")]
    NotOfIts { id: Id, against: &'static str },
    /// It is opened in a way that the rules do not know.
    #[error("it is not opened by initialize, and the rules are those of {}", Book::of(outboard_manifest::Dialect::Mcp).against)]
    Era,
    /// Its surroundings refuse it: each reason is one line.
    #[error("{}", .0.join("; "))]
    Surroundings(Vec<String>),
    /// Its program does not start.
    #[error("its program cannot be started: {step}: {reason}")]
    Start { step: &'static str, reason: String },
    /// What starts programs here does not work.
    #[error("no process can be started here: {0}")]
    Keeper(String),
}

/// Checks a plugin: all rules of its dialect, or those of `only` with what they rest on. `dialect` is the manifest's, and
/// new. Blocks its thread for some seconds.
///
/// For a process whose own business this is: it becomes a child subreaper, must have no children, and its `main` must
/// begin with [`outboard_keeper::entry::run_if_keeper`]. Nothing of the plugin runs any more when this returns; when this
/// process dies before, the keeper ends it.
///
/// # Errors
///
/// Nothing could be checked; see [`Error`].
pub fn run(
    manifest: &Manifest,
    dialect: Box<dyn Dialect>,
    only: Option<&[Id]>,
) -> Result<Report, Error> {
    let clock = Clock::start();
    let book = Book::of(manifest.dialect);
    let play = Play::of(manifest.dialect);
    let asked = with_bases(book, only)?;
    let host = Host::new(manifest, dialect)?;
    let launch = Launch::prepare(manifest)?;
    let mut subject = Subject::new(manifest, host, launch.secrets.clone());
    let crew = Crew::start()?;
    let mut told = Told::new(book);

    // First the opening and a ping: what all else is built upon, and with the machine for itself.
    let survey = drive(&crew, &launch, &subject, &(play.survey)(&subject))?;
    if speaks_another_era(&survey) {
        return Err(Error::Era);
    }
    if let Some(opening) = survey.opened() {
        subject.learn(opening);
        subject.start_took = survey.opening().map(|seen| seen.at).unwrap_or_default();
    }
    told.hear(play.seen_at_once, &subject, survey);
    subject.pings = told.holds(Id::C08);

    // What is judged by a whole run is judged by what was asked for, or by everything where nothing else was.
    let everything = asked.iter().all(|id| play.overall.iter().any(|(overall, _)| overall == id));
    let wanted = |scene: &&Scene| {
        let asked = everything || scene.rules.iter().any(|(id, _)| asked.contains(id));
        asked && scene.rules.iter().any(|(id, _)| told.stands(*id))
    };
    let scenes: Vec<&Scene> = play.scenes.iter().copied().flatten().filter(wanted).collect();
    for (scene, heard) in tell_all(&crew, &launch, &subject, &scenes) {
        match heard {
            Heard::Record(record) => told.hear(scene.rules, &subject, *record),
            Heard::Moot(why) => told.judge_all(scene, || Verdict::moot(why.clone())),
            Heard::Failed(error) => {
                told.judge_all(scene, || Verdict::broken(format!("not this time: {error}")));
            }
        }
    }
    drop(crew);
    for (id, judge) in play.overall {
        told.verdicts.insert(*id, (judge(&subject, &told.records), Duration::ZERO));
    }
    Ok(Report { book, checks: told.checked(&asked), took: clock.now() })
}

/// An MCP server that knows no `initialize`, and says so in the words of the era that has none.
fn speaks_another_era(survey: &Record) -> bool {
    const UNSUPPORTED_VERSION: i64 = -32022;
    let opening = survey.opening().map(|seen| &seen.what);
    matches!(opening, Some(What::Answer(answer)) if answer.is_error(UNSUPPORTED_VERSION))
}

/// The rules asked for, and those that they rest on.
fn with_bases(book: &Book, only: Option<&[Id]>) -> Result<BTreeSet<Id>, Error> {
    let Some(only) = only else { return Ok(book.rules.iter().map(|rule| rule.id).collect()) };
    if let Some(id) = only.iter().find(|id| book.rule(**id).is_none()) {
        return Err(Error::NotOfIts { id: *id, against: book.against });
    }
    let mut all: BTreeSet<Id> = only.iter().copied().collect();
    // Bases come earlier: one pass from the end finds them all.
    for rule in book.rules.iter().rev() {
        if all.contains(&rule.id) {
            all.extend(rule.rests_on);
        }
    }
    Ok(all)
}

enum Heard {
    Record(Box<Record>),
    /// The story cannot be told to this plugin, and why.
    Moot(String),
    Failed(Error),
}

/// Tells each story to a process of its own, several side by side.
fn tell_all<'s>(
    crew: &Crew,
    launch: &Launch,
    subject: &Subject,
    scenes: &[&'s Scene],
) -> Vec<(&'s Scene, Heard)> {
    let next = AtomicUsize::new(0);
    let heard = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(scenes.len()) {
            scope.spawn(|| {
                while let Some(&scene) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = match (scene.script)(subject) {
                        Err(why) => Heard::Moot(why),
                        Ok(script) => match drive(crew, launch, subject, &script) {
                            Ok(record) => Heard::Record(Box::new(record)),
                            Err(error) => Heard::Failed(error),
                        },
                    };
                    // A judge does not run in here, so the lock cannot be poisoned.
                    if let Ok(mut heard) = heard.lock() {
                        heard.push((scene, one));
                    }
                }
            });
        }
    });
    heard.into_inner().unwrap_or_default()
}

/// What is known so far.
struct Told {
    book: &'static Book,
    verdicts: BTreeMap<Id, (Verdict, Duration)>,
    records: Vec<Record>,
}

impl Told {
    fn new(book: &'static Book) -> Self {
        Self { book, verdicts: BTreeMap::new(), records: Vec::new() }
    }

    fn hear(&mut self, rules: &[(Id, Judge)], subject: &Subject, record: Record) {
        for (id, judge) in rules {
            self.verdicts.insert(*id, (judge(subject, &record), record.took));
        }
        self.records.push(record);
    }

    fn judge_all(&mut self, scene: &Scene, verdict: impl Fn() -> Verdict) {
        for (id, _) in scene.rules {
            self.verdicts.insert(*id, (verdict(), Duration::ZERO));
        }
    }

    /// Whether a rule is known to be kept.
    fn holds(&self, id: Id) -> bool {
        matches!(self.verdicts.get(&id), Some((Verdict::Kept(_), _)))
    }

    /// Whether nothing that a rule rests on is known to be broken.
    fn stands(&self, id: Id) -> bool {
        let broken = |base: &Id| matches!(self.verdicts.get(base), Some((Verdict::Broken(_), _)));
        let bases = self.book.rule(id).map_or(&[][..], |rule| rule.rests_on);
        bases.iter().all(|base| !broken(base) && self.stands(*base))
    }

    /// The outcomes of these rules. What rests on a broken rule is not judged: one cause is told once.
    fn checked(&self, asked: &BTreeSet<Id>) -> Vec<Checked> {
        let mut fallen: BTreeMap<Id, Id> = BTreeMap::new();
        let mut checks = Vec::new();
        for rule in self.book.rules {
            let base = rule.rests_on.iter().find_map(|base| fallen.get(base).copied());
            let (verdict, took) = match (base, self.verdicts.get(&rule.id)) {
                (Some(base), _) => {
                    (Verdict::moot(format!("it rests on {base}, which is broken")), Duration::ZERO)
                }
                (None, Some(found)) => found.clone(),
                (None, None) => (Verdict::moot("it was not asked for"), Duration::ZERO),
            };
            let broken = matches!(verdict, Verdict::Broken(_));
            if let Some(root) = base.or(broken.then_some(rule.id)) {
                fallen.insert(rule.id, root);
            }
            if asked.contains(&rule.id) {
                let outcome = verdict.outcome(rule.level);
                checks.push(Checked { rule, outcome, seen: verdict.into_seen(), took });
            }
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use outboard_manifest::Dialect;

    use super::*;
    use crate::report::Outcome;

    fn told(dialect: Dialect, broken: Id) -> Vec<Checked> {
        let book = Book::of(dialect);
        let mut told = Told::new(book);
        for rule in book.rules {
            let verdict =
                if rule.id == broken { Verdict::broken("cut") } else { Verdict::kept("") };
            told.verdicts.insert(rule.id, (verdict, Duration::ZERO));
        }
        told.checked(&with_bases(book, None).unwrap())
    }

    fn skipped(checks: &[Checked]) -> Vec<(Id, &str)> {
        let skipped = checks.iter().filter(|check| check.outcome == Outcome::Skip);
        skipped.map(|check| (check.rule.id, &*check.seen)).collect()
    }

    #[test]
    fn one_cause_is_told_once() {
        let checks = told(Dialect::Native, Id::C18);
        let why = "it rests on C18, which is broken";
        assert_eq!(skipped(&checks), [(Id::C19, why), (Id::C20, why), (Id::C30, why)]);
        assert_eq!(checks.iter().filter(|c| c.outcome == Outcome::Fail).count(), 1);
        // Whatever it weighs.
        let checks = told(Dialect::Mcp, Id::C19);
        assert_eq!(skipped(&checks), [(Id::C20, "it rests on C19, which is broken")]);
        assert_eq!(checks.iter().filter(|c| c.outcome == Outcome::Warn).count(), 1);
    }

    #[test]
    fn what_is_asked_for_comes_with_what_it_rests_on() {
        let native = Book::of(Dialect::Native);
        let asked: Vec<_> = with_bases(native, Some(&[Id::C20])).unwrap().into_iter().collect();
        assert_eq!(asked, [Id::C01, Id::C08, Id::C18, Id::C19, Id::C20]);
        let refused = with_bases(Book::of(Dialect::Mcp), Some(&[Id::C01, Id::C33])).unwrap_err();
        assert_eq!(refused.to_string(), "C33 is no rule of MCP 2025-11-25");
    }
}
