//! DHCPv6 (RFC 8415): the server for exactly one client, the port that asks.
//!
//! As with DHCPv4 nothing is remembered. All leased IPv6 addresses of the port belong to one of the client's identity
//! associations; the others are told that there are none for them. Every host has the same server identifier,
//! made of the gateways' MAC address, so a VM that has moved goes on with the lease that it has.

mod screen;

use std::net::Ipv6Addr;

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IATA, Message, MessageType, OptionCode, Status,
    StatusCode,
};
use dhcproto::{Decodable, Encodable};

use crate::outcome::{Answer, Dhcpv6Type, Outcome, Reason, Request};
use crate::packet::{Addresses, Envelope, Packet};
use crate::settings::{Asker, Dhcp};
use crate::zone;

/// The server's UDP port.
pub(crate) const SERVER_PORT: u16 = 547;
const CLIENT_PORT: u16 = 546;
/// `ff02::1:2`, all servers and relays.
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A request that came well-formed and to the right server.
struct Asked<'a> {
    kind: Dhcpv6Type,
    message: &'a Message,
    dhcp: Dhcp,
    asker: &'a Asker<'a>,
}

/// Answers a datagram to the server's port.
pub(crate) fn answer(packet: &Packet<'_>, payload: &[u8], asker: &Asker<'_>) -> Answer {
    let screened = screen::screened(payload).and_then(|bytes| Message::from_bytes(&bytes).ok());
    let Some(message) = screened else {
        return Answer::malformed(Request::Dhcpv6(Dhcpv6Type::Other));
    };
    let kind = request_type(&message);
    let of = Request::Dhcpv6(kind);
    let Some(dhcp) = asker.network.dhcp else {
        return Answer::ignored(of, Reason::Off);
    };
    let Addresses::V6 {
        source,
        destination,
    } = packet.addresses
    else {
        return Answer::ignored(of, Reason::NotARequest);
    };
    if packet.source_mac != asker.port.mac || source.is_unspecified() || source.is_multicast() {
        return Answer::ignored(of, Reason::OtherClient);
    }
    let asked = Asked {
        kind,
        message: &message,
        dhcp,
        asker,
    };
    let (outcome, options) = match decide(&asked, destination) {
        Ok(decided) => decided,
        Err(outcome) => return Answer::silent(of, outcome),
    };
    let envelope = Envelope {
        source_mac: asker.network.gateway_mac,
        destination_mac: packet.source_mac,
        vlan: asker.port.vlan,
        addresses: Addresses::V6 {
            source: asker.network.server_ipv6(),
            destination: source,
        },
    };
    let bytes = write(&asked, options);
    Answer {
        request: of,
        outcome,
        frame: bytes.and_then(|bytes| envelope.udp(SERVER_PORT, CLIENT_PORT, &bytes)),
    }
}

fn request_type(message: &Message) -> Dhcpv6Type {
    match message.msg_type() {
        MessageType::Solicit => Dhcpv6Type::Solicit,
        MessageType::Request => Dhcpv6Type::Request,
        MessageType::Confirm => Dhcpv6Type::Confirm,
        MessageType::Renew => Dhcpv6Type::Renew,
        MessageType::Rebind => Dhcpv6Type::Rebind,
        MessageType::Release => Dhcpv6Type::Release,
        MessageType::Decline => Dhcpv6Type::Decline,
        MessageType::InformationRequest => Dhcpv6Type::InformationRequest,
        _ => Dhcpv6Type::Other,
    }
}

