//! A VM that bridges two of its ports, with a real bridge: the agent's own canary finds it, one of the ports is shut, and others
//! lose nothing while the loop runs and is found.

use std::path::Path;
use std::time::{Duration, Instant};

use coax_lab::measure::udp::{self, Flow, Stream};
use serde_json::Value;

use super::{Lab, drops, until};

const STACK: &str = "
version: 1
project: loop
networks:
  ring: { subnets: [10.68.0.0/24, 'fd00:68::/64'] }
ports:
  left:  { network: ring, host: hv1 }
  right: { network: ring, host: hv1 }
  calm:  { network: ring, host: hv1 }
  other: { network: ring, host: hv4 }
";

/// In which a loop has to be found.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends broadcasts into the bridge that its ports may send, so that they go round until something stops them.
const NOISE: &str = "import socket,sys,time
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('br0',0))
own=bytes.fromhex(sys.argv[1].replace(':',''))
while True:
 s.send(b'\\xff'*6+own+b'\\x88\\xb6'+bytes(46)); time.sleep(0.01)
";

pub fn are_found(lab: &Lab, folder: &Path) {
    let stack = folder.join("loop.yaml");
    std::fs::write(&stack, STACK).unwrap();
    lab.done(&["apply", "-f", stack.to_str().unwrap()]);
    lab.done(&["lab", "status", &lab.name(), "--wait", "30s"]);
    let flows = [false, true].map(|ipv6| stream(lab, ipv6));
    assert_eq!(udp::wait_for_all(&flows, 100, PATIENCE), 2);

    // Both cards in one VM, and a bridge over them.
    let left = lab.vm_namespace("loop/left");
    for command in [
        "ip link set eth0 down",
        "ip link set eth0 name eth1",
        &format!("ip link set eth1 netns {left}"),
    ] {
        lab.at("loop/right", command);
    }
    for command in [
        "ip link add br0 type bridge",
        "ip link set eth0 master br0",
        "ip link set eth1 master br0",
        "ip link set eth1 up",
    ] {
        lab.at("loop/left", command);
    }
    let noise = folder.join("noise.py");
    std::fs::write(&noise, NOISE).unwrap();
    lab.at("loop/left", "ip link set br0 up");
    let closed = Instant::now();
    let mac = lab.port("loop/left")["mac"].as_str().unwrap().to_owned();
    let words = format!("lab exec loop/left -- python3 {} {mac}", noise.display());
    let noise = lab.start(&words.split(' ').collect::<Vec<_>>());
    let ports = ["loop/left", "loop/right"];
    until("the loop", || {
        let found = ports.map(|port| drops(lab, port));
        let seen = found.iter().any(|drops| drops.contains_key("loop"));
        seen.then_some(()).ok_or(format!("{found:?}"))
    });
    let took = closed.elapsed();
    println!("the loop was found after {took:?}");
    assert!(took < PATIENCE, "{took:?}");
    let told = until("the event", || {
        let words = ["events", "--kind", "guard-began", "-o", "json"];
        let events: Vec<Value> = serde_json::from_str(&lab.done(&words)).unwrap();
        let mut of_loop = events.iter().filter(|event| {
            let object = event["object"].as_str().unwrap();
            ports.contains(&object) && event["code"] == "port-shut"
        });
        of_loop.next().cloned().ok_or(format!("{events:?}"))
    });
    let (shut, message) = (&told["object"], told["message"].as_str().unwrap());
    assert!(message.contains("by its guard `loop`"), "{message}");
    let shown = lab.done(&["port", "show", shut.as_str().unwrap()]);
    assert!(shown.contains("by its guard `loop`"), "{shown}");

    // It goes on bridging while one of its ports is shut.
    assert_eq!(udp::wait_for_all(&flows, 500, PATIENCE), 2);
    drop(noise);
    for report in udp::finish_all(flows.into()).unwrap() {
        println!("beside the loop: {} of {} lost", report.lost, report.sent);
        assert!(report.lost * 100 < report.sent, "{report:?}");
    }
}

/// From a port on the same hypervisor to one on another.
fn stream(lab: &Lab, ipv6: bool) -> Flow {
    let to = lab.port("loop/other");
    let address = to["addresses"][usize::from(ipv6)].as_str().unwrap();
    let stream = Stream {
        to: (
            address.parse::<std::net::IpAddr>().unwrap(),
            7100 + u16::from(ipv6),
        )
            .into(),
        rate: 1000,
        size: 64,
        from_port: 0,
    };
    udp::flow(
        &lab.namespace("loop/calm"),
        &lab.namespace("loop/other"),
        stream,
    )
    .unwrap()
}
