//! SUP: what can happen to the supervisor itself, to its keeper, and to what both stand on.

pub(crate) mod crew;
mod directory;
mod keeper;
mod killed;
mod output;
mod reload;
mod signals;
