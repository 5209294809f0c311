//! A recorded set of TCP segments as real packets through Coax's firewall and through netfilter's connection
//! tracking: which of them arrive is the same, or the difference is listed with its reason.
//!
//! ```text
//!   client eth0 --- port0 +------+ port2 --- eth0 server       client eth0 --- r0 +--------+ r1 --- eth0 server
//!                         | Coax |                                                | router |
//!                         +------+                                                +--------+ nft
//! ```

use crate::capture::Capture;
use crate::guarded::{Guarded, HOSTILE, VICTIM};
use crate::raw;
use crate::sequences::{self, Ends, Sequence, mark, marker, number_of};
use coax_bench::vm::Vm;
use coax_netlink::{Namespace, NextHop, Route, ScopedNamespace, VethEnd};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;

/// Client and server with something between them.
struct Bed {
    /// Who sends what client and server say.
    senders: [Sender<Vec<Vec<u8>>>; 2],
    /// For each of them: its own ends, and those that it sends to.
    macs: [[[u8; 6]; 2]; 2],
    captures: [Capture; 2],
}

impl Bed {
    /// What is between has devices of these names in `between`, opposite of the client's and the server's.
    fn new(
        vms: [Namespace; 2],
        macs: [[[u8; 6]; 2]; 2],
        between: &Namespace,
        devices: [&'static str; 2],
    ) -> Self {
        let capture = |place: usize| {
            let opposite = (between.clone(), devices[place]);
            Capture::start(&vms[place], "eth0", opposite, "tcp or udp")
        };
        let captures = [capture(0), capture(1)];
        let senders = vms.map(raw::sender);
        Self {
            senders,
            macs,
            captures,
        }
    }

    fn ends(&self, from: usize, ipv6: bool) -> Ends {
        let address = |place: usize| match place {
            0 => Vm::number(HOSTILE).address(ipv6),
            _ => Vm::number(VICTIM).address(ipv6),
        };
        let [own, other] = self.macs[from];
        [(own, address(from)), (other, address(1 - from))]
    }

    /// Which segments of all sequences arrive.
    fn play(&self, all: &[Sequence], ipv6: bool) -> Vec<Vec<bool>> {
        let mut number = 0;
        let mut results = Vec::new();
        for sequence in all {
            let mut arrived = Vec::new();
            for turn in sequence
                .segments
                .chunk_by(|one, other| one.from == other.from)
            {
                let from = turn[0].from;
                let ends = self.ends(from, ipv6);
                let first = number;
                let mut frames = Vec::new();
                for segment in turn {
                    frames.push(segment.frame(&ends, number));
                    number += 1;
                }
                frames.push(marker(&ends, first));
                self.senders[from].send(frames).unwrap();
                let here = |frame: &Vec<u8>| frame[12] == if ipv6 { 0x86 } else { 8 };
                let got = self.captures[1 - from].until(&sequence.name, |got| {
                    let mut own = got.iter().rev().filter(|frame| here(frame));
                    own.any(|frame| number_of(frame) == (first, true))
                });
                let got: BTreeSet<u16> = got
                    .iter()
                    .filter(|frame| here(frame))
                    .map(|frame| number_of(frame))
                    .filter(|(_, marker)| !marker)
                    .map(|(number, _)| number)
                    .collect();
                arrived.extend((first..number).map(|number| got.contains(&number)));
            }
            results.push(arrived);
        }
        results
    }
}

/// The same rules for netfilter: the client may open connections to port 80, and datagrams pass.
const RULES: &str = "table inet judge {
  chain forward {
    type filter hook forward priority 0; policy drop;
    meta l4proto udp accept
    ct state established,related accept
    ct state invalid drop
    ip saddr 10.10.0.1 tcp dport 80 ct state new accept
    ip6 saddr fd00:10::1 tcp dport 80 ct state new accept
  }
}
";

/// A router with netfilter between two namespaces, which end with the value.
struct Netfilter {
    _router: ScopedNamespace,
    _vms: [ScopedNamespace; 2],
}

