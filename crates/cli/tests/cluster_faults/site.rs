//! Three members of an etcd and three controllers, each in a network namespace of its own, around a bridge.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use coax_netlink::{Namespace, ScopedNamespace};
use tempfile::TempDir;

use super::certificates::Certificates;

/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of each kind.
pub const COUNT: usize = 3;

/// Lets nothing in or out, as a fabric that lost the machine.
const CUT: &str = "table inet cut {
  chain in { type filter hook input priority 0; iif lo accept; drop; }
  chain out { type filter hook output priority 0; oif lo accept; drop; }
}";

/// A machine with one process.
pub struct Machine {
    namespace: ScopedNamespace,
    address: String,
    folder: PathBuf,
    process: Option<Child>,
}

/// Everything.
pub struct Site {
    pub members: Vec<Machine>,
    pub controllers: Vec<Machine>,
    bridge: ScopedNamespace,
    folder: TempDir,
    /// Of the etcd's own authority.
    certificates: Certificates,
}

fn run(namespace: &Namespace, program: &str, arguments: &[&str], input: &str) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    let mut child = namespace.spawn(&mut command).unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    assert!(
        child.wait().unwrap().success(),
        "{program} {arguments:?}\n{input}"
    );
}

impl Machine {
    fn new(bridge: &Namespace, number: usize, folder: PathBuf) -> Self {
        let namespace = ScopedNamespace::create("coax-faults").unwrap();
        let address = format!("10.77.0.{number}");
        fs::create_dir(&folder).unwrap();
        let lines = format!(
            "link add name eth0 type veth peer name m{number} netns {}\n\
             link set lo up\nlink set eth0 up\naddress add {address}/24 dev eth0\n",
            bridge.name()
        );
        run(&namespace, "ip", &["-batch", "-"], &lines);
        let lines = format!("link set m{number} master bridge up\n");
        run(bridge, "ip", &["-batch", "-"], &lines);
        Self {
            namespace,
            address,
            folder,
            process: None,
        }
    }

    fn start(&mut self, command: &mut Command) {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"));
        self.process = Some(self.namespace.spawn(quiet.stderr(log.unwrap())).unwrap());
    }

    /// With SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// No packet comes in or out any more, and nobody is told.
    pub fn cut_off(&self) {
        run(&self.namespace, "nft", &["-f", "-"], CUT);
    }

    pub fn heal(&self) {
        run(
            &self.namespace,
            "nft",
            &["delete", "table", "inet", "cut"],
            "",
        );
    }

    /// The controller's socket: reached by whoever is on its machine, also when that is cut off.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("controller.sock")
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.folder.display(), self.log());
        }
        self.kill();
    }
}

