//! Every message of RFC 8415 that a client sends, and those that it must not send.

use super::*;
use crate::packet::Body;
use crate::stand::Stand;
use coax_wire::MacAddress;

const CLIENT: [u8; 6] = [0, 3, 0, 1, 2, 9];

fn address() -> Ipv6Addr {
    "fd00:10:1::11".parse().unwrap()
}

fn foreign() -> Ipv6Addr {
    "fd00:10:1::77".parse().unwrap()
}

fn server() -> DhcpOption {
    DhcpOption::ServerId(vec![0, 3, 0, 1, 2, 0xc0, 0xa0, 0, 0, 1])
}

fn association(id: u32, addresses: &[Ipv6Addr]) -> DhcpOption {
    let opts = addresses.iter().map(|addr| {
        DhcpOption::IAAddr(IAAddr {
            addr: *addr,
            preferred_life: 0,
            valid_life: 0,
            opts: DhcpOptions::new(),
        })
    });
    DhcpOption::IANA(IANA {
        id,
        t1: 0,
        t2: 0,
        opts: opts.collect(),
    })
}

fn message(kind: MessageType, options: &[DhcpOption]) -> Message {
    let mut message = Message::new_with_id(kind, [7, 8, 9]);
    let options = options.iter().cloned();
    message.set_opts(
        options
            .chain([DhcpOption::ClientId(CLIENT.into())])
            .collect(),
    );
    message
}

fn ask_at(message: &Message, destination: Ipv6Addr, stand: &Stand) -> Answer {
    let envelope = Envelope {
        source_mac: stand.port.mac,
        destination_mac: MacAddress::ipv6_multicast(destination.octets()),
        vlan: None,
        addresses: Addresses::V6 {
            source: crate::link_local_of(stand.port.mac),
            destination,
        },
    };
    let payload = message.to_vec().unwrap();
    let frame = envelope.udp(CLIENT_PORT, SERVER_PORT, &payload).unwrap();
    crate::answer(&frame, &stand.asker())
}

fn ask(message: &Message, stand: &Stand) -> Answer {
    ask_at(message, ALL_SERVERS, stand)
}

fn read(answer: &Answer) -> Message {
    let packet = Packet::read(answer.frame.as_deref().unwrap()).unwrap();
    let Body::Udp {
        source: SERVER_PORT,
        destination: CLIENT_PORT,
        payload,
    } = packet.body
    else {
        panic!("{packet:?}");
    };
    let reply = Message::from_bytes(payload).unwrap();
    assert_eq!(reply.xid(), [7, 8, 9]);
    assert_eq!(reply.opts().get(OptionCode::ServerId), Some(&server()));
    reply
}

/// (association, (address, lifetime)s, status)
type Granted = (u32, Vec<(Ipv6Addr, u32)>, Option<Status>);

fn granted(reply: &Message) -> Vec<Granted> {
    let all = reply.opts().get_all(OptionCode::IANA).unwrap_or_default();
    let mut granted: Vec<Granted> = all
        .iter()
        .map(|option| {
            let DhcpOption::IANA(association) = option else {
                panic!("{option:?}");
            };
            let addresses = association.opts.iter().filter_map(|option| match option {
                DhcpOption::IAAddr(address) => Some((address.addr, address.valid_life)),
                _ => None,
            });
            (
                association.id,
                addresses.collect(),
                status_in(&association.opts),
            )
        })
        .collect();
    granted.sort_by_key(|(id, ..)| *id);
    granted
}

fn status_in(options: &DhcpOptions) -> Option<Status> {
    match options.get(OptionCode::StatusCode) {
        Some(DhcpOption::StatusCode(status)) => Some(status.status),
        _ => None,
    }
}

#[test]
fn a_client_gets_the_ports_address_and_resolvers() {
    let stand = Stand::routed();
    let answer = ask(
        &message(MessageType::Solicit, &[association(5, &[])]),
        &stand,
    );
    assert_eq!(answer.request.to_string(), "dhcpv6-solicit");
    assert_eq!(answer.outcome, Outcome::Answered);
    let advertise = read(&answer);
    assert_eq!(advertise.msg_type(), MessageType::Advertise);
    assert_eq!(granted(&advertise), [(5, vec![(address(), 3600)], None)]);
    let request = message(
        MessageType::Request,
        &[association(5, &[address()]), server()],
    );
    let reply = read(&ask(&request, &stand));
    assert_eq!(reply.msg_type(), MessageType::Reply);
    assert_eq!(granted(&reply), [(5, vec![(address(), 3600)], None)]);
    let gateway: Ipv6Addr = "fd00:10:1::1".parse().unwrap();
    let other: Ipv6Addr = "2001:db8::53".parse().unwrap();
    for expected in [
        DhcpOption::DomainNameServers(vec![gateway, other]),
        DhcpOption::DomainSearchList(zone::search(&stand.network)),
        DhcpOption::ClientId(CLIENT.into()),
    ] {
        assert_eq!(
            reply.opts().get(OptionCode::from(&expected)),
            Some(&expected)
        );
    }
}

