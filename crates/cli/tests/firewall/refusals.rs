//! Who is rejected on the receiver's host: the client's own kernel says so at once, although the packet came through a tunnel
//! over veth pairs. Its host knows an older rule, or it is behind a foreign tunnel endpoint.

use std::path::Path;

use serde_json::Value;

use super::lab::{Running, example, until};
use super::{Tiers, read};

/// A connection, a datagram of one byte and one of many; what the kernel says about each, and how long that took at most.
const TRY: &str = "import errno,socket,sys,time\n\
     family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n\
     to=(sys.argv[1],443); most=0\n\
     for kind,data in (('tcp',None),('udp',b'x'),('udp',b'x'*9000)):\n \
      s=socket.socket(family,socket.SOCK_DGRAM if data else socket.SOCK_STREAM); s.settimeout(2)\n \
      began=time.monotonic(); word='nothing'\n \
      try:\n  \
       s.connect(to)\n  \
       if data: s.send(data); s.recv(9)\n \
      except OSError as e: word=errno.errorcode.get(e.errno,'silence')\n \
      most=max(most,time.monotonic()-began); print(kind,word)\n\
     print('at once' if most<0.5 else most)\n";

/// A prohibition is `EHOSTUNREACH` in IPv4 and `EACCES` in IPv6; a closed port of the VM itself would be `ECONNREFUSED`.
const REFUSED: [&str; 2] = [
    "tcp ECONNREFUSED\nudp EHOSTUNREACH\nudp EHOSTUNREACH\nat once\n",
    "tcp ECONNREFUSED\nudp EACCES\nudp EACCES\nat once\n",
];

/// A connection that stands, and on which much is sent when the file `go` is there: its kernel sends many segments as one.
const STAND: &str = "import errno,os,socket,sys,time\n\
     def say(text):\n \
      open(sys.argv[3]+'~','w').write(text); os.replace(sys.argv[3]+'~',sys.argv[3])\n\
     s=socket.create_connection((sys.argv[1],443),2); s.settimeout(3); s.sendall(b'x\\n'); s.recv(99); say('stands')\n\
     while not os.path.exists(sys.argv[2]): time.sleep(0.02)\n\
     try:\n \
      while True: s.sendall(b'y'*40000)\n\
     except OSError as e: say(errno.errorcode.get(e.errno,'silence'))\n";

const ALLOWED: &str = "allow: [tcp/443, tcp/8000-8080] }";
const PINGED: &str = "to: group/web, allow: [icmp/8, icmpv6/128] }";

/// A machine that knows nothing of Coax: the kernel's vxlan device on a leaf.
const LEAF: &str = "leaf1";
const FOREIGN: [&str; 2] = ["10.20.1.99/24", "fd00:20:1::99/64"];

pub fn are_told_through_tunnels(tiers: &Tiers) {
    let script = tiers.folder.path().join("try.py");
    std::fs::write(&script, TRY).unwrap();
    let tried = |from: &str, ipv6: bool| {
        let to = tiers.address("web-1", ipv6);
        let words = format!("lab exec {from} -- python3 {} {to}", script.display());
        let output = tiers.lab.run(&words.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match said == REFUSED[usize::from(ipv6)] {
            true => Ok(()),
            false => Err(format!("{from}: {said}")),
        }
    };
    let vtep = loopback(tiers, LEAF);
    let vteps = format!("vteps:\n  legacy: {{ address: {vtep}, networks: [web] }}\n");
    // The file says where a VM is wanted, so it has to say where it is now.
    let stack = |text: &str, services: &str| {
        text.replace("network: db,  host: hv3", "network: db,  host: hv5")
            .replace(ALLOWED, services)
            + &vteps
    };
    // What the sender's host lets pass, also when it hears of nothing any more.
    tiers.apply(|text| stack(text, "allow: [any] }"));
    let go = tiers.folder.path().join("go");
    let standing = [false, true].map(|ipv6| stand(tiers, ipv6, &go));
    tiers.lab.done(&["lab", "break", "agent", "hv4"]);
    let text = std::fs::read_to_string(example("three-tier.yaml")).unwrap();
    let rejecting =
        stack(&text, "reject: [any] }").replace(PINGED, "to: group/web, reject: [any] }");
    let path = tiers.folder.path().join("rejecting.yaml");
    std::fs::write(&path, rejecting).unwrap();
    let path = path.to_str().unwrap();
    tiers
        .lab
        .done(&["apply", "--ignore-checks", "--wait", "stored", "-f", path]);
    for ipv6 in [false, true] {
        until("a refusal by the receiver", || tried("client-2", ipv6));
    }
    std::fs::write(&go, "").unwrap();
    for (_running, told) in &standing {
        until("the end of a connection", || {
            let said = read(told);
            (said == "ECONNRESET").then_some(()).ok_or(said)
        });
    }
    stand_beside(tiers, &vtep);
    for ipv6 in [false, true] {
        until("a refusal to a foreign machine", || tried(LEAF, ipv6));
    }
}

/// Opens a connection from client-2 to web-1; the file tells what became of it.
fn stand(tiers: &Tiers, ipv6: bool, go: &Path) -> (Running, std::path::PathBuf) {
    let path = tiers.folder.path().join("stand.py");
    std::fs::write(&path, STAND).unwrap();
    let told = tiers.folder.path().join(format!("stands-{ipv6}"));
    let (path, to) = (path.display(), tiers.address("web-1", ipv6));
    let words = format!(
        "lab exec client-2 -- python3 {path} {to} {} {}",
        go.display(),
        told.display()
    );
    let running = tiers.lab.start(&words.split(' ').collect::<Vec<_>>());
    until("a connection that stands", || {
        let said = read(&told);
        (said == "stands").then_some(()).ok_or(said)
    });
    (running, told)
}

/// The address that others reach a node by.
fn loopback(tiers: &Tiers, node: &str) -> String {
    let shown = tiers
        .lab
        .at(node, "ip -j -4 address show dev lo scope global");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let mut addresses = shown[0]["addr_info"].as_array().unwrap().iter();
    let address = addresses.find_map(|it| it["local"].as_str());
    address.unwrap().to_owned()
}

/// Gives the leaf a place in the network `web`, where it knows web-1 without asking.
fn stand_beside(tiers: &Tiers, vtep: &str) {
    let network = tiers.lab.done(&["network", "show", "web", "-o", "json"]);
    let network: Value = serde_json::from_str(&network).unwrap();
    let (vni, mtu) = (&network["vni"], &network["mtu"]);
    let on_leaf = |words: String| tiers.lab.at(LEAF, &format!("ip {words}"));
    let hypervisor = loopback(tiers, "hv1");
    on_leaf(format!(
        "link add vx type vxlan id {vni} local {vtep} remote {hypervisor} dstport 4789"
    ));
    on_leaf(format!("link set vx up mtu {mtu}"));
    let port = tiers.lab.port("web-1");
    let mac = port["mac"].as_str().unwrap();
    for (own, ipv6) in FOREIGN.into_iter().zip([false, true]) {
        let nodad = if ipv6 { " nodad" } else { "" };
        on_leaf(format!("address add {own} dev vx{nodad}"));
        let web = tiers.address("web-1", ipv6);
        on_leaf(format!("neighbour replace {web} lladdr {mac} dev vx"));
    }
}
