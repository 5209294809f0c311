//! Queries in and responses out, as messages.

use super::*;
use crate::packet::Body;
use crate::stand::Stand;
use hickory_proto::op::MessageType;
use hickory_proto::serialize::binary::BinEncodable;

const CLIENT_PORT: u16 = 40_000;

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn to(destination: &str, stand: &Stand) -> Addresses {
    match destination.parse().unwrap() {
        IpAddr::V4(destination) => Addresses::V4 {
            source: stand.asker().leased_ipv4().unwrap(),
            destination,
        },
        IpAddr::V6(destination) => Addresses::V6 {
            source: stand.asker().leased_ipv6().next().unwrap(),
            destination,
        },
    }
}

fn ask_bytes(payload: &[u8], addresses: Addresses, source_port: u16, stand: &Stand) -> Answer {
    let envelope = Envelope {
        source_mac: stand.port.mac,
        destination_mac: stand.network.gateway_mac,
        vlan: None,
        addresses,
    };
    let frame = envelope.udp(source_port, PORT, payload).unwrap();
    crate::answer(&frame, &stand.asker())
}

fn ask(message: &Message, stand: &Stand) -> (Outcome, Message) {
    let addresses = to("10.10.1.1", stand);
    let answer = ask_bytes(&message.to_vec().unwrap(), addresses, CLIENT_PORT, stand);
    let packet = Packet::read(answer.frame.as_deref().unwrap()).unwrap();
    assert_eq!(packet.addresses, addresses.reversed());
    let Body::Udp {
        source: PORT,
        destination: CLIENT_PORT,
        payload,
    } = packet.body
    else {
        panic!("{packet:?}");
    };
    (answer.outcome, Message::from_vec(payload).unwrap())
}

