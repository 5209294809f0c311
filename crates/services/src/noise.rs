//! Any bytes as what a hostile VM sends: a property that tests and the fuzz target `services` share.

use coax_wire::MacAddress;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::packet::{Addresses, Envelope, Packet};
use crate::stand::Stand;
use crate::{Outcome, dhcpv4, dhcpv6, dns};

/// Takes `bytes` as a whole frame, and behind good headers as a message of each protocol: whatever they are, there is no
/// panic, and an answer goes to who asked, in the gateway's name, and fits into the network.
///
/// # Panics
/// When an answer is not so.
pub fn check(bytes: &[u8], stand: &Stand) {
    check_frame(bytes, stand);
    for frame in wrapped(bytes, stand) {
        check_frame(&frame, stand);
    }
}

fn wrapped(bytes: &[u8], stand: &Stand) -> impl Iterator<Item = Vec<u8>> {
    let envelope = |addresses| Envelope {
        source_mac: stand.port.mac,
        destination_mac: MacAddress::BROADCAST,
        vlan: None,
        addresses,
    };
    let ipv4 = envelope(Addresses::V4 {
        source: Ipv4Addr::UNSPECIFIED,
        destination: crate::LINK_LOCAL_SERVER,
    });
    let ipv6 = |destination| {
        envelope(Addresses::V6 {
            source: crate::link_local_of(stand.port.mac),
            destination,
        })
    };
    let servers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
    let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    [
        ipv4.udp(68, dhcpv4::SERVER_PORT, bytes),
        ipv6(servers).udp(546, dhcpv6::SERVER_PORT, bytes),
        ipv4.udp(40_000, dns::PORT, bytes),
        ipv6(routers).icmpv6(bytes.to_vec()),
    ]
    .into_iter()
    .flatten()
}

fn check_frame(frame: &[u8], stand: &Stand) {
    let answer = crate::answer(frame, &stand.asker());
    let Some(reply) = answer.frame else {
        assert_ne!(answer.outcome, Outcome::Answered);
        return;
    };
    assert!(!matches!(answer.outcome, Outcome::Ignored(_)));
    let most = 14 + usize::from(stand.network.mtu.get());
    assert!(reply.len() <= most, "{} bytes", reply.len());
    assert!(Packet::read(&reply).is_some(), "the answer cannot be read");
    assert_eq!(reply.get(6..12), Some(&stand.network.gateway_mac.0[..]));
    let receiver = reply.get(..6);
    let asked = frame.get(6..12);
    let group = receiver.is_some_and(|mac| mac.first().is_some_and(|first| first & 1 == 1));
    assert!(
        receiver == asked || group,
        "to {receiver:?} instead of {asked:?}"
    );
}
