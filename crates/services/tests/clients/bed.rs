//! A VM in a namespace, a host in another one, and a loop in the host that answers what the VM asks.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coax_services::stand::Stand;
use coax_services::{Answer, advertise, answer};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// The host's end of the cable.
const HOST_DEVICE: &str = "port";

/// See the module's text. Everything is gone when it is dropped.
pub struct Bed {
    /// What the host knows; tests may change it in between.
    pub stand: Arc<Mutex<Stand>>,
    /// The VM's device. No other test has one of this name, because clients keep files by it.
    pub device: String,
    /// What was answered so far.
    answers: Arc<Mutex<Vec<Answer>>>,
    host: String,
    vm: String,
    folder: PathBuf,
    socket: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bed {
    /// A VM that is plugged in and has no address yet.
    pub fn new(stand: Stand) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        let (host, vm) = (format!("services-{id}-host"), format!("services-{id}-vm"));
        let device = format!("vm{}n{number}", std::process::id() % 1_000_000);
        let folder = std::env::temp_dir().join(format!("services-{id}"));
        std::fs::create_dir_all(&folder).unwrap();
        for namespace in [&host, &vm] {
            ip(&["netns", "add", namespace]);
        }
        let mac = stand.port.mac.to_string();
        let quiet = "net.ipv6.conf.all.disable_ipv6=1";
        in_namespace(&host, &["sysctl", "-q", "-w", quiet]);
        // Addresses are good at once; duplicates are looked for elsewhere.
        for of in ["all", "default"] {
            let at_once = format!("net.ipv6.conf.{of}.accept_dad=0");
            in_namespace(&vm, &["sysctl", "-q", "-w", &at_once]);
        }
        in_namespace(
            &host,
            &[
                "ip",
                "link",
                "add",
                HOST_DEVICE,
                "type",
                "veth",
                "peer",
                "name",
                &device,
                "address",
                &mac,
                "netns",
                &vm,
            ],
        );
        in_namespace(&host, &["ip", "link", "set", HOST_DEVICE, "up"]);
        in_namespace(&vm, &["ip", "link", "set", "lo", "up"]);
        let socket = Arc::new(open_socket(&host));
        let stand = Arc::new(Mutex::new(stand));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (socket, stand) = (Arc::clone(&socket), Arc::clone(&stand));
            let (answers, stop) = (Arc::clone(&answers), Arc::clone(&stop));
            move || serve(&socket, &stand, &answers, &stop)
        });
        in_namespace(&vm, &["ip", "link", "set", &device, "up"]);
        let bed = Self {
            stand,
            device,
            answers,
            host,
            vm,
            folder,
            socket,
            stop,
            thread: Some(thread),
        };
        let addresses = ["ip", "-6", "addr", "show", "dev", &bed.device];
        bed.wait_until_shown(&addresses, "fe80::");
        bed
    }

    /// Runs a program in the VM and returns what it wrote, errors included.
    pub fn run(&self, command: &[&str]) -> (bool, String) {
        let output = output(&self.vm, command);
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Runs a program in the VM that has to succeed.
    pub fn must(&self, command: &[&str]) -> String {
        let (success, text) = self.run(command);
        assert!(
            success,
            "{command:?} failed: {text}\nanswered: {:?}",
            self.told()
        );
        text
    }

    /// Starts a program in the VM that goes on.
    pub fn spawn(&self, command: &[&str]) -> Child {
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        inside(&self.vm, command)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// A file of the test.
    pub fn file(&self, name: &str, contents: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// A shell script of the test.
    pub fn script(&self, contents: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file("script", &format!("#!/bin/sh\n{contents}"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// Where a file of the test is.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Ends the client that writes its number into the file `pid`.
    pub fn end_client(&self) {
        // The process in the background writes it after the one in front has ended: until then, that of the one before
        // stands there.
        let file = self.path("pid");
        let kill = format!("until pid=$(cat {file}) && kill $pid 2>/dev/null; do sleep 0.05; done");
        let gone = "while kill -0 $pid 2>/dev/null; do sleep 0.05; done";
        self.must(&["timeout", "10", "sh", "-c", &format!("{kill}; {gone}")]);
    }

    /// What is in a file that a client wrote.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Makes the VM know the gateways' MAC address, which the data plane would tell it.
    pub fn know_gateway(&self, address: &str) {
        let mac = self.stand.lock().unwrap().network.gateway_mac.to_string();
        let device = &self.device;
        self.must(&[
            "ip", "neigh", "replace", address, "lladdr", &mac, "dev", device,
        ]);
    }

    /// What was asked, and what came of it, in order.
    pub fn told(&self) -> Vec<String> {
        let answers = self.answers.lock().unwrap();
        let line = |answer: &Answer| format!("{} {}", answer.request, answer.outcome.name());
        answers.iter().map(line).collect()
    }

    /// The same without what the VM's kernel asks by itself.
    pub fn told_of_leases(&self) -> Vec<String> {
        let mut told = self.told();
        told.retain(|line| line.starts_with("dhcp"));
        told
    }

    /// Waits until that was asked and answered so.
    pub fn wait_for(&self, line: &str) {
        wait(&format!("`{line}` in {:?}", self.told()), || {
            self.told().iter().any(|told| told == line)
        });
    }

    /// Waits until a command in the VM writes something.
    pub fn wait_until_shown(&self, command: &[&str], wanted: &str) {
        let what = format!("{command:?} showing `{wanted}`");
        wait(&what, || self.run(command).1.contains(wanted));
    }

    /// Sends an advertisement that nobody asked for.
    pub fn advertise(&self, alive: bool) {
        let stand = self.stand.lock().unwrap();
        let frame = advertise(&stand.port, &stand.network, alive).unwrap();
        send(self.socket.as_raw_fd(), &frame, MsgFlags::empty()).unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            assert!(outcome.is_ok() || std::thread::panicking());
        }
        for namespace in [&self.vm, &self.host] {
            let _ = Command::new("ip")
                .args(["netns", "delete", namespace])
                .status();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Answers until it is told to stop. Requests are kept for the fuzz corpus where `SERVICES_CORPUS` names a folder.
fn serve(socket: &OwnedFd, stand: &Mutex<Stand>, answers: &Mutex<Vec<Answer>>, stop: &AtomicBool) {
    let corpus = std::env::var_os("SERVICES_CORPUS").map(PathBuf::from);
    let mut frame = vec![0; 10_000];
    while !stop.load(Ordering::Relaxed) {
        let length = match recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => panic!("the host's device: {error}"),
        };
        let request = &frame[..length];
        let answer = answer(request, &stand.lock().unwrap().asker());
        if let Some(reply) = &answer.frame {
            send(socket.as_raw_fd(), reply, MsgFlags::empty()).unwrap();
        }
        if answer.request != coax_services::Request::Other {
            if let Some(folder) = &corpus {
                keep(folder, &answer, request);
            }
            answers.lock().unwrap().push(answer);
        }
    }
}

fn keep(folder: &Path, answer: &Answer, request: &[u8]) {
    let (outcome, length) = (answer.outcome.name(), request.len());
    let name = format!("{}-{outcome}-{length}", answer.request);
    std::fs::write(folder.join(name), request).unwrap();
}

/// A socket that reads and writes whole frames of the host's device.
fn open_socket(namespace: &str) -> OwnedFd {
    let path = format!("/run/netns/{namespace}");
    let open = move || {
        let namespace = std::fs::File::open(path).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .unwrap();
        let patience = TimeVal::new(0, 100_000);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience).unwrap();
        bind(socket.as_raw_fd(), &device_address()).unwrap();
        socket
    };
    // The namespace is that of a thread, so it takes one of its own.
    std::thread::spawn(open).join().unwrap()
}

fn device_address() -> LinkAddr {
    getifaddrs()
        .unwrap()
        .filter(|interface| interface.interface_name == HOST_DEVICE)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .unwrap()
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

fn in_namespace(namespace: &str, command: &[&str]) {
    let output = output(namespace, command);
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn output(namespace: &str, command: &[&str]) -> Output {
    inside(namespace, command).output().unwrap()
}

fn inside(namespace: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", namespace])
        .args(arguments)
        .env_clear()
        .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")]);
    command
}