impl Site {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bridge = ScopedNamespace::create("coax-faults").unwrap();
        let lines = "link add name bridge type bridge\nlink set bridge up\n\
                     address add 10.77.0.1/24 dev bridge\n";
        run(&bridge, "ip", &["-batch", "-"], lines);
        let machine = |kind: &str, number: usize| {
            Machine::new(
                &bridge,
                number,
                folder.path().join(format!("{kind}{number}")),
            )
        };
        let members = (0..COUNT).map(|it| machine("etcd", 11 + it)).collect();
        let controllers = (0..COUNT)
            .map(|it| machine("controller", 21 + it))
            .collect();
        let mut site = Self {
            members,
            controllers,
            bridge,
            folder,
            certificates: Certificates::new(),
        };
        (0..COUNT).for_each(|number| site.start_member(number));
        site.make_deployment();
        site.start_controller(0);
        site.wait_for_controller(0);
        (1..COUNT).for_each(|number| site.invite_controller(number));
        (1..COUNT).for_each(|number| site.start_controller(number));
        (1..COUNT).for_each(|number| site.wait_for_controller(number));
        site
    }

    /// Starts a member of the etcd, and does not wait.
    pub fn start_member(&mut self, number: usize) {
        let peers = self.members.iter().enumerate();
        let peers = peers.map(|(number, it)| format!("e{number}=https://{}:2380", it.address));
        let peers = peers.collect::<Vec<_>>().join(",");
        let member = &mut self.members[number];
        let mut command = Command::new("etcd");
        let url = |port| format!("https://{}:{port}", member.address);
        let (client, peer) = (url(2379), url(2380));
        let name = format!("e{number}");
        let [cert, key] = self.certificates.member(&name, &[&member.address]);
        let authority = self.certificates.authority();
        for kind in ["", "peer-"] {
            let file = |flag: &str, path: &Path| format!("--{kind}{flag}={}", path.display());
            command
                .arg(file("cert-file", &cert))
                .arg(file("key-file", &key))
                .arg(file("trusted-ca-file", &authority))
                .arg(format!("--{kind}client-cert-auth"));
        }
        command
            .args(["--name", &name, "--data-dir"])
            .arg(member.folder.join("data"))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &peers])
            .args([
                "--listen-metrics-urls",
                &format!("http://{}:2381", member.address),
            ])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(["--logger", "zap", "--log-level", "error"]);
        member.start(&mut command);
    }

    /// Runs `coax` with these words on the machine of a controller, whose folder comes last, and returns what it prints.
    fn coax(&self, number: usize, words: &[&str]) -> String {
        let output = self.run(number, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, number: usize, words: &[&str]) -> Output {
        let controller = &self.controllers[number];
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command.args(words).arg(&controller.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let child = controller.namespace.spawn(&mut command).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The same words where they are refused: what is said.
    fn refused(&self, number: usize, words: &[&str]) -> String {
        let output = self.run(number, words);
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The first controller makes the deployment.
    fn make_deployment(&self) {
        let members = self.members.iter();
        let members = members.map(|it| format!("{}:2379", it.address));
        let members = members.collect::<Vec<_>>().join(",");
        let address = self.controllers[0].address.as_str();
        let init = ["init", "--yes", "--no-host", "--address", address];
        let plain = format!("etcd://{members}");
        let refused = self.refused(0, &[&init[..], &["--store", &plain, "--folder"]].concat());
        assert!(refused.starts_with("error[etcd-plain]"), "{refused}");

        let store = format!("https://{members}");
        let client = self.certificates.client("controllers");
        let [cacert, cert, key] =
            [client.cacert, client.cert, client.key].map(|it| it.display().to_string());
        let secured = [
            "--store",
            &store,
            "--store-cacert",
            &cacert,
            "--store-cert",
            &cert,
            "--store-key",
            &key,
            "--folder",
        ];
        self.coax(0, &[&init[..], &secured].concat());
    }

    /// The others join it, each with a token of its own.
    fn invite_controller(&self, number: usize) {
        let api = format!("unix:{}", self.controllers[0].socket().display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        let printed = command
            .args(["controller", "invite", "--api", &api])
            .output();
        let token = String::from_utf8(printed.unwrap().stdout).unwrap();
        // A machine that was to be a host is told, before anything is asked of anybody.
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        let refused = command
            .args(["join", token.trim(), "--folder", "/nowhere"])
            .output();
        let told = String::from_utf8(refused.unwrap().stderr).unwrap();
        assert!(told.contains("`coax init --join TOKEN` takes it"), "{told}");
        let address = self.controllers[number].address.as_str();
        let join = [
            "init",
            "--yes",
            "--join",
            token.trim(),
            "--address",
            address,
            "--folder",
        ];
        self.coax(number, &join);
        // The same command again changes nothing, and needs no token that counts.
        self.coax(number, &join);
        self.has_what_gets_into_etcd(number);
    }

    /// What came with the token is in files that only their owner reads.
    fn has_what_gets_into_etcd(&self, number: usize) {
        let [own, given] =
            [0, number].map(|it| self.controllers[it].folder.join("controller/etcd"));
        for name in ["cacert.pem", "cert.pem", "key.pem"] {
            let mode = fs::metadata(given.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            let [own, given] = [&own, &given].map(|it| fs::read(it.join(name)).unwrap());
            assert_eq!(own, given, "{name}");
        }
    }

    /// Starts a controller with what `init` wrote, and does not wait.
    pub fn start_controller(&mut self, number: usize) {
        let controller = &mut self.controllers[number];
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command
            .args(["controller", "--history", "100000", "--config"])
            .arg(controller.folder.join("controller.yaml"));
        controller.start(&mut command);
    }

    pub fn wait_for_controller(&self, number: usize) {
        let socket = self.controllers[number].socket();
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = super::clients::ask(&socket, "GET /readyz", &[], "", PATIENCE);
            if answer.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(Instant::now() < end, "{}", self.controllers[number].log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The member that leads the others.
    pub fn leader(&self) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut numbers = 0..COUNT;
            if let Some(number) = numbers.find(|number| self.is_leader(*number)) {
                return number;
            }
            assert!(Instant::now() < end, "nobody leads");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_leader(&self, number: usize) -> bool {
        let address: SocketAddr = format!("{}:2381", self.members[number].address)
            .parse()
            .unwrap();
        let metrics = self.bridge.run(|| {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            let request = "GET /metrics HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text)
        });
        let metrics = metrics.unwrap();
        metrics.is_some_and(|text| text.contains("etcd_server_is_leader 1"))
    }

    /// Ends everything, and looks for anything that is left.
    pub fn leaves_nothing(mut self) {
        let machines = self.members.iter().chain(&self.controllers);
        let processes = machines.filter_map(|it| Some(it.process.as_ref()?.id()));
        let processes: Vec<u32> = processes.collect();
        assert_eq!(processes.len(), 2 * COUNT);
        let machines = self.members.iter_mut().chain(&mut self.controllers);
        machines.for_each(Machine::kill);
        let folder = self.folder.path().to_owned();
        drop(self);
        assert!(!folder.exists());
        for process in processes {
            assert!(!Path::new(&format!("/proc/{process}")).exists());
        }
        let own = format!("coax-faults-{}-", std::process::id());
        let left = Namespace::list().unwrap();
        let left: Vec<String> = left.into_iter().filter(|it| it.starts_with(&own)).collect();
        assert_eq!(left, Vec::<String>::new());
    }
}
