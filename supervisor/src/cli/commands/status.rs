//! `outboard status`: truth at a glance.

use std::path::Path;

use super::{Ended, connect};
use crate::cli::args::StatusArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, status};

pub(super) async fn run(args: &StatusArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let answer = connect(dir).await?.status(&args.ids).await?;
    status::status(screen, &answer);
    Ok(Exit::Done)
}