#[test]
fn rapid_commit_saves_a_round_trip() {
    let stand = Stand::routed();
    let solicit = message(
        MessageType::Solicit,
        &[association(5, &[]), DhcpOption::RapidCommit],
    );
    let reply = read(&ask(&solicit, &stand));
    assert_eq!(reply.msg_type(), MessageType::Reply);
    assert!(reply.opts().get(OptionCode::RapidCommit).is_some());
    // In a request the option means nothing.
    let request = message(
        MessageType::Request,
        &[association(5, &[]), server(), DhcpOption::RapidCommit],
    );
    let reply = read(&ask(&request, &stand));
    assert!(reply.opts().get(OptionCode::RapidCommit).is_none());
}

#[test]
fn a_lease_goes_on_and_a_strange_address_ends() {
    let stand = Stand::routed();
    for kind in [MessageType::Renew, MessageType::Rebind] {
        let mut options = vec![association(5, &[foreign(), address()])];
        options.extend((kind == MessageType::Renew).then(server));
        let reply = read(&ask(&message(kind, &options), &stand));
        let [(5, addresses, None)] = &granted(&reply)[..] else {
            panic!("{reply}");
        };
        assert!(addresses.contains(&(address(), 3600)));
        assert!(addresses.contains(&(foreign(), 0)));
    }
}

#[test]
fn the_addresses_belong_to_one_association() {
    let stand = Stand::routed();
    let none = Some(Status::NoAddrsAvail);
    let new = [association(9, &[]), association(4, &[])];
    let reply = read(&ask(&message(MessageType::Solicit, &new), &stand));
    assert_eq!(
        granted(&reply),
        [(4, vec![(address(), 3600)], None), (9, vec![], none)]
    );
    let holds = [association(9, &[address()]), association(4, &[]), server()];
    let reply = read(&ask(&message(MessageType::Renew, &holds), &stand));
    assert_eq!(
        granted(&reply),
        [(4, vec![], none), (9, vec![(address(), 3600)], None)]
    );
}

#[test]
fn temporary_addresses_and_prefixes_are_refused() {
    let stand = Stand::routed();
    let solicit = message(
        MessageType::Solicit,
        &[
            association(5, &[]),
            DhcpOption::IATA(IATA {
                id: 1,
                opts: DhcpOptions::new(),
            }),
            DhcpOption::IAPD(IAPD {
                id: 2,
                t1: 0,
                t2: 0,
                opts: DhcpOptions::new(),
            }),
        ],
    );
    let reply = read(&ask(&solicit, &stand));
    let Some(DhcpOption::IATA(temporary)) = reply.opts().get(OptionCode::IATA) else {
        panic!("{reply}");
    };
    let Some(DhcpOption::IAPD(prefix)) = reply.opts().get(OptionCode::IAPD) else {
        panic!("{reply}");
    };
    assert_eq!(status_in(&temporary.opts), Some(Status::NoAddrsAvail));
    assert_eq!(status_in(&prefix.opts), Some(Status::NoPrefixAvail));
}

#[test]
fn a_port_without_an_address_says_so() {
    let mut stand = Stand::routed();
    stand.port.addresses.retain(|address| address.is_ipv4());
    let answer = ask(
        &message(MessageType::Solicit, &[association(5, &[])]),
        &stand,
    );
    assert_eq!(answer.outcome, Outcome::Refused);
    let reply = read(&answer);
    assert_eq!(reply.msg_type(), MessageType::Advertise);
    assert_eq!(status_in(reply.opts()), Some(Status::NoAddrsAvail));
    assert_eq!(granted(&reply), []);
    let request = message(MessageType::Request, &[association(5, &[]), server()]);
    let reply = read(&ask(&request, &stand));
    assert_eq!(granted(&reply), [(5, vec![], Some(Status::NoAddrsAvail))]);
}

#[test]
fn confirm_knows_the_ports_addresses() {
    let stand = Stand::routed();
    for (addresses, expected) in [
        (vec![address()], Some(Status::Success)),
        (vec![address(), foreign()], Some(Status::NotOnLink)),
        (vec![], None),
    ] {
        let answer = ask(
            &message(MessageType::Confirm, &[association(5, &addresses)]),
            &stand,
        );
        let status = answer
            .frame
            .is_some()
            .then(|| status_in(read(&answer).opts()));
        assert_eq!(status.flatten(), expected, "{addresses:?}");
    }
}

