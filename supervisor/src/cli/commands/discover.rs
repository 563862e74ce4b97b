//! `outboard discover`: what there is to run, where it comes from, and how it is.

use std::path::{Path, PathBuf};

use outboard_manifest::{PythonGroup, Set};

use super::{Ended, connect};
use crate::cli::args::DiscoverArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, discover};
use crate::cli::trouble::Trouble;
use crate::control::api::Status;

pub(super) async fn run(args: &DiscoverArgs, dir: Option<&Path>, screen: &mut Screen) -> Ended {
    let set = match (&args.python, &args.group) {
        (Some(environment), Some(group)) => {
            let group = PythonGroup::new(environment, group);
            outboard_manifest::load_group(group, &crate::discover::look)
        }
        _ if args.sources.is_empty() => {
            // Without folders it is about a running supervisor's, so there has to be one.
            let Some(dir) = dir else { return Err(nothing_named()) };
            let status = connect(dir).await?.status(&[]).await?;
            let sources: Vec<PathBuf> =
                status.supervisor.sources.iter().map(PathBuf::from).collect();
            return show(&load(&sources)?, Some(&status), screen);
        }
        _ => load(&args.sources)?,
    };
    let status = match dir {
        // Whoever only looks at what is installed needs no supervisor.
        Some(dir) => match connect(dir).await {
            Ok(client) => client.status(&[]).await.ok(),
            Err(_) => None,
        },
        None => None,
    };
    show(&set, status.as_ref(), screen)
}

fn load(sources: &[PathBuf]) -> Result<Set, Trouble> {
    crate::discover::load(sources)
        .map_err(|error| Trouble::new(Exit::Usage, error.to_string()).help("outboard discover DIR"))
}

fn show(set: &Set, status: Option<&Status>, screen: &mut Screen) -> Ended {
    discover::show(set, status, screen);
    Ok(if set.has_errors() { Exit::Usage } else { Exit::Done })
}

fn nothing_named() -> Trouble {
    Trouble::new(Exit::Usage, "nothing is named to be looked at")
        .cause("no state directory is known, so no supervisor can be asked either")
        .help("outboard discover DIR")
}
