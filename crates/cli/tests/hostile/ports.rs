//! What ports may and may not do, on two hosts and with real packets: isolated ports, trunks, servers of one's own, and addresses
//! that several ports share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use coax_lab::measure::frames::{self, Capture};
use coax_lab::vm::parse_mac;
use coax_sim::craft;
use coax_wire::MacAddress;

use super::{Lab, Vm, drops, until};

const STACK: &str = "
version: 1
project: yard
networks:
  pen:   { subnets: [10.67.0.0/24, 'fd00:67::/64'] }
  alley: { subnets: [10.67.1.0/24, 'fd00:67:1::/64'] }
ports:
  iso-1:  { network: pen, host: hv1, isolated: true }
  iso-2:  { network: pen, host: hv4, isolated: true }
  hub:    { network: pen, host: hv4 }
  ha-1:   { network: pen, host: hv1, allowed_addresses: [10.67.0.100, 'fd00:67::100'] }
  ha-2:   { network: pen, host: hv4, allowed_addresses: [10.67.0.100, 'fd00:67::100'] }
  trunk:  { network: pen, host: hv1, trunk: { 7: alley } }
  end:    { network: alley, host: hv4 }
  server: { network: alley, host: hv1, may_serve: true }
";

/// How fast an announced address has to have moved.
const SECOND: Duration = Duration::from_secs(1);
const SHARED: [&str; 2] = ["10.67.0.100", "fd00:67::100"];

/// Announces an IPv4 and an IPv6 address: gratuitous ARP, and an advertisement that nobody has asked for.
const ANNOUNCE: &str = "import socket,sys
own=bytes.fromhex(sys.argv[1].replace(':','')); all=b'\\xff'*6
a=socket.inet_aton(sys.argv[2])
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('eth0',0))
s.send(all+own+b'\\x08\\x06\\0\\1\\x08\\0\\6\\4\\0\\1'+own+a+bytes(6)+a)
s=socket.socket(socket.AF_INET6,socket.SOCK_RAW,socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_MULTICAST_HOPS,255)
i=socket.if_nametoindex('eth0')
s.sendto(b'\\x88\\0\\0\\0\\x20\\0\\0\\0'+socket.inet_pton(socket.AF_INET6,sys.argv[3])+b'\\2\\1'+own,('ff02::1',0,0,i))
";

/// Says that it is a router.
const ADVERTISE: &str = "import socket
s=socket.socket(socket.AF_INET6,socket.SOCK_RAW,socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_MULTICAST_HOPS,255)
s.sendto(b'\\x86\\0\\0\\0\\x40\\0\\7\\x08'+bytes(8),('ff02::1',0,0,socket.if_nametoindex('eth0')))
";

struct Yard<'a> {
    lab: &'a Lab,
    folder: &'a Path,
}

pub fn keep_to_their_rights(lab: &Lab, folder: &Path) {
    let yard = Yard { lab, folder };
    let stack = yard.file("yard.yaml", STACK);
    lab.done(&["apply", "-f", &stack]);
    lab.done(&["lab", "status", &lab.name(), "--wait", "30s"]);
    yard.isolated();
    yard.trunks();
    yard.shared();
    yard.servers();
}

