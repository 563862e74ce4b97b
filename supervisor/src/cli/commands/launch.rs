//! `outboard run`: be the supervisor.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use outboard_manifest::{Manifest, Set};
use tokio::signal::unix::SignalKind;
use tokio::sync::broadcast::Receiver;

use super::leash::stdin_ends;
use super::run::{Plan, Supervised, listen, supervise};
use super::{Ended, runtime};
use crate::cli::args::RunArgs;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::run::Expected;
use crate::cli::trouble::Trouble;
use crate::control::attach::Attached;
use crate::control::socket::BindError;
use crate::control::upgrade::{Handover, HandoverError, Leave, Resumed, grant};
use crate::control::{AttachServer, ControlServer};
use crate::host::upgrade::Frozen;
use crate::host::{
    By, End, EventRecord, ReloadError, ReloadRequest, StartError, StateDirError, Supervisor, Via,
};

/// Is the supervisor, from its start or from where another image stopped, until it ends or another image goes on.
pub(super) fn run(args: &RunArgs, dir: &Path, screen: &mut Screen) -> Ended {
    if args.background {
        // It fails for the leader of a session, which has what is wanted.
        nix::unistd::setsid().map(drop).unwrap_or_default();
    }
    let mut begin = match Handover::inherited().map_err(no_handover)? {
        Some(handover) => Begin::GoOn(Box::new(handover)),
        None => Begin::Afresh,
    };
    loop {
        let runtime = runtime()?;
        let frozen = match runtime.block_on(serve(args, dir, screen, begin))? {
            Left::Over(exit) => return Ok(exit),
            Left::To(frozen) => frozen,
        };
        // Nobody waits for a file that is being read for somebody who has gone.
        runtime.shutdown_timeout(LAST_THREADS);
        let (frozen, why) = frozen.execute();
        begin = Begin::GoOn(Box::new(Handover::still_here(frozen, &why).map_err(no_handover)?));
    }
}

/// How long threads that read files may take to end before another image is executed.
const LAST_THREADS: Duration = Duration::from_millis(200);

/// How a supervisor begins.
enum Begin {
    Afresh,
    GoOn(Box<Handover>),
}

/// How it is left.
enum Left {
    Over(Exit),
    /// Everything is written down, for another image.
    To(Frozen),
}

/// A supervisor and its sockets.
struct Up {
    supervisor: Supervisor,
    /// From its first one on.
    events: Receiver<Arc<EventRecord>>,
    control: ControlServer,
    attach: AttachServer,
    expected: Expected,
    /// `[supervisor] watch`.
    watches: bool,
    /// Its plugins are to be started.
    fresh: bool,
}

async fn serve(
    args: &RunArgs,
    dir: &Path,
    screen: &mut Screen,
    begin: Begin,
) -> Result<Left, Trouble> {
    // Its default action ends a process at the first write beyond a limit on file sizes. With a handler that is an error of
    // the write, and the handler stays.
    let heard = listen(SignalKind::from_raw(Signal::SIGXFSZ as i32));
    drop(heard.map_err(|error| {
        Trouble::new(Exit::Unavailable, "the signals of this process are not to be had")
            .cause(error.to_string())
    })?);
    let up = match begin {
        Begin::Afresh => start(args, dir, screen).await?,
        Begin::GoOn(handover) => {
            let watches = handover.watches();
            let expected = expected(handover.manifests());
            let Resumed { supervisor, events, control, attach } =
                handover.go_on().map_err(no_handover)?;
            Up { supervisor, events, control, attach, expected, watches, fresh: false }
        }
    };
    let Up { supervisor, mut events, mut control, attach, expected, watches, mut fresh } = up;
    let reloading = tokio::spawn(reload_on_hangup(supervisor.clone()));
    let watching = (args.watch || watches).then(|| tokio::spawn(watch(supervisor.clone())));
    let lingering = args.linger.map(|linger| {
        let (supervisor, clients) = (supervisor.clone(), attach.clients());
        tokio::spawn(end_when_unused(supervisor, clients, linger))
    });
    let leashed = match args.exit_on_eof {
        true => Some(tokio::spawn(end_with(stdin_ends()?, supervisor.clone()))),
        false => None,
    };
    let left = loop {
        let plan = Plan::new(args, expected.clone(), screen);
        let leave = Leave::of(&control, &attach);
        let mut requests = supervisor.offer_upgrades();
        let begin = || {
            if fresh {
                supervisor.start_enabled();
            }
        };
        let granted = grant(&supervisor, &leave, &mut requests);
        let stopped = stopped(&supervisor);
        match supervise(&supervisor, &plan, events, begin, stopped, granted, screen).await {
            Ok(Supervised::Ended(exit)) => break Ok(Left::Over(exit)),
            Err(trouble) => break Err(trouble),
            Ok(Supervised::Granted) => {}
        }
        fresh = false;
        let socket = control.socket();
        control.leave().await;
        match leave.everything(&supervisor).await {
            Ok(frozen) => return Ok(Left::To(frozen)),
            Err(why) => {
                events = supervisor.subscribe();
                let fields = serde_json::json!({"message": why});
                supervisor.record("supervisor.upgrade_failed", fields);
                // Nobody else unblocks this one: it is heard already.
                SigSet::from(Signal::SIGHUP).thread_unblock().unwrap_or_default();
                control = ControlServer::serve(socket, supervisor.clone()).map_err(no_socket)?;
            }
        }
    };
    reloading.abort();
    if let Some(watching) = watching {
        watching.abort();
    }
    if let Some(lingering) = lingering {
        lingering.abort();
    }
    if let Some(leashed) = leashed {
        leashed.abort();
    }
    drop(attach);
    control.stop().await;
    left
}

