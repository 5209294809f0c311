//! Solicitations in and advertisements out, option by option.

use super::*;
use crate::packet::Body;
use crate::stand::Stand;
use coax_wire::VlanId;

fn unspecified() -> Ipv6Addr {
    Ipv6Addr::UNSPECIFIED
}

/// A solicitation's frame.
fn solicitation(message: Vec<u8>, source: Ipv6Addr, stand: &Stand) -> Vec<u8> {
    let all_routers: Ipv6Addr = "ff02::2".parse().unwrap();
    let envelope = Envelope {
        source_mac: stand.port.mac,
        destination_mac: MacAddress::ipv6_multicast(all_routers.octets()),
        vlan: None,
        addresses: Addresses::V6 {
            source,
            destination: all_routers,
        },
    };
    envelope.icmpv6(message).unwrap()
}

fn plain() -> Vec<u8> {
    vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0]
}

fn with_source_address() -> Vec<u8> {
    let mut message = plain();
    message.extend([option::SOURCE_LINK_ADDRESS, 1, 2, 0, 0, 0, 0, 1]);
    message
}

fn ask(message: Vec<u8>, source: Ipv6Addr, stand: &Stand) -> Answer {
    crate::answer(&solicitation(message, source, stand), &stand.asker())
}

/// Options with their kinds.
type Options = Vec<(u8, Vec<u8>)>;

/// The advertisement's packet and header, and its options.
fn read(frame: &[u8]) -> (Packet<'_>, Vec<u8>, Options) {
    let packet = Packet::read(frame).unwrap();
    let Body::Icmpv6 { message } = packet.body else {
        panic!("{packet:?}");
    };
    assert_eq!(message[..2], [ADVERTISEMENT, 0]);
    let (header, mut rest) = message.split_at(16);
    let mut options = Vec::new();
    while let [kind, length, ..] = *rest {
        let (option, behind) = rest.split_at(usize::from(length) * 8);
        options.push((kind, option[2..].to_vec()));
        rest = behind;
    }
    (packet, header.to_vec(), options)
}

fn value(options: &[(u8, Vec<u8>)], kind: u8) -> Option<Vec<u8>> {
    options
        .iter()
        .find(|(of, _)| *of == kind)
        .map(|(_, value)| value.clone())
}

