//! The screen of `import`: what was written, what was not, and why; what to do next.

use std::path::{Path, PathBuf};

use outboard_import::{Draft, Found, Lost, Plan, Reading};
use serde::Serialize;

use super::screen::{Screen, Tone};
use super::text::{pad, visible, wrap};
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
    /// Where it is another file than the one that was imported.
    file: Option<String>,
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
        let why = format!("left as it is: {}", visible(why));
        hanging(&format!("  {name}  "), Tone::Faint, &why, screen);
    }
    let lost: Vec<_> = lost(reading).collect();
    if !lost.is_empty() {
        screen.line("Not carried over:");
    }
    for (found, lost) in lost {
        let name = found.map_or_else(String::new, |found| format!("{}: ", visible(&found.name)));
        let at = place(lost.file.as_deref().unwrap_or(file), lost.line);
        hanging("  ", Tone::Plain, &format!("{at}{name}{}", visible(&lost.what)), screen);
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
        Attached::Would { copy } => {
            let would = format!(
                "{} would start `outboard attach` for each, with what it was in {}.",
                file.display(),
                copy.display()
            );
            screen.line("");
            hanging("", Tone::Plain, &would, screen);
        }
        Attached::Now { copy } => {
            let file = file.display();
            let now = format!(
                "{file} starts `outboard attach` for each now. What it was is in {}; back: outboard import --undo {file}",
                copy.display()
            );
            hanging("", Tone::Plain, &now, screen);
        }
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
        let secrets = format!("secret in {}: {}", env.display(), draft.secrets.join(", "));
        hanging(&format!("  {}  ", pad("", width)), Tone::Plain, &secrets, screen);
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

/// On a terminal the text is broken where a line ends, and goes on below itself. Elsewhere a remark is a line: somebody
/// looks for it, or jumps to its place.
fn hanging(before: &str, tone: Tone, text: &str, screen: &mut Screen) {
    /// A text that goes on stands this much deeper.
    const DEEPER: &str = "    ";
    let indent = before.chars().count() + DEEPER.len();
    let room = screen.width().saturating_sub(indent).max(20);
    let lines = if screen.is_terminal() { wrap(text, room) } else { vec![text.to_owned()] };
    let gap = pad("", before.chars().count()) + DEEPER;
    for (n, line) in lines.iter().enumerate() {
        screen.toned(if n == 0 { before } else { &gap }, tone, line, "");
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
    let shown = |file: Option<&Path>| file.map(|file| file.display().to_string());
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
                    file: shown(found.file.as_deref()),
                    line: line(found.line),
                    name: Some(&found.name),
                    what: found.why_not()?,
                })
            })
            .collect(),
        not_carried_over: lost(reading)
            .map(|(found, lost)| Remark {
                file: shown(lost.file.as_deref()),
                line: line(lost.line),
                name: found.map(|found| found.name.as_str()),
                what: &lost.what,
            })
            .collect(),
        copy,
    }
}

#[cfg(test)]
mod tests {
    use outboard_import::{Beside, Source, Surroundings, plan, read};

    use super::*;

    const FILE: &str = r#"{
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/you/notes"],
      "env": { "API_KEY": "sk-0123456789abcdef", "REGION": "${REGION}" },
      "timeout": 60
    },
    "mail": { "command": "uvx", "args": ["mail-server"], "envFile": "mail.env" },
    "far": { "url": "https://example.com/mcp" }
  }
}
"#;

    #[derive(Debug)]
    struct Variables;

    impl Beside for Variables {
        fn text(&self, path: &Path) -> Result<String, String> {
            assert_eq!(path, Path::new("/home/you/app/mail.env"));
            Ok("MAIL_PASSWORD=hunter22\nMAIL_HOST=mail.example\nnonsense\n".to_owned())
        }

        fn names(&self, _folder: &Path) -> Vec<String> {
            Vec::new()
        }
    }

    fn shown(mut screen: Screen, printed: &super::super::screen::Printed, dry_run: bool) -> String {
        let path = Path::new("/home/you/app/.mcp.json");
        let reading = read(&Source { path, text: FILE, home: None, beside: &Variables }).unwrap();
        let around = Surroundings {
            folder: Path::new("/home/you/app/manifests"),
            source: path,
            home: None,
            dotenv: &[],
            environment: &|_| None,
            manifest: &|_| None,
        };
        let (plan, copy) = (plan(&reading, &around), PathBuf::from(".mcp.json.before-outboard"));
        let attached = if dry_run { Attached::Would { copy } } else { Attached::Now { copy } };
        let all = Screenful {
            file: Path::new(".mcp.json"),
            folder: Path::new("manifests"),
            reading: &reading,
            plan: &plan,
            attached,
            dry_run,
        };
        show(&all, &mut screen);
        assert!(!printed.text().contains("hunter22") && !printed.text().contains("sk-0123"));
        printed.text()
    }

    #[test]
    fn a_file_is_taken_over_before_somebody_s_eyes_and_in_a_pipe() {
        let (terminal, on_terminal) = Screen::for_test(80, false);
        let (pipe, in_pipe) = Screen::for_test(80, false);
        let terminal = shown(terminal.on_terminal(), &on_terminal, false);
        insta::assert_snapshot!(format!("{terminal}\n{}", shown(pipe, &in_pipe, false)));
    }

    #[test]
    fn a_dry_run_shows_what_would_be_written() {
        let (screen, printed) = Screen::for_test(80, false);
        insta::assert_snapshot!(shown(screen.on_terminal(), &printed, true));
    }

    #[test]
    fn json_names_the_file_that_a_remark_is_about() {
        let (screen, printed) = Screen::for_test(80, true);
        let report: serde_json::Value =
            serde_json::from_str(&shown(screen, &printed, false)).unwrap();
        let lost = report["not_carried_over"].as_array().unwrap();
        let elsewhere: Vec<_> = lost.iter().filter(|one| !one["file"].is_null()).collect();
        assert_eq!(elsewhere.len(), 1, "{report}");
        assert_eq!(elsewhere[0]["file"], "/home/you/app/mail.env");
        assert_eq!(elsewhere[0]["line"], 3);
        assert_eq!(report["plugins"][1]["secrets"][0], "MAIL_PASSWORD");
    }
}
