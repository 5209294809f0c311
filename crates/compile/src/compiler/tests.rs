//! The compiler against itself: incremental equals full after every random batch, a subscriber that
//! only sees steps has the same, and steps go only where something is different.

use std::collections::BTreeMap;

use coax_model::TrunkVlan;
use coax_model::intent::DEFAULT_UNDERLAY_MTU;
use coax_wire::VlanId;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;
use prost::Message;

use super::*;
use crate::slice::{Member, NetworkSlice, RouterSlice};

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn host_name(number: u8) -> HostName {
    HostName::new(&format!("hv{number}")).unwrap()
}

fn network(vni: u32) -> Network {
    Network::new(
        coax_wire::Vni::try_from(vni).unwrap(),
        coax_wire::Mtu::try_from(1500_u32).unwrap(),
    )
}

fn port(network: &str, mac: u8) -> Port {
    let network = Name::new(network).unwrap();
    Port {
        addresses: vec![[10, 0, 0, mac].into()],
        ..Port::new(network, coax_wire::MacAddress([2, 0, 0, 0, 0, mac]))
    }
}

fn put_port(text: &str, network: &str, mac: u8) -> Change {
    Change::PutPort {
        name: name(text),
        port: port(network, mac),
    }
}

fn put_host(number: u8, address: u8) -> Change {
    let ipv4 = Some([192, 0, 2, address].into());
    let host = Host {
        ipv4,
        ipv6: None,
        underlay_mtu: DEFAULT_UNDERLAY_MTU,
    };
    Change::PutHost {
        name: host_name(number),
        host,
    }
}

fn put_network(text: &str, vni: u32) -> Change {
    Change::PutNetwork {
        name: name(text),
        network: network(vni),
    }
}

fn bind(text: &str, hosts: [u8; 3]) -> Change {
    let [host, moving_to, moved_from] = hosts.map(|number| (number > 0).then(|| host_name(number)));
    Change::PutBinding {
        port: name(text),
        binding: Binding {
            host,
            moving_to,
            moved_from,
        },
    }
}

fn put_router(text: &str, networks: &[&str]) -> Change {
    let networks = networks.iter().map(|text| Name::new(text).unwrap());
    let router = Router {
        networks: networks.collect(),
        ..Router::default()
    };
    Change::PutRouter {
        name: name(text),
        router,
    }
}

/// The steps of networks alone.
fn deltas(steps: Steps) -> Vec<SliceDelta> {
    steps.networks.into_iter().map(|step| step.delta).collect()
}

fn shop() -> Compiler {
    let mut compiler = Compiler::default();
    let steps = compiler.apply(
        1,
        &[
            put_host(1, 1),
            put_host(2, 2),
            put_network("shop/web", 100),
            put_network("shop/app", 200),
            put_port("shop/a", "web", 1),
            put_port("shop/b", "web", 2),
            bind("shop/a", [1, 0, 0]),
        ],
    );
    assert_eq!(steps.networks.len(), 2);
    compiler
}

#[test]
fn one_port_is_one_small_step() {
    let mut compiler = shop();
    let steps = deltas(compiler.apply(2, &[bind("shop/b", [2, 0, 0])]));
    let [step] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert_eq!(
        (step.network_id, step.from_revision, step.to_revision),
        (100, 1, 2)
    );
    assert_eq!(step.upsert_members.len(), 1);
    assert_eq!(step.upsert_members[0].host, "hv2");
    assert_eq!(step.upsert_hosts[0].ipv4, [192, 0, 2, 2]);
    assert_eq!((step.params.clone(), step.remove_members.len()), (None, 0));
}

#[test]
fn a_host_is_named_as_long_as_one_role_is_left() {
    let mut compiler = shop();
    compiler.apply(2, &[bind("shop/a", [1, 2, 0])]);
    assert_eq!(compiler.slice(100).unwrap().hosts.len(), 2);
    let steps = deltas(compiler.apply(3, &[bind("shop/a", [2, 0, 1])]));
    assert_eq!(
        (steps[0].upsert_hosts.len(), steps[0].remove_hosts.len()),
        (0, 0)
    );
    assert_eq!(
        compiler.networks_of_host(&host_name(1)).collect::<Vec<_>>(),
        [100]
    );
    let steps = deltas(compiler.apply(4, &[bind("shop/a", [2, 0, 0])]));
    assert_eq!(steps[0].remove_hosts, ["hv1"]);
    assert_eq!(compiler.networks_of_host(&host_name(1)).count(), 0);
}

