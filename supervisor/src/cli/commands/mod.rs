//! One verb per file: from arguments to a request, and from its answer to a screen.

mod attach;
mod call;
mod change;
mod check;
mod conformance;
mod discover;
mod doctor;
mod events;
mod follow;
mod health;
mod import;
mod launch;
mod leash;
mod list;
mod logs;
mod new;
mod notify;
mod params;
mod reload;
mod run;
mod schema;
mod shutdown;
mod status;
mod swap;
mod upgrade;
mod why;

use std::path::Path;

use nix::sys::signal::SigSet;
use tokio::runtime::{Builder, Runtime};

use super::args::{Args, Verb};
use super::exit::Exit;
use super::place::state_dir;
use super::render::Screen;
use super::render::change::Asked;
use super::trouble::Trouble;
use crate::control::ControlClient;

/// What a verb ends with: an exit code, or an error to be shown.
pub(super) type Ended = Result<Exit, Trouble>;

/// Does what was typed. To be a supervisor is more than to ask one: it may leave its runtime for another image.
pub(super) fn enter(args: &Args, screen: &mut Screen) -> Ended {
    match &args.verb {
        Verb::Run(run) => {
            let dir = state_dir(args.state_dir.clone(), |name| std::env::var_os(name))?;
            launch::run(run, &dir, screen)
        }
        _ => runtime()?.block_on(dispatch(args, screen)),
    }
}

/// One thread is enough for a command, and for a supervisor.
fn runtime() -> Result<Runtime, Trouble> {
    let built = Builder::new_current_thread()
        .enable_all()
        // Signals are for the thread that hears them: it can hold them back while it executes another image.
        .on_thread_start(|| SigSet::all().thread_block().unwrap_or_default())
        .build();
    built.map_err(|error| {
        Trouble::new(Exit::Unavailable, "no event loop is to be had").cause(error.to_string())
    })
}

/// Does what was typed, where that is not to be the supervisor.
pub(super) async fn dispatch(args: &Args, screen: &mut Screen) -> Ended {
    let dir = || state_dir(args.state_dir.clone(), |name| std::env::var_os(name));
    match &args.verb {
        // These need no supervisor, and no home folder either.
        Verb::Check(check) => check::run(check, screen),
        Verb::Doctor(doctor) => doctor::run(doctor, screen),
        Verb::Conformance(conformance) => conformance::run(conformance, screen),
        Verb::Import(import) => import::run(import, args.state_dir.as_deref(), screen),
        Verb::New(new) => new::run(new, screen),
        Verb::Schema(schema) => schema::run(schema, screen),
        Verb::RehearseUpgrade => upgrade::rehearse(screen),
        Verb::Run(_) => Err(Trouble::new(Exit::Usage, "`run` is the supervisor and asks none")),
        Verb::Shutdown(shutdown) => shutdown::run(shutdown, &dir()?, screen).await,
        Verb::Status(status) => status::run(status, &dir()?, screen).await,
        Verb::Discover(discover) => discover::run(discover, dir().ok().as_deref(), screen).await,
        Verb::List => list::run(&dir()?, screen).await,
        Verb::Call(call) => call::run(call, &dir()?, screen).await,
        Verb::Notify(notify) => notify::run(notify, &dir()?, screen).await,
        Verb::Attach(attach) => attach::run(attach, &dir()?, screen).await,
        Verb::Start(start) => change::run(&start.into(), Asked::Start, &dir()?, screen).await,
        Verb::Stop(stop) => change::run(&stop.into(), Asked::Stop, &dir()?, screen).await,
        Verb::Restart(stop) => change::run(&stop.into(), Asked::Restart, &dir()?, screen).await,
        Verb::Reload(reload) => reload::run(reload, &dir()?, screen).await,
        Verb::Swap(swap) => swap::run(swap, &dir()?, screen).await,
        Verb::Logs(logs) => logs::run(logs, &dir()?, screen).await,
        Verb::Events(events) => events::run(events, &dir()?, screen).await,
        Verb::Why(why) => why::run(why, &dir()?, screen).await,
        Verb::Health(health) => health::run(health, &dir()?, screen).await,
        Verb::Upgrade => upgrade::run(&dir()?, screen).await,
    }
}

async fn connect(dir: &Path) -> Result<ControlClient, Trouble> {
    Ok(ControlClient::connect(dir).await?)
}

#[cfg(test)]
mod tests;
