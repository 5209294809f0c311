//! Answers that go on: server-sent events, as far as the controller sends them: a name, an id and one line of data each.

use super::{Answer, Client, ClientError};

/// What an event without a name is called (HTML, section 9.2).
const UNNAMED: &str = "message";

/// How a kind of events is read: from its name and data. Nothing: an event that a newer controller sends.
type Read<T> = fn(&str, &[u8]) -> Option<Result<T, serde_json::Error>>;

impl Client {
    /// Hands on events until `take` wants no more or the controller ends it.
    pub(super) async fn follow<T>(
        &self,
        path: String,
        read: Read<T>,
        mut take: impl FnMut(T) -> bool,
    ) -> Answer<()> {
        let mut lines = Lines::default();
        let mut wrong = None;
        let stream = self.stream(&path, |piece| {
            lines.take(piece, |name, data| match read(name, data) {
                None => true,
                Some(Ok(event)) => take(event),
                Some(Err(error)) => {
                    wrong = Some(error);
                    false
                }
            })
        });
        stream.await?;
        match wrong {
            Some(source) => Err(ClientError::Unexpected {
                endpoint: self.endpoint().clone(),
                path,
                source,
            }),
            None => Ok(()),
        }
    }
}

/// A stream of events, whose pieces end anywhere.
#[derive(Default)]
struct Lines {
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// Of the event that is being read.
    name: Option<String>,
}

impl Lines {
    /// Takes a piece of the stream, and hands on name and data of what is complete; false when `take` wants no more.
    fn take(&mut self, piece: &[u8], mut take: impl FnMut(&str, &[u8]) -> bool) -> bool {
        for byte in piece {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                self.name = None;
            } else if let Some(name) = line.strip_prefix(b"event: ") {
                self.name = Some(String::from_utf8_lossy(name).into_owned());
            } else if let Some(data) = line.strip_prefix(b"data: ")
                && !take(self.name.as_deref().unwrap_or(UNNAMED), data)
            {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = b": keep\n\nevent: lost\ndata: {\"lost\":3}\n\nid: 7\ndata: {}\n\n\
                     event: missing\r\ndata: {\"host\":\"hv2\"}\r\n\r\n";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for piece in text.chunks(size) {
                assert!(lines.take(piece, |name, data| {
                    seen.push(format!("{name} {}", String::from_utf8_lossy(data)));
                    true
                }));
            }
            let all = [
                "lost {\"lost\":3}",
                "message {}",
                "missing {\"host\":\"hv2\"}",
            ];
            assert_eq!(seen, all, "{size}");
        }
    }

    #[test]
    fn nothing_is_read_after_the_reader_has_enough() {
        let mut lines = Lines::default();
        let mut seen = 0;
        let wants_more = lines.take(b"data: 1\n\ndata: 2\n\n", |_, _| {
            seen += 1;
            false
        });
        assert!(!wants_more && seen == 1);
    }
}