#[test]
fn a_port_that_changes_its_network_is_a_step_in_both() {
    let mut compiler = shop();
    let steps = deltas(compiler.apply(2, &[put_port("shop/a", "app", 1)]));
    let ids: Vec<u32> = steps.iter().map(|step| step.network_id).collect();
    assert_eq!(ids, [200, 100]);
    assert_eq!(steps[0].upsert_members[0].host, "hv1");
    assert_eq!(steps[1].remove_members, ["shop/a"]);
    assert_eq!(
        compiler.networks_of(&name("shop/a")).collect::<Vec<_>>(),
        [200]
    );
}

#[test]
fn what_changes_nothing_sends_nothing() {
    let mut compiler = shop();
    let there_and_back = [
        bind("shop/a", [2, 0, 0]),
        bind("shop/a", [1, 0, 0]),
        put_network("shop/web", 100),
    ];
    assert_eq!(compiler.apply(2, &there_and_back), Steps::default());
    assert_eq!(compiler.revision(100), Some(1));
    let mut host = put_host(1, 1);
    if let Change::PutHost { host, .. } = &mut host {
        host.underlay_mtu = 9000;
    }
    assert_eq!(compiler.apply(3, &[host]), Steps::default());
}

#[test]
fn two_networks_can_swap_their_numbers() {
    let mut compiler = shop();
    let swap = [put_network("shop/web", 200), put_network("shop/app", 100)];
    let steps = deltas(compiler.apply(2, &swap));
    let seen: Vec<(u32, bool)> = steps
        .iter()
        .map(|step| (step.network_id, step.deleted))
        .collect();
    assert_eq!(seen, [(200, true), (100, true), (100, false), (200, false)]);
    assert_eq!(compiler.slice(200).unwrap().full_name(), "shop/web");
    assert_eq!(compiler.network_id(&name("shop/app")), Some(100));
}

#[test]
fn a_router_lets_hosts_send_into_all_its_networks_and_takes_them_out_again() {
    let mut compiler = shop();
    let steps = compiler.apply(2, &[put_router("shop/gw", &["web", "app"])]);
    let [web, app] = steps.networks.as_slice() else {
        panic!("{steps:?}")
    };
    let (web, app) = match web.delta.network_id {
        100 => (&web.delta, &app.delta),
        _ => (&app.delta, &web.delta),
    };
    // hv1 has its port in the network `web` alone.
    assert_eq!((web.upsert_hosts.len(), app.upsert_hosts.len()), (0, 1));
    assert_eq!(app.upsert_hosts[0].host, "hv1");
    let number = steps.routers[0].number;
    assert_eq!(app.params.as_ref().unwrap().router, number);
    assert_eq!(compiler.router(number).unwrap().networks, [100, 200]);
    let turns: Vec<(String, bool)> = steps
        .turns
        .iter()
        .map(|turn| (format!("{:?}", turn.what), turn.needs))
        .collect();
    assert_eq!(turns.len(), 2, "{turns:?}");

    // A second host of the router is one entry in each network; the first one stays as it is.
    let steps = compiler.apply(3, &[bind("shop/b", [2, 0, 0])]);
    let hosts = steps
        .networks
        .iter()
        .map(|step| step.delta.upsert_hosts.len());
    assert_eq!(hosts.collect::<Vec<_>>(), [1, 1]);
    assert_eq!(steps.routers, []);

    let gone = compiler.apply(
        4,
        &[Change::DeleteRouter {
            name: name("shop/gw"),
        }],
    );
    let app = compiler.slice(200).unwrap();
    assert_eq!((app.hosts.len(), app.params.unwrap().router), (0, 0));
    assert_eq!(gone.routers[0].slice, None);
    assert_eq!(compiler.router_numbers().count(), 0);
}