async fn start(args: &RunArgs, dir: &Path, screen: &mut Screen) -> Result<Up, Trouble> {
    let mut set = crate::discover::load(&args.sources)
        .map_err(|error| Trouble::new(Exit::Usage, error.to_string()).help("outboard run DIR"))?;
    if strict(args) {
        set.look_around(&std::env::vars_os().collect::<Vec<_>>());
    }
    judge(&set, args, screen)?;

    let mut settings = set.settings.clone();
    if let Some(within) = args.shutdown_timeout {
        settings.fleet.shutdown_cap = within;
    }
    let watches = settings.watch;
    let sources: Vec<PathBuf> = args.sources.iter().map(|path| absolute(path)).collect();
    let supervisor = Supervisor::builder(dir)
        .settings(settings)
        .sources(sources)
        .adopt_orphans(true)
        .start()
        .map_err(no_start)?;
    let events = supervisor.subscribe();
    let expected = expected(set.manifests.iter());
    supervisor.register(set.manifests, set.refused).await;
    // Served before the first plugin starts: who waits for a plugin can ask from the first moment on.
    let control = ControlServer::start(dir, supervisor.clone()).map_err(no_socket)?;
    let attach = AttachServer::start(dir, supervisor.clone()).map_err(no_socket)?;
    Ok(Up { supervisor, events, control, attach, expected, watches, fresh: true })
}

/// SIGHUP reads the manifests again. What came of it is an event: `config.applied`, or `config.rejected` with every error.
async fn reload_on_hangup(supervisor: Supervisor) {
    let Ok(mut hangups) = listen(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        // Whatever came of it has been told; another change that came between is read along with this one.
        let request = || ReloadRequest::apply(By::own(Via::Signal));
        while let Err(ReloadError::Conflict { .. }) = supervisor.reload(request()).await {}
    }
}

/// The same whenever a file changes.
async fn watch(supervisor: Supervisor) {
    if let Err(error) = supervisor.watch_manifests().await {
        tracing::warn!(%error, "manifests are not watched: a change of theirs waits for `outboard reload`");
    }
}

/// Says everything that is wrong, and refuses what may not be started.
fn judge(set: &Set, args: &RunArgs, screen: &mut Screen) -> Result<(), Trouble> {
    if set.problems().is_empty() {
        return Ok(());
    }
    let here = std::env::current_dir().unwrap_or_default();
    screen.complain(&set.render(&here));
    let settings = set.settings_problems.iter().any(outboard_manifest::Problem::is_error);
    if settings || set.has_errors() && strict(args) {
        let why = match settings {
            true => "what is wrong concerns every plugin",
            false => "--strict: one bad manifest refuses all",
        };
        return Err(Trouble::new(Exit::Usage, "nothing was started").cause(why));
    }
    if set.lacks_surroundings() {
        return Err(Trouble::new(Exit::Unavailable, "nothing was started")
            .cause("--strict: what one plugin lacks here refuses all"));
    }
    Ok(())
}

