//! DNS (RFC 1035) for the names of the project, over UDP.
//!
//! Every other name is refused. A VM's resolver then asks the next server of its list, which the network's settings name: it
//! asks there itself, with its own address, through its own firewall. So the agent needs no upstream, holds no
//! query, and no VM gets to see what the host's own resolvers know.

use std::net::IpAddr;

use coax_wire::MacAddress;
use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NS, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::outcome::{Answer, Outcome, Reason, Request};
use crate::packet::{Addresses, Envelope, Packet};
use crate::settings::Asker;
use crate::zone::{self, Data, Entry};

/// The server's UDP port.
pub(crate) const PORT: u16 = 53;
/// Bytes of a message that every resolver takes (RFC 1035 section 4.2.1).
const LEAST_SIZE: u16 = 512;
/// Bytes of a message that is never fragmented on the way (RFC 9715 section 3.1).
const MOST_SIZE: u16 = 1232;
/// Records beside the question that a query may have: OPT, and one more that nobody looks at.
const MOST_ADDITIONALS: u16 = 2;
/// How long answers may be kept. Short, because a VM that is made again may get another address.
const TIME_TO_LIVE: u32 = 60;
/// How long "no such name" may be kept: the VM may be about to start.
const NEGATIVE_TIME_TO_LIVE: u32 = 5;

/// A query that can be answered.
struct Asked {
    question: Query,
    edns: Option<Edns>,
}

/// Answers a datagram to the server's port.
pub(crate) fn answer(
    packet: &Packet<'_>,
    source_port: u16,
    payload: &[u8],
    asker: &Asker<'_>,
) -> Answer {
    let mut decoder = BinDecoder::new(payload);
    let Ok(header) = Header::read(&mut decoder) else {
        return Answer::malformed(Request::Dns);
    };
    if !asker.network.dns.answered {
        return Answer::ignored(Request::Dns, Reason::Off);
    }
    if !asker.network.is_server(packet.addresses.destination()) {
        return Answer::ignored(Request::Dns, Reason::OtherServer);
    }
    // Who answered answers would talk to himself for ever.
    if header.metadata.message_type != MessageType::Query || source_port == PORT {
        return Answer::ignored(Request::Dns, Reason::NotARequest);
    }
    let mut response = Message::response(header.metadata.id, header.metadata.op_code);
    response.metadata.recursion_desired = header.metadata.recursion_desired;
    let read = read(&header, &mut decoder);
    let edns = read.as_ref().ok().and_then(|asked| asked.edns.clone());
    let outcome = match read {
        Ok(asked) => fill(&mut response, asked, asker),
        Err(code) => {
            response.metadata.response_code = code;
            if code == ResponseCode::FormErr {
                Outcome::Malformed
            } else {
                Outcome::Refused
            }
        }
    };
    let frame = encode(response, edns.as_ref()).and_then(|message| {
        envelope(packet.source_mac, packet.addresses, asker).udp(PORT, source_port, &message)
    });
    Answer {
        request: Request::Dns,
        outcome,
        frame,
    }
}

/// Reads the question and the OPT record; nothing else is of interest, and nothing else may be many.
fn read(header: &Header, decoder: &mut BinDecoder<'_>) -> Result<Asked, ResponseCode> {
    if header.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    let counts = header.counts;
    if (counts.queries, counts.answers, counts.authorities) != (1, 0, 0)
        || counts.additionals > MOST_ADDITIONALS
    {
        return Err(ResponseCode::FormErr);
    }
    let question = Query::read(decoder).map_err(|_| ResponseCode::FormErr)?;
    let additionals = counts.additionals.into();
    let (_, edns, _) = Message::read_records(decoder, additionals, true, OpCode::Query)
        .map_err(|_| ResponseCode::FormErr)?;
    Ok(Asked { question, edns })
}

/// Writes what there is to say into the response.
fn fill(response: &mut Message, asked: Asked, asker: &Asker<'_>) -> Outcome {
    let Asked { question, edns } = asked;
    response.add_query(question.clone());
    if let Some(theirs) = edns {
        let mut ours = Edns::new();
        ours.set_max_payload(MOST_SIZE).set_version(0);
        response.set_edns(ours);
        if theirs.version() != 0 {
            response.metadata.response_code = ResponseCode::BADVERS;
            return Outcome::Refused;
        }
    }
    let transfer = matches!(question.query_type, RecordType::AXFR | RecordType::IXFR);
    let entry = match question.query_class {
        DNSClass::IN if !transfer => zone::find(&question.name, asker),
        _ => None,
    };
    let Some(entry) = entry else {
        response.metadata.response_code = ResponseCode::Refused;
        return Outcome::Refused;
    };
    response.metadata.authoritative = true;
    let soa = soa(&entry, asker.names.serial());
    let records = records(&question, &entry, &soa);
    if !records.is_empty() {
        let owned = |data| Record::from_rdata(question.name.clone(), TIME_TO_LIVE, data);
        response.add_answers(records.into_iter().map(owned));
        return Outcome::Answered;
    }
    if entry.data == Data::Nothing {
        response.metadata.response_code = ResponseCode::NXDomain;
    }
    // RFC 2308 section 3: the SOA record says for how long "no" holds.
    let negative = Record::from_rdata(entry.apex, NEGATIVE_TIME_TO_LIVE, RData::SOA(soa));
    response.add_authority(negative);
    Outcome::Absent
}

/// What is recorded under the question's name for its type.
fn records(question: &Query, entry: &Entry, soa: &SOA) -> Vec<RData> {
    let wanted = question.query_type;
    let is_wanted = |data: &RData| wanted == RecordType::ANY || data.record_type() == wanted;
    let mut records: Vec<RData> = match &entry.data {
        Data::Nothing => Vec::new(),
        Data::Addresses(addresses) => addresses.iter().map(address_record).collect(),
        Data::Pointer(name) => vec![RData::PTR(PTR(name.clone()))],
    };
    if question.name == entry.apex {
        records.push(RData::SOA(soa.clone()));
        records.push(RData::NS(NS(entry.server.clone())));
    }
    records.retain(is_wanted);
    records
}

fn address_record(address: &IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(*address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
    }
}

/// Nobody transfers these zones, so most numbers matter to nobody.
fn soa(entry: &Entry, serial: u32) -> SOA {
    let contact = entry.server.prepend_label("hostmaster");
    let contact = contact.unwrap_or_else(|_| Name::root());
    SOA::new(
        entry.server.clone(),
        contact,
        serial,
        3600,
        600,
        86_400,
        NEGATIVE_TIME_TO_LIVE,
    )
}

/// The response in bytes. One that is too large loses its records and says so (RFC 2181 section 9).
fn encode(response: Message, theirs: Option<&Edns>) -> Option<Vec<u8>> {
    let most = theirs
        .map_or(LEAST_SIZE, Edns::max_payload)
        .clamp(LEAST_SIZE, MOST_SIZE);
    let message = response.to_vec().ok()?;
    if message.len() <= usize::from(most) {
        return Some(message);
    }
    response.truncate().to_vec().ok()
}

fn envelope(client: MacAddress, addresses: Addresses, asker: &Asker<'_>) -> Envelope {
    Envelope {
        source_mac: asker.network.gateway_mac,
        destination_mac: client,
        vlan: asker.port.vlan,
        addresses: addresses.reversed(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
