//! Rows as four hosts see one network, through every state of a move.

mod guard;
mod router;

use coax_tables::{DomainId, NetworkRow, PortKey, PortRow, ReplicaRow};

use super::*;
use crate::slice::{ForeignVtep, NetworkParams};

const VNI: u32 = 4096;
const ID: NetworkId = NetworkId(VNI);

fn v4(last: u8) -> [u8; 16] {
    ip::mapped([192, 0, 2, last])
}

fn v6(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    address[15] = last;
    address
}

fn host(number: u8, ipv4: bool, ipv6: bool) -> HostVtep {
    HostVtep {
        host: format!("hv{number}"),
        ipv4: if ipv4 {
            vec![192, 0, 2, number]
        } else {
            Vec::new()
        },
        ipv6: if ipv6 {
            v6(number).to_vec()
        } else {
            Vec::new()
        },
    }
}

fn member(number: u8, [host, moving_to, moved_from]: [&str; 3]) -> Member {
    let mut ipv6 = [0xfd; 16];
    ipv6[15] = number;
    Member {
        port: format!("shop/vm-{number}"),
        mac: vec![2, 0, 0, 0, 0, number],
        addresses: vec![vec![10, 0, 0, number], ipv6.to_vec()],
        host: host.into(),
        moving_to: moving_to.into(),
        moved_from: moved_from.into(),
        ..Member::default()
    }
}

/// hv1 and hv2 have both families, hv3 only IPv4, hv4 only IPv6; one VM on each of the first two.
fn slice() -> NetworkSlice {
    NetworkSlice {
        network_id: VNI,
        revision: 1,
        params: Some(NetworkParams {
            vni: VNI,
            project: "shop".into(),
            name: "web".into(),
            mtu: 1450,
            shut_seconds: 30,
            ..NetworkParams::default()
        }),
        members: vec![member(1, ["hv1", "", ""]), member(2, ["hv2", "", ""])],
        hosts: vec![
            host(1, true, true),
            host(2, true, true),
            host(3, true, false),
            host(4, false, true),
        ],
        foreign: Vec::new(),
    }
}

fn here(number: u8) -> Here {
    let prefer = Underlay::Ipv4;
    Here {
        policy: DomainId(0),
        host: format!("hv{number}"),
        ipv4: number != 4,
        ipv6: number != 3,
        prefer,
    }
}

fn device(number: u8) -> LocalPort {
    LocalPort {
        port: format!("shop/vm-{number}"),
        ifindex: 100 + u32::from(number),
        slot: number.into(),
        peer_redirect: true,
    }
}

fn mac_row(rows: &NetworkRows, number: u8) -> Option<MacRow> {
    rows.macs
        .get(&MacKey::new(ID, MacAddress([2, 0, 0, 0, 0, number])))
        .copied()
}

fn remote(vtep: [u8; 16], flags: u32) -> Option<MacRow> {
    Some(MacRow {
        vtep,
        ifindex: 0,
        slot: 0,
        mtu: 1450,
        flags,
        ..MacRow::default()
    })
}

fn local(number: u8) -> Option<MacRow> {
    let flags = MacRow::LOCAL | MacRow::TO_PEER;
    let (ifindex, slot) = (100 + u32::from(number), number.into());
    Some(MacRow {
        vtep: [0; 16],
        ifindex,
        slot,
        mtu: 1450,
        flags,
        scope: VNI,
        ..MacRow::default()
    })
}

#[test]
fn a_port_that_is_here_has_all_its_rows() {
    let rows = network(&slice(), &here(1), &[device(1)]);
    assert_eq!(mac_row(&rows, 1), local(1));
    let port = rows.ports[&PortKey {
        ifindex: 101,
        vlan: 0,
    }];
    let mac = MacAddress([2, 0, 0, 0, 0, 1]);
    let mut ipv6 = [0xfd; 16];
    ipv6[15] = 1;
    assert_eq!(
        port,
        PortRow {
            network: ID,
            slot: 1,
            mtu: 1450,
            mac,
            scope: VNI,
            ipv4: [10, 0, 0, 1],
            ipv6,
            shut_seconds: 30,
            ..PortRow::default()
        }
    );
    let key = AddressKey {
        address: ip::mapped([10, 0, 0, 1]),
        network: ID,
    };
    assert_eq!(rows.addresses[&key], AddressRow::new(mac));
    assert_eq!((rows.addresses.len(), rows.problems.len()), (4, 0));
}

