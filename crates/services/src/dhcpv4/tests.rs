//! Every client state of RFC 2131, and everything that is not a client.

use super::*;
use crate::settings::Dns;
use crate::stand::Stand;
use crate::zone;
use dhcproto::v4::{Flags, HType};
use ipnet::Ipv4Net;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 11);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 1);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 9);

fn request(kind: MessageType, stand: &Stand) -> Message {
    let mut message = Message::new_with_id(
        0x1234_5678,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        &stand.port.mac.0,
    );
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message
}

fn frame(message: &Message, stand: &Stand) -> Vec<u8> {
    let envelope = Envelope {
        source_mac: stand.port.mac,
        destination_mac: MacAddress::BROADCAST,
        vlan: None,
        addresses: Addresses::V4 {
            source: message.ciaddr(),
            destination: Ipv4Addr::BROADCAST,
        },
    };
    let payload = message.to_vec().unwrap();
    envelope.udp(CLIENT_PORT, SERVER_PORT, &payload).unwrap()
}

fn ask(message: &Message, stand: &Stand) -> Answer {
    crate::answer(&frame(message, stand), &stand.asker())
}

/// The answer's headers and message.
fn read(answer: &Answer) -> (Addresses, MacAddress, Message) {
    let frame = answer.frame.as_deref().unwrap();
    let packet = Packet::read(frame).unwrap();
    let crate::packet::Body::Udp {
        source: SERVER_PORT,
        destination: CLIENT_PORT,
        payload,
    } = packet.body
    else {
        panic!("{packet:?}");
    };
    assert!(payload.len() >= LEAST_MESSAGE);
    let destination = MacAddress(frame[..6].try_into().unwrap());
    (
        packet.addresses,
        destination,
        Message::from_bytes(payload).unwrap(),
    )
}

fn option(message: &Message, code: OptionCode) -> Option<DhcpOption> {
    message.opts().get(code).cloned()
}

#[test]
fn a_client_gets_its_address_and_all_parameters() {
    let stand = Stand::routed();
    let answer = ask(&request(MessageType::Discover, &stand), &stand);
    assert_eq!(answer.outcome, Outcome::Answered);
    assert_eq!(answer.request.to_string(), "dhcpv4-discover");
    let (addresses, mac, offer) = read(&answer);
    assert_eq!(
        addresses,
        Addresses::V4 {
            source: GATEWAY,
            destination: ADDRESS
        }
    );
    assert_eq!(mac, stand.port.mac);
    assert_eq!((offer.xid(), offer.yiaddr()), (0x1234_5678, ADDRESS));
    let seconds = |at| match option(&offer, at) {
        Some(
            DhcpOption::AddressLeaseTime(time)
            | DhcpOption::Renewal(time)
            | DhcpOption::Rebinding(time),
        ) => time,
        other => panic!("{other:?}"),
    };
    assert_eq!(seconds(OptionCode::AddressLeaseTime), 3600);
    assert_eq!(seconds(OptionCode::Renewal), 1800);
    assert_eq!(seconds(OptionCode::Rebinding), 3150);
    for expected in [
        DhcpOption::MessageType(MessageType::Offer),
        DhcpOption::ServerIdentifier(GATEWAY),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        DhcpOption::Router(vec![GATEWAY]),
        DhcpOption::DomainNameServer(vec![GATEWAY, Ipv4Addr::new(192, 0, 2, 53)]),
        DhcpOption::Hostname("web-1".into()),
        DhcpOption::DomainName("web.shop.cloud.example".into()),
        DhcpOption::InterfaceMtu(1442),
        DhcpOption::DomainSearch(zone::search(&stand.network)),
    ] {
        assert_eq!(option(&offer, OptionCode::from(&expected)), Some(expected));
    }
    assert_eq!(option(&offer, OptionCode::ClasslessStaticRoute), None);

    let mut take = request(MessageType::Request, &stand);
    take.opts_mut()
        .insert(DhcpOption::ServerIdentifier(GATEWAY));
    take.opts_mut()
        .insert(DhcpOption::RequestedIpAddress(ADDRESS));
    let (_, _, ack) = read(&ask(&take, &stand));
    assert_eq!(ack.yiaddr(), ADDRESS);
    assert_eq!(ack.opts().msg_type(), Some(MessageType::Ack));
}

