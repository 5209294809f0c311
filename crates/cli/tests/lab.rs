//! Whole labs with the real controller, agents and kernel: life and death, side by side, moves, faults,
//! and at the end of each the books: no frame vanishes. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../store/tests/server/certificates.rs"]
mod certificates;
#[path = "lab/moving.rs"]
mod moving;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use coax_lab::LabName;
use coax_lab::demo::world::World;
use coax_lab::fault::Target;
use coax_lab::measure::udp::{self, Stream};
use coax_lab::measure::{self, tcp};
use coax_lab::process::ProcessId;
use coax_lab::state::Record;
use coax_netlink::Namespace;
use tokio::runtime::Runtime;

const LIMIT: Duration = Duration::from_secs(20);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn example(file: &str) -> String {
    examples().join(file).to_string_lossy().into_owned()
}

/// A lab that is gone with the test, whatever becomes of the test.
struct Lab {
    name: LabName,
    runtime: Runtime,
}

impl Lab {
    fn up(letter: char) -> Self {
        let name: LabName = format!("t{letter}{}", std::process::id()).parse().unwrap();
        let lab = Self {
            name,
            runtime: Runtime::new().unwrap(),
        };
        let file = example("leaf-spine.yaml");
        lab.done(&["lab", "up", &file, "--name", lab.name.as_str()]);
        lab
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command
            .args(arguments)
            .env_remove("COAX_API")
            .env("COAX_LAB", self.name.as_str());
        command.output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let errors = text(&output.stderr);
        assert!(
            output.status.success(),
            "coax {}:\n{errors}",
            arguments.join(" ")
        );
        text(&output.stdout)
    }

    fn world(&self) -> World {
        World::open(&self.name, self.runtime.handle().clone()).unwrap()
    }

    /// A lab with the example's networks and VMs.
    fn with_shop(letter: char) -> (Self, World) {
        let lab = Self::up(letter);
        lab.done(&["apply", "-f", &example("shop.yaml")]);
        lab.done(&["lab", "status", lab.name.as_str(), "--wait", "20s"]);
        let world = lab.world();
        (lab, world)
    }

    fn processes(&self) -> Vec<ProcessId> {
        Record::load(&self.name)
            .unwrap()
            .processes
            .into_values()
            .collect()
    }

    /// Takes the lab down and looks for anything that is left.
    fn leaves_nothing(&self, processes: &[ProcessId]) {
        self.done(&["lab", "down", self.name.as_str()]);
        let ours = |name: &String| name.starts_with(&self.name.namespace(""));
        let namespaces: Vec<String> = Namespace::list()
            .unwrap()
            .into_iter()
            .filter(ours)
            .collect();
        assert_eq!(namespaces, Vec::<String>::new());
        assert!(!self.name.folder().exists());
        let pins = self.name.pins(&"hv1".parse().unwrap());
        assert!(!pins.exists(), "{}", pins.display());
        assert!(processes.iter().all(|process| !process.is_alive()));
        let again = self.done(&["lab", "down", self.name.as_str()]);
        assert_eq!(again, "");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let gone = self.run(&["lab", "down", self.name.as_str()]);
        assert!(std::thread::panicking() || gone.status.success());
    }
}

fn assert_balanced(world: &World, lossless_fabric: bool) {
    let ledger = world.ledger().unwrap();
    assert!(ledger.is_balanced(), "{ledger:#?}");
    assert_eq!(ledger.hosts.len(), 6);
    if lossless_fabric {
        assert_eq!(ledger.lost_in_fabric(), 0, "{ledger:#?}");
    }
}

fn assert_all_reach_each_other(world: &World) {
    for ports in world.networks().unwrap().values() {
        assert_eq!(world.silent_pairs(ports).unwrap(), Vec::<String>::new());
    }
}

fn stream(world: &World, from: &str, to: &str, number: u16) -> udp::Flow {
    let stream = Stream {
        to: world.socket(to, false, number).unwrap(),
        rate: 1000,
        size: 64,
        from_port: 0,
    };
    udp::flow(&world.vm(from).unwrap(), &world.vm(to).unwrap(), stream).unwrap()
}