#[test]
fn information_is_for_clients_without_associations() {
    let stand = Stand::routed();
    let mut bare = Message::new_with_id(MessageType::InformationRequest, [7, 8, 9]);
    bare.set_opts(DhcpOptions::new());
    let reply = read(&ask(&bare, &stand));
    assert!(reply.opts().get(OptionCode::DomainNameServers).is_some());
    // The library writes this option, but does not read it.
    let refresh = reply.opts().get(OptionCode::InformationRefreshTime);
    let Some(DhcpOption::Unknown(refresh)) = refresh else {
        panic!("{reply}");
    };
    assert_eq!(refresh.data(), 3600u32.to_be_bytes());
    let answer = ask(
        &message(MessageType::InformationRequest, &[association(5, &[])]),
        &stand,
    );
    assert_eq!((answer.outcome, answer.frame), (Outcome::Malformed, None));
}

#[test]
fn a_lease_that_is_given_back_stays() {
    let stand = Stand::routed();
    for kind in [MessageType::Release, MessageType::Decline] {
        let answer = ask(
            &message(kind, &[association(5, &[address()]), server()]),
            &stand,
        );
        assert_eq!(answer.outcome, Outcome::Noted);
        assert_eq!(status_in(read(&answer).opts()), Some(Status::Success));
    }
    let solicit = message(MessageType::Solicit, &[association(5, &[])]);
    let reply = read(&ask(&solicit, &stand));
    assert_eq!(granted(&reply), [(5, vec![(address(), 3600)], None)]);
}

#[test]
fn messages_that_break_the_rules_get_nothing() {
    use MessageType as Type;
    let stand = Stand::routed();
    let other = DhcpOption::ServerId(vec![0, 3, 0, 1, 6, 6, 6, 6, 6, 6]);
    for (kind, options, expected) in [
        (Type::Solicit, vec![server()], Outcome::Malformed),
        (Type::Confirm, vec![server()], Outcome::Malformed),
        (Type::Rebind, vec![server()], Outcome::Malformed),
        (Type::Request, vec![], Outcome::Malformed),
        (Type::Renew, vec![], Outcome::Malformed),
        (Type::Release, vec![], Outcome::Malformed),
        (Type::Decline, vec![], Outcome::Malformed),
        (
            Type::Request,
            vec![other.clone()],
            Outcome::Ignored(Reason::OtherServer),
        ),
        (
            Type::Renew,
            vec![other],
            Outcome::Ignored(Reason::OtherServer),
        ),
        (
            Type::Advertise,
            vec![],
            Outcome::Ignored(Reason::NotARequest),
        ),
        (Type::Reply, vec![], Outcome::Ignored(Reason::NotARequest)),
        (
            Type::RelayForw,
            vec![],
            Outcome::Ignored(Reason::NotARequest),
        ),
    ] {
        let answer = ask(&message(kind, &options), &stand);
        assert_eq!(
            (answer.outcome, answer.frame),
            (expected, None),
            "{kind:?} {options:?}"
        );
    }
    let mut nameless = message(Type::Solicit, &[association(5, &[])]);
    nameless.opts_mut().remove(OptionCode::ClientId);
    assert_eq!(ask(&nameless, &stand).outcome, Outcome::Malformed);
}

#[test]
fn unicasts_are_turned_away() {
    let stand = Stand::routed();
    let to = stand.network.server_ipv6();
    let renew = message(
        MessageType::Renew,
        &[association(5, &[address()]), server()],
    );
    let answer = ask_at(&renew, to, &stand);
    assert_eq!(answer.outcome, Outcome::Refused);
    assert_eq!(status_in(read(&answer).opts()), Some(Status::UseMulticast));
    let solicit = message(MessageType::Solicit, &[association(5, &[])]);
    assert_eq!(ask_at(&solicit, to, &stand).frame, None);
}

#[test]
fn others_get_nothing() {
    let solicit = message(MessageType::Solicit, &[association(5, &[])]);
    let mut off = Stand::routed();
    off.network.dhcp = None;
    assert_eq!(ask(&solicit, &off).outcome, Outcome::Ignored(Reason::Off));
    let stand = Stand::routed();
    let mut neighbour = stand.clone();
    neighbour.port.mac = MacAddress([2, 0, 0, 0, 0, 99]);
    let envelope = Envelope {
        source_mac: neighbour.port.mac,
        destination_mac: MacAddress::BROADCAST,
        vlan: None,
        addresses: Addresses::V6 {
            source: crate::link_local_of(neighbour.port.mac),
            destination: ALL_SERVERS,
        },
    };
    let frame = envelope.udp(CLIENT_PORT, SERVER_PORT, &solicit.to_vec().unwrap());
    let answer = crate::answer(&frame.unwrap(), &stand.asker());
    assert_eq!(answer.outcome, Outcome::Ignored(Reason::OtherClient));
}