#[test]
fn without_a_router_the_gateway_only_serves() {
    let stand = Stand::isolated();
    let (addresses, _, offer) = read(&ask(&request(MessageType::Discover, &stand), &stand));
    assert_eq!(
        addresses,
        Addresses::V4 {
            source: GATEWAY,
            destination: ADDRESS
        }
    );
    for code in [OptionCode::Router, OptionCode::ClasslessStaticRoute] {
        assert_eq!(option(&offer, code), None);
    }
    for expected in [
        DhcpOption::ServerIdentifier(GATEWAY),
        DhcpOption::DomainNameServer(vec![GATEWAY]),
        DhcpOption::DomainName("web.shop".into()),
    ] {
        assert_eq!(option(&offer, OptionCode::from(&expected)), Some(expected));
    }
}

#[test]
fn where_a_port_has_the_gateways_address_the_server_is_link_local() {
    let stand = Stand::isolated().without_gateways();
    let (addresses, _, offer) = read(&ask(&request(MessageType::Discover, &stand), &stand));
    let server = crate::LINK_LOCAL_SERVER;
    assert_eq!(
        addresses,
        Addresses::V4 {
            source: server,
            destination: ADDRESS
        }
    );
    assert_eq!(option(&offer, OptionCode::Router), None);
    let on_link = (Ipv4Net::from(server), Ipv4Addr::UNSPECIFIED);
    for expected in [
        DhcpOption::ServerIdentifier(server),
        DhcpOption::DomainNameServer(vec![server]),
        DhcpOption::ClasslessStaticRoute(vec![on_link]),
    ] {
        assert_eq!(option(&offer, OptionCode::from(&expected)), Some(expected));
    }
}

#[test]
fn static_routes_come_with_the_default_route() {
    let stand = Stand::routed().with_route("172.16.0.0/12", "10.10.1.20");
    let (_, _, offer) = read(&ask(&request(MessageType::Discover, &stand), &stand));
    let expected = vec![
        (
            "172.16.0.0/12".parse().unwrap(),
            Ipv4Addr::new(10, 10, 1, 20),
        ),
        (Ipv4Net::default(), GATEWAY),
    ];
    assert_eq!(
        option(&offer, OptionCode::ClasslessStaticRoute),
        Some(DhcpOption::ClasslessStaticRoute(expected))
    );
}

#[test]
fn clients_in_every_state_keep_their_address_and_lose_any_other() {
    let stand = Stand::routed();
    // (chosen server, wanted address, own address, what comes)
    for (server, wanted, has, expected) in [
        (Some(GATEWAY), Some(ADDRESS), None, Some(MessageType::Ack)), // selecting
        (Some(GATEWAY), Some(ELSEWHERE), None, Some(MessageType::Nak)),
        (Some(ELSEWHERE), Some(ADDRESS), None, None),
        (None, Some(ADDRESS), None, Some(MessageType::Ack)), // after a reboot
        (None, Some(ELSEWHERE), None, Some(MessageType::Nak)),
        (None, None, Some(ADDRESS), Some(MessageType::Ack)), // renewing, rebinding
        (None, None, Some(ELSEWHERE), Some(MessageType::Nak)),
        (None, None, None, Some(MessageType::Nak)),
    ] {
        let mut message = request(MessageType::Request, &stand);
        let options = message.opts_mut();
        server.map(|server| options.insert(DhcpOption::ServerIdentifier(server)));
        wanted.map(|wanted| options.insert(DhcpOption::RequestedIpAddress(wanted)));
        has.map(|has| message.set_ciaddr(has));
        let answer = ask(&message, &stand);
        let case = format!("{server:?} {wanted:?} {has:?}");
        let Some(expected) = expected else {
            assert_eq!(
                answer.outcome,
                Outcome::Ignored(Reason::OtherServer),
                "{case}"
            );
            assert_eq!(answer.frame, None, "{case}");
            continue;
        };
        let (addresses, mac, reply) = read(&answer);
        assert_eq!(reply.opts().msg_type(), Some(expected), "{case}");
        if expected == MessageType::Nak {
            assert_eq!(answer.outcome, Outcome::Refused, "{case}");
            assert_eq!(addresses.destination(), Ipv4Addr::BROADCAST, "{case}");
            assert!(
                mac.is_broadcast() && reply.yiaddr().is_unspecified(),
                "{case}"
            );
            assert_eq!(option(&reply, OptionCode::AddressLeaseTime), None, "{case}");
        } else {
            assert_eq!(
                (reply.yiaddr(), addresses.destination()),
                (ADDRESS, ADDRESS.into()),
                "{case}"
            );
            assert_eq!(reply.ciaddr(), message.ciaddr(), "{case}");
        }
    }
}

