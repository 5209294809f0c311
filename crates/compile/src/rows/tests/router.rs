//! Gateways, routes, and networks that are looked up by address.

use coax_model::GATEWAY_MAC;
use coax_tables::{RouteKey, RouteRow};

use super::*;
use crate::rows::router::routes;
use crate::slice::{AllowedAddress, Route, RouterSlice, SubnetParams};

const ROUTER: u32 = 1 << 24;

fn fd(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[15]) = (0xfd, last);
    address
}

fn routed(change: impl FnOnce(&mut NetworkParams)) -> NetworkSlice {
    let mut slice = slice();
    let params = slice.params.as_mut().unwrap();
    let subnet = |address: &[u8], length, gateway: &[u8]| SubnetParams {
        address: address.to_vec(),
        length,
        gateway: gateway.to_vec(),
        dhcp: true,
    };
    params.subnets = vec![
        subnet(&[10, 0, 0, 0], 24, &[10, 0, 0, 254]),
        subnet(&fd(0), 64, &fd(254)),
    ];
    change(params);
    slice
}

fn owner(rows: &NetworkRows, address: [u8; 16]) -> Option<AddressRow> {
    let network = ID;
    rows.addresses
        .get(&AddressKey { address, network })
        .copied()
}

#[test]
fn a_joined_network_has_its_gateway_on_every_host() {
    let slice = routed(|params| params.router = ROUTER);
    for number in [1, 3] {
        let rows = network(&slice, &here(number), &[]);
        let mac = rows.macs[&MacKey::new(ID, GATEWAY_MAC)];
        assert_eq!(
            (mac.flags, mac.ifindex, mac.vtep),
            (MacRow::ROUTER, 0, [0; 16])
        );
        let row = rows.network.unwrap();
        assert_eq!((row.router, row.gateway_mac), (ROUTER, GATEWAY_MAC));
        assert_eq!(
            (row.gateway_ipv4, row.gateway_ipv6),
            ([10, 0, 0, 254], fd(254))
        );
        let link_local = ip::link_local(GATEWAY_MAC);
        for address in [ip::mapped([10, 0, 0, 254]), fd(254), link_local] {
            let row = owner(&rows, address).unwrap();
            assert!(row.has(AddressRow::ROUTER) && row.mac == GATEWAY_MAC);
        }
        assert_eq!(
            rows.routes.len(),
            0,
            "routes are the router's, not the network's"
        );
    }
    let rows = network(&slice, &here(1), &[device(1)]);
    assert_eq!(rows.ports.values().next().unwrap().scope, ROUTER);
    assert_eq!(mac_row(&rows, 1).unwrap().scope, ROUTER);
}

#[test]
fn without_router_and_services_there_is_no_gateway() {
    let rows = network(&routed(|_| {}), &here(1), &[device(1)]);
    assert!(!rows.macs.contains_key(&MacKey::new(ID, GATEWAY_MAC)));
    assert!(rows.ports.values().all(|row| !row.has(PortRow::ROUTED)));
    let row = rows.network.unwrap();
    assert_eq!((row.router, row.gateway_ipv4), (0, [0; 4]));
}

#[test]
fn a_port_keeps_the_gateways_address_where_no_router_has_it() {
    let give = |mut slice: NetworkSlice| {
        slice.members[0].addresses = vec![vec![10, 0, 0, 254]];
        slice
    };
    let gateway = ip::mapped([10, 0, 0, 254]);
    let served = give(routed(|params| params.router_advertisements = true));
    let rows = network(&served, &here(1), &[device(1)]);
    assert_eq!(
        owner(&rows, gateway),
        Some(AddressRow::new(MacAddress([2, 0, 0, 0, 0, 1])))
    );
    let joined = give(routed(|params| params.router = ROUTER));
    let rows = network(&joined, &here(1), &[device(1)]);
    assert_eq!(owner(&rows, gateway).unwrap().mac, GATEWAY_MAC);
}

