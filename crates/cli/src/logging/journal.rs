//! Messages to systemd's journal by its [native protocol](https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): each as a sentence to
//! read, and every field once more by its name.

use std::fmt::{Debug, Write};
use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// What stands before the names of fields.
const PREFIX: &str = "COAX_";

/// A connection to the journal.
pub struct Journal {
    socket: UnixDatagram,
    daemon: &'static str,
}

impl Journal {
    /// `daemon` is what the journal calls the sender.
    pub fn open(daemon: &'static str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        Ok(Self { socket, daemon })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let mut entry = said.fields;
        put(&mut entry, "MESSAGE", &said.sentence);
        put(&mut entry, "PRIORITY", priority(*event.metadata().level()));
        put(&mut entry, "SYSLOG_IDENTIFIER", self.daemon);
        if self.socket.send(&entry).is_err() {
            // Too long for a datagram, perhaps. The journal reads stderr, too.
            let _ = io::Write::write_all(&mut io::stderr(), (said.sentence + "\n").as_bytes());
        }
    }
}

/// As syslog numbers them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    /// The message, then the fields.
    sentence: String,
    /// The fields as the journal takes them.
    fields: Vec<u8>,
}

impl Said {
    fn take(&mut self, field: &Field, value: &str, quoted: &str) {
        if field.name() == "message" {
            self.sentence.insert_str(0, value);
            return;
        }
        // Writing to a string does not fail.
        let _ = write!(self.sentence, " {}={quoted}", field.name());
        put(&mut self.fields, &name(field.name()), value);
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value, &format!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.take(field, &text, &text);
    }
}

/// A field's name as the journal takes names: capitals, digits, underscores, 64 at most.
fn name(field: &str) -> String {
    let capitals = field.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    PREFIX.chars().chain(capitals).take(64).collect()
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_framed_and_names_are_those_that_the_journal_takes() {
        let mut entry = Vec::new();
        put(&mut entry, &name("vtep.ipv4"), "192.0.2.1");
        put(&mut entry, "MESSAGE", "a\nb");
        assert_eq!(
            entry,
            b"COAX_VTEP_IPV4=192.0.2.1\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n"
        );
        assert_eq!(name(&"x".repeat(99)).len(), 64);
    }
}
