//! Removes, at the next start, what a double kill (brain and keeper in the same instant) may have left.
//!
//! Only what is proven to be this state directory's own is touched: it carries the run mark, or sits in the run's
//! cgroup, or is a recorded leader (number, start time and boot), or is in such a leader's session. Everything is
//! signalled through a pidfd that was opened before the check.

mod identity;
mod record;
mod sweep;

pub(crate) use record::random;
pub use record::{BadRunMark, Leader, Record, RunMark};
pub(crate) use sweep::{Hunt, empty_fleet, remove_fleet};
pub use sweep::{ReapReport, SkipReason, Skipped, reap_leftovers};
