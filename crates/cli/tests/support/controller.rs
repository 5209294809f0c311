//! A controller without hosts, for tests of what files do to it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::SystemTime;

use crate::support::{Run, coax, run};

/// Networks and ports of which nothing is chosen by the user.
pub const SHOP: &str = r#"version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24, "fd00:10:1::/64"] }
  db: { subnets: [10.10.2.0/24], mtu: 1400 }
ports:
  web-1: { network: web }
  web-2: { network: web, addresses: [10.10.1.77] }
  db-1: { network: db, mac: "02:00:00:00:00:01" }
vteps:
  legacy: { address: 192.0.2.99, networks: [web] }
"#;

/// A controller of its own, in a folder of its own.
pub struct Controller {
    process: Child,
    directory: tempfile::TempDir,
}

impl Controller {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        coax_controller::Deployment::create(&state, SystemTime::now()).unwrap();
        let process = start_in(directory.path());
        Self { process, directory }
    }

    /// As after a loss of power.
    pub fn restart(&mut self) {
        self.kill();
        self.process = start_in(self.directory.path());
    }

    pub fn kill(&mut self) {
        // One that is dead already is as wanted.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    pub fn coax(&self, arguments: &[&str]) -> Run {
        self.coax_with(arguments, "")
    }

    pub fn coax_with(&self, arguments: &[&str], input: &str) -> Run {
        run(
            arguments,
            Some(Path::new("api.sock")),
            self.directory.path(),
            input,
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a controller and waits until it says that it is ready.
fn start_in(directory: &Path) -> Child {
    let arguments = ["controller", "--state", "state", "--api", "unix:api.sock"];
    let agents = ["--agents", "127.0.0.1:0"];
    let mut process = coax(&[arguments.as_slice(), &agents].concat(), None, directory)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("ready") {
        let read = log.read_line(&mut told).unwrap();
        assert!(read > 0, "the controller ended at once:\n{told}");
    }
    // Whoever logs must not be stopped by a full pipe.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    process
}

/// The run must have ended with this code.
pub fn expect(run: &Run, code: i32) {
    assert_eq!(run.code, code, "{}", run.transcript());
}
