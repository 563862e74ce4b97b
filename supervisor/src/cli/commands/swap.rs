//! `outboard swap`: another version of a plugin takes over.

use std::path::Path;

use super::{Ended, connect};
use crate::cli::args::SwapArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, swap};
use crate::cli::trouble::Trouble;

pub(super) async fn run(args: &SwapArgs, dir: &Path, screen: &mut Screen) -> Ended {
    // The supervisor may have been started in another folder.
    let manifest = match &args.manifest {
        Some(path) => Some(std::path::absolute(path).map_err(|error| {
            Trouble::new(Exit::Usage, format!("{} cannot be found", path.display()))
                .cause(error.to_string())
        })?),
        None => None,
    };
    let client = connect(dir).await?;
    let status = client.status(std::slice::from_ref(&args.plugin)).await?;
    if let [plugin] = status.plugins.as_slice() {
        swap::begin(screen, plugin);
    }
    let answer = client.swap(&args.plugin, manifest.as_deref()).await?;
    swap::finish(screen, &answer, args.manifest.as_deref());
    Ok(Exit::of_swap(&answer))
}
