//! SUP: what can happen to the supervisor itself, to its keeper, and to what both stand on.

mod clients;
pub(crate) mod crew;
mod descriptors;
mod directory;
mod disk;
mod floods;
mod keeper;
mod killed;
mod left;
mod logs;
mod output;
mod panics;
mod reload;
mod signals;
