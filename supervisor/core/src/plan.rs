//! What a changed configuration asks of one plugin: decided from what changed, and from how the plugin stands.

use std::borrow::Cow;

/// What taking a change asks of a running plugin, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asks {
    /// In force at once; its process need not know.
    InPlace,
    /// The process is told of it, if it can be; else there has to be another one.
    Telling,
    /// The program itself is another one: it can take over from the one that runs.
    Swapping,
    /// Only a new process takes it.
    Restarting,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key's dotted path, with the member behind it where the key is a table of somebody else's
    /// (`process.env.PG_URL`, `config.units`); or a word for what is no key (`executable`).
    pub key: Cow<'static, str>,
    /// How it was and how it is, in few words; `None` where that is too long to show, or may not be shown.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// How a plugin stands when its manifest changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Standing {
    /// It has a process.
    pub runs: bool,
    /// It is down for a failure, and would be tried again.
    pub retries: bool,
    /// It was stopped by hand and nobody has started it since.
    pub held: bool,
    /// Its process can be told of a changed configuration.
    pub reloads: bool,
    /// A second generation can be started beside this one now.
    pub swaps: bool,
}

/// What is to be done with one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is new.
    Add,
    /// Its manifest is gone: it is stopped, then forgotten.
    Remove,
    /// The change is in force at once, and nothing of it is stopped.
    InPlace,
    /// The same, and the process is told; if it does not take the change it is restarted.
    Tell,
    /// A new generation takes over from the one that runs.
    Swap,
    /// Stopped, and started again.
    Restart,
    /// It is down and comes up by this.
    Start,
    /// It is up and goes down by this.
    Stop,
    /// Stopped by hand: it takes the change and stays stopped.
    Hold,
    /// It does not run; the change counts from its next start on.
    Rest,
}

/// What follows from the strongest of a plugin's changes. `switched` is whether the change wants it up that was not, or
/// down that was not (`enabled`, `lazy`).
#[must_use]
pub fn decide(asks: Asks, switched: Option<bool>, stands: Standing) -> Action {
    match (switched, stands.runs) {
        (Some(false), true) => return Action::Stop,
        (Some(true), false) => return Action::Start,
        (Some(_) | None, _) => {}
    }
    if stands.held {
        return Action::Hold;
    }
    if !stands.runs {
        // What failed may work with the change, whatever it is: that is what it was made for, most likely.
        return if stands.retries { Action::Start } else { Action::Rest };
    }
    match asks {
        Asks::InPlace => Action::InPlace,
        Asks::Telling if stands.reloads => Action::Tell,
        Asks::Swapping if stands.swaps => Action::Swap,
        Asks::Telling | Asks::Swapping | Asks::Restarting => Action::Restart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: Standing =
        Standing { runs: true, retries: false, held: false, reloads: false, swaps: false };
    const ALL: [Asks; 4] = [Asks::InPlace, Asks::Telling, Asks::Swapping, Asks::Restarting];

    #[test]
    fn the_strongest_change_decides_for_what_runs() {
        let able = Standing { reloads: true, swaps: true, ..RUNS };
        assert_eq!(
            ALL.map(|asks| decide(asks, None, able)),
            [Action::InPlace, Action::Tell, Action::Swap, Action::Restart]
        );
        assert_eq!(
            ALL.map(|asks| decide(asks, None, RUNS)),
            [Action::InPlace, Action::Restart, Action::Restart, Action::Restart]
        );
        assert!(ALL.is_sorted());
    }

    #[test]
    fn what_does_not_run_is_not_stopped_for_it() {
        let down = Standing { runs: false, ..RUNS };
        let failed = Standing { retries: true, ..down };
        let held = Standing { held: true, ..down };
        for asks in ALL {
            assert_eq!(decide(asks, None, down), Action::Rest);
            assert_eq!(decide(asks, None, failed), Action::Start);
            assert_eq!(decide(asks, None, held), Action::Hold);
            assert_eq!(decide(asks, None, Standing { held: true, ..RUNS }), Action::Hold);
        }
    }

    #[test]
    fn a_switch_counts_for_more_than_any_other_change() {
        let down = Standing { runs: false, held: true, ..RUNS };
        for asks in ALL {
            assert_eq!(decide(asks, Some(false), RUNS), Action::Stop);
            assert_eq!(decide(asks, Some(true), down), Action::Start);
            assert_eq!(decide(asks, Some(false), down), Action::Hold, "down already");
        }
        assert_eq!(decide(Asks::Restarting, Some(true), RUNS), Action::Restart, "up already");
    }
}
