//! Joins core, wire and keeper: all the async of the supervisor.
//!
//! One task, the dispatcher ([`dispatch`]), owns the fleet: it hears what happened, lets the core decide, and carries
//! out what the core orders ([`hands`]). A call does not pass through it: the caller asks the plugin's route
//! ([`route`]), which gives it to the link of the generation in force ([`link`]).
//!
//! **Absent by design:** arguments, rendering, HTTP.

mod bucket;
mod builder;
mod by;
mod call;
mod caller;
mod caught;
mod chain;
mod clock;
mod command;
mod diagnose;
mod dispatch;
mod dossier;
mod failpoint;
mod guests;
mod hands;
mod happening;
mod journal;
mod keeper_line;
mod launch;
mod limits;
mod lines;
mod link;
mod logbook;
mod noise;
mod openings;
mod panicked;
mod permit;
mod persist;
mod pin;
mod procfs;
mod record;
mod redact;
mod register;
mod reload;
mod reports;
mod route;
mod shared;
mod sink;
mod slot;
mod state_dir;
mod stats;
mod supervisor;
mod swap;
mod tail;
mod throttle;
mod told;
mod topics;
pub mod upgrade;
mod view;
mod waiters;
mod watch;
mod whose;
mod words;

pub use builder::{Builder, StartError};
pub use by::{By, Via};
pub(crate) use call::{Address, Answer, Call, More, Token};
pub use call::{CallOptions, CallResult};
pub(crate) use caller::Caller;
pub(crate) use caught::caught;
pub use clock::Clock;
pub use command::Change;
pub use dossier::Which;
pub(crate) use guests::Guest;
pub use journal::{rfc3339, to_json as event_json};
pub(crate) use link::{Askers, KeptRelayed, Relayed};
pub use logbook::{LogQuery, level_of, source_name, source_of};
pub use reload::{Drift, Plan, ReloadError, ReloadRequest, Reloaded, Step};
pub use shared::End;
pub(crate) use slot::Slot;
pub use state_dir::{Holder, StateDir, StateDirError};
pub use supervisor::Supervisor;
pub use swap::{Judged, NoVersion, SwapOrder, SwapReport, Swapped};
pub(crate) use topics::{Listen, Subscription};
pub use topics::{Published, TopicStream};
pub use view::*;
pub use whose::{ISOLATION, Whose};
