//! Logs of the daemons. Where systemd's journal reads stderr they go there with every field by its name, so that
//! `journalctl COAX_HOST=hv1` finds them; elsewhere to stderr as lines. RUST_LOG chooses what.

mod journal;

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use journal::Journal;

/// Starts logging, with this level if RUST_LOG says nothing. `daemon` is what the journal calls it.
pub fn start(daemon: &'static str, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let registry = tracing_subscriber::registry().with(filter);
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    // Already started is as good as started.
    let _ = match is_stderr(&stream).then(|| Journal::open(daemon)) {
        Some(Ok(journal)) => registry.with(journal).try_init(),
        // A journal that does not take messages still reads stderr.
        None | Some(Err(_)) => {
            let lines = tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal())
                .with_target(false);
            registry.with(lines).try_init()
        }
    };
}

/// Whether what systemd says of the journal's stream, `DEVICE:INODE`, is this process's stderr: whoever is started by a
/// service inherits the variable, but may have sent its stderr elsewhere (systemd.exec(5)).
fn is_stderr(stream: &str) -> bool {
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stderr_itself_is_the_journals() {
        assert!(!is_stderr(""));
        assert!(!is_stderr("1:2"));
        let stderr = std::fs::metadata("/proc/self/fd/2");
        let own = stderr.map(|it| format!("{}:{}", it.dev(), it.ino()));
        assert!(own.is_ok_and(|own| is_stderr(&own)));
    }
}
