#![doc = include_str!("../README.md")]
//!
//! ## This crate
//!
//! `script` reads steps, `text` their texts, `player` carries them out, `serve` answers the frames
//! that `input` cuts and `json` looks into, `mirror` says what it was given, `sys` holds the system
//! calls.
//!
//! **Absent by design:** the SDK, the wire crate, any JSON parser, threads, sleeping.

// Rust's start-up would ignore SIGPIPE, catch SIGSEGV and open descriptors that are closed. A plugin
// that shows what it was given must not, so this is a C `main`.
#![cfg_attr(not(test), no_main)]

mod input;
mod json;
mod mirror;
mod player;
mod script;
mod serve;
mod sys;
mod text;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The script is wrong.
const EXIT_SCRIPT: i32 = 96;
/// A step could not be carried out.
const EXIT_STEP: i32 = 97;
/// The test that holds the lifeline is gone.
const EXIT_LIFELINE: i32 = 99;

#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> i32 {
    let seen = sys::SignalSets::now();
    let steps = match source().and_then(|text| script::parse(&text)) {
        Ok(steps) => steps,
        Err(problem) => {
            sys::complain(&problem);
            sys::exit(EXIT_SCRIPT);
        }
    };
    player::Player::new(seen).run_to_the_end(&steps)
}

/// The script's text, from wherever it was given.
fn source() -> Result<Vec<u8>, String> {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(flag) if flag == "-c" => {
            let lines: Vec<OsString> = args.collect();
            Ok(lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>().join(&b'\n'))
        }
        Some(path) => {
            std::fs::read(&path).map_err(|error| format!("{}: {error}", path.to_string_lossy()))
        }
        None => {
            Ok(std::env::var_os("CHAOS_SCRIPT").map_or(b"serve".to_vec(), OsStringExt::into_vec))
        }
    }
}