#[test]
fn copies_go_to_local_ports_and_to_hosts_with_members() {
    let rows = network(&slice(), &here(1), &[device(1)]);
    let row = rows.network.unwrap();
    assert_eq!((row.local, row.coax_ipv4, row.coax_ipv6), (1, 1, 0));
    assert_eq!(
        (row.foreign_ipv4, row.foreign_ipv6, row.mtu, row.flags),
        (0, 0, 1450, 0)
    );
    let to_port = ReplicaRow {
        vtep: [0; 16],
        ifindex: 101,
        slot: 1,
        ..ReplicaRow::default()
    };
    let to_host = ReplicaRow {
        vtep: v4(2),
        ifindex: 0,
        slot: 0,
        ..ReplicaRow::default()
    };
    assert_eq!(rows.replicas, [to_port, to_host]);
}

#[test]
fn frames_are_taken_from_every_address_of_every_host_but_the_own() {
    let rows = network(&slice(), &here(1), &[]);
    let sources: Vec<[u8; 16]> = rows.tunnels.keys().map(|key| key.vtep).collect();
    assert_eq!(sources, [v4(2), v4(3), v6(2), v6(4)]);
    assert!(rows.tunnels.keys().all(|key| key.vni == VNI));
    assert!(rows.tunnels.values().all(|row| *row
        == TunnelRow {
            network: ID,
            flags: 0
        }));
}

#[test]
fn the_family_is_one_that_both_have() {
    let mut slice = slice();
    slice.members = vec![member(2, ["hv2", "", ""]), member(3, ["hv3", "", ""])];
    slice.members.push(member(4, ["hv4", "", ""]));
    let rows = network(&slice, &here(1), &[]);
    assert_eq!(mac_row(&rows, 2), remote(v4(2), 0));
    assert_eq!(mac_row(&rows, 3), remote(v4(3), 0));
    assert_eq!(mac_row(&rows, 4), remote(v6(4), MacRow::IPV6));
    let vteps: Vec<[u8; 16]> = rows.replicas.iter().map(|row| row.vtep).collect();
    assert_eq!(vteps, [v4(2), v4(3), v6(4)]);
    assert_eq!(
        rows.network.map(|row| (row.coax_ipv4, row.coax_ipv6)),
        Some((2, 1))
    );

    let rows = network(
        &slice,
        &Here {
            prefer: Underlay::Ipv6,
            ..here(1)
        },
        &[],
    );
    assert_eq!(mac_row(&rows, 2), remote(v6(2), MacRow::IPV6));
    assert_eq!(mac_row(&rows, 3), remote(v4(3), 0));

    let rows = network(&slice, &here(3), &[]);
    assert_eq!(mac_row(&rows, 2), remote(v4(2), 0));
    assert_eq!(mac_row(&rows, 4), None);
    let unreachable = RowProblem::Unreachable { host: "hv4".into() };
    assert_eq!(rows.problems, [unreachable].into());
}

/// Where vm-2 is for each host, given its binding and on which hosts its device is.
fn seen(binding: [&str; 3], devices: &[u8]) -> [Option<MacRow>; 3] {
    let mut slice = slice();
    slice.members[1] = member(2, binding);
    [1, 2, 3].map(|number| {
        let local = if devices.contains(&number) {
            vec![device(2)]
        } else {
            Vec::new()
        };
        mac_row(&network(&slice, &here(number), &local), 2)
    })
}

#[test]
fn a_move_never_leaves_frames_without_a_way() {
    let [bound, moving, moved] = [["hv2", "", ""], ["hv2", "hv3", ""], ["hv3", "", "hv2"]];
    let (at_2, at_3) = (remote(v4(2), 0), remote(v4(3), 0));
    let sent_on = remote(v4(3), MacRow::FORWARD);
    assert_eq!(seen(bound, &[2]), [at_2, local(2), at_2]);
    assert_eq!(seen(moving, &[2]), [at_2, local(2), at_2]);
    // The device has left, and is on its way; then it arrives, before anybody else knows.
    assert_eq!(seen(moving, &[]), [at_2, sent_on, at_2]);
    assert_eq!(seen(moving, &[3]), [at_2, sent_on, local(2)]);
    assert_eq!(seen(moved, &[3]), [at_3, sent_on, local(2)]);
    // The former host still has a device, which has lost its meaning.
    assert_eq!(seen(moved, &[2, 3]), [at_3, sent_on, local(2)]);
    assert_eq!(seen(["hv3", "", ""], &[3]), [at_3, at_3, local(2)]);
}

#[test]
fn a_move_back_and_a_move_given_up() {
    let (at_2, at_3) = (remote(v4(2), 0), remote(v4(3), 0));
    let sent_on = remote(v4(2), MacRow::FORWARD);
    assert_eq!(seen(["hv3", "hv2", "hv2"], &[2]), [at_3, local(2), sent_on]);
    assert_eq!(seen(["hv2", "", "hv3"], &[2]), [at_2, local(2), sent_on]);
    assert_eq!(seen(["hv2", "", ""], &[2]), [at_2, local(2), at_2]);
}

