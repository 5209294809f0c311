//! What a routing protocol does in a real fabric: keeps the routes of every node equal to the plan
//! for the links that are up. Only differences are written, and a changed route replaces the old one
//! in one step, so flows that are not concerned never notice.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_fabric::{LinkId, LinkState, NodeId, RouteEntry};
use coax_netlink::{NextHop, Route, RouteKind};
use futures::future::try_join_all;
use ipnet::IpNet;

use crate::build::set_neighbour;
use crate::error::Error;
use crate::site::Site;

type Table = BTreeMap<IpNet, RouteEntry>;

/// The router of a whole lab.
#[derive(Debug)]
pub struct Routing {
    site: Site,
    /// A link carries packets if both its ends say so: upper, lower.
    ends: BTreeMap<LinkId, [bool; 2]>,
    state: LinkState,
    /// What each node has in its tables, by the index of its [`NodeId`].
    installed: Vec<Table>,
}

impl Routing {
    /// A router that takes every link for up and every table for empty until it hears otherwise.
    pub fn new(site: Site) -> Self {
        let ends = site
            .plan
            .topology
            .links()
            .map(|(id, _)| (id, [true; 2]))
            .collect();
        let installed = vec![Table::new(); site.plan.topology.nodes().len()];
        Self {
            site,
            ends,
            state: LinkState::all_up(),
            installed,
        }
    }

    /// Learns which routes the kernels have already, from an earlier router of the same lab. What they
    /// lead to is not trusted: each will be replaced or deleted.
    pub async fn adopt(&mut self) -> Result<(), Error> {
        for (id, _) in self.site.plan.topology.nodes() {
            let own = self.site.plan.addressing.loopback(id);
            for route in self.site.node(id).netlink.routes().await? {
                let host_route =
                    route.destination.prefix_len() == route.destination.max_prefix_len();
                if host_route && route.kind == RouteKind::Unicast && !route.next_hops.is_empty() {
                    let source = match route.destination {
                        IpNet::V4(_) => IpAddr::V4(own.v4),
                        IpNet::V6(_) => IpAddr::V6(own.v6),
                    };
                    if route.destination.addr() == source {
                        continue;
                    }
                    let entry = RouteEntry {
                        destination: route.destination,
                        source,
                        next_hops: Vec::new(),
                    };
                    self.installed[id.index()].insert(route.destination, entry);
                }
            }
        }
        Ok(())
    }

    /// The lab's namespaces.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The links as last heard.
    pub fn state(&self) -> &LinkState {
        &self.state
    }

    /// Takes note of a device's state; says whether the fabric has changed by it. The kernel throws
    /// away routes and neighbours of a device that is switched off, therefore so does the memory of
    /// what is installed.
    pub async fn device_changed(
        &mut self,
        node: NodeId,
        device: &str,
        up: bool,
    ) -> Result<bool, Error> {
        let topology = &self.site.plan.topology;
        let links = topology.links_of(node).iter();
        let found = links
            .copied()
            .find(|link| topology.link(*link).device(node) == Some(device));
        let Some(link) = found else {
            return Ok(false);
        };
        let end = usize::from(topology.link(link).lower == node);
        let Some(ends) = self.ends.get_mut(&link) else {
            return Ok(false);
        };
        if ends[end] == up {
            return Ok(false);
        }
        ends[end] = up;
        let live = *ends == [true; 2];
        let table = self.installed[node.index()].values_mut();
        let concerned = table.filter(|e| e.next_hops.iter().any(|hop| hop.device == device));
        concerned.for_each(|entry| entry.next_hops.clear());
        if up {
            // Refused if the device is off again: then the next event brings us back here.
            if let Err(error) = set_neighbour(&self.site, node, link).await {
                tracing::debug!(%error, "a neighbour was refused");
            }
        }
        Ok(self.state.set(link, live))
    }

    /// Makes all tables equal to the plan. What a kernel refuses, because a device changed again in the
    /// meantime, is left to the next call.
    pub async fn sync(&mut self) -> Result<Synced, Error> {
        let nodes = self.site.plan.topology.nodes();
        let work = nodes.map(|(id, _)| sync_node(&self.site, id, &self.state, &self.installed));
        let done = try_join_all(work).await?;
        let mut sum = Synced::default();
        for (installed, (table, synced)) in self.installed.iter_mut().zip(done) {
            *installed = table;
            sum.written += synced.written;
            sum.refused += synced.refused;
        }
        Ok(sum)
    }
}

/// What became of the differences between plan and kernels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Routes written or deleted.
    pub written: usize,
    /// Routes that a kernel refused.
    pub refused: usize,
}

async fn sync_node(
    site: &Site,
    id: NodeId,
    state: &LinkState,
    installed: &[Table],
) -> Result<(Table, Synced), Error> {
    let mut table = installed[id.index()].clone();
    let netlink = &site.node(id).netlink;
    let entries = site.plan.routes(id, state);
    let wanted: Table = entries.into_iter().map(|e| (e.destination, e)).collect();
    let mut synced = Synced::default();
    let gone: Vec<IpNet> = table
        .keys()
        .filter(|d| !wanted.contains_key(d))
        .copied()
        .collect();
    for (destination, entry) in wanted {
        if table.get(&destination) == Some(&entry) {
            continue;
        }
        match netlink
            .replace_route(&kernel_route(site, id, &entry)?)
            .await
        {
            Ok(()) => {
                table.insert(destination, entry);
                synced.written += 1;
            }
            Err(error) => {
                tracing::debug!(node = %site.plan.topology.name(id), %error, "refused");
                synced.refused += 1;
                // A kernel that refuses half of an IPv6 route has thrown away the old one by then.
                let unknown = RouteEntry {
                    next_hops: Vec::new(),
                    ..entry
                };
                table.insert(destination, unknown);
            }
        }
    }
    for destination in gone {
        match netlink.delete_route(destination).await {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => synced.written += 1,
        }
        table.remove(&destination);
    }
    Ok((table, synced))
}

fn kernel_route(site: &Site, id: NodeId, entry: &RouteEntry) -> Result<Route, Error> {
    let hops = entry.next_hops.iter().map(|hop| {
        let device = site.node(id).device(&hop.device)?;
        Ok(NextHop::via(hop.via, device))
    });
    let hops = hops.collect::<Result<Vec<_>, Error>>()?;
    Ok(Route::new(entry.destination, hops).with_source(entry.source))
}