#[test]
fn routes_follow_subnets_and_next_hops() {
    let mut compiler = shop();
    let subnet = |text: &str| coax_model::Subnet::new(text.parse().unwrap());
    let mut web = network(100);
    web.subnets = vec![subnet("10.0.0.0/24"), subnet("fd00::/64")];
    let mut router = put_router("shop/gw", &["web", "app"]);
    if let Change::PutRouter { router, .. } = &mut router {
        let route = |to: &str, via: &str| coax_model::Route {
            to: to.parse().unwrap(),
            via: via.parse().unwrap(),
        };
        router.routes.insert(route("0.0.0.0/0", "10.0.0.9"));
        router.routes.insert(route("fd01::/64", "fd09::1"));
    }
    compiler.apply(2, &[router]);
    let steps = compiler.apply(
        3,
        &[Change::PutNetwork {
            name: name("shop/web"),
            network: web,
        }],
    );
    let slice = steps.routers[0].slice.clone().unwrap();
    let routes: Vec<(Vec<u8>, u32, u32, usize)> = slice
        .routes
        .iter()
        .map(|route| {
            (
                route.address.clone(),
                route.length,
                route.network,
                route.via.len(),
            )
        })
        .collect();
    let fd = |second| [[0xfd, second].as_slice(), &[0; 14]].concat();
    let wanted = [
        (vec![0, 0, 0, 0], 0, 100, 4),
        (vec![10, 0, 0, 0], 24, 100, 0),
        (fd(0), 64, 100, 0),
        // Nobody is the way to its next hop.
        (fd(1), 64, 0, 16),
    ];
    assert_eq!(routes, wanted);
}

#[test]
fn a_trunk_is_a_member_of_each_of_its_networks() {
    let mut compiler = shop();
    let mut trunk = port("web", 9);
    let vlan = coax_wire::VlanId::try_from(7_u32).unwrap();
    let to = coax_model::TrunkVlan {
        network: Name::new("app").unwrap(),
        addresses: vec![[10, 9, 0, 9].into()],
    };
    trunk.trunk.insert(vlan, to);
    let put = Change::PutPort {
        name: name("shop/t"),
        port: trunk,
    };
    compiler.apply(2, &[put, bind("shop/t", [2, 0, 0])]);
    let member = |id| {
        compiler
            .slice(id)
            .unwrap()
            .member("shop/t")
            .unwrap()
            .clone()
    };
    let (web, app) = (member(100), member(200));
    assert_eq!(
        (web.vlan, web.trunk, web.addresses),
        (0, true, vec![vec![10, 0, 0, 9]])
    );
    assert_eq!(
        (app.vlan, app.trunk, app.addresses),
        (7, true, vec![vec![10, 9, 0, 9]])
    );
    let hv2: Vec<u32> = compiler.networks_of_host(&host_name(2)).collect();
    assert_eq!(hv2, [200, 100]);
    let steps = compiler.apply(3, &[put_port("shop/t", "app", 9)]);
    assert_eq!(steps.networks.len(), 2);
    assert_eq!(steps.turns.len(), 1);
    assert_eq!(
        compiler.slice(200).unwrap().member("shop/t").unwrap().vlan,
        0
    );
}

#[test]
fn nothing_stays_behind() {
    let mut compiler = shop();
    let names = ["shop/a", "shop/b"].map(name);
    let mut changes: Vec<Change> = names.map(|name| Change::DeletePort { name }).into();
    changes.extend(
        ["shop/web", "shop/app", "shop/never"]
            .map(name)
            .map(|name| Change::DeleteNetwork { name }),
    );
    changes.extend([1, 2].map(|number| Change::DeleteHost {
        name: host_name(number),
    }));
    assert_eq!(compiler.apply(2, &changes).networks.len(), 2);
    assert_eq!(
        format!("{compiler:?}"),
        format!("{:?}", Compiler::default())
    );
}

#[test]
fn a_port_in_a_large_deployment_is_as_small_a_step() {
    let mut intent = Intent::default();
    for number in 0..100 {
        intent.apply(&put_host(number, number));
        intent.apply(&put_network(
            &format!("p{number}/n"),
            100 + u32::from(number),
        ));
        for port in 0..50 {
            let name = format!("p{number}/vm-{port}");
            intent.apply(&put_port(&name, "n", port));
            intent.apply(&bind(&name, [1 + port, 0, 0]));
        }
    }
    let mut compiler = Compiler::full(&intent, 1);
    assert_eq!(compiler.network_ids().count(), 100);
    let steps = deltas(compiler.apply(2, &[bind("p7/vm-3", [99, 0, 0])]));
    let [step] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert_eq!((step.network_id, step.upsert_members.len()), (107, 1));
    assert_eq!(
        (step.upsert_hosts.len(), step.remove_hosts.as_slice()),
        (1, &["hv4".into()][..])
    );
    assert!(step.encoded_len() < 100, "{} bytes", step.encoded_len());
}