/// Sections 16 and 18.3: which messages are to be dropped, and what the others are told.
fn decide(asked: &Asked<'_>, destination: Ipv6Addr) -> Result<(Outcome, Vec<DhcpOption>), Outcome> {
    use Dhcpv6Type as Type;
    let kind = asked.kind;
    if kind == Type::Other {
        return Err(Outcome::Ignored(Reason::NotARequest));
    }
    let options = asked.message.opts();
    let names_us = asked.server_named()?;
    let must_name_us = matches!(
        kind,
        Type::Request | Type::Renew | Type::Release | Type::Decline
    );
    let may_name_us = must_name_us || kind == Type::InformationRequest;
    let has_client = options.get(OptionCode::ClientId).is_some();
    if (must_name_us && !names_us)
        || (names_us && !may_name_us)
        || (!has_client && kind != Type::InformationRequest)
    {
        return Err(Outcome::Malformed);
    }
    if destination != ALL_SERVERS {
        // Section 18.4: unicasts are for clients that were told to send some.
        return if must_name_us {
            Ok((
                Outcome::Refused,
                vec![status(Status::UseMulticast, "send to ff02::1:2")],
            ))
        } else {
            Err(Outcome::Ignored(Reason::NotARequest))
        };
    }
    match kind {
        Type::Solicit | Type::Request | Type::Renew | Type::Rebind => Ok(lease(asked)),
        Type::Confirm => confirm(asked),
        Type::Release | Type::Decline => {
            let text = "the address stays this port's";
            Ok((Outcome::Noted, vec![status(Status::Success, text)]))
        }
        Type::InformationRequest if asked.has_association() => Err(Outcome::Malformed),
        Type::InformationRequest => {
            let refresh = seconds(asked.dhcp);
            let mut options = parameters(asked.asker);
            options.push(DhcpOption::InformationRefreshTime(refresh));
            Ok((Outcome::Answered, options))
        }
        Type::Other => Err(Outcome::Ignored(Reason::NotARequest)),
    }
}

impl Asked<'_> {
    /// True if the client names us, false if it names nobody.
    fn server_named(&self) -> Result<bool, Outcome> {
        match self.message.opts().get(OptionCode::ServerId) {
            None => Ok(false),
            Some(DhcpOption::ServerId(named)) if *named == self.server_identifier() => Ok(true),
            Some(_) => Err(Outcome::Ignored(Reason::OtherServer)),
        }
    }

    /// A DUID of a link-layer address (section 11.4).
    fn server_identifier(&self) -> Vec<u8> {
        let mut identifier = vec![0, 3, 0, 1];
        identifier.extend(self.asker.network.gateway_mac.0);
        identifier
    }

    fn associations(&self) -> impl Iterator<Item = &IANA> {
        let all = self.message.opts().get_all(OptionCode::IANA);
        all.unwrap_or_default()
            .iter()
            .filter_map(|option| match option {
                DhcpOption::IANA(association) => Some(association),
                _ => None,
            })
    }

    fn has_association(&self) -> bool {
        [OptionCode::IANA, OptionCode::IATA, OptionCode::IAPD]
            .into_iter()
            .any(|code| self.message.opts().get(code).is_some())
    }

    fn is_ours(&self, address: Ipv6Addr) -> bool {
        self.asker.leased_ipv6().any(|own| own == address)
    }

    /// Which association gets the port's addresses: the one that has one of them, else the one with the lowest number.
    fn holder(&self) -> Option<u32> {
        let has = |association: &&IANA| {
            addresses_in(&association.opts).any(|address| self.is_ours(address))
        };
        let holder = self.associations().find(has);
        holder
            .or_else(|| self.associations().min_by_key(|association| association.id))
            .map(|association| association.id)
    }
}

fn addresses_in(options: &DhcpOptions) -> impl Iterator<Item = Ipv6Addr> {
    options.iter().filter_map(|option| match option {
        DhcpOption::IAAddr(address) => Some(address.addr),
        _ => None,
    })
}

fn status(status: Status, text: &str) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode {
        status,
        msg: text.to_owned(),
    })
}

fn seconds(dhcp: Dhcp) -> u32 {
    u32::try_from(dhcp.lease.as_secs()).unwrap_or(u32::MAX)
}

/// What a client is told that asks for addresses.
fn lease(asked: &Asked<'_>) -> (Outcome, Vec<DhcpOption>) {
    let is_solicit = asked.kind == Dhcpv6Type::Solicit;
    let holder = asked
        .holder()
        .filter(|_| asked.asker.leased_ipv6().next().is_some());
    if holder.is_none() && is_solicit {
        // Section 18.3.9: then nothing else is said.
        let text = "the port has no IPv6 address";
        return (Outcome::Refused, vec![status(Status::NoAddrsAvail, text)]);
    }
    let mut options: Vec<DhcpOption> = asked
        .associations()
        .map(|association| association_for(asked, association, holder == Some(association.id)))
        .collect();
    options.extend(others(asked));
    options.extend(parameters(asked.asker));
    let rapid = asked.message.opts().get(OptionCode::RapidCommit).is_some();
    options.extend((is_solicit && rapid).then_some(DhcpOption::RapidCommit));
    let outcome = holder.map_or(Outcome::Refused, |_| Outcome::Answered);
    (outcome, options)
}

