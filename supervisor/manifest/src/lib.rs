//! TOML manifests as typed values, with the place of everything that is wrong.
//!
//! [`load`] reads folders and files into a [`Set`]: the sound [`Manifest`]s, and for every other file all of its
//! [`Problem`]s at once. [`resolve`] fills in what comes from the surroundings (variables, secrets, home folder), at
//! each start anew.
//!
//! **Absent by design:** how things run. Nothing here starts a process, waits for anything or keeps state.

#![forbid(unsafe_code)]

mod build;
mod change;
mod check;
pub mod digest;
mod discover;
mod file;
mod glob;
mod keys;
mod load;
mod manifest;
mod problem;
mod read;
pub mod resolve;
mod scalar;
mod schema;
mod set;
mod settings;
mod source;
mod suggest;
mod template;
#[cfg(test)]
mod tests;
mod value;

pub use discover::{Listed, Look, PythonGroup};
pub use file::MAX_FILE;
pub use glob::Glob;
pub use load::{
    LoadError, MAX_FILES, MAX_TEXT, SETTINGS_FILE, load, load_group, load_version, load_with,
    parse_manifest, parse_version, restore, restore_settings,
};
pub use manifest::*;
pub use problem::{Place, Problem, Severity};
pub use schema::json_schema;
pub use set::{Refused, Set};
pub use settings::{Containment, Control, EnvFile, ForeignManifests, Logs, Settings};
pub use source::{Placed, Spot};
pub use template::Template;
pub use value::{EnvEntry, EnvValue};