/// Objects of few names, so that changes meet.
fn change() -> impl Strategy<Value = Change> {
    let network_name = prop_oneof!["p/[nm]", Just("q/n".to_owned())].prop_map(|text| name(&text));
    let port_name = prop_oneof!["p/[a-e]", Just("q/a".to_owned())].prop_map(|text| name(&text));
    let vtep_name = "p/[xy]".prop_map(|text| name(&text));
    let binding = option::of(1..4_u8);
    let binding =
        (binding.clone(), binding.clone(), binding).prop_map(|(host, to, from)| Binding {
            host: host.map(host_name),
            moving_to: to.map(host_name),
            moved_from: from.map(host_name),
        });
    let vtep = (1..9_u8, subsequence(vec!["m", "n"], 0..=2)).prop_map(|(address, networks)| Vtep {
        address: [192, 0, 2, address].into(),
        networks: networks
            .into_iter()
            .map(|text| Name::new(text).unwrap())
            .collect(),
        macs: Vec::new(),
        udp6_zero_checksum: false,
    });
    let flags = (any::<bool>(), any::<bool>(), 100..104_u32);
    let network_value = flags.prop_map(|(vlan_transparent, flood_unknown, vni)| Network {
        vlan_transparent,
        flood_unknown,
        ..network(vni)
    });
    let host = (1..4_u8, 1..6_u8).prop_map(|(number, address)| put_host(number, address));
    let router_name = "p/[gh]".prop_map(|text| name(&text));
    let router = (subsequence(vec!["m", "n"], 0..=2), 0..3_u8).prop_map(|(networks, number)| {
        let mut router = Router::default();
        let networks = networks.into_iter().map(|text| Name::new(text).unwrap());
        router.networks = networks.collect();
        for _ in 0..number {
            router.number = router.number.next();
        }
        router
    });
    let trunk = option::of((5..7_u32, "[nm]")).prop_map(|vlan| {
        let vlan = vlan.map(|(vlan, network)| {
            let to = TrunkVlan {
                network: Name::new(&network).unwrap(),
                addresses: Vec::new(),
            };
            (VlanId::try_from(vlan).unwrap(), to)
        });
        vlan.into_iter().collect::<BTreeMap<_, _>>()
    });
    prop_oneof![
        2 => (network_name.clone(), network_value)
            .prop_map(|(name, network)| Change::PutNetwork { name, network }),
        1 => network_name.prop_map(|name| Change::DeleteNetwork { name }),
        4 => (port_name.clone(), "[nm]", 1..5_u8, trunk).prop_map(|(name, to, mac, trunk)| {
            let port = Port { trunk, ..port(&to, mac) };
            Change::PutPort { name, port }
        }),
        2 => (router_name.clone(), router)
            .prop_map(|(name, router)| Change::PutRouter { name, router }),
        1 => router_name.prop_map(|name| Change::DeleteRouter { name }),
        1 => port_name.clone().prop_map(|name| Change::DeletePort { name }),
        2 => (vtep_name.clone(), vtep).prop_map(|(name, vtep)| Change::PutVtep { name, vtep }),
        1 => vtep_name.prop_map(|name| Change::DeleteVtep { name }),
        2 => host,
        1 => (1..4_u8).prop_map(|number| Change::DeleteHost { name: host_name(number) }),
        4 => (port_name.clone(), binding)
            .prop_map(|(port, binding)| Change::PutBinding { port, binding }),
        1 => port_name.prop_map(|port| Change::DeleteBinding { port }),
    ]
}

fn numbers_are_unique(intent: &Intent) -> bool {
    let numbers: BTreeSet<u32> = intent.networks.values().map(|n| n.vni.get()).collect();
    let routers: BTreeSet<u32> = intent.routers.values().map(|r| r.number.get()).collect();
    numbers.len() == intent.networks.len() && routers.len() == intent.routers.len()
}

/// All slices, without the revisions, which depend on history.
fn contents(compiler: &Compiler) -> BTreeMap<u32, NetworkSlice> {
    let slice = |id| {
        (
            id,
            NetworkSlice {
                revision: 0,
                ..compiler.slice(id).unwrap()
            },
        )
    };
    compiler.network_ids().map(slice).collect()
}

