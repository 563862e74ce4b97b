//! A supervisor in this process, shown and ended: what `outboard run` does once everything has been started.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::{SigSet, Signal as Number, raise};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::args::{Output, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::change::only_those_that_ran;
use crate::cli::render::run::{Expected, Mode, RunScreen};
use crate::cli::render::why::verdict;
use crate::cli::trouble::Trouble;
use crate::control::Backend;
use crate::control::api::{Change, State};
use crate::control::convert::{self, Clocks};
use crate::host::{By, EventRecord, Outcome, Via};

/// How often a long start or stop is looked at.
const TICK: Duration = Duration::from_millis(250);

/// What `run` does beside showing what happens.
pub(super) struct Plan {
    pub(super) mode: Mode,
    pub(super) expected: Expected,
    /// End as soon as all are active, or this long after the start.
    pub(super) once_active: Option<Duration>,
    /// Print what plugins say.
    pub(super) plugin_logs: bool,
}

impl Plan {
    pub(super) fn new(args: &RunArgs, expected: Expected, screen: &Screen) -> Self {
        let mode = match args.output {
            _ if screen.is_json() => Mode::Json,
            Output::Auto if screen.is_terminal() => Mode::Pretty,
            Output::Auto | Output::Plain => Mode::Plain,
            Output::Pretty => Mode::Pretty,
            Output::Json => Mode::Json,
        };
        Self {
            mode,
            expected,
            once_active: args.once_active.then_some(args.timeout),
            plugin_logs: !args.no_plugin_logs,
        }
    }
}

/// How it came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// A signal, or `outboard shutdown`.
    Asked,
    /// A second signal: everything was killed.
    Forced,
    /// `--once-active`: all are active.
    AllActive,
    /// `--once-active`: one failed.
    OneFailed,
    /// `--once-active`: the time is over.
    TimeIsOver,
}

/// How a supervisor was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supervised {
    Ended(Exit),
    /// Another image is to go on. The signals of this process are held back for it.
    Granted,
}

/// Shows a supervisor that has been started in this process, and ends it when told so.
///
/// `events` begin where this supervisor began, here or in the image before. `begin` starts the plugins; it is called once
/// everything is listened to, so that nothing is missed. `stopped`
/// resolves when the supervisor has ended, whoever ended it, with what was wrong if it had to; `granted`, when another
/// image is to go on.
///
/// # Errors
///
/// When the signals of this process cannot be had, the supervisor had to end, or with `--once-active` not all became
/// active in time.
pub(super) async fn supervise<B: Backend>(
    backend: &B,
    plan: &Plan,
    mut events: Receiver<Arc<EventRecord>>,
    begin: impl FnOnce(),
    stopped: impl Future<Output = Result<(), Trouble>>,
    granted: impl Future<Output = ()>,
    screen: &mut Screen,
) -> Result<Supervised, Trouble> {
    let mut signals = Signals::new()?;
    let mut lines = backend.subscribe_logs();
    let began = Timestamp::now();
    let status = convert::status(&backend.view(), began);
    let mut shown = RunScreen::new(plan.mode, &status, &plan.expected, began);
    shown.head(screen, &status);
    begin();

    let mut ticks = tokio::time::interval(TICK);
    let deadline = plan.once_active.map(|within| tokio::time::Instant::now() + within);
    let mut ending = Ending::default();
    let mut last_words = Vec::new();
    let mut missing = Vec::new();
    tokio::pin!(stopped, granted);
    let end = loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(record) => shown.event(screen, &convert::event(&record)),
                Err(RecvError::Lagged(missed)) => {
                    shown.missed(screen, false, missed);
                    shown.resync(&convert::status(&backend.view(), Timestamp::now()));
                }
                Err(RecvError::Closed) => break Ok(()),
            },
            line = lines.recv() => match line {
                Ok(line) if plan.plugin_logs => shown.log(screen, convert::log_line(&line)),
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => shown.missed(screen, true, missed),
                Err(RecvError::Closed) => break Ok(()),
            },
            () = signals.next() => ending.signal(backend, screen),
            outcomes = ending.outcomes(), if ending.has_begun() => {
                ending.done = true;
                last_words = outcomes;
            }
            end = &mut stopped => break end,
            () = &mut granted, if ending.reason.is_none() => {
                signals.hold_back().await;
                return Ok(Supervised::Granted);
            }
            () = until(deadline), if ending.reason.is_none() => {
                missing = shown.missing();
                ending.begin(backend, false, Reason::TimeIsOver);
            }
            _ = ticks.tick() => {
                shown.tick(screen, Timestamp::now());
            }
        }
        if ending.has_begun() {
            shown.go_down(screen);
        }
        if plan.once_active.is_some() && ending.reason.is_none() {
            if !shown.in_state(&[State::Failed, State::Unkillable]).is_empty() {
                last_words_of_failed(backend, &shown, screen);
                ending.begin(backend, false, Reason::OneFailed);
            } else if shown.missing().is_empty() && shown.is_settled() {
                ending.begin(backend, false, Reason::AllActive);
            }
        }
    };
    if ending.has_begun() {
        last_words = ending.outcomes().await;
    }
    // What happened last was told before the end was.
    while let Ok(record) = events.try_recv() {
        shown.event(screen, &convert::event(&record));
    }
    let change = words(backend, &last_words);
    shown.finish(screen, &change);
    end?;
    conclude(ending.reason, &shown, missing, plan).map(Supervised::Ended)
}

