//! Who is told what, and when; then the verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outboard_manifest::{Dialect, Manifest};

use crate::checks::{OVERALL, SCENES, SURVEY, Scene};
use crate::clock::Clock;
use crate::crew::Crew;
use crate::drive::drive;
use crate::launch::Launch;
use crate::record::Record;
use crate::report::{Checked, Outcome, Report, Verdict};
use crate::rules::{Id, RULES};
use crate::subject::Subject;

/// Stories that are told at the same time: most of them wait most of the time.
const SIDE_BY_SIDE: usize = 6;

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only native plugins are held against these rules.
    #[error("the rules are those of native plugins, and this one speaks {0}")]
    Dialect(&'static str),
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

/// Checks a plugin: all rules, or those of `only` with what they rest on. Blocks its thread for some seconds.
///
/// For a process whose own business this is: it becomes a child subreaper, must have no children, and its `main` must
/// begin with [`outboard_keeper::entry::run_if_keeper`]. Nothing of the plugin runs any more when this returns; when this
/// process dies before, the keeper ends it.
///
/// # Errors
///
/// Nothing could be checked; see [`Error`].
pub fn run(manifest: &Manifest, only: Option<&[Id]>) -> Result<Report, Error> {
    if manifest.dialect != Dialect::Native {
        return Err(Error::Dialect(manifest.dialect.name()));
    }
    let clock = Clock::start();
    let asked = with_bases(only);
    let launch = Launch::prepare(manifest)?;
    let mut subject = Subject::new(manifest, launch.secrets.clone());
    let crew = Crew::start()?;
    let mut told = Told::default();

    // First the opening and a ping: what all else is built upon, and with the machine for itself.
    let script = (SURVEY.script)(&subject).unwrap_or_default();
    let survey = drive(&crew, &launch, &subject, &script)?;
    if let Some(opening) = survey.opened() {
        subject.learn(&opening);
        subject.start_took = survey.opening().map(|seen| seen.at).unwrap_or_default();
    }
    told.hear(&SURVEY, &subject, survey);
    subject.pings = told.holds(Id::C08);

    // What is judged by a whole run is judged by what was asked for, or by everything where nothing else was.
    let everything = asked.iter().all(|id| OVERALL.iter().any(|(overall, _)| overall == id));
    let wanted = |scene: &&Scene| {
        let asked = everything || scene.rules.iter().any(|(id, _)| asked.contains(id));
        asked && scene.rules.iter().any(|(id, _)| told.stands(*id))
    };
    let scenes: Vec<&Scene> = SCENES.iter().copied().flatten().filter(wanted).collect();
    for (scene, heard) in tell_all(&crew, &launch, &subject, &scenes) {
        match heard {
            Heard::Record(record) => told.hear(scene, &subject, *record),
            Heard::Moot(why) => told.judge_all(scene, || Verdict::moot(why.clone())),
            Heard::Failed(error) => {
                told.judge_all(scene, || Verdict::broken(format!("not this time: {error}")));
            }
        }
    }
    drop(crew);
    for (id, judge) in OVERALL {
        told.verdicts.insert(*id, (judge(&subject, &told.records), Duration::ZERO));
    }
    Ok(Report { checks: told.checked(&asked), took: clock.now() })
}

/// The rules asked for, and those that they rest on.
fn with_bases(only: Option<&[Id]>) -> BTreeSet<Id> {
    let Some(only) = only else { return RULES.iter().map(|rule| rule.id).collect() };
    let mut all: BTreeSet<Id> = only.iter().copied().collect();
    // Bases come earlier: one pass from the end finds them all.
    for rule in RULES.iter().rev() {
        if all.contains(&rule.id) {
            all.extend(rule.rests_on);
        }
    }
    all
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
#[derive(Default)]
struct Told {
    verdicts: BTreeMap<Id, (Verdict, Duration)>,
    records: Vec<Record>,
}

impl Told {
    fn hear(&mut self, scene: &Scene, subject: &Subject, record: Record) {
        for (id, judge) in scene.rules {
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
        id.rule().rests_on.iter().all(|base| !broken(base) && self.stands(*base))
    }

    /// The outcomes of these rules. What rests on a broken rule is not judged: one cause is told once.
    fn checked(&self, asked: &BTreeSet<Id>) -> Vec<Checked> {
        let mut fallen: BTreeMap<Id, Id> = BTreeMap::new();
        let mut checks = Vec::new();
        for rule in RULES {
            let base = rule.rests_on.iter().find_map(|base| fallen.get(base).copied());
            let (verdict, took) = match (base, self.verdicts.get(&rule.id)) {
                (Some(base), _) => {
                    (Verdict::moot(format!("it rests on {base}, which is broken")), Duration::ZERO)
                }
                (None, Some(found)) => found.clone(),
                (None, None) => (Verdict::moot("it was not asked for"), Duration::ZERO),
            };
            let outcome = verdict.outcome(rule.level);
            if let Some(root) = base.or((outcome == Outcome::Fail).then_some(rule.id)) {
                fallen.insert(rule.id, root);
            }
            if asked.contains(&rule.id) {
                checks.push(Checked { id: rule.id, outcome, seen: verdict.into_seen(), took });
            }
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(verdicts: &[(Id, Verdict)]) -> Told {
        let all = RULES.iter().map(|rule| (rule.id, (Verdict::kept(""), Duration::ZERO)));
        let mut verdicts_of: BTreeMap<_, _> = all.collect();
        for (id, verdict) in verdicts {
            verdicts_of.insert(*id, (verdict.clone(), Duration::ZERO));
        }
        Told { verdicts: verdicts_of, records: Vec::new() }
    }

    #[test]
    fn one_cause_is_told_once() {
        let told = told(&[(Id::C18, Verdict::broken("cut"))]);
        let checks = told.checked(&with_bases(None));
        let skipped: Vec<_> = checks
            .iter()
            .filter(|c| c.outcome == Outcome::Skip)
            .map(|c| (c.id, &*c.seen))
            .collect();
        let why = "it rests on C18, which is broken";
        assert_eq!(skipped, [(Id::C19, why), (Id::C20, why), (Id::C30, why)]);
        assert_eq!(checks.iter().filter(|c| c.outcome == Outcome::Fail).count(), 1);
    }

    #[test]
    fn what_is_asked_for_comes_with_what_it_rests_on() {
        let asked: Vec<_> = with_bases(Some(&[Id::C20])).into_iter().collect();
        assert_eq!(asked, [Id::C01, Id::C08, Id::C18, Id::C19, Id::C20]);
    }
}