/// All slices of routers, without the revisions.
fn routers(compiler: &Compiler) -> BTreeMap<u32, RouterSlice> {
    let slice = |number| {
        let slice = RouterSlice {
            revision: 0,
            ..compiler.router(number).unwrap()
        };
        (number, slice)
    };
    compiler.router_numbers().map(slice).collect()
}

/// Somebody who started with nothing and only ever saw encoded steps.
#[derive(Default)]
struct Subscriber(BTreeMap<u32, NetworkSlice>, BTreeMap<u32, RouterSlice>);

impl Subscriber {
    fn take(&mut self, step: &SliceDelta) {
        let step = SliceDelta::decode(step.encode_to_vec().as_slice()).unwrap();
        let id = step.network_id;
        let slice = self.0.entry(id).or_insert_with(|| NetworkSlice::empty(id));
        slice.apply(&step).unwrap();
        if step.deleted {
            self.0.remove(&id);
        }
    }
}

/// Who needs what, told in turns.
#[derive(Default, Debug, PartialEq)]
struct Needs(BTreeSet<(HostName, Needed)>);

impl Needs {
    fn take(&mut self, turn: &Turn) {
        let pair = (turn.host.clone(), turn.what.clone());
        let news = if turn.needs {
            self.0.insert(pair)
        } else {
            self.0.remove(&pair)
        };
        assert!(news, "{turn:?} turns nothing");
    }
}

fn sorted(members: &[Member]) -> bool {
    members.is_sorted_by(|left, right| left.port < right.port)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn incremental_equals_full_after_every_batch(batches in vec(vec(change(), 1..5), 1..16)) {
        let mut intent = Intent::default();
        let mut compiler = Compiler::default();
        let mut subscriber = Subscriber::default();
        let mut needs = Needs::default();
        for (revision, batch) in (1..).zip(&batches) {
            let mut next = intent.clone();
            batch.iter().for_each(|change| next.apply(change));
            if !numbers_are_unique(&next) {
                continue;
            }
            intent = next;
            let (before, routers_before) = (contents(&compiler), routers(&compiler));
            let steps = compiler.apply(revision, batch);
            steps.turns.iter().for_each(|turn| needs.take(turn));
            steps.networks.iter().for_each(|step| subscriber.take(&step.delta));
            for step in &steps.routers {
                match &step.slice {
                    Some(slice) => drop(subscriber.1.insert(step.number, slice.clone())),
                    None => drop(subscriber.1.remove(&step.number)),
                }
            }
            let full = Compiler::full(&intent, revision);
            let now = contents(&compiler);
            prop_assert_eq!(&now, &contents(&full));
            for (id, slice) in &now {
                let copy = &subscriber.0[id];
                prop_assert_eq!(copy, &compiler.slice(*id).unwrap());
                prop_assert!(sorted(&slice.members));
                let stepped = steps.networks.iter().any(|step| step.delta.network_id == *id);
                prop_assert_eq!(stepped, before.get(id) != Some(slice), "network {}", id);
            }
            prop_assert_eq!(subscriber.0.len(), now.len());
            prop_assert_eq!(&routers(&compiler), &routers(&full));
            let current = compiler.router_numbers().map(|number| (number, compiler.router(number).unwrap()));
            prop_assert_eq!(&subscriber.1, &current.collect::<BTreeMap<_, _>>());
            for step in &steps.routers {
                let slice = step.slice.as_ref().map(|slice| RouterSlice { revision: 0, ..slice.clone() });
                prop_assert_ne!(routers_before.get(&step.number), slice.as_ref());
            }
            let mut all = BTreeSet::new();
            for number in 1..4 {
                let host = host_name(number);
                let incremental: Vec<u32> = compiler.networks_of_host(&host).collect();
                prop_assert_eq!(incremental, full.networks_of_host(&host).collect::<Vec<_>>());
                let networks = compiler.reach().networks(&host).cloned().map(Needed::Network);
                let routers = compiler.reach().routers(&host).cloned().map(Needed::Router);
                all.extend(networks.chain(routers).map(|what| (host.clone(), what)));
            }
            prop_assert_eq!(&needs.0, &all);
            for port in intent.ports.keys() {
                let networks = |compiler: &Compiler| compiler.networks_of(port).collect::<Vec<_>>();
                prop_assert_eq!(networks(&compiler), networks(&full));
            }
        }
    }
}
