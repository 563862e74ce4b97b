//! One verb per file: from arguments to a request, and from its answer to a screen.

mod attach;
mod call;
mod change;
mod check;
mod doctor;
mod events;
mod health;
mod launch;
mod list;
mod logs;
mod notify;
mod params;
mod reload;
mod run;
mod schema;
mod shutdown;
mod status;
mod why;

use std::path::Path;

use super::args::{Args, Verb};
use super::exit::Exit;
use super::place::state_dir;
use super::render::Screen;
use super::render::change::Asked;
use super::trouble::Trouble;
use crate::control::ControlClient;

/// What a verb ends with: an exit code, or an error to be shown.
pub(super) type Ended = Result<Exit, Trouble>;

/// Does what was typed.
pub(super) async fn dispatch(args: &Args, screen: &mut Screen) -> Ended {
    // These need no supervisor, and no home folder either.
    if let Verb::Check(check) = &args.verb {
        return check::run(check, screen);
    }
    if let Verb::Doctor(doctor) = &args.verb {
        return doctor::run(doctor, screen);
    }
    if let Verb::Schema(schema) = &args.verb {
        return schema::run(schema, screen);
    }
    let dir = state_dir(args.state_dir.clone(), |name| std::env::var_os(name))?;
    match &args.verb {
        Verb::Run(run) => launch::run(run, &dir, screen).await,
        Verb::Shutdown(shutdown) => shutdown::run(shutdown, &dir, screen).await,
        Verb::Status(status) => status::run(status, &dir, screen).await,
        Verb::List => list::run(&dir, screen).await,
        Verb::Call(call) => call::run(call, &dir, screen).await,
        Verb::Notify(notify) => notify::run(notify, &dir, screen).await,
        Verb::Attach(attach) => attach::run(attach, &dir, screen).await,
        Verb::Start(start) => change::run(&start.into(), Asked::Start, &dir, screen).await,
        Verb::Stop(stop) => change::run(&stop.into(), Asked::Stop, &dir, screen).await,
        Verb::Restart(stop) => change::run(&stop.into(), Asked::Restart, &dir, screen).await,
        Verb::Reload(reload) => reload::run(reload, &dir, screen).await,
        Verb::Logs(logs) => logs::run(logs, &dir, screen).await,
        Verb::Events(events) => events::run(events, &dir, screen).await,
        Verb::Why(why) => why::run(why, &dir, screen).await,
        Verb::Health(health) => health::run(health, &dir, screen).await,
        Verb::Check(check) => check::run(check, screen),
        Verb::Doctor(doctor) => doctor::run(doctor, screen),
        Verb::Schema(schema) => schema::run(schema, screen),
    }
}

async fn connect(dir: &Path) -> Result<ControlClient, Trouble> {
    Ok(ControlClient::connect(dir).await?)
}

#[cfg(test)]
mod tests;