#[test]
fn a_client_that_cannot_take_unicasts_gets_a_broadcast() {
    let stand = Stand::routed();
    let mut message = request(MessageType::Discover, &stand);
    message.set_flags(Flags::default().set_broadcast());
    let (addresses, mac, _) = read(&ask(&message, &stand));
    assert!(mac.is_broadcast());
    assert_eq!(addresses.destination(), Ipv4Addr::BROADCAST);
}

#[test]
fn inform_gets_parameters_and_no_lease() {
    let stand = Stand::routed();
    let mut message = request(MessageType::Inform, &stand);
    message.set_ciaddr(ADDRESS);
    let (addresses, _, ack) = read(&ask(&message, &stand));
    assert_eq!(addresses.destination(), ADDRESS);
    assert!(ack.yiaddr().is_unspecified());
    assert_eq!(option(&ack, OptionCode::AddressLeaseTime), None);
    assert_eq!(
        option(&ack, OptionCode::InterfaceMtu),
        Some(DhcpOption::InterfaceMtu(1442))
    );
}

#[test]
fn rapid_commit_saves_a_round_trip() {
    let stand = Stand::routed();
    let mut message = request(MessageType::Discover, &stand);
    message.opts_mut().insert(DhcpOption::RapidCommit);
    let (_, _, ack) = read(&ask(&message, &stand));
    assert_eq!(ack.opts().msg_type(), Some(MessageType::Ack));
    assert_eq!(
        option(&ack, OptionCode::RapidCommit),
        Some(DhcpOption::RapidCommit)
    );
    let (_, _, offer) = read(&ask(&request(MessageType::Discover, &stand), &stand));
    assert_eq!(option(&offer, OptionCode::RapidCommit), None);
}

#[test]
fn a_lease_that_is_given_back_stays() {
    let stand = Stand::routed();
    for kind in [MessageType::Decline, MessageType::Release] {
        let answer = ask(&request(kind, &stand), &stand);
        assert_eq!((answer.outcome, answer.frame), (Outcome::Noted, None));
    }
    let (_, _, offer) = read(&ask(&request(MessageType::Discover, &stand), &stand));
    assert_eq!(offer.yiaddr(), ADDRESS);
}

