//! Connections of a port that moves go along, and no others.

use std::time::Duration;

use coax_api::agent::agent_message::Body;
use coax_api::agent::{self, controller_message};
use coax_model::intent::Binding;
use coax_tables::{ConnectionState, DomainId};
use coax_vswitch::{Connection, ConnectionMemory, DataPlane, MemoryDataPlane};

use super::policies::protected;
use super::world::{HOST, OTHER, World};

const TCP: u64 = 6;

fn binding(at: &str, to: &str, from: &str) -> Binding {
    let host = |name: &str| (!name.is_empty()).then(|| name.parse().unwrap());
    Binding {
        host: host(at),
        moving_to: host(to),
        moved_from: host(from),
    }
}

/// An established connection as it stands in memory.
fn connection(network: u32, low: [u8; 16], high: [u8; 16]) -> Connection {
    let half = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
    let halves = |address: [u8; 16]| [half(&address[..8]), half(&address[8..])];
    let ([a, b], [c, d]) = (halves(low), halves(high));
    let memory = ConnectionMemory([
        a,
        b,
        c,
        d,
        u64::from(network) << 32,
        TCP << 32,
        1,
        2,
        3,
        4,
        5,
        6,
    ]);
    let left = Duration::from_secs(60);
    Connection::remembered(memory, ConnectionState::ESTABLISHED, left).unwrap()
}

fn sent(world: &World) -> Vec<&agent::Connections> {
    let sent = world.sent.iter();
    sent.filter_map(|body| match body {
        Body::Connections(connections) => Some(connections),
        _ => None,
    })
    .collect()
}

impl World {
    fn network_number(&self) -> u32 {
        self.rows().networks.keys().next().unwrap().0
    }
}

#[test]
fn what_is_known_of_a_port_goes_where_the_port_goes() {
    let mut world = protected(MemoryDataPlane::new());
    let network = world.network_number();
    let ends = ["p/web-1", "p/db-1", "p/db-2"].map(|port| world.address(port));
    let [web, db, other] = ends;
    let all = [
        connection(network, web, db),
        connection(network, db, other),
        connection(network + 1, web, db),
    ];
    world.plane.adopt_connections(&all, DomainId(1)).unwrap();
    world.put_binding("p/web-1", binding(HOST, OTHER, ""));
    world.run_for(Duration::from_secs(1));
    assert_eq!(sent(&world).len(), 0, "its device is still here");
    let tap = world.next_local("p/web-1");
    world.unplug(tap);
    let told = sent(&world);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].port, "p/web-1");
    assert_eq!(told[0].connections.len(), 1);
    assert_eq!(told[0].connections[0].words, all[0].memory.0);

    world.sent.clear();
    world.unbind("p/web-1");
    world.plug("p/web-1");
    world.run_for(Duration::from_secs(5));
    let tap = world.next_local("p/web-1");
    world.unplug(tap);
    assert_eq!(sent(&world).len(), 0, "it goes nowhere");
}

#[test]
fn a_host_takes_over_what_is_of_a_port_that_comes_and_nothing_else() {
    let mut world = protected(MemoryDataPlane::new());
    let network = world.network_number();
    let ends = ["p/web-1", "p/db-1", "p/db-2"].map(|port| world.address(port));
    let [web, db, other] = ends;
    let told = |connection: Connection, state: u8| agent::Connection {
        network: connection.network.0,
        state: state.into(),
        expires_milliseconds: u64::MAX,
        words: connection.memory.0.to_vec(),
    };
    let established = ConnectionState::ESTABLISHED;
    let message = agent::Connections {
        port: "p/db-1".into(),
        connections: vec![
            told(connection(network, web, db), established),
            told(connection(network, web, other), established),
            told(connection(network + 1, web, db), established),
            told(connection(network, web, db), ConnectionState::BUSY),
            agent::Connection::default(),
        ],
    };
    let say = |world: &mut World| {
        world.controller_says(controller_message::Body::Connections(message.clone()));
        world.run_for(Duration::from_secs(1));
    };
    say(&mut world);
    assert_eq!(
        world.plane.connections().unwrap(),
        [],
        "the port does not come here"
    );
    world.put_binding("p/db-1", binding(OTHER, HOST, ""));
    say(&mut world);
    let taken = world.plane.connections().unwrap();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0].memory, connection(network, web, db).memory);
    assert_eq!(taken[0].domain, DomainId(1));
    let longest = Duration::from_secs(7440);
    assert!(taken[0].expires_in <= longest, "{taken:?}");
}
