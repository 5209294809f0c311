//! Clients of the controllers: each writes and reads projects as registers, goes to another controller where one does not answer,
//! and asks again under the same key until it knows what became of its change.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::linearizability::{Action, Operation, Value};

/// How long a client waits for one answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long it goes on asking.
const INSIST: Duration = Duration::from_secs(25);
/// Between two operations.
const THINK: Duration = Duration::from_millis(40);
const CLIENTS: usize = 6;
const REGISTERS: usize = 3;

/// What a controller answered.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Json,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// Asks once: `request` is a method and a path.
pub fn ask(
    socket: &Path,
    request: &str,
    headers: &[String],
    body: &str,
    patience: Duration,
) -> io::Result<Answer> {
    let end = Instant::now() + patience;
    let mut stream = UnixStream::connect(socket)?;
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: coax\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )?;
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            read => text.extend_from_slice(&piece[..read]),
        }
    }
    let text = String::from_utf8_lossy(&text);
    let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(broken)?,
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}

/// The file of a register: its value is the name of the only network.
pub fn file(register: &str, value: u64) -> String {
    format!(
        r#"{{"version": 1, "project": "{register}", "networks": {{"v{value}": {{"subnets": ["10.9.0.0/24"]}}}}}}"#
    )
}

fn value(answer: &Answer) -> Value {
    let networks = answer.body["networks"].as_object()?;
    networks.keys().next()?[1..].parse().ok()
}

/// What all clients share.
struct Shared {
    sockets: Vec<PathBuf>,
    started: Instant,
    stop: AtomicBool,
    written: AtomicUsize,
    seen: Mutex<Seen>,
}

/// What was seen.
#[derive(Default)]
pub struct Seen {
    pub history: Vec<Operation>,
    /// Reason and revision of every acknowledged write.
    pub acknowledged: Vec<(String, u64)>,
    /// Reads that said that they may be old.
    pub flagged: usize,
}

pub struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub fn start(sockets: Vec<PathBuf>) -> Self {
        let shared = Arc::new(Shared {
            sockets,
            started: Instant::now(),
            stop: AtomicBool::new(false),
            written: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let threads = (0..CLIENTS).map(|number| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                Client {
                    number,
                    at: number % shared.sockets.len(),
                    asked: 0,
                    found: Default::default(),
                    shared,
                }
                .run();
            })
        });
        Self {
            threads: threads.collect(),
            shared,
        }
    }

    /// Returns when so many writes more are acknowledged.
    pub fn go_on(&self, writes: usize, patience: Duration) {
        let before = self.shared.written.load(Ordering::Relaxed);
        let end = Instant::now() + patience;
        while self.shared.written.load(Ordering::Relaxed) < before + writes {
            assert!(Instant::now() < end, "writes do not go on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many writes are acknowledged.
    pub fn written(&self) -> usize {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Lets everybody finish, reads everything once more, and says what was seen.
    pub fn end(self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        for at in 0..self.shared.sockets.len() {
            for register in 0..REGISTERS {
                let mut reader = Client {
                    number: CLIENTS + at,
                    at,
                    asked: 0,
                    found: Default::default(),
                    shared: self.shared.clone(),
                };
                reader.read(register);
                assert_eq!(reader.at, at, "all of them answer in the end");
            }
        }
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

struct Client {
    number: usize,
    /// The controller that it asks.
    at: usize,
    asked: u64,
    /// What it found last in each register: the value and its entity tag.
    found: [(Value, Option<String>); REGISTERS],
    shared: Arc<Shared>,
}

impl Client {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.asked += 1;
            let dice = (self.asked * 2_654_435_761 + self.number as u64 * 40_503) >> 7;
            let register = (dice % REGISTERS as u64) as usize;
            match (dice / 8) % 5 {
                0 | 1 => self.write(register, None),
                2 => {
                    let tag = self.found[register].1.clone();
                    self.write(register, tag);
                }
                _ => self.read(register),
            }
            std::thread::sleep(THINK);
        }
    }

    fn now(&self) -> u64 {
        self.shared.started.elapsed().as_nanos() as u64
    }

    fn note(&self, register: usize, action: Action, asked: u64, answered: Option<u64>) {
        let operation = Operation {
            client: self.number,
            register: format!("r{register}"),
            action,
            asked,
            answered,
        };
        self.shared.seen.lock().unwrap().history.push(operation);
    }

    fn ask(&self, request: &str, headers: &[String], body: &str) -> io::Result<Answer> {
        ask(
            &self.shared.sockets[self.at],
            request,
            headers,
            body,
            ANSWER,
        )
    }

    fn go_elsewhere(&mut self) {
        self.at = (self.at + 1) % self.shared.sockets.len();
    }

    fn read(&mut self, register: usize) {
        let (asked, begin) = (self.now(), Instant::now());
        while begin.elapsed() < INSIST {
            let answer = self.ask(&format!("GET /v1/stacks/r{register}"), &[], "");
            match answer {
                Ok(answer) if answer.header("coax-stale").is_some() => {
                    self.shared.seen.lock().unwrap().flagged += 1;
                }
                Ok(answer) if [200, 404].contains(&answer.status) => {
                    let found = value(&answer);
                    let tag = answer.header("etag").map(str::to_owned);
                    self.found[register] = (found, tag);
                    let answered = Some(self.now());
                    return self.note(register, Action::Read(found), asked, answered);
                }
                _ => {}
            }
            self.go_elsewhere();
        }
    }

    /// With an entity tag: only if that is still the one.
    fn write(&mut self, register: usize, tag: Option<String>) {
        let new = self.number as u64 * 1_000_000 + self.asked;
        let reason = format!("c{}-{}", self.number, self.asked);
        let mut headers = vec![format!("Idempotency-Key: {reason}")];
        let expected = self.found[register].0;
        headers.extend(tag.iter().map(|tag| format!("If-Match: {tag}")));
        let action = |done| match &tag {
            None => Action::Write(Some(new)),
            Some(_) => Action::CompareAndSet {
                expected,
                new: Some(new),
                done,
            },
        };
        let request = format!("PUT /v1/stacks/r{register}?reason={reason}");
        let body = file(&format!("r{register}"), new);
        let (asked, begin) = (self.now(), Instant::now());
        while begin.elapsed() < INSIST {
            match self.ask(&request, &headers, &body) {
                Ok(answer) if answer.status == 200 => {
                    self.note(register, action(Some(true)), asked, Some(self.now()));
                    let revision = answer.body["revision"].as_u64().unwrap();
                    self.shared.written.fetch_add(1, Ordering::Relaxed);
                    let mut seen = self.shared.seen.lock().unwrap();
                    return seen.acknowledged.push((reason, revision));
                }
                Ok(answer) if answer.status == 412 => {
                    return self.note(register, action(Some(false)), asked, Some(self.now()));
                }
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
                Err(_) => {}
            }
            self.go_elsewhere();
        }
        self.note(register, action(None), asked, None);
    }
}