/// `--once-active` is for CI, where a set that is not whole never becomes what it was meant to be.
fn strict(args: &RunArgs) -> bool {
    args.strict || args.once_active
}

fn expected<'a>(manifests: impl Iterator<Item = &'a Manifest> + Clone) -> Expected {
    let ids = |lazy: bool| {
        let enabled = manifests.clone().filter(move |m| m.policy.enabled && m.policy.lazy == lazy);
        enabled.map(|manifest| manifest.id.to_string()).collect()
    };
    let here = std::env::current_dir().unwrap_or_default();
    let env_files = manifests.clone().filter_map(|manifest| {
        let file = manifest.env_file.as_ref()?;
        let file = file.strip_prefix(&here).unwrap_or(file);
        Some((manifest.id.to_string(), file.display().to_string()))
    });
    Expected { up: ids(false), lazy: ids(true), env_files: env_files.collect() }
}

async fn stopped(supervisor: &Supervisor) -> Result<(), Trouble> {
    match supervisor.stopped().await {
        End::Stopped => Ok(()),
        End::KeeperLost => Err(Trouble::new(
            Exit::Unavailable,
            "outboard had to end: its keeper died again and again",
        )
        .cause("every plugin was ended with it, and nothing of them is left")
        .cause("something on this machine kills the process named obkeeper")),
        End::Panicked => Err(Trouble::new(
            Exit::Unavailable,
            "outboard had to end: a part of it panicked, which is a defect of outboard",
        )
        .cause("every plugin is ended with it")
        .help("outboard run DIR")),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What the image before has left cannot be gone on with. It ends here, and the keeper ends every plugin.
fn no_handover(error: HandoverError) -> Trouble {
    Trouble::new(Exit::Unavailable, "this build cannot go on where the one before it stopped")
        .cause(error.to_string())
        .cause("every plugin is ended with it")
        .help("outboard run DIR")
}

fn no_start(error: StartError) -> Trouble {
    match error {
        StartError::StateDir(StateDirError::InUse { path, holder }) => {
            let sources: Vec<String> =
                holder.sources.iter().map(|source| source.display().to_string()).collect();
            Trouble::new(Exit::Conflict, "a supervisor is running on this state directory")
                .cause(format!("pid {}, started with {}", holder.pid, sources.join(" ")))
                .cause(format!("state directory {}", path.display()))
                .help("outboard run --state-dir ANOTHER DIR")
        }
        StartError::StateDir(StateDirError::Foreign { .. }) => {
            Trouble::new(Exit::Refused, error.to_string())
        }
        StartError::StateDir(StateDirError::Io { path, what, source }) => {
            let dir = format!("cannot use the state directory {}", path.display());
            Trouble::new(Exit::Usage, dir)
                .cause(format!("{what}: {source}"))
                .help("outboard run --state-dir ANOTHER DIR")
        }
        StartError::Write(_) => Trouble::new(Exit::Usage, error.to_string()),
        StartError::Keeper(_) | StartError::Runtime(_) => {
            Trouble::new(Exit::Unavailable, error.to_string())
        }
    }
}

fn no_socket(error: BindError) -> Trouble {
    let what = error.to_string();
    match error {
        BindError::InUse { path } | BindError::Foreign { path, .. } => {
            Trouble::new(Exit::Conflict, what)
                .cause("it was not put there by this supervisor, so it is left alone")
                .help(format!("look at it, and move it away: mv {0} {0}.old", path.display()))
        }
        BindError::Exposed { path, .. } => {
            Trouble::new(Exit::Usage, what).help(format!("chmod 700 {}", path.display()))
        }
        BindError::Io { source, .. } => Trouble::new(Exit::Usage, what).cause(source.to_string()),
    }
}

/// Ends the supervisor with whoever holds its standard input.
async fn end_with(stdin: impl Future<Output = ()>, supervisor: Supervisor) {
    stdin.await;
    supervisor.shutdown_all_by(false, By::own(Via::Stdin)).await;
}

/// Looks taken in the time that a supervisor outlives its last client.
const LOOKS: u32 = 20;

/// Ends the supervisor once no client has been attached for so long.
async fn end_when_unused(supervisor: Supervisor, clients: Attached, linger: Duration) {
    let mut unused = 0;
    while unused < LOOKS {
        tokio::time::sleep(linger / LOOKS).await;
        unused = if clients.count() == 0 { unused + 1 } else { 0 };
    }
    supervisor.shutdown_all(false).await;
}
