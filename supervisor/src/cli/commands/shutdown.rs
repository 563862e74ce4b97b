//! `outboard shutdown`: end the supervisor, wait, and say what became of each plugin.

use std::path::Path;

use super::change::watched;
use super::{Ended, connect};
use crate::cli::args::ShutdownArgs;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::change::{Asked, ChangeScreen, ended, only_those_that_ran};

pub(super) async fn run(args: &ShutdownArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let client = connect(dir).await?;
    let status = client.status(&[]).await?;
    let ids: Vec<String> = status.plugins.iter().map(|plugin| plugin.id.clone()).collect();
    let mut shown = ChangeScreen::new(Asked::Stop, &ids);
    let mut change = watched(&client, &mut shown, screen, client.shutdown(args.now)).await?;
    let exit = Exit::of_change(&change);
    if screen.is_json() {
        screen.json(&change);
        return Ok(exit);
    }
    only_those_that_ran(&mut change);
    shown.finish_quietly(screen, &change);
    screen.line(&ended(&change.outcomes));
    Ok(exit)
}
