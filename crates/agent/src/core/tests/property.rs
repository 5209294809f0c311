//! After any sequence of events, faults included, the tables equal what follows from the slices and the devices alone.

use std::time::Duration;

use coax_model::AllowedAddress;
use coax_model::Mode;
use coax_model::intent::Binding;
use coax_model::name::HostName;
use coax_vswitch::{RowOperation, Table};
use coax_wire::MacAddress;
use proptest::prelude::*;

use super::world::World;

const PORTS: usize = 6;
const HOSTS: [&str; 4] = ["hv1", "hv2", "hv3", "hv4"];
const NETWORKS: [&str; 3] = ["p/one", "p/two", "p/three"];

#[derive(Clone, Debug)]
enum PolicyEvent {
    Firewall(bool),
    NoFirewall,
    Group(usize, usize),
    Rule(usize, usize, usize, bool),
    NoRule(usize),
}

#[derive(Clone, Debug)]
enum Event {
    PutPort(usize, usize),
    Trunk(usize, Vec<usize>),
    Share(usize, bool),
    Isolate(usize, bool),
    Router(Vec<usize>),
    DeleteRouter,
    Policy(PolicyEvent),
    DeletePort(usize),
    Bind(usize, Option<usize>, Option<usize>, Option<usize>),
    Unbind(usize),
    Plug(usize),
    Unplug(usize),
    Realias(usize, usize),
    DeleteNetwork(usize),
    PutNetwork(usize),
    Lose,
    Repeat,
    Swap,
    ControllerDies,
    ControllerBack,
    Restart,
    RestartWithoutCache,
    Reboot,
    Pass(u64),
}

