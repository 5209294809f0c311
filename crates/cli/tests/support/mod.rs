//! Running the real binary, and an API that always answers the same.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run of `coax` left behind.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// All of it, for snapshots.
    pub fn transcript(&self) -> String {
        format!(
            "exit code {}\n-- stdout\n{}-- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary, without anything of the environment that could change what it says.
pub fn coax(arguments: &[&str], socket: Option<&Path>, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("COLUMNS", "80");
    if let Some(socket) = socket {
        command.env("COAX_API", format!("unix:{}", socket.display()));
    }
    command
}

/// Runs the binary with this standard input.
pub fn run(arguments: &[&str], socket: Option<&Path>, directory: &Path, input: &str) -> Run {
    let mut child = coax(arguments, socket, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// An API whose answers are fixed.
pub struct FixedApi {
    directory: tempfile::TempDir,
}

/// Status and JSON for a request line like `GET /v1/ports`.
pub type Answers = fn(&str) -> (u16, String);

impl FixedApi {
    /// Listens on a socket of its own until the test ends.
    pub fn start(answers: Answers) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("api.sock")).unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                answer(connection.unwrap(), answers);
            }
        });
        Self { directory }
    }

    /// Where it listens.
    pub fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("api.sock")
    }

    /// Runs `coax` against it.
    pub fn coax(&self, arguments: &[&str]) -> Run {
        self.coax_with(arguments, "")
    }

    /// Runs `coax` against it with this standard input.
    pub fn coax_with(&self, arguments: &[&str], input: &str) -> Run {
        let directory = self.directory.path();
        run(
            arguments,
            Some(&directory.join("api.sock")),
            directory,
            input,
        )
    }
}

fn answer(mut connection: UnixStream, answers: Answers) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, text) = answers(request.trim_end_matches(" HTTP/1.1\r\n"));
    let head = format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n");
    write!(
        connection,
        "{head}content-length: {}\r\n\r\n{text}",
        text.len()
    )
    .unwrap();
}
