//! The screen of `import`: what was written, what was not, and why; what to do next.

use std::path::{Path, PathBuf};

use outboard_import::{Draft, Found, Lost, Plan, Reading};
use serde::Serialize;

use super::screen::{Screen, Tone};
use super::text::{pad, visible};
use crate::control::api::SCHEMA;
use crate::control::words::count;

/// Everything that an import came to.
pub(in crate::cli) struct Screenful<'a> {
    pub(in crate::cli) file: &'a Path,
    pub(in crate::cli) folder: &'a Path,
    pub(in crate::cli) reading: &'a Reading,
    pub(in crate::cli) plan: &'a Plan,
    pub(in crate::cli) attached: Attached,
    pub(in crate::cli) dry_run: bool,
}

/// What became of the client's file.
pub(in crate::cli) enum Attached {
    Not,
    /// Nothing in it could be changed.
    Already,
    Would {
        copy: PathBuf,
    },
    Now {
        copy: PathBuf,
    },
}

/// A client's file that is as it was.
pub(in crate::cli) struct Undone {
    pub(in crate::cli) file: PathBuf,
    /// Where the changed one lies.
    pub(in crate::cli) kept: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    file: String,
    format: &'static str,
    written: bool,
    plugins: Vec<Plugin<'a>>,
    left_alone: Vec<Remark<'a>>,
    not_carried_over: Vec<Remark<'a>>,
    copy: Option<String>,
}

#[derive(Serialize)]
struct Plugin<'a> {
    id: &'a str,
    name: &'a str,
    manifest: String,
    was_there: bool,
    secrets: &'a [String],
    wants: &'a [String],
}

#[derive(Serialize)]
struct Remark<'a> {
    line: Option<usize>,
    name: Option<&'a str>,
    what: &'a str,
}

#[derive(Serialize)]
struct UndoneReport {
    schema: u32,
    file: String,
    kept: Option<String>,
}

pub(in crate::cli) fn show(all: &Screenful<'_>, screen: &mut Screen) {
    if screen.is_json() {
        return screen.json(&report(all));
    }
    let Screenful { file, folder, reading, plan, .. } = *all;
    let programs = count(plan.drafts.len() as u64, "plugin", "plugins");
    screen.line(&format!("{}: {}, {programs}", file.display(), reading.format.words()));
    let width = reading.found.iter().map(|found| visible(&found.name).chars().count()).max();
    let width = width.unwrap_or(0);
    for draft in &plan.drafts {
        written(all, draft, width, screen);
    }
    for (found, why) in reading.found.iter().filter_map(|found| Some((found, found.why_not()?))) {
        let name = pad(&visible(&found.name), width);
        screen.toned(
            &format!("  {name}  "),
            Tone::Faint,
            &format!("left as it is: {}", visible(why)),
            "",
        );
    }
    let lost: Vec<_> = lost(reading).collect();
    if !lost.is_empty() {
        screen.line("Not carried over:");
    }
    for (found, lost) in lost {
        let name = found.map_or_else(String::new, |found| format!("{}: ", visible(&found.name)));
        screen.line(&format!("  {}{name}{}", place(file, lost.line), visible(&lost.what)));
    }
    if all.dry_run {
        for draft in plan.drafts.iter().filter(|draft| !draft.is_there) {
            let path = folder.join(draft.file_name());
            screen.line(&format!("\n{}:", path.display()));
            draft
                .text
                .lines()
                .for_each(|line| screen.line(format!("  {}", visible(line)).trim_end()));
        }
    }
    match &all.attached {
        Attached::Not => {}
        Attached::Already => screen.line(&format!("{} needs no change.", file.display())),
        Attached::Would { copy } => screen.line(&format!(
            "\n{} would start `outboard attach` for each, with what it was in {}.",
            file.display(),
            copy.display()
        )),
        Attached::Now { copy } => screen.line(&format!(
            "{0} starts `outboard attach` for each now. What it was is in {1}; back: outboard import --undo {0}",
            file.display(),
            copy.display()
        )),
    }
    last(all, screen);
}

