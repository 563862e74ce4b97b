//! The `outboard` binary: the keeper when it was started to be one, else the command line.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outboard_keeper::entry::run_if_keeper();
    outboard::cli::run()
}
