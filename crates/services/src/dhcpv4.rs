//! DHCPv4 (RFC 2131): the server for exactly one client, the port that asks.
//!
//! The address is the port's own, so nothing is remembered: an offer is not kept, a lease is not stored, and who asks again
//! after a year, on another host, from an agent that has just started, gets the same answer. The server is authoritative: a
//! client that wants another address is told no at once (section 4.3.2), so a VM with a lease from elsewhere loses no time.

mod options;
mod screen;

use std::net::Ipv4Addr;

use coax_wire::MacAddress;
use dhcproto::v4::{DhcpOption, DhcpOptions, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};

use crate::outcome::{Answer, Dhcpv4Type, Outcome, Reason, Request};
use crate::packet::{Addresses, Envelope, Packet};
use crate::settings::{Asker, Dhcp};

/// The server's UDP port.
pub(crate) const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Datagrams that any client takes (section 2).
const LEAST_DATAGRAM: u16 = 576;
/// IPv4 and UDP headers.
const HEADERS: u16 = 28;
/// The shortest message: BOOTP's (RFC 951), which some clients insist on.
const LEAST_MESSAGE: usize = 300;

/// What a client is told.
struct Reply {
    kind: MessageType,
    /// The address that it gets.
    lease: Option<Ipv4Addr>,
    /// Where it is told so, if it has an address already.
    to: Option<Ipv4Addr>,
    /// "Rapid commit" was asked for and is granted (RFC 4039).
    rapid: bool,
}

/// Answers a datagram to the server's port.
pub(crate) fn answer(packet: &Packet<'_>, payload: &[u8], asker: &Asker<'_>) -> Answer {
    let screened = screen::screened(payload).and_then(|bytes| Message::from_bytes(&bytes).ok());
    let Some(request) = screened else {
        return Answer::malformed(Request::Dhcpv4(Dhcpv4Type::Other));
    };
    let kind = request_type(&request);
    let of = Request::Dhcpv4(kind);
    let Some(dhcp) = asker.network.dhcp else {
        return Answer::ignored(of, Reason::Off);
    };
    let Addresses::V4 { source, .. } = packet.addresses else {
        return Answer::ignored(of, Reason::NotARequest);
    };
    // A relay, or a NIC behind the port's own: neither has an address in the intent.
    let is_own = request.chaddr() == asker.port.mac.0 && packet.source_mac == asker.port.mac;
    if !is_own || !request.giaddr().is_unspecified() {
        return Answer::ignored(of, Reason::OtherClient);
    }
    let Some(address) = asker.leased_ipv4() else {
        return Answer::ignored(of, Reason::NoAddress);
    };
    let server = asker.network.server_ipv4(address);
    match decide(&request, kind, source, address, server) {
        Err(outcome) => Answer::silent(of, outcome),
        Ok(reply) => Answer {
            request: of,
            outcome: match reply.kind {
                MessageType::Nak => Outcome::Refused,
                _ => Outcome::Answered,
            },
            frame: write(&request, &reply, address, server, dhcp, asker),
        },
    }
}

fn request_type(request: &Message) -> Dhcpv4Type {
    match request.opts().msg_type() {
        _ if request.opcode() != Opcode::BootRequest => Dhcpv4Type::Other,
        Some(MessageType::Discover) => Dhcpv4Type::Discover,
        Some(MessageType::Request) => Dhcpv4Type::Request,
        Some(MessageType::Decline) => Dhcpv4Type::Decline,
        Some(MessageType::Release) => Dhcpv4Type::Release,
        Some(MessageType::Inform) => Dhcpv4Type::Inform,
        _ => Dhcpv4Type::Other,
    }
}

/// Sections 4.3.1 to 4.3.5.
fn decide(
    request: &Message,
    kind: Dhcpv4Type,
    source: Ipv4Addr,
    address: Ipv4Addr,
    server: Ipv4Addr,
) -> Result<Reply, Outcome> {
    let options = request.opts();
    let chosen = chosen_server(options);
    let has = Some(request.ciaddr()).filter(|has| !has.is_unspecified());
    match kind {
        Dhcpv4Type::Discover => {
            let rapid = options.contains(OptionCode::RapidCommit);
            Ok(Reply {
                kind: if rapid {
                    MessageType::Ack
                } else {
                    MessageType::Offer
                },
                lease: Some(address),
                to: None,
                rapid,
            })
        }
        Dhcpv4Type::Request if chosen.is_some_and(|chosen| chosen != server) => {
            Err(Outcome::Ignored(Reason::OtherServer))
        }
        Dhcpv4Type::Request => {
            // Which of the two fields it is shows the client's state (table 4), but each says what it wants.
            let wanted = wanted_address(options).or(has);
            let granted = wanted == Some(address);
            Ok(Reply {
                kind: if granted {
                    MessageType::Ack
                } else {
                    MessageType::Nak
                },
                lease: granted.then_some(address),
                to: has.filter(|_| granted),
                rapid: false,
            })
        }
        Dhcpv4Type::Inform => Ok(Reply {
            kind: MessageType::Ack,
            lease: None,
            to: has.or(Some(source)).filter(|to| !to.is_unspecified()),
            rapid: false,
        }),
        Dhcpv4Type::Decline | Dhcpv4Type::Release => Err(Outcome::Noted),
        Dhcpv4Type::Other => Err(Outcome::Ignored(Reason::NotARequest)),
    }
}