fn written(all: &Screenful<'_>, draft: &Draft, width: usize, screen: &mut Screen) {
    let found = &all.reading.found[draft.index];
    let path = all.folder.join(draft.file_name());
    let is = match (draft.is_there, all.dry_run) {
        (true, _) => " (is there already, and stays as it is)",
        (false, true) => " (would be written)",
        (false, false) => "",
    };
    let name = pad(&visible(&found.name), width);
    screen.line(&format!("  {name}  {}{is}", path.display()));
    let env = all.folder.join(".env");
    if !draft.secrets.is_empty() {
        let secrets = draft.secrets.join(", ");
        screen.line(&format!("  {}  secret in {}: {secrets}", pad("", width), env.display()));
    }
    if !draft.wants.is_empty() {
        let wants = draft.wants.join(", ");
        let gap = pad("", width);
        screen.toned(
            &format!("  {gap}  "),
            Tone::Warning,
            "needs",
            &format!(" {wants}, which nothing sets yet: a line in {}", env.display()),
        );
    }
}

/// What is to be typed next.
fn last(all: &Screenful<'_>, screen: &mut Screen) {
    let folder = all.folder.display();
    if all.dry_run {
        screen.line("\nNothing was written.");
    } else if matches!(all.attached, Attached::Already) {
        // That nothing is to be changed is said already.
    } else if all.plan.drafts.is_empty() {
        screen.line("There is nothing in it that outboard could run; nothing was written.");
    } else if matches!(all.attached, Attached::Now { .. }) {
        screen.line(&format!("Next: outboard check {folder}, and start the client again"));
    } else {
        screen.line(&format!("Next: outboard check {folder}, then outboard run {folder}"));
    }
}

pub(in crate::cli) fn show_undone(undone: &Undone, screen: &mut Screen) {
    let kept = undone.kept.as_ref().map(|kept| kept.display().to_string());
    if screen.is_json() {
        let file = undone.file.display().to_string();
        return screen.json(&UndoneReport { schema: SCHEMA, file, kept });
    }
    screen.line(&format!("{} is as it was before --attach.", undone.file.display()));
    if let Some(kept) = kept {
        screen.line(&format!(
            "It had been changed since: that is in {kept}, for what of it is still wanted."
        ));
    }
    screen.line("The manifests are left where they are.");
}

fn lost(reading: &Reading) -> impl Iterator<Item = (Option<&Found>, &Lost)> {
    let of_one = reading
        .found
        .iter()
        .flat_map(|found| found.lost.iter().map(move |lost| (Some(found), lost)));
    of_one.chain(reading.lost.iter().map(|lost| (None, lost)))
}

/// `FILE:LINE: `, or nothing where lines mean nothing.
fn place(file: &Path, line: usize) -> String {
    if line == 0 { String::new() } else { format!("{}:{line}: ", file.display()) }
}

fn report<'a>(all: &Screenful<'a>) -> Report<'a> {
    let Screenful { reading, plan, .. } = *all;
    let line = |line: usize| (line > 0).then_some(line);
    let copy = match &all.attached {
        Attached::Not | Attached::Already | Attached::Would { .. } => None,
        Attached::Now { copy } => Some(copy.display().to_string()),
    };
    Report {
        schema: SCHEMA,
        file: all.file.display().to_string(),
        format: reading.format.words(),
        written: !all.dry_run,
        plugins: plan
            .drafts
            .iter()
            .map(|draft| Plugin {
                id: &draft.id,
                name: &reading.found[draft.index].name,
                manifest: all.folder.join(draft.file_name()).display().to_string(),
                was_there: draft.is_there,
                secrets: &draft.secrets,
                wants: &draft.wants,
            })
            .collect(),
        left_alone: reading
            .found
            .iter()
            .filter_map(|found| {
                Some(Remark {
                    line: line(found.line),
                    name: Some(&found.name),
                    what: found.why_not()?,
                })
            })
            .collect(),
        not_carried_over: lost(reading)
            .map(|(found, lost)| Remark {
                line: line(lost.line),
                name: found.map(|found| found.name.as_str()),
                what: &lost.what,
            })
            .collect(),
        copy,
    }
}
