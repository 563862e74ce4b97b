//! `outboard attach`: be the plugin, for whoever starts us in its place.

use std::path::Path;

use super::Ended;
use crate::cli::args::AttachArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, attach as words};
use crate::control::bridge::{self, Setup, StartsNone};

pub(super) async fn run(args: &AttachArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let setup = Setup { state_dir: dir.to_owned(), plugin: args.plugin.clone(), wait: args.wait };
    match bridge::run(setup, StartsNone, std::io::stdin(), std::io::stdout()).await {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            let exit = Exit::of_attach(&error);
            // Its client shows this beside what other programs say.
            screen.complain(&words::cannot(&args.plugin, &error));
            Ok(exit)
        }
    }
}
