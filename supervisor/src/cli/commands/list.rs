//! `outboard list`: ids, for scripts.

use std::path::Path;

use super::{Ended, connect};
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, status};

pub(super) async fn run(dir: &Path, screen: &mut Screen) -> Ended {
    let answer = connect(dir).await?.status(&[]).await?;
    status::list(screen, &answer);
    Ok(Exit::Done)
}