fn chosen_server(options: &DhcpOptions) -> Option<Ipv4Addr> {
    match options.get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) => Some(*server),
        _ => None,
    }
}

fn wanted_address(options: &DhcpOptions) -> Option<Ipv4Addr> {
    match options.get(OptionCode::RequestedIpAddress) {
        Some(DhcpOption::RequestedIpAddress(address)) => Some(*address),
        _ => None,
    }
}

fn write(
    request: &Message,
    reply: &Reply,
    address: Ipv4Addr,
    server: Ipv4Addr,
    dhcp: Dhcp,
    asker: &Asker<'_>,
) -> Option<Vec<u8>> {
    let is_nak = reply.kind == MessageType::Nak;
    let mut message = request.clone();
    message
        .set_opcode(Opcode::BootReply)
        .set_secs(0)
        .set_ciaddr(reply.to.unwrap_or(Ipv4Addr::UNSPECIFIED))
        .set_yiaddr(reply.lease.unwrap_or(Ipv4Addr::UNSPECIFIED))
        .set_siaddr(Ipv4Addr::UNSPECIFIED);
    let mut always = options::heading(request.opts(), reply.kind, server);
    let mut parameters = Vec::new();
    if is_nak {
        always.push(DhcpOption::Message(format!(
            "this port's address is {address}"
        )));
    } else {
        always.extend(reply.lease.iter().flat_map(|_| options::times(dhcp)));
        always.extend(reply.rapid.then_some(DhcpOption::RapidCommit));
        parameters = options::parameters(asker, address, server);
    }
    let payload = fit(
        &mut message,
        always,
        parameters,
        usable(request, asker),
        request.opts(),
    )?;
    envelope(request, reply, server, asker).udp(SERVER_PORT, CLIENT_PORT, &payload)
}

/// Bytes of the longest message that the client takes and the network carries.
fn usable(request: &Message, asker: &Asker<'_>) -> usize {
    let told = match request.opts().get(OptionCode::MaxMessageSize) {
        Some(DhcpOption::MaxMessageSize(most)) => (*most).max(LEAST_DATAGRAM),
        _ => LEAST_DATAGRAM,
    };
    usize::from(told.min(asker.network.mtu.get()) - HEADERS)
}

/// The message in bytes. What does not fit is left out: first what the client did not ask for, then from the end of the list.
fn fit(
    message: &mut Message,
    always: Vec<DhcpOption>,
    mut parameters: Vec<DhcpOption>,
    room: usize,
    asked: &DhcpOptions,
) -> Option<Vec<u8>> {
    loop {
        message.set_opts(always.iter().chain(&parameters).cloned().collect());
        let mut bytes = message.to_vec().ok()?;
        if bytes.len() <= room || parameters.is_empty() {
            bytes.resize(bytes.len().max(LEAST_MESSAGE), 0);
            return Some(bytes);
        }
        let unasked = parameters
            .iter()
            .rposition(|option| !options::is_asked_for(option, asked));
        parameters.remove(unasked.unwrap_or(parameters.len() - 1));
    }
}

/// Section 4.1: to the address that the client has; else to the one that it gets, unless it cannot take unicasts yet.
fn envelope(request: &Message, reply: &Reply, server: Ipv4Addr, asker: &Asker<'_>) -> Envelope {
    let unicast = reply
        .to
        .or(reply.lease.filter(|_| !request.flags().broadcast()));
    Envelope {
        source_mac: asker.network.gateway_mac,
        destination_mac: unicast.map_or(MacAddress::BROADCAST, |_| asker.port.mac),
        vlan: asker.port.vlan,
        addresses: Addresses::V4 {
            source: server,
            destination: unicast.unwrap_or(Ipv4Addr::BROADCAST),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
