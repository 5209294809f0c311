//! Routes of the main table, with one or several next hops (equal-cost multipath), both families alike.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt;
use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteNextHop, RouteType,
    RouteVia,
};
use rtnetlink::{RouteMessageBuilder, RouteNextHopBuilder};

use crate::{Error, Neighbour, Netlink};

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads to; `0.0.0.0/0` or `::/0` is the default route.
    pub destination: IpNet,
    /// What happens to packets that take it.
    pub kind: RouteKind,
    /// The equal-cost paths; empty for routes that do not forward.
    pub next_hops: Vec<NextHop>,
    /// Source address that the host prefers for packets of its own.
    pub source: Option<IpAddr>,
    /// Lower wins among routes to the same destination; the kernel's default if not given.
    pub metric: Option<u32>,
}

/// One path of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// The neighbour that takes the packets; none if the destination is on the link. An IPv4 route may go through an IPv6 neighbour.
    pub gateway: Option<IpAddr>,
    /// Index of the link.
    pub link: Option<u32>,
    /// Share of the flows relative to the other paths, from 1.
    pub weight: u16,
}

/// What a route does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Forwards them.
    Unicast,
    /// Drops them without a word.
    Blackhole,
    /// Drops them with an ICMP error.
    Unreachable,
    /// Delivers them to the host itself.
    Local,
    /// Any other type.
    Other,
}

impl NextHop {
    /// A path through a neighbour on a link.
    pub fn via(gateway: IpAddr, link: u32) -> Self {
        Self {
            gateway: Some(gateway),
            link: Some(link),
            weight: 1,
        }
    }

    /// A path to destinations that are on the link itself.
    pub fn on_link(link: u32) -> Self {
        Self {
            gateway: None,
            link: Some(link),
            weight: 1,
        }
    }
}

impl Route {
    /// A route through one or several next hops.
    pub fn new(destination: IpNet, next_hops: Vec<NextHop>) -> Self {
        Self {
            destination,
            kind: RouteKind::Unicast,
            next_hops,
            source: None,
            metric: None,
        }
    }

    /// Prefers a source address.
    pub fn with_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    fn to_message(&self) -> Result<RouteMessage, Error> {
        let destination = self.destination.trunc();
        let mut message = match destination {
            IpNet::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(net.addr(), net.prefix_len())
                .build(),
            IpNet::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(net.addr(), net.prefix_len())
                .build(),
        };
        message.header.kind = match self.kind {
            RouteKind::Blackhole => RouteType::BlackHole,
            RouteKind::Unreachable => RouteType::Unreachable,
            RouteKind::Local => RouteType::Local,
            RouteKind::Unicast | RouteKind::Other => RouteType::Unicast,
        };
        if let Some(source) = self.source {
            message
                .attributes
                .push(RouteAttribute::PrefSource(source.into()));
        }
        if let Some(metric) = self.metric {
            message.attributes.push(RouteAttribute::Priority(metric));
        }
        let hops: Result<Vec<_>, Error> = self
            .next_hops
            .iter()
            .map(|hop| next_hop_message(destination, hop))
            .collect();
        match hops?.as_slice() {
            [] => {}
            [only] => {
                message.attributes.extend(only.attributes.iter().cloned());
                if only.interface_index != 0 {
                    message
                        .attributes
                        .push(RouteAttribute::Oif(only.interface_index));
                }
            }
            several => message
                .attributes
                .push(RouteAttribute::MultiPath(several.to_vec())),
        }
        Ok(message)
    }

    fn from_message(message: &RouteMessage) -> Option<Self> {
        let unspecified = match message.header.address_family {
            AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            AddressFamily::Inet6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let (mut destination, mut source, mut metric) = (unspecified, None, None);
        let mut single = NextHop {
            gateway: None,
            link: None,
            weight: 1,
        };
        let mut next_hops = Vec::new();
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => destination = ip_of(address)?,
                RouteAttribute::PrefSource(address) => source = ip_of(address),
                RouteAttribute::Priority(value) => metric = Some(*value),
                RouteAttribute::MultiPath(hops) => next_hops.extend(hops.iter().map(next_hop_of)),
                RouteAttribute::Oif(link) => single.link = Some(*link),
                other => single.gateway = single.gateway.or_else(|| gateway_of(other)),
            }
        }
        let kind = match message.header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            RouteType::BlackHole => RouteKind::Blackhole,
            RouteType::Unreachable => RouteKind::Unreachable,
            RouteType::Local => RouteKind::Local,
            _ => RouteKind::Other,
        };
        if next_hops.is_empty() && kind == RouteKind::Unicast {
            next_hops.push(single);
        }
        let prefix_length = message.header.destination_prefix_length;
        let destination = IpNet::new(destination, prefix_length).ok()?;
        Some(Self {
            destination,
            kind,
            next_hops,
            source,
            metric,
        })
    }
}

impl Netlink {
    /// Adds a route, or puts it in the place of the one to the same destination (with the same metric), without a gap.
    pub async fn replace_route(&self, route: &Route) -> Result<(), Error> {
        let done = self
            .handle
            .route()
            .add(route.to_message()?)
            .replace()
            .execute()
            .await;
        done.map_err(|error| {
            Error::request("replace route to", route.destination.to_string(), error)
        })
    }

