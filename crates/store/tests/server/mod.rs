//! An etcd of one member on loopback, with its data in a temporary folder. It can be killed and started
//! again on the same address.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod certificates;

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use coax_store::{Etcd, EtcdAccess, EtcdCredentials};

use certificates::Certificates;

pub struct Server {
    folder: tempfile::TempDir,
    client: u16,
    peer: u16,
    flags: Vec<String>,
    /// What it is reached with; none: without TLS.
    credentials: Option<EtcdCredentials>,
    process: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With flags of its own.
    pub fn start_with(flags: &[&str]) -> Self {
        Self::make(flags, None)
    }

    /// With TLS and certificates of an authority at both ends.
    pub fn start_secured(certificates: &Certificates) -> Self {
        let files = certificates.member("member", &["127.0.0.1"]);
        Self::start_with_certificate(certificates, files, true)
    }

    /// With this certificate and key. Clients may have to show one, too.
    pub fn start_with_certificate(
        certificates: &Certificates,
        [cert, key]: [PathBuf; 2],
        asks_clients: bool,
    ) -> Self {
        let authority = certificates.authority();
        let file = |flag: &str, path: &Path| format!("{flag}={}", path.display());
        let mut flags = vec![file("--cert-file", &cert), file("--key-file", &key)];
        if asks_clients {
            flags.push(file("--trusted-ca-file", &authority));
            flags.push("--client-cert-auth".to_owned());
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Self::make(&flags, Some(certificates.client("client")))
    }

    fn make(flags: &[&str], credentials: Option<EtcdCredentials>) -> Self {
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            client: free_port(),
            peer: free_port(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            credentials,
            process: None,
        };
        server.run();
        server
    }

    /// Starts it, and does not wait.
    pub fn run(&mut self) {
        let scheme = self.credentials.as_ref().map_or("http", |_| "https");
        let client = format!("{scheme}://127.0.0.1:{}", self.client);
        let peer = format!("http://127.0.0.1:{}", self.peer);
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

    /// Where it is, and how to get in.
    pub fn access(&self) -> EtcdAccess {
        EtcdAccess {
            members: vec![self.address()],
            credentials: self.credentials.clone(),
        }
    }

    /// The same with other files.
    pub fn access_with(&self, credentials: EtcdCredentials) -> EtcdAccess {
        EtcdAccess {
            credentials: Some(credentials),
            ..self.access()
        }
    }

    pub fn open(&self) -> Etcd {
        Etcd::open(&self.access()).unwrap()
    }

    /// Runs `etcdctl` with these words, once etcd answers, as the user that the certificate names or as another.
    pub fn etcdctl(&self, credentials: &EtcdCredentials, user: Option<&str>, words: &[&str]) {
        self.etcdctl_with(credentials, user, words, "");
    }

    /// The same with an input.
    pub fn etcdctl_with(
        &self,
        credentials: &EtcdCredentials,
        user: Option<&str>,
        words: &[&str],
        input: &str,
    ) {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--dial-timeout=20s", "--command-timeout=20s"])
            .arg(format!("--endpoints=https://{}", self.address()))
            .arg(format!("--cacert={}", credentials.cacert.display()))
            .arg(format!("--cert={}", credentials.cert.display()))
            .arg(format!("--key={}", credentials.key.display()))
            .args(user.map(|user| format!("--user={user}")))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("Debian's package etcd-client is needed: `cargo xtask setup`");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
    }

    /// Asks everybody for a user, and has one, `coax`, that may read and write the keys below this one. `root` has the password `root`.
    pub fn ask_for_users(&self, password: &str, prefix: &str) {
        let own = self.credentials.as_ref().expect("a secured one");
        for words in [
            &["user", "add", "root:root"][..],
            &["role", "add", "coax"],
            &[
                "role",
                "grant-permission",
                "coax",
                "readwrite",
                prefix,
                "--prefix",
            ],
            &["user", "add", &format!("coax:{password}")],
            &["user", "grant-role", "coax", "coax"],
            &["auth", "enable"],
        ] {
            self.etcdctl(own, None, words);
        }
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