fn policy_event() -> impl Strategy<Value = PolicyEvent> {
    use PolicyEvent::*;
    prop_oneof![
        2 => any::<bool>().prop_map(Firewall),
        1 => Just(NoFirewall),
        1 => (0..2usize, 0..PORTS).prop_map(|(group, port)| Group(group, port)),
        2 => (0..3usize, 0..3usize, 0..3usize, any::<bool>())
            .prop_map(|(rule, from, to, web)| Rule(rule, from, to, web)),
        1 => (0..3usize).prop_map(NoRule),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    let host = || prop::option::of(0..HOSTS.len());
    let networks = || prop::sample::subsequence((0..NETWORKS.len()).collect::<Vec<_>>(), 0..3);
    prop_oneof![
        4 => (0..PORTS, 0..NETWORKS.len()).prop_map(|(port, network)| PutPort(port, network)),
        1 => (0..PORTS).prop_map(DeletePort),
        2 => (0..PORTS, networks()).prop_map(|(port, networks)| Trunk(port, networks)),
        1 => (0..PORTS, any::<bool>()).prop_map(|(port, shares)| Share(port, shares)),
        1 => (0..PORTS, any::<bool>()).prop_map(|(port, isolated)| Isolate(port, isolated)),
        2 => networks().prop_map(Router),
        1 => Just(DeleteRouter),
        7 => policy_event().prop_map(Policy),
        4 => (0..PORTS, host(), host(), host()).prop_map(|(port, a, b, c)| Bind(port, a, b, c)),
        1 => (0..PORTS).prop_map(Unbind),
        4 => (0..PORTS).prop_map(Plug),
        2 => (0..PORTS).prop_map(Unplug),
        1 => (0..PORTS, 0..PORTS).prop_map(|(device, port)| Realias(device, port)),
        1 => (0..NETWORKS.len()).prop_map(DeleteNetwork),
        1 => (0..NETWORKS.len()).prop_map(PutNetwork),
        2 => Just(Lose),
        2 => Just(Repeat),
        2 => Just(Swap),
        1 => Just(ControllerDies),
        2 => Just(ControllerBack),
        1 => Just(Restart),
        1 => Just(RestartWithoutCache),
        1 => Just(Reboot),
        4 => (0u64..8000).prop_map(Pass),
    ]
}

/// A port may use the addresses of a cluster, or not any more.
fn share(world: &mut World, port: &str, shares: bool) {
    let allowed = |last, mac: Option<u8>| AllowedAddress {
        ip: [10, 1, 254, last].into(),
        mac: mac.map(|last| MacAddress([0, 0, 0x5e, 0, 1, last])),
    };
    world.edit_port(port, |port| {
        port.allowed_addresses = match shares {
            true => vec![allowed(1, None), allowed(2, Some(7))],
            false => Vec::new(),
        };
    });
}

fn policy_happens(world: &mut World, event: PolicyEvent) {
    match event {
        PolicyEvent::Firewall(audit) => {
            world.firewall("p", if audit { Mode::Audit } else { Mode::Enforce })
        }
        PolicyEvent::NoFirewall => world.no_firewall("p"),
        PolicyEvent::Group(group, number) => {
            world.group(&format!("p/g{group}"), &format!("v{number}"))
        }
        PolicyEvent::Rule(rule, from, to, web) => {
            let ends = ["group/g0", "group/g1", "any"];
            let service = if web { 80 } else { 22 };
            let order = 10 * rule as u32;
            world.rule(&format!("p/r{rule}"), order, ends[from], ends[to], service);
        }
        PolicyEvent::NoRule(rule) => world.no_rule(&format!("p/r{rule}")),
    }
}

fn realias(world: &mut World, port: &str, other: &str) {
    if let Some(ifindex) = world.find_local(port) {
        let mut device = world.devices[&ifindex].clone();
        device.alias = Some(format!("coax:{other}"));
        world.change_device(device);
    }
}

fn happen(world: &mut World, event: Event) {
    let port = |number: usize| format!("p/v{number}");
    let host = |number: Option<usize>| number.map(|number| HostName::new(HOSTS[number]).unwrap());
    match event {
        Event::PutPort(number, network) => world.port(&port(number), NETWORKS[network]),
        Event::Trunk(number, networks) => {
            let vlans = networks
                .iter()
                .map(|network| (7 + *network as u32, NETWORKS[*network]))
                .collect::<Vec<_>>();
            world.trunk(&port(number), &vlans);
        }
        Event::Share(number, shares) => share(world, &port(number), shares),
        Event::Isolate(number, isolated) => {
            world.edit_port(&port(number), |port| port.isolated = isolated);
        }
        Event::Router(networks) => {
            let names = networks.iter().map(|network| &NETWORKS[*network][2..]);
            world.router("p/gw", &names.collect::<Vec<_>>());
        }
        Event::DeleteRouter => world.delete_router("p/gw"),
        Event::Policy(event) => policy_happens(world, event),
        Event::DeletePort(number) => world.delete_port(&port(number)),
        Event::Bind(number, has, gets, had) => {
            let binding = Binding {
                host: host(has),
                moving_to: host(gets),
                moved_from: host(had),
            };
            world.put_binding(&port(number), binding);
        }
        Event::Unbind(number) => world.unbind(&port(number)),
        Event::Plug(number) => drop(world.plug(&port(number))),
        Event::Unplug(number) => {
            if let Some(device) = world.find_local(&port(number)) {
                world.unplug(device);
            }
        }
        Event::Realias(number, other) => {
            realias(world, &port(number), &port(other));
        }
        Event::DeleteNetwork(network) => world.delete_network(NETWORKS[network]),
        Event::PutNetwork(network) => {
            world.network_with_vni(NETWORKS[network], 4096 + network as u32)
        }
        Event::Lose => drop(world.wire.pop_front()),
        Event::Repeat => {
            if let Some(message) = world.wire.front().cloned() {
                world.wire.push_front(message);
            }
        }
        Event::Swap => world.wire.rotate_left(usize::from(world.wire.len() > 1)),
        Event::ControllerDies => world.controller_dies(),
        Event::ControllerBack => {
            if !world.controller.up {
                world.controller_comes_back();
            }
        }
        Event::Restart => world.restart(),
        Event::RestartWithoutCache => {
            world.saved = None;
            world.restart();
        }
        Event::Reboot => world.reboot(),
        Event::Pass(millis) => world.run_for(Duration::from_millis(millis)),
    }
}

/// Operations on all tables but those of policies, which a start writes anew.
fn forwarding(world: &World) -> usize {
    let operations = world.plane.operations().iter();
    let of = |operation: &RowOperation| match operation {
        RowOperation::Put(row) => row.key().table(),
        RowOperation::Delete(key) => key.table(),
    };
    let forwarding = operations.filter(|operation| of(operation) < Table::Classes);
    forwarding.count()
}

proptest! {
    #[test]
    fn the_tables_converge(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new();
        for (number, network) in (0..).zip(NETWORKS) {
            world.network_with_vni(network, 4096 + number);
        }
        for event in events {
            happen(&mut world, event);
        }
        if !world.controller.up {
            world.controller_comes_back();
        }
        world.run();
        world.heartbeat();
        world.run();
        world.assert_converged();
        world.assert_attached();
        prop_assert_eq!(world.realised(), Some(world.controller.revision));
        // The controller hears all claims again, and may bind ports differently.
        world.restart();
        world.run();
        world.assert_converged();
        // And now it is at rest: another start changes nothing.
        let before = forwarding(&world);
        world.restart();
        world.run();
        world.assert_converged();
        prop_assert_eq!(forwarding(&world), before);
        world.run_for(Duration::from_secs(5));
        world.assert_converged();
        let tables = [Table::Classes, Table::Services, Table::Policies, Table::Domains];
        let obeyed = world.rows().domains.len();
        prop_assert!(obeyed <= 1, "{} domains of one project", obeyed);
        if obeyed == 0 {
            let rows = world.rows();
            prop_assert_eq!(tables.map(|table| rows.len(table)), [0; 4]);
        }
    }
}
