//! Stage `firewall` at both ends of a way through a router, whose networks share one address plan.

use crate::firewall::{Ends, ends};
use crate::firewall_fixture::{DOMAIN, TABLE, whole};
use crate::fixture::*;
use crate::router::*;
use coax_pipeline::Verdict;
use coax_sim::craft::{self, ethernet};
use coax_sim::noise::{GATEWAY, mac};
use coax_sim::rules::{Policy, Rule, Service};
use coax_sim::stand::Vtep;
use coax_sim::{Device, Enters, SimRows};
use coax_tables::{DomainId, MacRow, PolicyRow};

/// The project of VM 2, where it is not that of VM 1.
const OTHER: DomainId = DomainId(2);

/// Everybody rejects everything but datagrams that VM 1 sends; `receiver` is VM 2's project, which may reject these, too.
fn guarded(receiver: DomainId) -> SimRows {
    let mut rows = routers();
    let allowed = |ipv6| Rule {
        source: Some(whole(at(HERE, ipv6, 1))),
        destination: None,
        service: Some(Service {
            protocol: 17,
            port: Some(2000),
        }),
        action: PolicyRow::ALLOW,
        flags: 0,
    };
    let policy = Policy {
        rules: vec![allowed(false), allowed(true)],
        otherwise: PolicyRow::REJECT,
    };
    policy.put(&mut rows, DOMAIN, TABLE, ROUTER);
    let nothing = Policy {
        rules: Vec::new(),
        otherwise: PolicyRow::REJECT,
    };
    nothing.put(&mut rows, OTHER, TABLE + 1, ROUTER);
    for port in rows.ports.values_mut() {
        port.policy = if port.slot == 2 { receiver } else { DOMAIN };
    }
    for row in rows.macs.values_mut() {
        if row.has(MacRow::LOCAL) {
            row.policy = if row.slot == 2 { receiver } else { DOMAIN };
            row.scope = ROUTER;
        }
    }
    rows
}

/// A datagram of VM 2 to VM 1 through their gateway.
fn back(ipv6: bool, ports: (u16, u16)) -> Enters {
    let (from, to) = (at(THERE, ipv6, 2), at(HERE, ipv6, 1));
    let body = craft::udp((from, ports.0), (to, ports.1), b"answer");
    let ethertype = if ipv6 { craft::IPV6 } else { craft::IPV4 };
    let frame = packet(from, to, 17, 64, &body);
    Enters::new(Device::Vm2, ethernet(GATEWAY, mac(2), ethertype, &frame))
}

fn run(name: &str, about: &str, rows: SimRows, frames: Vec<Enters>) -> Ends {
    ends(&play(&format!("firewall/{name}"), about, rows, frames))
}

#[test]
fn both_ends_of_a_routed_connection_are_judged() {
    for (ipv6, family) in FAMILIES {
        let there = || {
            let frame = to_gateway(&datagram(at(THERE, ipv6, 2), 64, 20));
            Enters::new(Device::Vm1, frame)
        };
        let found = run(
            &format!("{family}-routed"),
            "Each end remembers the connection in its own network; who sends unasked is told so, by a router's MAC address.",
            guarded(DOMAIN),
            vec![
                back(ipv6, (2000, 1000)),
                there(),
                back(ipv6, (2000, 1000)),
                there(),
                back(ipv6, (2001, 1000)),
            ],
        );
        let (passed, told) = (Ok(Verdict::Deliver), Ok(Verdict::Answer));
        assert_eq!(found, [told, passed, passed, passed, told]);
        let found = run(
            &format!("{family}-routed-to-another-project"),
            "The receiver's project judges what the sender's lets pass. The sender is told by way of the receiver's gateway, for the router has taken its MAC address off.",
            guarded(OTHER),
            vec![there()],
        );
        assert_eq!(found, [Ok(Verdict::Deliver)]);
    }
}

/// A packet of VM 4, on the other host, which that host has routed into the network of VM 1.
fn out_of_a_tunnel(ipv6: bool, protocol: u8) -> Enters {
    let (from, to) = (at(THERE, ipv6, 4), at(HERE, ipv6, 1));
    let body = match protocol {
        6 => craft::tcp_opening((from, 4000), (to, 23), 2, &[]),
        _ => craft::udp((from, 4000), (to, 23), b"hello"),
    };
    let ethertype = if ipv6 { craft::IPV6 } else { craft::IPV4 };
    let frame = ethernet(
        mac(1),
        GATEWAY,
        ethertype,
        &packet(from, to, protocol, 63, &body),
    );
    let [from, to] = [Vtep::PEER, Vtep::OWN].map(|vtep| vtep.address(false));
    Enters::new(
        Device::Up1,
        craft::Tunnel::new(from, to, HERE.0).around(&frame),
    )
}

#[test]
fn who_is_rejected_at_the_receivers_host_is_told_through_a_tunnel() {
    for (ipv6, family) in FAMILIES {
        let found = run(
            &format!("{family}-rejected-behind-a-tunnel"),
            "What another host lets pass and has routed is rejected here: the receiver's gateway takes the answer back.",
            guarded(DOMAIN),
            vec![out_of_a_tunnel(ipv6, 6), out_of_a_tunnel(ipv6, 17)],
        );
        assert_eq!(found, [Ok(Verdict::Send); 2]);
    }
}
