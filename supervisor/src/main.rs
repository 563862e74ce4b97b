//! The `outboard` binary: the keeper when it was started to be one, else the command line.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outboard::keeper_entry();
    outboard::cli::run()
}
