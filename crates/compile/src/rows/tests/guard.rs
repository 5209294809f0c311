//! What a local port may send, and how it stands to its network.

use coax_tables::{SourceKey, SourceRow};

use super::*;
use crate::slice::{AllowedAddress, DhcpParams, SubnetParams};

const OWN: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const VIRTUAL: MacAddress = MacAddress([0, 0, 0x5e, 0, 1, 7]);

fn port(rows: &NetworkRows, vlan: u32) -> PortRow {
    rows.ports[&PortKey { ifindex: 101, vlan }]
}

fn allowed(address: &[u8], mac: &[u8]) -> AllowedAddress {
    AllowedAddress {
        address: address.to_vec(),
        mac: mac.to_vec(),
    }
}

fn owner(rows: &NetworkRows, last: u8) -> Option<AddressRow> {
    let (address, network) = (ip::mapped([10, 0, 0, last]), ID);
    rows.addresses
        .get(&AddressKey { address, network })
        .copied()
}

#[test]
fn the_first_address_of_each_family_is_in_the_port_row_and_the_others_are_sources() {
    let mut slice = slice();
    slice.members[0].addresses.push(vec![10, 0, 0, 77]);
    let rows = network(&slice, &here(1), &[device(1)]);
    let row = port(&rows, 0);
    assert_eq!((row.ipv4, row.ipv6[15]), ([10, 0, 0, 1], 1));
    let key = SourceKey {
        address: ip::mapped([10, 0, 0, 77]),
        slot: 1,
    };
    assert_eq!(
        rows.sources,
        [(key, SourceRow { mac: OWN, flags: 0 })].into()
    );
    assert_eq!(
        rows.addresses[&AddressKey {
            address: key.address,
            network: ID
        }]
            .mac,
        OWN
    );
}

#[test]
fn shared_addresses_may_be_sent_from_by_all_and_belong_to_nobody_yet() {
    let mut slice = slice();
    for member in &mut slice.members {
        member.allowed = vec![
            allowed(&[10, 0, 0, 100], &VIRTUAL.0),
            allowed(&[10, 0, 0, 101], &[]),
        ];
    }
    let rows = network(&slice, &here(1), &[device(1)]);
    let source = |last, mac| {
        let address = ip::mapped([10, 0, 0, last]);
        let flags = SourceRow::SHARED;
        (SourceKey { address, slot: 1 }, SourceRow { mac, flags })
    };
    let of_mac = (
        SourceKey::of_mac(1, VIRTUAL),
        SourceRow {
            mac: VIRTUAL,
            flags: 0,
        },
    );
    let wanted = [source(100, VIRTUAL), source(101, OWN), of_mac];
    assert_eq!(rows.sources, wanted.into());
    for last in [100, 101] {
        let row = owner(&rows, last).unwrap();
        assert!(row.has(AddressRow::SHARED) && row.mac == MacAddress([0; 6]));
    }
    let virtual_mac = MacKey::new(ID, VIRTUAL);
    assert_eq!(rows.learnable, [virtual_mac].into());
    assert!(!rows.macs.contains_key(&virtual_mac));

    // As long as one is left somewhere, the addresses are there.
    slice.members[0].host.clear();
    let rows = network(&slice, &here(1), &[]);
    assert!(owner(&rows, 100).is_some() && rows.sources.is_empty());
    slice.members[1].host.clear();
    let rows = network(&slice, &here(1), &[]);
    assert!(owner(&rows, 100).is_none() && rows.learnable.is_empty());
}

#[test]
fn an_address_that_somebody_has_is_never_a_shared_one() {
    let mut slice = slice();
    slice.members[0].allowed = vec![allowed(&[10, 0, 0, 2], &[])];
    let rows = network(&slice, &here(1), &[device(1)]);
    let address = ip::mapped([10, 0, 0, 2]);
    let owner = rows.addresses[&AddressKey {
        address,
        network: ID,
    }]
        .mac;
    assert_eq!(owner, MacAddress([2, 0, 0, 0, 0, 2]));
}

