//! What the core itself takes of the time between an event and its rows, against the size of the network.

use std::sync::Arc;
use std::time::Duration;

use coax_agent::{CacheContents, Command, Config, Core, Device, Found, Input};
use coax_compile::{HostVtep, Member, NetworkParams, NetworkSlice};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const NETWORK: u32 = 4096;

fn slice(members: u32) -> NetworkSlice {
    let member = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        Member {
            port: format!("p/v{number:06}"),
            mac: vec![2, 0, a, b, c, d],
            addresses: vec![vec![10, b, c, d]],
            host: if number == 0 {
                "hv0000".into()
            } else {
                format!("hv{:04}", 1 + number % 999)
            },
            ..Member::default()
        }
    };
    let host = |number: u32| HostVtep {
        host: format!("hv{number:04}"),
        ipv4: vec![192, 0, (number >> 8) as u8, number as u8],
        ipv6: Vec::new(),
    };
    NetworkSlice {
        network_id: NETWORK,
        revision: 1,
        params: Some(NetworkParams {
            vni: NETWORK,
            mtu: 1530,
            ..NetworkParams::default()
        }),
        members: (0..members).map(member).collect(),
        hosts: (0..1000.min(members)).map(host).collect(),
        foreign: Vec::new(),
    }
}

/// A core that knows one network from its cache and has written its rows.
fn core(members: u32) -> Core {
    let config = Config {
        host: "hv0000".into(),
        version: String::new(),
        vtep_ipv4: Some([192, 0, 0, 0].into()),
        vtep_ipv6: None,
        uplinks: Vec::new(),
        most_ports: 1000,
        prefer_ipv6: false,
    };
    let cache = CacheContents {
        slices: [(NETWORK, Arc::new(slice(members)))].into(),
        ..CacheContents::default()
    };
    let found = Found {
        cache: Some(cache),
        ..Found::default()
    };
    let mut core = Core::new(config, found, Duration::ZERO);
    settle(&mut core, Input::DevicesListed);
    core
}

/// Feeds an input and confirms every batch.
fn settle(core: &mut Core, input: Input) {
    let mut commands = core.handle(input, Duration::ZERO);
    while let Some(Command::Apply(batch)) = commands
        .iter()
        .find(|command| matches!(command, Command::Apply(_)))
    {
        let done = Input::Applied {
            batch: batch.number,
            failures: Vec::new(),
        };
        commands = core.handle(done, Duration::ZERO);
    }
}

fn plug_and_unplug(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plug and unplug");
    for members in [10, 1_000, 10_000, 50_000] {
        let mut core = core(members);
        let device = Device {
            ifindex: 7,
            name: "tap7".into(),
            alias: Some("coax:p/v000000".into()),
            mtu: 1530,
            veth_into_namespace: true,
        };
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                settle(&mut core, Input::Device(device.clone()));
                settle(&mut core, Input::DeviceGone { ifindex: 7 });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, plug_and_unplug);
criterion_main!(benches);