#[test]
fn others_get_nothing() {
    let stand = Stand::routed();
    let discover = request(MessageType::Discover, &stand);
    let mut relayed = discover.clone();
    relayed.set_giaddr(ELSEWHERE);
    let mut foreign = discover.clone();
    foreign.set_chaddr(&[2, 0, 0, 0, 0, 99]);
    let mut reply = discover.clone();
    reply.set_opcode(Opcode::BootReply);
    let mut offer = discover.clone();
    offer
        .opts_mut()
        .insert(DhcpOption::MessageType(MessageType::Offer));
    let mut bootp = discover.clone();
    bootp.opts_mut().remove(OptionCode::MessageType);
    let mut token_ring = discover.clone();
    token_ring.set_htype(HType::Unknown(6));
    for (message, outcome) in [
        (relayed, Outcome::Ignored(Reason::OtherClient)),
        (foreign, Outcome::Ignored(Reason::OtherClient)),
        (reply, Outcome::Ignored(Reason::NotARequest)),
        (offer, Outcome::Ignored(Reason::NotARequest)),
        (bootp, Outcome::Ignored(Reason::NotARequest)),
        (token_ring, Outcome::Malformed),
    ] {
        let answer = ask(&message, &stand);
        assert_eq!((answer.outcome, answer.frame), (outcome, None), "{message}");
    }
    let mut off = stand.clone();
    off.network.dhcp = None;
    assert_eq!(ask(&discover, &off).outcome, Outcome::Ignored(Reason::Off));
    let mut bare = stand.clone();
    bare.port.addresses.retain(|address| address.is_ipv6());
    let mut unleased = stand.clone();
    unleased.network.subnets[0].dhcp = false;
    for stand in [bare, unleased] {
        let outcome = ask(&discover, &stand).outcome;
        assert_eq!(outcome, Outcome::Ignored(Reason::NoAddress));
    }
}

#[test]
fn the_clients_identifier_comes_back() {
    let stand = Stand::routed();
    let mut message = request(MessageType::Discover, &stand);
    let identifier = DhcpOption::ClientIdentifier(vec![1, 2, 0, 0, 0, 0, 1]);
    message.opts_mut().insert(identifier.clone());
    let (_, _, offer) = read(&ask(&message, &stand));
    assert_eq!(
        option(&offer, OptionCode::ClientIdentifier),
        Some(identifier)
    );
}

#[test]
fn what_does_not_fit_is_left_out_and_what_was_asked_for_is_kept() {
    let mut stand = Stand::routed();
    for index in 0..60 {
        stand = stand.with_route(&format!("172.16.{index}.0/24"), "10.10.1.20");
    }
    let mut message = request(MessageType::Discover, &stand);
    let (_, _, small) = read(&ask(&message, &stand));
    assert_eq!(option(&small, OptionCode::ClasslessStaticRoute), None);
    assert!(option(&small, OptionCode::Router).is_some());

    let asked = vec![OptionCode::DomainSearch, OptionCode::InterfaceMtu];
    message
        .opts_mut()
        .insert(DhcpOption::ParameterRequestList(asked));
    let answer = ask(&message, &stand);
    assert!(answer.frame.as_ref().unwrap().len() <= 14 + usize::from(LEAST_DATAGRAM));
    let (_, _, small) = read(&answer);
    assert_eq!(option(&small, OptionCode::ClasslessStaticRoute), None);
    assert!(option(&small, OptionCode::DomainSearch).is_some());
    assert!(option(&small, OptionCode::InterfaceMtu).is_some());

    message.opts_mut().insert(DhcpOption::MaxMessageSize(1400));
    let (_, _, large) = read(&ask(&message, &stand));
    let Some(DhcpOption::ClasslessStaticRoute(routes)) =
        option(&large, OptionCode::ClasslessStaticRoute)
    else {
        panic!("{large}");
    };
    assert_eq!(routes.len(), 61);
}

#[test]
fn without_dns_nothing_is_said_about_names() {
    let mut stand = Stand::routed();
    stand.network.dns = Dns::default();
    let (_, _, offer) = read(&ask(&request(MessageType::Discover, &stand), &stand));
    for code in [
        OptionCode::DomainNameServer,
        OptionCode::DomainName,
        OptionCode::DomainSearch,
    ] {
        assert_eq!(option(&offer, code), None);
    }
}

#[test]
fn answers_to_a_trunk_carry_its_tag() {
    let mut stand = Stand::routed();
    stand.port.vlan = coax_wire::VlanId::try_from(100u32).ok();
    let answer = ask(&request(MessageType::Discover, &stand), &stand);
    let frame = answer.frame.as_deref().unwrap();
    assert_eq!(frame[12..18], [0x81, 0, 0, 100, 8, 0]);
    let (_, _, offer) = read(&answer);
    assert_eq!(offer.yiaddr(), ADDRESS);
}