fn data(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

#[test]
fn both_families_and_pointers() {
    let stand = Stand::routed();
    for (name, kind, expected) in [
        ("web-1.web.shop.", RecordType::A, vec!["10.10.1.11"]),
        (
            "web-1.web.shop.cloud.example.",
            RecordType::AAAA,
            vec!["fd00:10:1::11"],
        ),
        (
            "web-1.web.shop.",
            RecordType::ANY,
            vec!["10.10.1.11", "fd00:10:1::11"],
        ),
        ("app-1.app.shop.", RecordType::A, vec!["10.10.3.7"]),
        (
            "11.1.10.10.in-addr.arpa.",
            RecordType::PTR,
            vec!["web-1.web.shop.cloud.example."],
        ),
    ] {
        let (outcome, response) = ask(&query(name, kind), &stand);
        assert_eq!(outcome, Outcome::Answered, "{name}");
        assert_eq!(data(&response.answers), expected, "{name}");
        let metadata = response.metadata;
        assert_eq!(
            (metadata.id, metadata.response_code),
            (7, ResponseCode::NoError)
        );
        assert!(metadata.authoritative && metadata.recursion_desired);
        assert!(!metadata.recursion_available && !metadata.truncation);
        assert!(
            response
                .answers
                .iter()
                .all(|record| record.ttl == TIME_TO_LIVE)
        );
    }
}

#[test]
fn case_is_kept_and_does_not_matter() {
    let (_, response) = ask(&query("wEb-1.WEB.shop.", RecordType::A), &Stand::routed());
    assert_eq!(response.answers[0].name.to_ascii(), "wEb-1.WEB.shop.");
    assert_eq!(response.queries[0].name.to_ascii(), "wEb-1.WEB.shop.");
}

#[test]
fn no_name_and_no_data_are_told_apart() {
    let stand = Stand::routed();
    for (name, kind, code) in [
        ("web-9.web.shop.", RecordType::A, ResponseCode::NXDomain),
        (
            "99.1.10.10.in-addr.arpa.",
            RecordType::PTR,
            ResponseCode::NXDomain,
        ),
        ("web-1.web.shop.", RecordType::MX, ResponseCode::NoError),
        ("app-1.app.shop.", RecordType::AAAA, ResponseCode::NoError),
        ("bare.web.shop.", RecordType::A, ResponseCode::NoError),
    ] {
        let (outcome, response) = ask(&query(name, kind), &stand);
        assert_eq!(outcome, Outcome::Absent, "{name}");
        assert_eq!(response.metadata.response_code, code, "{name}");
        assert!(response.answers.is_empty() && response.metadata.authoritative);
        let [soa] = &response.authorities[..] else {
            panic!("{response:?}");
        };
        assert_eq!(soa.record_type(), RecordType::SOA);
        assert_eq!(soa.ttl, NEGATIVE_TIME_TO_LIVE);
        assert!(soa.name.zone_of(&Name::from_ascii(name).unwrap()), "{name}");
    }
}

#[test]
fn a_zone_describes_itself() {
    let stand = Stand::routed();
    for (zone, server) in [
        ("web.shop.", "web.shop."),
        ("shop.cloud.example.", "web.shop.cloud.example."),
        ("1.10.10.in-addr.arpa.", "web.shop.cloud.example."),
    ] {
        let (_, response) = ask(&query(zone, RecordType::SOA), &stand);
        let [
            Record {
                data: RData::SOA(soa),
                ..
            },
        ] = &response.answers[..]
        else {
            panic!("{response:?}");
        };
        assert_eq!((soa.serial, soa.mname.to_ascii().as_str()), (17, server));
        let (_, response) = ask(&query(zone, RecordType::NS), &stand);
        assert_eq!(data(&response.answers), [server]);
        let (_, response) = ask(&query(server, RecordType::A), &stand);
        assert_eq!(data(&response.answers), ["10.10.1.1"]);
    }
}

#[test]
fn other_names_are_refused() {
    let stand = Stand::routed();
    let mut chaos = query("version.bind.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    for message in [
        query("www.example.org.", RecordType::A),
        query("shop.", RecordType::SOA),
        query("web.shop.", RecordType::AXFR),
        query("8.8.8.8.in-addr.arpa.", RecordType::PTR),
        chaos,
    ] {
        let (outcome, response) = ask(&message, &stand);
        assert_eq!(outcome, Outcome::Refused);
        assert_eq!(response.metadata.response_code, ResponseCode::Refused);
        assert!(!response.metadata.authoritative);
        assert!(response.answers.is_empty() && response.authorities.is_empty());
    }
}

#[test]
fn extensions_are_answered_with_our_size() {
    let stand = Stand::routed();
    let mut message = query("web-1.web.shop.", RecordType::A);
    let (_, plain) = ask(&message, &stand);
    assert_eq!(plain.edns, None);
    message.set_edns(Edns::new());
    let (_, extended) = ask(&message, &stand);
    assert_eq!(extended.edns.unwrap().max_payload(), MOST_SIZE);
    message.edns.as_mut().unwrap().set_version(1);
    let (outcome, newer) = ask(&message, &stand);
    assert_eq!(outcome, Outcome::Refused);
    // 16 is "bad version" or "bad signature", whichever extension is spoken of.
    assert_eq!(u16::from(newer.metadata.response_code), 16);
    assert_eq!(newer.edns.unwrap().version(), 0);
}

#[test]
fn what_is_too_large_says_so() {
    let mut stand = Stand::routed();
    let many = &mut stand.directory.networks[0].2[1];
    many.addresses = (0..40u8)
        .map(|last| IpAddr::from([10, 10, 1, last]))
        .collect();
    let mut message = query("web-2.web.shop.", RecordType::A);
    let (_, small) = ask(&message, &stand);
    assert!(small.metadata.truncation && small.answers.is_empty());
    assert!(small.to_vec().unwrap().len() <= usize::from(LEAST_SIZE));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.set_edns(edns);
    let (_, large) = ask(&message, &stand);
    assert!(!large.metadata.truncation);
    assert_eq!(large.answers.len(), 40);
    let many = &mut stand.directory.networks[0].2[1];
    many.addresses = (0..200u8)
        .map(|last| IpAddr::from([10, 10, 1, last]))
        .collect();
    let (_, huge) = ask(&message, &stand);
    assert!(huge.metadata.truncation);
}

#[test]
fn broken_questions_are_told_so() {
    let stand = Stand::routed();
    let good = query("web-1.web.shop.", RecordType::A);
    let mut two = good.clone();
    two.add_query(good.queries[0].clone());
    let mut answered = good.clone();
    answered.add_answer(Record::from_rdata(
        Name::root(),
        1,
        RData::A(A([10, 0, 0, 1].into())),
    ));
    let mut update = good.clone();
    update.metadata.op_code = OpCode::Update;
    for (message, code) in [
        (two, ResponseCode::FormErr),
        (answered, ResponseCode::FormErr),
        (update, ResponseCode::NotImp),
    ] {
        let (_, response) = ask(&message, &stand);
        assert_eq!(response.metadata.response_code, code);
        assert!(response.queries.is_empty());
    }
    let addresses = to("10.10.1.1", &stand);
    let bytes = good.to_bytes().unwrap();
    let cut = ask_bytes(&bytes[..20], addresses, CLIENT_PORT, &stand);
    assert_eq!(cut.outcome, Outcome::Malformed);
    assert!(cut.frame.is_some());
    let headless = ask_bytes(&bytes[..11], addresses, CLIENT_PORT, &stand);
    assert_eq!(
        (headless.outcome, headless.frame),
        (Outcome::Malformed, None)
    );
    // 65,535 questions in a few bytes are neither read nor made room for.
    let mut boast = bytes.clone();
    boast[4..6].fill(0xff);
    let answer = ask_bytes(&boast, addresses, CLIENT_PORT, &stand);
    assert_eq!(answer.outcome, Outcome::Malformed);
}

#[test]
fn answers_and_other_servers_are_not_answered() {
    let stand = Stand::routed();
    let bytes = query("web-1.web.shop.", RecordType::A).to_vec().unwrap();
    let addresses = to("10.10.1.1", &stand);
    let mut response = bytes.clone();
    response[2] |= 0x80;
    let answer = ask_bytes(&response, addresses, CLIENT_PORT, &stand);
    assert_eq!(answer.outcome, Outcome::Ignored(Reason::NotARequest));
    let answer = ask_bytes(&bytes, addresses, PORT, &stand);
    assert_eq!(answer.outcome, Outcome::Ignored(Reason::NotARequest));
    for elsewhere in ["192.0.2.53", "10.10.1.12", "2001:db8::53"] {
        let answer = ask_bytes(&bytes, to(elsewhere, &stand), CLIENT_PORT, &stand);
        assert_eq!(
            answer.outcome,
            Outcome::Ignored(Reason::OtherServer),
            "{elsewhere}"
        );
    }
    for ours in [
        "10.10.1.1",
        "fd00:10:1::1",
        "169.254.169.253",
        "fe80::c0:a0ff:fe00:1",
    ] {
        let answer = ask_bytes(&bytes, to(ours, &stand), CLIENT_PORT, &stand);
        assert_eq!(answer.outcome, Outcome::Answered, "{ours}");
    }
    let mut off = stand.clone();
    off.network.dns.answered = false;
    let answer = ask_bytes(&bytes, addresses, CLIENT_PORT, &off);
    assert_eq!(answer.outcome, Outcome::Ignored(Reason::Off));
}