impl Netfilter {
    async fn build() -> (Self, Bed) {
        let router = ScopedNamespace::create("coax-judge-nft").unwrap();
        let vms =
            ["c", "s"].map(|vm| ScopedNamespace::create(&format!("coax-judge-{vm}")).unwrap());
        let netlink = router.netlink().unwrap();
        let mut macs = [[[0; 6]; 2]; 2];
        for (place, number) in [HOSTILE, VICTIM].into_iter().enumerate() {
            let vm = Vm::number(number);
            let own = [2, 0xff, 0, 0, 0, number];
            macs[place] = [vm.mac.0, own];
            vms[place]
                .write_sysctl("net/ipv6/conf/default/disable_ipv6", "1")
                .unwrap();
            let near = VethEnd::new(["r0", "r1"][place]).with_mac(own);
            let far = VethEnd::new("eth0")
                .with_mac(vm.mac.0)
                .in_namespace(&vms[place]);
            netlink.create_veth(&near, &far).await.unwrap();
            let link = netlink.link(["r0", "r1"][place]).await.unwrap().index;
            netlink.set_up(link).await.unwrap();
            let within = vms[place].netlink().unwrap();
            let eth0 = within.link("eth0").await.unwrap().index;
            within.set_up(eth0).await.unwrap();
            for ipv6 in [false, true] {
                let address = vm.address(ipv6);
                let route = Route::new(IpNet::from(address), vec![NextHop::on_link(link)]);
                netlink.replace_route(&route).await.unwrap();
                netlink
                    .set_neighbour(link, address, vm.mac.0)
                    .await
                    .unwrap();
            }
        }
        for (key, value) in [
            ("net/ipv4/conf/all/forwarding", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv4/conf/all/rp_filter", "0"),
        ] {
            router.write_sysctl(key, value).unwrap();
        }
        nft(&router, RULES);
        for (key, value) in [
            ("net/netfilter/nf_conntrack_tcp_loose", "1"),
            ("net/netfilter/nf_conntrack_tcp_be_liberal", "0"),
        ] {
            router.write_sysctl(key, value).unwrap();
        }
        let inside = [0, 1].map(|place: usize| Namespace::clone(&vms[place]));
        let bed = Bed::new(inside, macs, &router, ["r0", "r1"]);
        let namespaces = Self {
            _router: router,
            _vms: vms,
        };
        (namespaces, bed)
    }
}

fn nft(namespace: &Namespace, rules: &str) {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped());
    let mut child = namespace.spawn(&mut command).unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, rules.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "nft");
}

fn coax_bed(guarded: &Guarded) -> Bed {
    let [client, server] = [HOSTILE, VICTIM].map(|vm| Vm::number(vm).mac.0);
    let vms = [0, 1].map(|place: usize| Namespace::clone(&guarded.vms[place]));
    let macs = [[client, server], [server, client]];
    Bed::new(vms, macs, &guarded.host, ["port0", "port2"])
}

/// Differences that docs/conformance/tcp-tracking.toml gives reasons for: the names of its rows.
fn reasons() -> BTreeSet<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance/tcp-tracking.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let ledger: toml::Table = toml::from_str(&text).unwrap();
    let rows = ledger["row"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn segments_arrive_as_behind_netfilter_or_for_a_reason() {
    let all = sequences::read();
    let mut guarded = Guarded::build("tcp", 0).await;
    guarded.allow_tcp(HOSTILE, sequences::SERVER);
    let coax = coax_bed(&guarded);
    let (netfilter, other) = Netfilter::build().await;
    let mut wrong = Vec::new();
    let mut families = Vec::new();
    for ipv6 in [false, true] {
        let results = coax
            .play(&all, ipv6)
            .into_iter()
            .zip(other.play(&all, ipv6));
        let results = results.map(|(coax, netfilter)| -> Vec<[bool; 2]> {
            let both = coax.into_iter().zip(netfilter);
            both.map(|(coax, netfilter)| [coax, netfilter]).collect()
        });
        families.push(results.collect::<Vec<_>>());
    }
    drop(netfilter);
    assert_eq!(families[0], families[1], "IPv4 and IPv6");
    if std::env::var_os("BLESS").is_some() {
        return sequences::bless(&families[0]);
    }
    let reasons = reasons();
    for (sequence, results) in all.iter().zip(&families[0]) {
        for (place, (segment, result)) in sequence.segments.iter().zip(results).enumerate() {
            let found = mark(*result, &segment.mark);
            let reason = found.split_once(": ").map(|(_, reason)| reason);
            let unknown = reason.is_some_and(|reason| !reasons.contains(reason));
            if found != segment.mark || unknown {
                let name = &sequence.name;
                wrong.push(format!(
                    "{name}, segment {place}: {found}, not {}",
                    segment.mark
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "BLESS=1 writes the file anew:\n{}",
        wrong.join("\n")
    );
}