#[test]
fn a_port_that_is_nowhere_has_no_rows() {
    let at_2 = remote(v4(2), 0);
    assert_eq!(seen(["", "", ""], &[]), [None, None, None]);
    assert_eq!(seen(["", "", ""], &[3]), [None, None, local(2)]);
    // Bound, but unplugged: its host knows first.
    assert_eq!(seen(["hv2", "", ""], &[]), [at_2, None, at_2]);
    let mut slice = slice();
    slice.members = vec![member(1, ["", "", ""])];
    let rows = network(&slice, &here(2), &[]);
    assert_eq!(
        (rows.addresses.len(), rows.macs.len(), rows.replicas.len()),
        (0, 0, 0)
    );
    assert!(rows.network.is_some());
}

#[test]
fn the_host_that_gets_a_port_gets_copies_and_the_one_that_had_it_none() {
    let mut slice = slice();
    slice.members = vec![member(1, ["hv1", "", ""]), member(2, ["hv2", "hv3", "hv4"])];
    let rows = network(&slice, &here(1), &[device(1)]);
    let vteps: Vec<[u8; 16]> = rows.replicas.iter().map(|row| row.vtep).collect();
    assert_eq!(vteps, [[0; 16], v4(2), v4(3)]);
}

fn foreign(name: &str, address: &[u8], macs: &[u8]) -> ForeignVtep {
    let macs = macs.iter().map(|&last| vec![2, 0, 0, 0, 1, last]).collect();
    ForeignVtep {
        name: name.into(),
        address: address.to_vec(),
        macs,
    }
}

#[test]
fn foreign_endpoints_are_marked_and_counted_apart() {
    let mut slice = slice();
    slice.members.push(member(4, ["hv4", "", ""]));
    slice.foreign = vec![
        foreign("shop/new", &v6(99), &[]),
        foreign("shop/old", &[192, 0, 2, 99], &[7]),
    ];
    let rows = network(&slice, &here(1), &[device(1)]);
    let vteps: Vec<[u8; 16]> = rows.replicas.iter().map(|row| row.vtep).collect();
    assert_eq!(vteps, [[0; 16], v4(2), v4(99), v6(99), v6(4)]);
    let row = rows.network.unwrap();
    let counts = [
        row.local,
        row.coax_ipv4,
        row.foreign_ipv4,
        row.foreign_ipv6,
        row.coax_ipv6,
    ];
    assert_eq!((counts, row.replicas()), ([1; 5], 5));
    let row = rows.tunnels[&TunnelKey {
        vtep: v4(99),
        vni: VNI,
    }];
    assert!(row.has(TunnelRow::FOREIGN));
    let mac = MacKey::new(ID, MacAddress([2, 0, 0, 0, 1, 7]));
    assert_eq!(rows.macs.get(&mac).copied(), remote(v4(99), 0));

    let rows = network(&slice, &here(3), &[]);
    let no_family = RowProblem::NoFamily {
        vtep: "shop/new".into(),
    };
    assert!(rows.problems.contains(&no_family), "{:?}", rows.problems);
    assert!(!rows.tunnels.contains_key(&TunnelKey {
        vtep: v6(99),
        vni: VNI
    }));
}

#[test]
fn the_flags_of_the_network_reach_all_rows() {
    let mut slice = slice();
    let params = slice.params.as_mut().unwrap();
    (params.vlan_transparent, params.flood_unknown) = (true, true);
    let rows = network(&slice, &here(1), &[device(1)]);
    let row = rows.network.unwrap();
    assert!(row.has(NetworkRow::VLAN_TRANSPARENT) && row.has(NetworkRow::FLOOD_UNKNOWN));
    assert!(
        rows.tunnels
            .values()
            .all(|row| row.has(TunnelRow::VLAN_TRANSPARENT))
    );
    assert!(
        rows.ports
            .values()
            .all(|row| row.has(PortRow::VLAN_TRANSPARENT))
    );
}

#[test]
fn impossible_addresses_are_reported_and_the_rest_goes_on() {
    let mut slice = slice();
    slice.members[0].mac = vec![1, 2, 3];
    slice.members[1].addresses.push(vec![1]);
    slice.hosts[2].ipv4 = vec![9];
    slice.foreign = vec![foreign("shop/x", &[], &[])];
    let rows = network(&slice, &here(4), &[device(1)]);
    assert_eq!(
        (rows.macs.len(), rows.addresses.len(), rows.ports.len()),
        (1, 2, 0)
    );
    let bad = |object: &str| RowProblem::BadAddress {
        object: object.into(),
    };
    let objects = ["shop/vm-1", "shop/vm-2", "hv3", "shop/x"];
    assert!(
        objects
            .iter()
            .all(|object| rows.problems.contains(&bad(object)))
    );
}

#[test]
fn a_slice_without_a_network_has_no_rows() {
    let slice = NetworkSlice {
        params: None,
        ..slice()
    };
    assert_eq!(
        network(&slice, &here(1), &[device(1)]),
        NetworkRows::default()
    );
}