#[test]
fn a_network_with_a_router_says_all_there_is_to_say() {
    let stand = Stand::routed();
    let source = crate::link_local_of(stand.port.mac);
    let answer = ask(with_source_address(), source, &stand);
    assert_eq!(answer.outcome, Outcome::Answered);
    let frame = answer.frame.unwrap();
    assert_eq!(frame[..6], stand.port.mac.0);
    let (packet, header, options) = read(&frame);
    let router: Ipv6Addr = "fe80::c0:a0ff:fe00:1".parse().unwrap();
    assert_eq!(packet.hop_limit, 255);
    assert_eq!(
        packet.addresses,
        Addresses::V6 {
            source: router,
            destination: source
        }
    );
    assert_eq!(header[4..8], [64, MANAGED | OTHER, 7, 8]);
    assert_eq!(
        value(&options, option::SOURCE_LINK_ADDRESS).unwrap(),
        stand.network.gateway_mac.0
    );
    assert_eq!(value(&options, option::MTU).unwrap(), [0, 0, 0, 0, 5, 0xa2]);
    let prefix = value(&options, option::PREFIX).unwrap();
    // On-link, not for autoconfiguration.
    assert_eq!(prefix[..2], [64, ON_LINK]);
    let expected: Ipv6Addr = "fd00:10:1::".parse().unwrap();
    assert_eq!(prefix[14..], expected.octets());
    let resolvers = value(&options, option::RESOLVERS).unwrap();
    let gateway: Ipv6Addr = "fd00:10:1::1".parse().unwrap();
    let other: Ipv6Addr = "2001:db8::53".parse().unwrap();
    assert_eq!(resolvers[2..6], [0, 0, 7, 8]);
    assert_eq!(resolvers[6..], [gateway.octets(), other.octets()].concat());
    let search = value(&options, option::SEARCH_LIST).unwrap();
    let names = [
        &b"\x03web\x04shop\x05cloud\x07example\0"[..],
        b"\x04shop\x05cloud\x07example\0\x05cloud\x07example\0",
    ]
    .concat();
    assert_eq!(search[6..6 + names.len()], names);
    assert!(search[6 + names.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_network_without_a_router_has_no_default_route() {
    let stand = Stand::isolated();
    let frame = ask(plain(), unspecified(), &stand).frame.unwrap();
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
    let (packet, header, options) = read(&frame);
    assert_eq!(packet.addresses.destination(), ALL_NODES);
    assert_eq!(header[6..8], [0, 0]);
    let resolvers = value(&options, option::RESOLVERS).unwrap();
    let gateway: Ipv6Addr = "fd00:10:1::1".parse().unwrap();
    assert_eq!(resolvers[6..], gateway.octets());
    let stand = stand.without_gateways();
    let frame = ask(plain(), unspecified(), &stand).frame.unwrap();
    let (_, _, options) = read(&frame);
    let resolvers = value(&options, option::RESOLVERS).unwrap();
    assert_eq!(resolvers[6..], stand.network.server_ipv6().octets());
}

#[test]
fn without_leases_addresses_are_the_vms_own_affair() {
    let mut stand = Stand::routed();
    stand.network.dhcp = None;
    stand.network.dns = crate::Dns::default();
    let frame = advertise(&stand.port, &stand.network, true).unwrap();
    let (_, header, options) = read(&frame);
    assert_eq!(header[5], 0);
    assert_eq!(value(&options, option::RESOLVERS), None);
    assert_eq!(value(&options, option::SEARCH_LIST), None);
}

#[test]
fn the_last_one_takes_everything_back() {
    let stand = Stand::routed();
    let frame = advertise(&stand.port, &stand.network, false).unwrap();
    let (packet, header, options) = read(&frame);
    assert_eq!(packet.addresses.destination(), ALL_NODES);
    assert_eq!(header[6..8], [0, 0]);
    assert_eq!(value(&options, option::RESOLVERS).unwrap()[2..6], [0; 4]);
    assert_eq!(value(&options, option::SEARCH_LIST).unwrap()[2..6], [0; 4]);
}

#[test]
fn answers_to_a_trunk_carry_its_tag() {
    let mut stand = Stand::routed();
    stand.port.vlan = VlanId::try_from(7u32).ok();
    let frame = advertise(&stand.port, &stand.network, true).unwrap();
    assert_eq!(frame[12..18], [0x81, 0, 0, 7, 0x86, 0xdd]);
}

#[test]
fn solicitations_that_break_the_rules_get_nothing() {
    let stand = Stand::routed();
    let source = crate::link_local_of(stand.port.mac);
    let mut coded = plain();
    coded[1] = 1;
    let mut endless = plain();
    endless.extend([option::MTU, 0, 0, 0, 0, 0, 0, 0]);
    let mut long = plain();
    long.extend([option::MTU, 2, 0, 0, 0, 0, 0, 0]);
    let mut odd = plain();
    odd.push(1);
    for (message, from) in [
        (coded, source),
        (endless, source),
        (long, source),
        (odd, source),
        (plain()[..7].to_vec(), source),
        (with_source_address(), unspecified()),
    ] {
        let answer = ask(message.clone(), from, &stand);
        assert_eq!(
            (answer.outcome, answer.frame),
            (Outcome::Malformed, None),
            "{message:?}"
        );
    }
    let mut routed = solicitation(plain(), source, &stand);
    routed[21] = 254;
    assert_eq!(
        crate::answer(&routed, &stand.asker()).outcome,
        Outcome::Malformed
    );
    let mut advertisement = plain();
    advertisement[0] = ADVERTISEMENT;
    let answer = ask(advertisement, source, &stand);
    assert_eq!(answer.outcome, Outcome::Ignored(Reason::NotARequest));
}

#[test]
fn where_there_is_nothing_to_advertise_there_is_silence() {
    let source = Ipv6Addr::UNSPECIFIED;
    let mut off = Stand::routed();
    off.network.router_advertisements = false;
    assert_eq!(
        ask(plain(), source, &off).outcome,
        Outcome::Ignored(Reason::Off)
    );
    let mut ipv4 = Stand::routed();
    ipv4.network.subnets.truncate(1);
    assert_eq!(
        ask(plain(), source, &ipv4).outcome,
        Outcome::Ignored(Reason::NoAddress)
    );
    assert_eq!(advertise(&ipv4.port, &ipv4.network, true), None);
}

#[test]
fn many_prefixes_fit_into_the_smallest_mtu() {
    let mut stand = Stand::routed();
    for index in 0..100 {
        let mut subnet = stand.network.subnets[1];
        subnet.prefix = format!("fd00:99:{index:x}::/64").parse().unwrap();
        stand.network.subnets.push(subnet);
    }
    let frame = advertise(&stand.port, &stand.network, true).unwrap();
    assert!(frame.len() <= 14 + 1280);
}