    /// Deletes the route to that destination, whatever its next hops.
    pub async fn delete_route(&self, destination: IpNet) -> Result<(), Error> {
        let message = Route::new(destination, Vec::new()).to_message()?;
        let done = self.handle.route().del(message).execute().await;
        done.map_err(|error| Error::request("delete route to", destination.to_string(), error))
    }

    /// All routes of the main table, both families.
    pub async fn routes(&self) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for message in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let request = |handle: &Handle| handle.route().get(message.clone()).execute();
            let listed = self.list("routes", request).await?;
            routes.extend(
                listed
                    .iter()
                    .filter(|message| in_main_table(message))
                    .filter_map(Route::from_message),
            );
        }
        Ok(routes)
    }
}

/// The path that the kernel chose for one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPath {
    /// Index of the link.
    pub link: u32,
    /// The neighbour that takes the packets: the gateway, or the destination itself if it is on the link.
    pub next_hop: IpAddr,
    /// Largest packet that the route takes, where it says so itself.
    pub mtu: Option<u32>,
}

impl FlowPath {
    /// The Ethernet address of the next hop, if it is among those that are known.
    pub fn next_hop_mac(&self, known: &[Neighbour]) -> Option<[u8; 6]> {
        let is_it = |it: &&Neighbour| it.link == self.link && it.address == self.next_hop;
        known.iter().find(is_it)?.mac
    }
}

/// A UDP flow, whose ports choose among equal-cost paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpFlow {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
}

impl Netlink {
    /// The path that packets of a flow take from here; nothing if no route leads there.
    pub async fn path_of(&self, flow: &UdpFlow) -> Result<Option<FlowPath>, Error> {
        match self.path_from(flow, Some(flow.source)).await {
            // The kernel routes from the host's own addresses only; the address may be gone.
            Err(error) if error.errno() == Some(Errno::EINVAL as i32) => {
                self.path_from(flow, None).await
            }
            answer => answer,
        }
    }

    async fn path_from(
        &self,
        flow: &UdpFlow,
        source: Option<IpAddr>,
    ) -> Result<Option<FlowPath>, Error> {
        let mut message = RouteMessage::default();
        let (family, bits) = match flow.destination {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message.header.address_family = family;
        message.header.destination_prefix_length = bits;
        message.attributes = vec![
            RouteAttribute::Destination(flow.destination.into()),
            RouteAttribute::IpProto(UDP),
            RouteAttribute::Sport(flow.source_port),
            RouteAttribute::Dport(flow.destination_port),
        ];
        if let Some(source) = source {
            message.header.source_prefix_length = bits;
            message
                .attributes
                .push(RouteAttribute::Source(source.into()));
        }
        let found = self.handle.route().get(message).execute().try_next().await;
        let found = found.map_err(|error| {
            Error::request("find the path to", flow.destination.to_string(), error)
        });
        let found = match found {
            Err(error) if error.is_unreachable() => return Ok(None),
            found => found?,
        };
        Ok(found.and_then(|message| flow_path(&message, flow.destination)))
    }
}

/// `IPPROTO_UDP`.
const UDP: u8 = 17;

fn flow_path(message: &RouteMessage, destination: IpAddr) -> Option<FlowPath> {
    let attributes = || message.attributes.iter();
    let link = attributes().find_map(|attribute| match attribute {
        RouteAttribute::Oif(link) => Some(*link),
        _ => None,
    });
    let mtu = attributes().find_map(|attribute| match attribute {
        RouteAttribute::Metrics(metrics) => metrics.iter().find_map(|metric| match metric {
            RouteMetric::Mtu(mtu) => Some(*mtu),
            _ => None,
        }),
        _ => None,
    });
    (message.header.kind == RouteType::Unicast).then_some(())?;
    Some(FlowPath {
        link: link?,
        next_hop: attributes().find_map(gateway_of).unwrap_or(destination),
        mtu,
    })
}

fn in_main_table(message: &RouteMessage) -> bool {
    let named = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
    named.unwrap_or(u32::from(message.header.table)) == u32::from(RouteHeader::RT_TABLE_MAIN)
}

fn next_hop_message(destination: IpNet, hop: &NextHop) -> Result<RouteNextHop, Error> {
    let mut builder = match destination {
        IpNet::V4(_) => RouteNextHopBuilder::new_ipv4(),
        IpNet::V6(_) => RouteNextHopBuilder::new_ipv6(),
    };
    if let Some(gateway) = hop.gateway {
        builder = builder.via(gateway).map_err(|_| Error::MixedFamilies {
            destination: destination.to_string(),
            gateway: gateway.to_string(),
        })?;
    }
    if let Some(link) = hop.link {
        builder = builder.interface(link);
    }
    // The kernel counts weights from 0.
    let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    Ok(builder.weight(weight).build())
}

fn next_hop_of(hop: &RouteNextHop) -> NextHop {
    NextHop {
        gateway: hop.attributes.iter().find_map(gateway_of),
        link: (hop.interface_index != 0).then_some(hop.interface_index),
        weight: u16::from(hop.hops) + 1,
    }
}

fn gateway_of(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip_of(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
