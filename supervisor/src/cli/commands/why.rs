//! `outboard why`: the last failure as a dossier.

use std::path::Path;

use jiff::Timestamp;

use super::{Ended, connect};
use crate::cli::args::WhyArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, why};

pub(super) async fn run(args: &WhyArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let answer = connect(dir).await?.why(&args.plugin).await?;
    if args.stderr {
        why::stderr(screen, &answer);
    } else {
        why::why(screen, &answer, Timestamp::now());
    }
    Ok(Exit::Done)
}