impl Yard<'_> {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn vm(&self, port: &str) -> Vm {
        Vm::of(self.lab, &format!("yard/{port}"))
    }

    fn pings(&self, from: &str, to: &str, wait: &str) -> bool {
        let words = format!("lab exec yard/{from} -- ping -n -c 1 -W {wait} {to}");
        let output = self.lab.run(&words.split(' ').collect::<Vec<_>>());
        output.status.success()
    }

    fn reaches(&self, from: &str, to: &str) {
        until(&format!("{from} to {to}"), || {
            self.pings(from, to, "1").then_some(()).ok_or(String::new())
        });
    }

    fn capture(&self, port: &str, filter: &str) -> Capture {
        let namespace = self.lab.namespace(&format!("yard/{port}"));
        Capture::start(&namespace, "eth0", filter).unwrap()
    }

    fn send(&self, port: &str, frames: Vec<Vec<u8>>) {
        let namespace = self.lab.namespace(&format!("yard/{port}"));
        frames::send(&namespace, "eth0", frames).unwrap();
    }

    fn dropped(&self, port: &str, reason: &str, at_least: u64) {
        until(&format!("{reason} of {port}"), || {
            let drops = drops(self.lab, &format!("yard/{port}"));
            match drops.get(reason) {
                Some(count) if *count >= at_least => Ok(()),
                _ => Err(format!("{drops:?}")),
            }
        });
    }

    /// Two isolated ports on two hosts reach a third port and not each other, by unicast and by broadcast.
    fn isolated(&self) {
        let (one, two, hub) = (self.vm("iso-1"), self.vm("iso-2"), self.vm("hub"));
        let captures = ["hub", "iso-2"].map(|port| self.capture(port, "ether proto 0x88b5"));
        let own = parse_mac(&one.mac).unwrap();
        let frame = frames::build([0xff; 6], own, &[0x88, 0xb5], 60, 0);
        self.send("iso-1", vec![frame; 5]);
        assert!(captures[0].wait_for(5, SECOND), "others get its broadcasts");
        for (mine, theirs, third) in [
            (&one.ipv4, &two.ipv4, &hub.ipv4),
            (&one.ipv6, &two.ipv6, &hub.ipv6),
        ] {
            self.reaches("iso-1", third);
            self.reaches("hub", theirs);
            self.reaches("hub", mine);
            assert!(!self.pings("iso-1", theirs, "0.3"), "{theirs}");
        }
        self.dropped("iso-1", "isolated", 2);
        let [at_hub, at_isolated] = captures.map(|capture| capture.finish().unwrap().len());
        assert_eq!((at_hub, at_isolated), (5, 0));
    }

    /// A trunk carries the VLAN of its list to that network on another host and back, and no other one.
    fn trunks(&self) {
        let (end, trunk) = (self.vm("end"), self.lab.port("yard/trunk"));
        self.reaches("trunk", &self.vm("hub").ipv4);
        let own = MacAddress(parse_mac(trunk["mac"].as_str().unwrap()).unwrap());
        let to = MacAddress(parse_mac(&end.mac).unwrap());
        let prefixes = trunk["trunk"][0]["prefixes"].as_array().unwrap().iter();
        let addresses = prefixes.map(|prefix| prefix.as_str().unwrap().split('/').next().unwrap());
        let datagrams = addresses.map(|from| match from.parse().unwrap() {
            IpAddr::V4(from) => {
                let to_address: Ipv4Addr = end.ipv4.parse().unwrap();
                let datagram = craft::udp((from.into(), 9), (to_address.into(), 9), b"tagged");
                let packet = craft::Ipv4::new(from, to_address, 17).packet(&datagram);
                craft::ethernet(to, own, craft::IPV4, &packet)
            }
            IpAddr::V6(from) => {
                let to_address: Ipv6Addr = end.ipv6.parse().unwrap();
                let datagram = craft::udp((from.into(), 9), (to_address.into(), 9), b"tagged");
                let packet = craft::Ipv6::new(from, to_address, 17).packet(&datagram);
                craft::ethernet(to, own, craft::IPV6, &packet)
            }
        });
        let datagrams: Vec<_> = datagrams.collect();
        let at_end = self.capture("end", "udp dst port 9");
        let at_trunk = self.capture("trunk", "vlan 7 and (icmp or icmp6)");
        let tagged = |vlan| {
            let frames = datagrams.iter();
            let frames = frames.map(move |frame| craft::tagged(frame, craft::C_TAG, vlan));
            frames.collect::<Vec<_>>()
        };
        self.send("trunk", [tagged(8), tagged(8), tagged(7)].concat());
        self.dropped("trunk", "vlan-not-allowed", 4);
        assert!(at_end.wait_for(2, SECOND));
        assert_eq!(at_end.finish().unwrap(), datagrams, "without a tag");
        // The other end's kernel says that nobody listens, in both families.
        let unreachable = |frame: &&Vec<u8>| match frame[16..18] {
            [8, 0] => frame[38] == 3,
            _ => frame[58] == 1,
        };
        assert!(at_trunk.wait_for(2, SECOND));
        let answers = at_trunk.finish().unwrap();
        assert!(answers.iter().all(|frame| frame[12..16] == [0x81, 0, 0, 7]));
        assert_eq!(answers.iter().filter(unreachable).count(), 2);
    }

    fn announce(&self, port: &str) {
        let script = self.file("announce.py", ANNOUNCE);
        let mac = self.vm(port).mac;
        let [ipv4, ipv6] = SHARED;
        let words = format!("python3 {script} {mac} {ipv4} {ipv6}");
        self.lab.at(&format!("yard/{port}"), &words);
    }

    /// A shared address is where it was announced last, a second later at most, and nobody else moves it.
    fn shared(&self) {
        let address = |port: &str, verb: &str| {
            for prefix in ["10.67.0.100/32", "fd00:67::100/128"] {
                let command = format!("ip address {verb} {prefix} dev eth0");
                self.lab.at(&format!("yard/{port}"), &command);
            }
        };
        address("ha-1", "add");
        self.announce("ha-1");
        for to in SHARED {
            self.reaches("hub", to);
            self.reaches("iso-1", to);
        }
        for (from, to) in [("ha-1", "ha-2"), ("ha-2", "ha-1")] {
            address(from, "del");
            address(to, "add");
            let announced = Instant::now();
            self.announce(to);
            let told = announced.elapsed();
            for shared in SHARED {
                while !self.pings("hub", shared, "0.2") {
                    assert!(
                        announced.elapsed() < SECOND + told,
                        "{shared} is not at {to}"
                    );
                }
            }
            let took = announced.elapsed().saturating_sub(told);
            println!("both shared addresses were at {to} {took:?} after they were announced");
            assert!(took < SECOND, "{took:?}");
        }
        // One that may not have it announces it, and nothing happens.
        self.announce("iso-2");
        self.dropped("iso-2", "forged-arp", 1);
        self.dropped("iso-2", "forged-neighbour", 1);
        for to in SHARED {
            assert!(self.pings("hub", to, "1"), "{to} was stolen");
        }
        let shown = until("what is told of it", || {
            let shown = self.lab.done(&["port", "show", "yard/iso-2"]);
            let told = ["`forged-arp`", "`forged-neighbour`"];
            let all = told.iter().all(|guard| shown.contains(guard));
            all.then_some(shown.clone()).ok_or(shown)
        });
        assert!(shown.contains("coax explain forged-arp"), "{shown}");
    }

    /// DHCP and router advertisements of a port that may serve reach a VM on another host, those of one that may not do not.
    fn servers(&self) {
        let guest = self.vm("end");
        let lease = format!(
            "interface eth0\nstart {0}\nend {0}\nstatic_lease {1} {0}\nlease_file {2}\npidfile {3}\n",
            guest.ipv4,
            guest.mac,
            self.file("leases", ""),
            self.file("pid", ""),
        );
        let lease = self.file("udhcpd.conf", &lease);
        let advertise = self.file("advertise.py", ADVERTISE);
        let server = format!("lab exec yard/server -- busybox udhcpd -f {lease}");
        let server = self.lab.start(&server.split(' ').collect::<Vec<_>>());
        let ask = "lab exec yard/end -- udhcpc -n -q -f -i eth0 -T 1 -s /bin/true -t";
        let ask = |tries| {
            let words = format!("{ask} {tries}");
            let output = self.lab.run(&words.split(' ').collect::<Vec<_>>());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let told = ask(5);
        let lease = format!("lease of {} obtained", guest.ipv4);
        assert!(told.contains(&lease), "{told}");
        drop(server);
        let capture = self.capture("end", "icmp6 and ip6[40] == 134");
        self.lab.at("yard/server", &format!("python3 {advertise}"));
        assert!(
            capture.wait_for(1, SECOND),
            "an advertisement that may be sent"
        );

        let without = STACK.replace(", may_serve: true", "");
        self.lab
            .done(&["apply", "-f", &self.file("yard.yaml", &without)]);
        self.lab.at("yard/server", &format!("python3 {advertise}"));
        let conf = self.folder.join("udhcpd.conf");
        let server = format!(
            "lab exec yard/server -- busybox udhcpd -f {}",
            conf.display()
        );
        let server = self.lab.start(&server.split(' ').collect::<Vec<_>>());
        let told = ask(2);
        assert!(!told.contains("obtained"), "{told}");
        // An offer for each question, and the advertisement.
        self.dropped("server", "rogue-server", 2);
        drop(server);
        assert_eq!(capture.finish().unwrap().len(), 1);
    }
}
