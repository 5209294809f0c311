//! The names of ports and networks, and where a name that somebody looks up lies.
//!
//! A port is `port.network.project`, a network is `network.project` and has the addresses of its gateways. With a domain, the
//! same names exist below it. The host is authoritative for
//!
//! - `network.project`, for each network that the port reaches, and nothing else of `project`: there may be a public
//!   top-level domain of that name;
//! - `project.domain`, as a whole: a domain is set by who owns it;
//! - addresses inside the subnets of these networks, cut at the next whole octet (IPv6: digit) behind the prefix.

use std::net::IpAddr;

use hickory_proto::rr::Name;
use ipnet::IpNet;

use crate::settings::{Asker, Holder, Network};

/// A name inside one of the zones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// The zone.
    pub(crate) apex: Name,
    /// The name server of the zone, whose addresses are in it or in the port's own network.
    pub(crate) server: Name,
    /// What there is.
    pub(crate) data: Data,
}

/// What there is under a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Data {
    /// There is no such name.
    Nothing,
    /// A port's or network's addresses, maybe none.
    Addresses(Vec<IpAddr>),
    /// The name of an address.
    Pointer(Name),
}

/// Where unqualified names are looked for: in the port's own network, then (with a domain) as `port.network`, then in
/// the domain.
pub(crate) fn search(network: &Network) -> Vec<Name> {
    let labels = [network.name.as_str(), network.project.as_str()];
    let own = qualified(&labels, network);
    let above = network.dns.domain.as_ref().map(|domain| {
        let project = qualified(&labels[1..], network);
        project.into_iter().chain([domain.clone()])
    });
    own.into_iter().chain(above.into_iter().flatten()).collect()
}

/// Where a name lies. Nothing: in none of the zones.
pub(crate) fn find(name: &Name, asker: &Asker<'_>) -> Option<Entry> {
    if let Ok(prefix) = name.parse_arpa_name() {
        return find_reverse(prefix, asker);
    }
    let labels = labels_of(name)?;
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    find_in_domain(&labels, asker).or_else(|| find_plain(&labels, asker))
}

/// Lower-case labels; names of ports are ASCII, so others are not found anyway.
fn labels_of(name: &Name) -> Option<Vec<String>> {
    name.iter()
        .map(|label| {
            let text = std::str::from_utf8(label).ok()?;
            Some(text.to_ascii_lowercase())
        })
        .collect()
}

fn find_in_domain(labels: &[&str], asker: &Asker<'_>) -> Option<Entry> {
    let network = asker.network;
    let domain = labels_of(network.dns.domain.as_ref()?)?;
    let at = labels.len().checked_sub(domain.len())?;
    let (own, rest) = labels.split_at(at);
    let (project, own) = own.split_last()?;
    if rest != domain || *project != network.project {
        return None;
    }
    let server = qualified(&[&network.name, &network.project], network)?;
    let data = match own {
        [] => Data::Addresses(Vec::new()),
        [network] => addresses(asker.names.network(network)),
        [port, network] => addresses(asker.names.port(network, port)),
        _ => Data::Nothing,
    };
    Some(Entry {
        apex: qualified(&[&network.project], network)?,
        server,
        data,
    })
}

fn find_plain(labels: &[&str], asker: &Asker<'_>) -> Option<Entry> {
    let (project, own) = labels.split_last()?;
    let (network, own) = own.split_last()?;
    if *project != asker.network.project {
        return None;
    }
    let gateways = asker.names.network(network)?;
    let apex = Name::from_labels([network.as_bytes(), project.as_bytes()]).ok()?;
    let data = match own {
        [] => Data::Addresses(gateways),
        [port] => addresses(asker.names.port(network, port)),
        _ => Data::Nothing,
    };
    Some(Entry {
        server: apex.clone(),
        apex,
        data,
    })
}

fn addresses(found: Option<Vec<IpAddr>>) -> Data {
    found.map_or(Data::Nothing, Data::Addresses)
}

fn find_reverse(asked: IpNet, asker: &Asker<'_>) -> Option<Entry> {
    let network = asker.network;
    let is_whole = asked.prefix_len() == asked.max_prefix_len();
    let project = network.project.as_str();
    let (prefix, data) = match asker.names.holder(asked.addr()) {
        Holder::Elsewhere => return None,
        Holder::Nobody { prefix } => (prefix, Data::Nothing),
        Holder::Gateway {
            prefix,
            network: name,
        } => (
            prefix,
            Data::Pointer(qualified(&[&name, project], network)?),
        ),
        Holder::Port {
            prefix,
            network: name,
            port,
        } => (
            prefix,
            Data::Pointer(qualified(&[&port, &name, project], network)?),
        ),
    };
    let cut = cut_of(prefix);
    if asked.prefix_len() < cut {
        return None;
    }
    Some(Entry {
        apex: reverse_name(asked.addr(), cut)?,
        server: qualified(&[&network.name, project], network)?,
        // A name between the cut and a whole address has names below it, and nothing of its own.
        data: if is_whole {
            data
        } else {
            Data::Addresses(Vec::new())
        },
    })
}

/// The first whole label's end at or behind the prefix, in bits.
fn cut_of(prefix: IpNet) -> u8 {
    let label = label_bits(prefix.addr());
    prefix.prefix_len().div_ceil(label) * label
}

/// Bits that a label of a reverse name stands for (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn label_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 8 } else { 4 }
}

/// The reverse name of the first `bits` of an address.
fn reverse_name(address: IpAddr, bits: u8) -> Option<Name> {
    let whole = Name::from(address);
    let kept = usize::from(bits / label_bits(address)) + 2;
    Some(whole.trim_to(kept)).filter(|name| usize::from(name.num_labels()) == kept)
}

/// These labels, below the domain if there is one.
fn qualified(labels: &[&str], network: &Network) -> Option<Name> {
    let name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?;
    match &network.dns.domain {
        Some(domain) => name.append_domain(domain).ok(),
        None => Some(name),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
