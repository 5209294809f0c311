//! Numbering of the agents' stream, the same on both ends.
//!
//! Invariant: the messages that a [`Receiver`] calls fresh are exactly a prefix of what the
//! [`Sender`] numbered, in order and without repetition.

/// What a receiver does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one: use it.
    Fresh,
    /// Seen before: ignore it.
    Duplicate,
    /// At least one message before it is missing: close the stream and attach again.
    Gap,
}

/// Numbers outgoing messages of one stream.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    last: u64,
}

impl Sender {
    /// Number for the next message: 1, 2, …
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// Watches the numbers of incoming messages of one stream.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    last: u64,
}

impl Receiver {
    /// Takes note of a message's number.
    pub fn accept(&mut self, sequence: u64) -> Arrival {
        if sequence <= self.last {
            Arrival::Duplicate
        } else if sequence == self.last + 1 {
            self.last = sequence;
            Arrival::Fresh
        } else {
            Arrival::Gap
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_number_is_fresh() {
        let mut sender = Sender::default();
        let mut receiver = Receiver::default();
        let first = sender.number();
        let second = sender.number();
        let third = sender.number();
        assert_eq!(receiver.accept(second), Arrival::Gap);
        assert_eq!(receiver.accept(first), Arrival::Fresh);
        assert_eq!(receiver.accept(first), Arrival::Duplicate);
        assert_eq!(receiver.accept(third), Arrival::Gap);
        assert_eq!(receiver.accept(second), Arrival::Fresh);
        assert_eq!(receiver.accept(third), Arrival::Fresh);
    }
}
