//! `outboard notify`: one notification.

use std::path::Path;

use super::Ended;
use super::params::params;
use crate::cli::args::NotifyArgs;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::trouble::Trouble;
use crate::control::attach_client::AttachClient;

pub(super) async fn run(args: &NotifyArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let given = params(args.params.as_deref())?;
    let failed = |error| Trouble::of_call(&args.plugin, error);
    let mut client = AttachClient::connect(dir, &args.plugin, None).await.map_err(failed)?;
    client.notify(&args.method, &given).await.map_err(failed)?;
    screen.progress(&format!("{} sent to {}", args.method, args.plugin));
    Ok(Exit::Done)
}