#[test]
fn a_lab_lives_and_leaves_nothing() {
    let (lab, world) = Lab::with_shop('l');
    assert_all_reach_each_other(&world);
    assert!(lab.done(&["lab", "list"]).contains(lab.name.as_str()));
    assert!(
        lab.done(&["graph", lab.name.as_str()])
            .contains("shop/web-1")
    );
    assert!(
        lab.done(&["graph", lab.name.as_str(), "--format", "svg"])
            .starts_with("<svg")
    );

    let code = lab
        .run(&["lab", "exec", "web-1", "--", "sh", "-c", "exit 7"])
        .status
        .code();
    assert_eq!(code, Some(7));
    let addresses = lab.done(&["lab", "exec", "shop/web-1", "--", "ip", "-brief", "address"]);
    assert!(addresses.contains("10.10.1.2/24"), "{addresses}");
    let measure = [
        "lab",
        "measure",
        "web-1",
        "shop/web-4",
        "--time",
        "1s",
        "-o",
        "json",
    ];
    let measured = lab.done(&measure);
    assert!(measured.contains("\"lost\": 0"), "{measured}");
    let unknown = lab.run(&["lab", "exec", "web-77", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_balanced(&world, true);
    lab.leaves_nothing(&lab.processes());
}

#[test]
fn down_cleans_up_after_any_crash() {
    let lab = Lab::up('c');
    let processes = lab.processes();
    assert_eq!(processes.len(), 8);
    // Half of the processes crash, a namespace is torn out, a stranger sits in another.
    processes
        .iter()
        .step_by(2)
        .for_each(|process| process.kill());
    Namespace::delete(&lab.name.namespace("leaf2")).unwrap();
    let spine = Namespace::open(&lab.name.namespace("spine1")).unwrap();
    let mut stranger = spine.spawn(Command::new("sleep").arg("600")).unwrap();
    lab.leaves_nothing(&processes);
    assert!(!stranger.wait().unwrap().success());

    let lab = Lab::up('r');
    let processes = lab.processes();
    // Without the record only what is inside the namespaces is found; the supervisor is not.
    processes.iter().for_each(|process| process.kill());
    std::fs::remove_dir_all(lab.name.folder()).unwrap();
    lab.leaves_nothing(&processes);
}

#[test]
fn two_labs_stand_side_by_side() {
    let ((one, first), (two, second)) = (Lab::with_shop('a'), Lab::with_shop('b'));
    assert_all_reach_each_other(&first);
    assert_all_reach_each_other(&second);
    drop(one);
    assert_all_reach_each_other(&second);
    assert_balanced(&second, true);
    two.leaves_nothing(&two.processes());
}

#[test]
fn a_vm_moves_with_its_sessions() {
    let (lab, world) = Lab::with_shop('m');
    let [client, server] = ["shop/web-1", "shop/web-2"].map(|port| world.vm(port).unwrap());
    let address = world.socket("shop/web-2", true, 5000).unwrap();
    let session = tcp::session(&client, &server, address, Duration::from_millis(2)).unwrap();
    for host in ["hv5", "hv1", "hv2"] {
        let flow = stream(&world, "shop/web-1", "shop/web-2", 5001);
        assert!(flow.wait_for(100, LIMIT));
        lab.done(&["lab", "migrate", "shop/web-2", host]);
        assert!(flow.wait_for(100, LIMIT));
        let report = flow.finish().unwrap();
        assert_eq!(report.duplicated, 0, "{report:?}");
        assert!(report.longest_gap_ms < 1000.0, "{report:?}");
        let port = world.port("shop/web-2").unwrap();
        assert_eq!(port.host.as_deref(), Some(host));
    }
    assert!(session.finish().unwrap().alive);
    assert_all_reach_each_other(&world);
    assert_balanced(&world, true);
}

#[test]
fn traffic_survives_dead_daemons_and_cut_cables() {
    let (lab, world) = Lab::with_shop('f');
    let flow = stream(&world, "shop/web-1", "shop/web-4", 5000);
    assert!(flow.wait_for(50, LIMIT));
    for what in [&["agent", "hv1"][..], &["agent", "hv4"], &["controller"]] {
        lab.done(&[&["lab", "break"], what].concat());
        assert!(flow.wait_for(100, LIMIT));
        lab.done(&[&["lab", "heal"], what].concat());
        world.settle().unwrap();
        assert!(flow.wait_for(100, LIMIT));
    }
    the_authority_is_renewed(&lab, &world, &flow);
    let _moved = moving::into_etcd(&lab);
    assert!(flow.wait_for(100, LIMIT));
    let report = flow.finish().unwrap();
    assert_eq!((report.lost, report.duplicated), (0, 0), "{report:?}");
    assert_balanced(&world, true);

    let flow = stream(&world, "shop/web-1", "shop/web-4", 5001);
    for what in [
        &["uplink", "hv4", "1"][..],
        &["node", "spine2"],
        &["link", "hv1", "leaf1"],
    ] {
        lab.done(&[&["lab", "break"], what].concat());
        assert!(flow.wait_for(100, LIMIT), "{what:?}");
        lab.done(&[&["lab", "heal"], what].concat());
        assert!(flow.wait_for(100, LIMIT), "{what:?}");
    }
    flow.finish().unwrap();
    // A supervisor that was away finds what changed meanwhile.
    world.inflict(&Target::Supervisor).unwrap();
    let cut = Target::Uplink("hv3".into(), 1);
    world.inflict(&cut).unwrap();
    lab.done(&["lab", "heal", "supervisor"]);
    let web = world.networks().unwrap().remove("shop/web").unwrap();
    let converged = coax_lab::demo::world::eventually(LIMIT, || {
        world
            .silent_pairs(&web)
            .is_ok_and(|silent| silent.is_empty())
    });
    assert!(converged, "{:?}", world.silent_pairs(&web));
    world.heal(&cut).unwrap();
    assert_balanced(&world, false);
}

/// Agents move to a new authority while they forward. One that is away is named, and moves when it is back.
fn the_authority_is_renewed(lab: &Lab, world: &World, flow: &udp::Flow) {
    let status = || lab.done(&["authority", "show", "-o", "json"]);
    let waiting = |hosts: &str| {
        let wanted = format!("\"waiting_hosts\":[{hosts}]");
        let is_so = || status().replace(char::is_whitespace, "").contains(&wanted);
        assert!(
            coax_lab::demo::world::eventually(LIMIT, is_so),
            "{}",
            status()
        );
    };
    lab.done(&["lab", "break", "agent", "hv4"]);
    lab.done(&["authority", "renew"]);
    waiting("\"hv4\"");
    let refused = lab.run(&["authority", "finish"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        told.contains("renewal-cuts-off") && told.contains("hv4"),
        "{told}"
    );
    lab.done(&["lab", "heal", "agent", "hv4"]);
    waiting("");
    assert!(flow.wait_for(100, LIMIT));
    lab.done(&["authority", "finish"]);
    assert!(flow.wait_for(100, LIMIT));
    // Every agent is let in with what it has now, also from its disk.
    lab.done(&["lab", "break", "agent", "hv1"]);
    lab.done(&["lab", "heal", "agent", "hv1"]);
    world.settle().unwrap();
    lab.done(&["lab", "status", lab.name.as_str(), "--wait", "20s"]);
}

/// The whole main job is `cargo xtask demo`; here are the points that judge no speed.
#[test]
fn the_demo_passes_and_leaves_nothing() {
    let name = format!("t{}", std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
    command.args([
        "demo",
        "--points",
        "1,2,7,8,9",
        "-o",
        "json",
        "--name",
        &name,
    ]);
    let output = command.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    assert!(report.contains("\"passed\": true"), "{report}");
    let left = Namespace::list().unwrap();
    assert!(
        !left.iter().any(|namespace| namespace.contains(&name)),
        "{left:?}"
    );
}

#[test]
fn a_guest_that_sends_too_much_is_told() {
    let (lab, world) = Lab::with_shop('g');
    let mtu = world.port("shop/web-1").unwrap().mtu;
    // Both guests believe in larger frames than their network carries, so TCP agrees on too much.
    for port in ["shop/web-1", "shop/web-4"] {
        let vm = world.vm(port).unwrap();
        world.wait(async {
            let netlink = vm.netlink().unwrap();
            let card = netlink.link("eth0").await.unwrap().index;
            netlink.set_mtu(card, mtu + 60).await.unwrap();
        });
    }
    for v6 in [false, true] {
        let to = world.socket("shop/web-4", v6, 5000).unwrap();
        assert_eq!(tcp_upload(&world, to), 1 << 20);
        // From inside its network the guest was told what fits, and remembers.
        let target = to.ip().to_string();
        let route = lab.done(&["lab", "exec", "web-1", "--", "ip", "route", "get", &target]);
        assert!(route.contains(&format!("mtu {mtu}")), "{route}");
    }
    assert_balanced(&world, true);
}

/// Sends a mebibyte over TCP from web-1 to web-4; how many bytes arrived.
fn tcp_upload(world: &World, to: std::net::SocketAddr) -> usize {
    use std::io::{Read, Write};
    let server = world.vm("shop/web-4").unwrap();
    let listener = measure::run(&server, move || std::net::TcpListener::bind(to)).unwrap();
    let receiver = measure::start(&server, move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received)
    });
    let client = world.vm("shop/web-1").unwrap();
    measure::run(&client, move || {
        let mut stream = std::net::TcpStream::connect_timeout(&to, LIMIT)?;
        stream.write_all(&vec![7; 1 << 20])
    })
    .unwrap();
    receiver.join().unwrap()
}