#[test]
fn hosts_behind_a_router_may_send_and_get_no_copies() {
    let slice = routed(|params| params.router = ROUTER);
    // hv3 and hv4 have no member.
    let rows = network(&slice, &here(1), &[device(1)]);
    let sources: Vec<[u8; 16]> = rows.tunnels.keys().map(|key| key.vtep).collect();
    assert_eq!(sources, [v4(2), v4(3), v6(2), v6(4)]);
    let copies: Vec<[u8; 16]> = rows.replicas.iter().map(|row| row.vtep).collect();
    assert_eq!(copies, [[0; 16], v4(2)]);
}

#[test]
fn where_addresses_are_shared_all_hosts_hear_of_their_owners() {
    let told = |change: &dyn Fn(&mut NetworkParams)| {
        let mut slice = routed(|params| change(params));
        slice.members[1].allowed = vec![AllowedAddress {
            address: vec![10, 0, 0, 100],
            mac: Vec::new(),
        }];
        let rows = network(&slice, &here(1), &[device(1)]);
        let row = rows.network.unwrap();
        assert_eq!(row.replicas() as usize, rows.replicas.len());
        let told = rows.replicas.iter();
        told.map(|row| (row.vtep, row.has(ReplicaRow::ANNOUNCED)))
            .collect::<Vec<_>>()
    };
    // hv3 and hv4 have no member; the latter is reached over IPv6 only.
    let bridged = told(&|params| params.router = ROUTER);
    let all = [(v4(2), false), (v4(3), true), (v6(4), true)];
    assert_eq!(bridged[0], ([0; 16], false));
    assert_eq!(bridged[1..], all);
    let routed = told(&|params| (params.routed, params.router) = (true, ROUTER));
    assert_eq!(routed, all.map(|(vtep, _)| (vtep, true)));
}

#[test]
fn a_routed_network_has_no_copies_and_is_its_own_router() {
    let rows = network(
        &routed(|params| params.routed = true),
        &here(1),
        &[device(1)],
    );
    let row = rows.network.unwrap();
    assert!(row.has(NetworkRow::ROUTED));
    assert!(rows.ports.values().all(|row| row.has(PortRow::ROUTED)));
    assert_eq!(
        (rows.replicas.len(), row.replicas(), row.router),
        (0, 0, VNI)
    );
    let to_itself = RouteRow {
        network: ID,
        ..RouteRow::default()
    };
    let key = |address, bits| RouteKey::new(VNI, address, bits);
    let wanted = [
        (key(ip::mapped([10, 0, 0, 0]), 120), to_itself),
        (key(fd(0), 64), to_itself),
    ];
    assert_eq!(rows.routes, wanted.into());

    let joined = routed(|params| (params.routed, params.router) = (true, ROUTER));
    let rows = network(&joined, &here(1), &[device(1)]);
    assert_eq!(
        (rows.network.unwrap().router, rows.routes.len()),
        (ROUTER, 0)
    );
}

#[test]
fn routes_of_both_families_lead_to_networks_and_next_hops() {
    let route = |address: &[u8], length, network, via: &[u8]| Route {
        address: address.to_vec(),
        length,
        network,
        via: via.to_vec(),
    };
    let slice = RouterSlice {
        router: ROUTER,
        routes: vec![
            route(&[0; 4], 0, 7, &[10, 0, 0, 9]),
            route(&[10, 0, 0, 0], 24, 7, &[]),
            // The network itself is nearer than a written route to the same prefix.
            route(&[10, 0, 0, 0], 24, 8, &[10, 0, 1, 9]),
            route(&fd(0), 64, 8, &[]),
            route(&fd(0), 48, 0, &fd(9)),
            route(&[1, 2], 8, 7, &[]),
            route(&[10, 0, 0, 0], 33, 7, &[]),
        ],
        ..RouterSlice::default()
    };
    let row = |network, gateway, flags| RouteRow {
        gateway,
        network: NetworkId(network),
        flags,
    };
    let key = |address, bits| RouteKey::new(ROUTER, address, bits);
    let wanted = [
        (
            key(ip::mapped([0; 4]), 96),
            row(7, ip::mapped([10, 0, 0, 9]), 0),
        ),
        (key(ip::mapped([10, 0, 0, 0]), 120), row(7, [0; 16], 0)),
        (key(fd(0), 64), row(8, [0; 16], 0)),
        (key(fd(0), 48), row(0, [0; 16], RouteRow::UNREACHABLE)),
    ];
    assert_eq!(routes(&slice), wanted.into());
}
