//! One plugin on the way up and down: what has been shown of it, and the words of its last turn.

use std::time::Duration;

use jiff::Timestamp;

use crate::control::api::State;

pub(super) struct Row {
    pub(super) dialect: String,
    pub(super) state: State,
    pub(super) awaited: bool,
    pub(super) lazy: bool,
    pub(super) waiting: bool,
    pub(super) starting_since: Timestamp,
    pub(super) step: String,
    /// The name of what was started.
    pub(super) program: String,
    pub(super) explained: Duration,
    pub(super) opened: Option<String>,
    pub(super) failure: Option<String>,
    pub(super) gave_up: Option<String>,
}

/// Programs that fetch what they run.
const FETCHERS: [&str; 8] = ["npx", "uvx", "uv", "bunx", "pnpm", "pipx", "docker", "podman"];

impl Row {
    /// It has not begun to speak, and is seen to work.
    pub(super) fn at_work(&self, up_to: &str) -> String {
        let name = self.program.rsplit('/').next().unwrap_or_default();
        let what = match name {
            "" => "it is at work".to_owned(),
            fetcher if FETCHERS.contains(&fetcher) => format!("{fetcher} is fetching"),
            name => format!("{name} is at work"),
        };
        format!("{what}; it shows life, so it may take up to {up_to}")
    }

    /// It turned to another state: what is said of it, if anything.
    pub(super) fn turn(
        &mut self,
        to: State,
        reason: &str,
        at: Timestamp,
    ) -> Option<(State, Option<Duration>, String)> {
        let from = std::mem::replace(&mut self.state, to);
        let took = since(self.starting_since, at);
        let served = matches!(from, State::Active | State::Degraded);
        match to {
            State::Starting => {
                self.starting_since = at;
                self.explained = Duration::ZERO;
                self.waiting = false;
                None
            }
            // Its health turned; it served before.
            State::Active | State::Degraded if served => Some((to, None, reason.to_owned())),
            State::Active | State::Degraded => {
                let opened = self.opened.as_ref().map(|opened| match self.dialect.as_str() {
                    "native" => format!("native, {opened}"),
                    dialect => format!("{dialect} {opened}"),
                });
                Some((to, Some(took), opened.unwrap_or_else(|| self.dialect.clone())))
            }
            State::Failed => {
                let words = self.failure.clone().unwrap_or_else(|| reason.to_owned());
                Some((
                    to,
                    None,
                    match self.gave_up.take() {
                        Some(gave_up) => format!("{words}; {gave_up}"),
                        None => words,
                    },
                ))
            }
            State::Registered if from != State::Registered => {
                let rests = self.awaited && !self.waiting;
                self.awaited = false;
                rests.then(|| (to, None, reason.to_owned()))
            }
            State::Registered
            | State::Loaded
            | State::Stopping
            | State::Backoff
            | State::Unkillable
            | State::Unknown => None,
        }
    }
}

/// Whether a state is a verdict on a start.
pub(super) fn verdict(state: State) -> bool {
    matches!(
        state,
        State::Active | State::Degraded | State::Failed | State::Backoff | State::Unkillable
    )
}

/// Whether a state has a process to be stopped.
pub(super) fn runs(state: State) -> bool {
    matches!(
        state,
        State::Active | State::Degraded | State::Starting | State::Loaded | State::Stopping
    )
}

pub(super) fn since(began: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(began)).unwrap_or_default()
}
