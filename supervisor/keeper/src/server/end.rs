//! The end of everything: the brain is gone.

use std::time::Duration;

use super::run::Server;
use crate::extinguish::{Extinguish, Pass};
use crate::sys::clock::pause;
use crate::sys::process::{boost, leave};

/// Between two looks at processes that have been signalled.
const SHORT: Duration = Duration::from_micros(200);
/// For those that cannot die until their device answers.
const LONG: Duration = Duration::from_millis(50);
/// Looks that changed nothing, before they become rare.
const PATIENCE: u32 = 1_000;

impl Server {
    /// Kills every descendant and exits when the kernel says that there is none.
    pub(super) fn end(&mut self) -> ! {
        boost(true);
        if let Some(proven) = &self.fleet {
            // What this does not reach is met below.
            proven.fleet.kill().ok();
        }
        let mut below = Extinguish::new(1, Vec::new());
        let mut idle = 0;
        loop {
            match below.pass() {
                Pass::Again => idle = 0,
                Pass::Wait => {
                    pause(if idle < PATIENCE { SHORT } else { LONG });
                    idle += 1;
                }
                Pass::Done => break,
            }
        }
        if let Some(proven) = &self.fleet {
            proven.fleet.remove();
        }
        leave(0)
    }
}