/// One association of the client with the port's addresses, or without.
fn association_for(asked: &Asked<'_>, theirs: &IANA, has: bool) -> DhcpOption {
    let lease = seconds(asked.dhcp);
    let address = |addr, life| {
        DhcpOption::IAAddr(IAAddr {
            addr,
            preferred_life: life,
            valid_life: life,
            opts: DhcpOptions::new(),
        })
    };
    let granted: Vec<Ipv6Addr> = if has {
        asked.asker.leased_ipv6().collect()
    } else {
        Vec::new()
    };
    let mut opts: DhcpOptions = granted.iter().map(|addr| address(*addr, lease)).collect();
    if asked.kind != Dhcpv6Type::Solicit {
        // Addresses that the client must not use any more (section 18.3.4).
        for stale in addresses_in(&theirs.opts).filter(|addr| !granted.contains(addr)) {
            opts.insert(address(stale, 0));
        }
    }
    if !has {
        let text = "the port's addresses belong to another association";
        opts.insert(status(Status::NoAddrsAvail, text));
    }
    let (t1, t2) = if has {
        (lease / 2, lease - lease / 5)
    } else {
        (0, 0)
    };
    DhcpOption::IANA(IANA {
        id: theirs.id,
        t1,
        t2,
        opts,
    })
}

/// Associations for temporary addresses and prefixes: there are none.
fn others(asked: &Asked<'_>) -> impl Iterator<Item = DhcpOption> {
    let refused = |code, text| DhcpOptions::from_iter([status(code, text)]);
    asked
        .message
        .opts()
        .iter()
        .filter_map(move |option| match option {
            DhcpOption::IATA(theirs) => Some(DhcpOption::IATA(IATA {
                id: theirs.id,
                opts: refused(Status::NoAddrsAvail, "no temporary addresses"),
            })),
            DhcpOption::IAPD(theirs) => Some(DhcpOption::IAPD(IAPD {
                id: theirs.id,
                t1: 0,
                t2: 0,
                opts: refused(Status::NoPrefixAvail, "no prefixes"),
            })),
            _ => None,
        })
}

/// Section 18.3.3. An address on this link that is not the port's would be dropped, so it is not "on link" for it.
fn confirm(asked: &Asked<'_>) -> Result<(Outcome, Vec<DhcpOption>), Outcome> {
    let mut addresses = asked
        .associations()
        .flat_map(|association| addresses_in(&association.opts))
        .peekable();
    if addresses.peek().is_none() {
        return Err(Outcome::Ignored(Reason::NoAddress));
    }
    if addresses.all(|address| asked.is_ours(address)) {
        let text = "all addresses are this port's";
        Ok((Outcome::Answered, vec![status(Status::Success, text)]))
    } else {
        let text = "an address is not this port's";
        Ok((Outcome::Refused, vec![status(Status::NotOnLink, text)]))
    }
}

/// What a client is told besides addresses. Neither the MTU nor routes are in DHCPv6; advertisements have them.
fn parameters(asker: &Asker<'_>) -> Vec<DhcpOption> {
    let network = asker.network;
    let mut parameters = Vec::new();
    let resolvers = network.resolvers_ipv6();
    if !resolvers.is_empty() {
        parameters.push(DhcpOption::DomainNameServers(resolvers));
    }
    if network.dns.answered || network.dns.domain.is_some() {
        parameters.push(DhcpOption::DomainSearchList(zone::search(network)));
    }
    parameters
}

fn write(asked: &Asked<'_>, options: Vec<DhcpOption>) -> Option<Vec<u8>> {
    let rapid = options.contains(&DhcpOption::RapidCommit);
    let kind = match asked.kind {
        Dhcpv6Type::Solicit if !rapid => MessageType::Advertise,
        _ => MessageType::Reply,
    };
    let client = asked.message.opts().get(OptionCode::ClientId).cloned();
    let options = client
        .into_iter()
        .chain([DhcpOption::ServerId(asked.server_identifier())])
        .chain(options);
    let mut reply = Message::new_with_id(kind, asked.message.xid());
    reply.set_opts(options.collect());
    reply.to_vec().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
