//! The controller: the real program, what it costs, and its violent end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use coax_api::{Client, Endpoint};

pub struct Controller {
    process: Child,
    /// Where agents find it.
    pub agents: String,
}

/// What a process has used up since its start.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub processor: Duration,
    pub resident_mib: f64,
}

impl Controller {
    /// Starts it in a folder, which becomes a deployment if it is none.
    pub fn start(folder: &Path, agents: &str) -> Self {
        let state = folder.join("state");
        if !state.exists() {
            coax_controller::Deployment::create(&state, SystemTime::now()).unwrap();
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_coax"))
            .args(["controller", "--state", "state", "--api", "unix:api.sock"])
            .args(["--agents", agents])
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let agents = loop {
            let mut line = String::new();
            let read = log.read_line(&mut line).unwrap();
            assert!(read > 0, "the controller ended at once");
            if line.contains("ready") {
                let address = line
                    .split_whitespace()
                    .find_map(|it| it.strip_prefix("agents="));
                break address.unwrap().to_owned();
            }
        };
        // Whoever logs must not be stopped by a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, agents }
    }

    /// As after a loss of power, and the next start.
    pub fn restart(&mut self, folder: &Path) {
        self.kill();
        *self = Self::start(folder, &self.agents);
    }

    fn kill(&mut self) {
        // It may have ended by itself; the wait reaps it in any case.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn client(folder: &Path) -> Client {
        Client::new(Endpoint::Unix(folder.join("api.sock")))
    }

    pub fn usage(&self) -> Usage {
        let file = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", self.process.id())).unwrap()
        };
        let status = file("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        // proc_pid_stat(5): behind the name, utime and stime are the 12th and 13th word, in hundredths of a second.
        let stat = file("stat");
        let words = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .skip(11)
            .take(2);
        let ticks: u64 = words.map(|word| word.parse::<u64>().unwrap()).sum();
        Usage {
            processor: Duration::from_millis(ticks * 10),
            resident_mib: kib.unwrap() / 1024.0,
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
    }
}
