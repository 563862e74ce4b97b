//! Outboard's own diagnostics, for its developers: `OUTBOARD_LOG=outboard=debug` puts them on standard error.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

/// Turns them on where they are asked for.
pub(super) fn init() {
    let Ok(filter) = std::env::var("OUTBOARD_LOG") else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_writer(|| Quiet(io::stderr()))
        .with_ansi(false)
        // It would panic on a closed standard error.
        .log_internal_errors(false)
        .finish();
    // An error says that somebody has set one already, which serves as well.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// Standard error that may be gone: what nobody reads is dropped.
struct Quiet(io::Stderr);

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
