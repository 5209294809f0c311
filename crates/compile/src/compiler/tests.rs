//! The compiler against itself: incremental equals full after every random batch, a subscriber that
//! only sees steps has the same, and steps go only where something is different.

use std::collections::BTreeMap;

use coax_model::intent::DEFAULT_UNDERLAY_MTU;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;
use prost::Message;

use super::*;
use crate::slice::{Member, NetworkSlice};

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
    assert_eq!(steps.len(), 2);
    compiler
}

#[test]
fn one_port_is_one_small_step() {
    let mut compiler = shop();
    let steps = compiler.apply(2, &[bind("shop/b", [2, 0, 0])]);
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
    let steps = compiler.apply(3, &[bind("shop/a", [2, 0, 1])]);
    assert_eq!(
        (steps[0].upsert_hosts.len(), steps[0].remove_hosts.len()),
        (0, 0)
    );
    assert_eq!(
        compiler.networks_of_host(&host_name(1)).collect::<Vec<_>>(),
        [100]
    );
    let steps = compiler.apply(4, &[bind("shop/a", [2, 0, 0])]);
    assert_eq!(steps[0].remove_hosts, ["hv1"]);
    assert_eq!(compiler.networks_of_host(&host_name(1)).count(), 0);
}

#[test]
fn a_port_that_changes_its_network_is_a_step_in_both() {
    let mut compiler = shop();
    let steps = compiler.apply(2, &[put_port("shop/a", "app", 1)]);
    let ids: Vec<u32> = steps.iter().map(|step| step.network_id).collect();
    assert_eq!(ids, [200, 100]);
    assert_eq!(steps[0].upsert_members[0].host, "hv1");
    assert_eq!(steps[1].remove_members, ["shop/a"]);
    assert_eq!(compiler.network_of(&name("shop/a")), Some(200));
}

#[test]
fn what_changes_nothing_sends_nothing() {
    let mut compiler = shop();
    let there_and_back = [
        bind("shop/a", [2, 0, 0]),
        bind("shop/a", [1, 0, 0]),
        put_network("shop/web", 100),
    ];
    assert_eq!(compiler.apply(2, &there_and_back), []);
    assert_eq!(compiler.revision(100), Some(1));
    let mut host = put_host(1, 1);
    if let Change::PutHost { host, .. } = &mut host {
        host.underlay_mtu = 9000;
    }
    assert_eq!(compiler.apply(3, &[host]), []);
}

#[test]
fn two_networks_can_swap_their_numbers() {
    let mut compiler = shop();
    let steps = compiler.apply(
        2,
        &[put_network("shop/web", 200), put_network("shop/app", 100)],
    );
    let seen: Vec<(u32, bool)> = steps
        .iter()
        .map(|step| (step.network_id, step.deleted))
        .collect();
    assert_eq!(seen, [(200, true), (100, true), (100, false), (200, false)]);
    assert_eq!(compiler.slice(200).unwrap().full_name(), "shop/web");
    assert_eq!(compiler.network_id(&name("shop/app")), Some(100));
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
    assert_eq!(compiler.apply(2, &changes).len(), 2);
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
    let steps = compiler.apply(2, &[bind("p7/vm-3", [99, 0, 0])]);
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
    prop_oneof![
        2 => (network_name.clone(), network_value)
            .prop_map(|(name, network)| Change::PutNetwork { name, network }),
        1 => network_name.prop_map(|name| Change::DeleteNetwork { name }),
        4 => (port_name.clone(), "[nm]", 1..5_u8)
            .prop_map(|(name, to, mac)| Change::PutPort { name, port: port(&to, mac) }),
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
    numbers.len() == intent.networks.len()
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

/// Somebody who started with nothing and only ever saw encoded steps.
#[derive(Default)]
struct Subscriber(BTreeMap<u32, NetworkSlice>);

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
        for (revision, batch) in (1..).zip(&batches) {
            let mut next = intent.clone();
            batch.iter().for_each(|change| next.apply(change));
            if !numbers_are_unique(&next) {
                continue;
            }
            intent = next;
            let before = contents(&compiler);
            let steps = compiler.apply(revision, batch);
            steps.iter().for_each(|step| subscriber.take(step));
            let full = Compiler::full(&intent, revision);
            let now = contents(&compiler);
            prop_assert_eq!(&now, &contents(&full));
            for (id, slice) in &now {
                let copy = &subscriber.0[id];
                prop_assert_eq!(copy, &compiler.slice(*id).unwrap());
                prop_assert!(sorted(&slice.members));
                let stepped = steps.iter().any(|step| step.network_id == *id);
                prop_assert_eq!(stepped, before.get(id) != Some(slice), "network {}", id);
            }
            prop_assert_eq!(subscriber.0.len(), now.len());
            for number in 1..4 {
                let host = host_name(number);
                let incremental: Vec<u32> = compiler.networks_of_host(&host).collect();
                prop_assert_eq!(incremental, full.networks_of_host(&host).collect::<Vec<_>>());
            }
            for port in intent.ports.keys() {
                prop_assert_eq!(compiler.network_of(port), full.network_of(port));
            }
        }
    }
}