#[test]
fn rates_and_rights_are_in_the_port_row() {
    let mut slice = slice();
    let params = slice.params.as_mut().unwrap();
    (
        params.broadcast_rate,
        params.multicast_rate,
        params.unknown_rate,
    ) = (5, 6, 7);
    let row = port(&network(&slice, &here(1), &[device(1)]), 0);
    assert_eq!(
        (row.broadcast_rate, row.multicast_rate, row.unknown_rate),
        (5, 6, 7)
    );
    assert_eq!((row.shut_seconds, row.flags, row.scope), (30, 0, VNI));
    let member = &mut slice.members[0];
    (member.any_address, member.any_mac, member.may_serve) = (true, true, true);
    let row = port(&network(&slice, &here(1), &[device(1)]), 0);
    let rights = PortRow::ANY_ADDRESS | PortRow::ANY_SOURCE | PortRow::SERVER;
    assert_eq!(row.flags, rights);
}

#[test]
fn isolation_is_known_wherever_the_port_is_looked_up() {
    let mut slice = slice();
    slice
        .members
        .iter_mut()
        .for_each(|member| member.isolated = true);
    let rows = network(&slice, &here(1), &[device(1)]);
    assert!(port(&rows, 0).has(PortRow::ISOLATED));
    assert!(mac_row(&rows, 1).unwrap().has(MacRow::ISOLATED));
    assert!(mac_row(&rows, 2).unwrap().has(MacRow::ISOLATED));
    let isolated: Vec<bool> = rows
        .replicas
        .iter()
        .map(|row| row.has(ReplicaRow::ISOLATED))
        .collect();
    assert_eq!(isolated, [true, false]);
}

#[test]
fn a_trunk_has_a_row_for_each_vlan_and_says_so_where_untagged_frames_come_in() {
    let mut slice = slice();
    slice.members[0].trunk = true;
    let untagged = network(&slice, &here(1), &[device(1)]);
    assert_eq!(port(&untagged, 0).flags, PortRow::TRUNK);
    slice.members[0].vlan = 7;
    let tagged = network(&slice, &here(1), &[device(1)]);
    assert_eq!(port(&tagged, 7).flags, 0);
    assert_eq!(mac_row(&tagged, 1).unwrap().vlan, 7);
    assert_eq!(tagged.replicas[0].vlan, 7);
}

#[test]
fn hosts_answer_what_the_network_asks_for_and_its_subnets_allow() {
    let flags = |change: &dyn Fn(&mut NetworkParams)| {
        let mut slice = slice();
        let params = slice.params.as_mut().unwrap();
        params.subnets = vec![SubnetParams {
            address: vec![10, 0, 0, 0],
            length: 24,
            gateway: vec![10, 0, 0, 254],
            dhcp: true,
        }];
        change(params);
        port(&network(&slice, &here(1), &[device(1)]), 0).flags
    };
    let dhcp = |params: &mut NetworkParams| params.dhcp = Some(DhcpParams::default());
    assert_eq!(flags(&|_| {}), 0);
    assert_eq!(flags(&dhcp), PortRow::DHCP_IPV4 | PortRow::DNS);
    let advertise = |params: &mut NetworkParams| params.router_advertisements = true;
    assert_eq!(flags(&advertise), PortRow::DHCP_IPV6 | PortRow::DNS);
    // Servers of its own are asked for names of others.
    let with_servers = |params: &mut NetworkParams| {
        dhcp(params);
        params.dns_servers = vec![vec![10, 0, 0, 53]];
    };
    assert_eq!(flags(&with_servers), PortRow::DHCP_IPV4 | PortRow::DNS);
    let own = |params: &mut NetworkParams| {
        dhcp(params);
        params.own_servers = true;
    };
    assert_eq!(flags(&own), PortRow::SERVER);
}
