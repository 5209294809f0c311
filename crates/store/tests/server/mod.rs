//! An etcd of one member on loopback, with its data in a temporary folder. It can be killed and started
//! again on the same address.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use coax_store::Etcd;

pub struct Server {
    folder: tempfile::TempDir,
    client: u16,
    peer: u16,
    flags: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With flags of its own.
    pub fn start_with(flags: &[&str]) -> Self {
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            client: free_port(),
            peer: free_port(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            process: None,
        };
        server.run();
        server
    }

    /// Starts it, and does not wait.
    pub fn run(&mut self) {
        let url = |port| format!("http://127.0.0.1:{port}");
        let (client, peer) = (url(self.client), url(self.peer));
        let process = Command::new("etcd")
            .args(["--name", "one", "--data-dir"])
            .arg(self.folder.path().join("data"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}")])
            // A single member need not wait for the votes of others.
            .args(["--heartbeat-interval", "10", "--election-timeout", "60"])
            .args(&self.flags)
            .args(["--logger", "zap", "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package etcd-server is needed: `cargo xtask setup`");
        self.process = Some(process);
    }

    /// As after a loss of power.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }

    pub fn open(&self) -> Etcd {
        Etcd::open(&[self.address()]).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
