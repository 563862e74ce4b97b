//! SPAWN: what can go wrong before a plugin's first byte.

mod file;
mod held;
mod surroundings;
