//! `outboard why`: the last failure as a dossier.

use std::path::Path;

use jiff::Timestamp;

use super::{Ended, connect};
use crate::cli::args::WhyArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, why};
use crate::control::api::OfFailure;

pub(super) async fn run(args: &WhyArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let (id, failure, generation) = (args.plugin.clone(), args.failure, args.generation);
    let answer = connect(dir).await?.failure(OfFailure { id, failure, generation }).await?;
    let older = failure.is_some_and(|n| n > 1) || generation.is_some();
    if args.stderr {
        why::stderr(screen, &answer);
    } else {
        why::why(screen, &answer, older, Timestamp::now());
    }
    Ok(Exit::Done)
}
