//! `outboard health`: probe now, and print what each plugin reports.

use std::path::Path;

use super::{Ended, connect};
use crate::cli::args::HealthArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, status};
use crate::control::api::State;

pub(super) async fn run(args: &HealthArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let answer = connect(dir).await?.health(&args.ids).await?;
    status::health(screen, &answer);
    // A degraded plugin answers: that is what was asked.
    let serves = |state: State| matches!(state, State::Active | State::Degraded);
    let all = answer.plugins.iter().all(|plugin| serves(plugin.state));
    Ok(if all { Exit::Done } else { Exit::Unavailable })
}
