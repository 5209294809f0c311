//! The row of a local port, and what its guards let it send: its own addresses, those it may share,
//! and how much of what reaches everybody.
//!
//! The first address of each family is in the port's row, where the guard finds it without another
//! lookup. All others are rows of their own, under the number of the port's counters.

use coax_tables::{PortKey, PortRow, SourceKey, SourceRow};
use coax_wire::MacAddress;

use super::router::answers;
use super::{LocalPort, Making, endpoint, mac};
use crate::slice::{Member, NetworkParams};

impl Making<'_> {
    pub(super) fn port(&mut self, member: &Member, device: &LocalPort, own: MacAddress) {
        let params = self.params;
        let mut row = PortRow {
            network: self.id,
            slot: device.slot,
            mtu: params.mtu,
            mac: own,
            flags: flags(member, params),
            policy: self.here.policy,
            scope: params.scope(),
            broadcast_rate: params.broadcast_rate,
            multicast_rate: params.multicast_rate,
            unknown_rate: params.unknown_rate,
            shut_seconds: params.shut_seconds,
            ..PortRow::default()
        };
        for address in member
            .addresses
            .iter()
            .filter_map(|address| endpoint(address))
        {
            match address.ipv4() {
                Some(ipv4) if row.ipv4 == [0; 4] => row.ipv4 = ipv4,
                None if row.ipv6 == [0; 16] => row.ipv6 = address.address,
                _ => self.source(device, address.address, own, 0),
            }
        }
        for allowed in &member.allowed {
            let virtual_mac = mac(&allowed.mac);
            // What cannot be read has been reported with the address.
            if let Some(address) = endpoint(&allowed.address) {
                let by = virtual_mac.unwrap_or(own);
                self.source(device, address.address, by, SourceRow::SHARED);
            }
            if let Some(mac) = virtual_mac.filter(|mac| *mac != own) {
                let key = SourceKey::of_mac(device.slot, mac);
                self.rows.sources.insert(key, SourceRow { mac, flags: 0 });
            }
        }
        let key = PortKey {
            ifindex: device.ifindex,
            vlan: member.vlan,
        };
        self.rows.ports.insert(key, row);
    }

    fn source(&mut self, device: &LocalPort, address: [u8; 16], mac: MacAddress, flags: u16) {
        let slot = device.slot;
        let key = SourceKey { address, slot };
        self.rows
            .sources
            .entry(key)
            .or_insert(SourceRow { mac, flags });
    }
}

fn flags(member: &Member, params: &NetworkParams) -> u16 {
    let answers = answers(params);
    let server = member.may_serve || params.own_servers;
    [
        (params.vlan_transparent, PortRow::VLAN_TRANSPARENT),
        (member.any_mac, PortRow::ANY_SOURCE),
        (member.any_address, PortRow::ANY_ADDRESS),
        // Further rows belong to the row of untagged frames.
        (member.trunk && member.vlan == 0, PortRow::TRUNK),
        (member.isolated, PortRow::ISOLATED),
        (server, PortRow::SERVER),
        (answers.dhcp_ipv4, PortRow::DHCP_IPV4),
        (answers.dhcp_ipv6, PortRow::DHCP_IPV6),
        (answers.dns, PortRow::DNS),
        (params.routed, PortRow::ROUTED),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, bit)| flags | bit)
}
