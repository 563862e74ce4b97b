//! The core against a simulated host in virtual time. An hour of supervision takes a millisecond and always replays.

mod crash;
mod health;
mod idle;
mod order;
mod properties;
mod shutdown;
mod start;
mod stop;
mod storm;
mod swap;
mod table;
mod walk;
mod world;
