//! `outboard import`: manifests from what people already have.
//!
//! What a file means is decided in `outboard-import`, which touches nothing; here files are read and written.

mod client;
mod evaluate;
mod files;

use std::path::{Path, PathBuf};

use outboard_import::{Plan, Reading, Source, Surroundings, plan, read};
use outboard_manifest::resolve::dotenv;

use super::Ended;
use crate::cli::args::ImportArgs;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::import::{Attached, Screenful, show, show_undone};
use crate::cli::trouble::Trouble;

/// Files of other programs are larger than manifests: some keep their history in the same file.
const MAX_FILE: u64 = 16 << 20;

/// Where everything lies.
struct Places {
    /// As it was typed, for people.
    typed: PathBuf,
    file: PathBuf,
    folder: PathBuf,
    home: Option<PathBuf>,
    /// Only if one was named: then the client is told too.
    state_dir: Option<PathBuf>,
}

pub(super) fn run(args: &ImportArgs, state_dir: Option<&Path>, screen: &mut Screen) -> Ended {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let named = state_dir.map(Path::to_owned);
    let named = named.or_else(|| std::env::var_os("OUTBOARD_STATE_DIR").map(PathBuf::from));
    let places = Places {
        typed: args.file.clone(),
        file: absolute(&args.file),
        folder: absolute(&args.out),
        home: std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()),
        state_dir: named.filter(|dir| !dir.as_os_str().is_empty()).map(|dir| absolute(&dir)),
    };
    if args.undo {
        let undone = client::undo(&places)?;
        show_undone(&undone, screen);
        return Ok(Exit::Done);
    }
    let text = text_of(&places)?;
    let source = Source {
        path: &places.file,
        text: &text,
        home: places.home.as_deref(),
        beside: &files::OnDisk,
    };
    let reading = read(&source).map_err(|unread| {
        let line = unread.line.map_or_else(String::new, |line| format!(":{line}"));
        Trouble::new(Exit::Usage, format!("{}{line}: {}", args.file.display(), unread.what))
            .help("outboard import --help")
    })?;
    if args.attach && !reading.format.is_of_client() {
        let what = format!(
            "{} is no file of an MCP client, but {}",
            args.file.display(),
            reading.format.words()
        );
        return Err(Trouble::new(Exit::Usage, what)
            .cause("--attach tells a client to start `outboard attach`; nobody would read it here")
            .help(format!("outboard import {}", args.file.display())));
    }
    let planned = planned(&reading, &places)?;
    let attached = match args.attach {
        true => client::prepare(&text, &reading, &planned, &places)?,
        false => None,
    };
    let mut screenful = Screenful {
        file: &args.file,
        folder: &args.out,
        reading: &reading,
        plan: &planned,
        attached: Attached::Not,
        dry_run: args.dry_run,
    };
    if !args.dry_run {
        files::write(&planned, &places)?;
    }
    if args.attach {
        screenful.attached = match attached {
            None => Attached::Already,
            Some(_) if args.dry_run => Attached::Would { copy: client::copy_of(&args.file) },
            Some(rewritten) => {
                client::put(rewritten)?;
                Attached::Now { copy: client::copy_of(&args.file) }
            }
        };
    }
    show(&screenful, screen);
    Ok(Exit::Done)
}

/// The file's text, or what it comes to where it is a program.
fn text_of(places: &Places) -> Result<String, Trouble> {
    let extension = places.file.extension().and_then(|extension| extension.to_str());
    let text =
        files::read(&places.file, MAX_FILE).map_err(|why| unreadable(&places.typed, &why))?;
    match extension {
        Some("js" | "cjs" | "mjs") => evaluate::evaluate(&places.file, &places.typed),
        _ => Ok(text),
    }
}

fn unreadable(path: &Path, why: &str) -> Trouble {
    Trouble::new(Exit::Usage, format!("{} cannot be read: {why}", path.display()))
        .help("outboard import FILE")
}

fn planned(reading: &Reading, places: &Places) -> Result<Plan, Trouble> {
    let path = places.folder.join(files::DOTENV);
    let there = dotenv(&path).map_err(|problems| {
        let here = std::env::current_dir().unwrap_or_default();
        let first = problems.first().map(|problem| problem.render(&here)).unwrap_or_default();
        Trouble::new(Exit::Usage, format!("{} cannot take secrets as it is", path.display()))
            .cause(first.trim().trim_start_matches("error: ").to_owned())
            .help(format!("chmod 600 {}", path.display()))
    })?;
    let manifest =
        |name: &str| files::read(&places.folder.join(name), outboard_manifest::MAX_FILE).ok();
    Ok(plan(
        reading,
        &Surroundings {
            folder: &places.folder,
            source: &places.file,
            home: places.home.as_deref(),
            dotenv: &there.vars,
            environment: &|name| std::env::var(name).ok(),
            manifest: &manifest,
        },
    ))
}