fn conclude(
    reason: Option<Reason>,
    shown: &RunScreen,
    missing: Vec<String>,
    plan: &Plan,
) -> Result<Exit, Trouble> {
    let unkillable = !shown.in_state(&[State::Unkillable]).is_empty();
    match reason {
        Some(Reason::Forced) => Ok(Exit::Interrupted),
        Some(Reason::TimeIsOver) => {
            let within = crate::control::words::span(plan.once_active.unwrap_or_default());
            Err(Trouble::new(Exit::Deadline, format!("not all plugins were active in {within}"))
                .cause(format!("not there yet: {}", missing.join(", "))))
        }
        Some(Reason::OneFailed) => Ok(Exit::Unavailable),
        _ if unkillable => Ok(Exit::Unavailable),
        Some(Reason::Asked | Reason::AllActive) | None => Ok(Exit::Done),
    }
}

/// The why sentence of each plugin that failed.
fn last_words_of_failed<B: Backend>(backend: &B, shown: &RunScreen, screen: &mut Screen) {
    let clocks = Clocks { wall: Timestamp::now(), now: backend.view().now };
    for id in shown.in_state(&[State::Failed, State::Unkillable]) {
        let Some(dossier) = backend.why(&id) else { continue };
        let plugin = convert::plugin(&dossier.view, clocks);
        let sentence = verdict(&plugin, &convert::dossier(&dossier, clocks));
        screen.complain(&format!("error: {id} is {}{sentence}\n", plugin.state.word()));
    }
}

fn words<B: Backend>(backend: &B, outcomes: &[Outcome]) -> Change {
    let clocks = Clocks { wall: Timestamp::now(), now: backend.view().now };
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.plugin.clone()).collect();
    let mut change = convert::change(&ids, outcomes, clocks);
    only_those_that_ran(&mut change);
    change
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

type Outcomes = Pin<Box<dyn Future<Output = Vec<Outcome>> + Send>>;

/// The way down.
#[derive(Default)]
struct Ending {
    reason: Option<Reason>,
    work: Option<Outcomes>,
    done: bool,
}

impl Ending {
    fn has_begun(&self) -> bool {
        self.reason.is_some() && !self.done
    }

    fn begin<B: Backend>(&mut self, backend: &B, now: bool, reason: Reason) {
        self.reason = Some(reason);
        let backend = backend.clone();
        self.work =
            Some(Box::pin(async move { backend.shutdown(now, By::own(Via::Signal)).await }));
    }

    /// The first signal asks plugins to leave; a second one kills them.
    fn signal<B: Backend>(&mut self, backend: &B, screen: &mut Screen) {
        match self.reason {
            None => self.begin(backend, false, Reason::Asked),
            Some(Reason::Forced) => {}
            Some(_) => {
                screen.progress("killing what is left");
                self.begin(backend, true, Reason::Forced);
            }
        }
    }

    async fn outcomes(&mut self) -> Vec<Outcome> {
        match &mut self.work {
            Some(work) => work.await,
            None => Vec::new(),
        }
    }
}

/// Takes a signal. Whoever started us may have blocked it (cron, a shell's pipeline), and a mask outlives exec: it is
/// unblocked once somebody hears it.
///
/// # Errors
///
/// When the signal is not to be had.
pub(super) fn listen(kind: SignalKind) -> io::Result<Signal> {
    let taken = signal(kind)?;
    let number = nix::sys::signal::Signal::try_from(kind.as_raw_value())?;
    SigSet::from(number).thread_unblock()?;
    Ok(taken)
}

/// How long a signal that has been taken may be on its way to whoever hears it.
const HEARD: Duration = Duration::from_millis(2);

/// SIGTERM and SIGINT, the same to us.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> Result<Self, Trouble> {
        let take = |kind| {
            listen(kind).map_err(|error| {
                Trouble::new(Exit::Unavailable, "the signals of this process are not to be had")
                    .cause(error.to_string())
            })
        };
        Ok(Self { term: take(SignalKind::terminate())?, int: take(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        self.which().await;
    }

    async fn which(&mut self) -> Number {
        tokio::select! {
            _ = self.term.recv() => Number::SIGTERM,
            _ = self.int.recv() => Number::SIGINT,
        }
    }

    /// Signals from now on wait in the kernel, for whoever unblocks them: a handler is gone with the image that has it,
    /// and what is held back is not. One that has just been heard is given to that one too.
    async fn hold_back(&mut self) {
        let ours = [Number::SIGTERM, Number::SIGINT, Number::SIGHUP];
        let held: SigSet = ours.into_iter().collect();
        if held.thread_block().is_err() {
            return;
        }
        while let Ok(number) = tokio::time::timeout(HEARD, self.which()).await {
            // To this thread alone: it is the one that executes.
            raise(number).unwrap_or_default();
        }
    }
}
