//! Logs of the daemons: on stderr, where service managers expect them; RUST_LOG chooses what.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts logging, with this level if RUST_LOG says nothing.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // Already started is as good as started.
    let _ = subscriber.try_init();
}
