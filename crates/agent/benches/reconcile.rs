//! What the core itself takes of the time between an event and its rows, against the size of the network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coax_agent::{CacheContents, Command, Config, Core, Device, Found, Input};
use coax_api::agent::{ControllerMessage, Delta, SliceKind, Welcome, controller_message};
use coax_compile::{HostVtep, Member, NetworkParams, NetworkSlice, SliceDelta};
use coax_vswitch::Capacity;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use prost::Message;

const NETWORK: u32 = 4096;
const SIZES: [u32; 4] = [10, 1_000, 10_000, 50_000];

fn slice_member(number: u32) -> Member {
    let [a, b, c, d] = number.to_be_bytes();
    Member {
        port: format!("p/v{number:06}"),
        mac: vec![2, 0, a, b, c, d],
        addresses: vec![vec![10, b, c, d]],
        host: match number {
            0 => "hv0000".into(),
            _ => format!("hv{:04}", 1 + number % 999),
        },
        ..Member::default()
    }
}

fn slice(members: u32) -> NetworkSlice {
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
        members: (0..members).map(slice_member).collect(),
        hosts: (0..1000).map(host).collect(),
        foreign: Vec::new(),
    }
}

/// A core that knows one network from its cache and has written its rows.
fn core(members: u32) -> Core {
    let config = Config {
        controllers: vec!["192.0.2.1:7450".into()],
        host: "hv0000".into(),
        version: String::new(),
        vtep_ipv4: Some([192, 0, 0, 0].into()),
        vtep_ipv6: None,
        uplinks: Vec::new(),
        capacity: Capacity::default(),
        prefer_ipv6: false,
        canary: 1,
        secret: 2,
    };
    let cache = CacheContents {
        newest: 0,
        told_by: 1,
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
    let commands = core.handle(input, Duration::ZERO);
    confirm(core, commands);
}

fn confirm(core: &mut Core, mut commands: Vec<Command>) {
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

/// From a device that appears to the batch with its port.
fn arrive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a device arrives");
    for members in SIZES {
        let mut core = core(members);
        let device = Device {
            ifindex: 7,
            name: "tap7".into(),
            alias: Some("coax:p/v000000".into()),
            mtu: 1530,
            veth_into_namespace: true,
        };
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let began = Instant::now();
                    let commands = core.handle(Input::Device(device.clone()), Duration::ZERO);
                    total += began.elapsed();
                    confirm(&mut core, commands);
                    settle(&mut core, Input::DeviceGone { ifindex: 7 });
                }
                total
            });
        });
    }
    group.finish();
}

/// A member moves from one other host to another: everything that the core does about it.
fn elsewhere(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a member moves elsewhere");
    for members in SIZES {
        let mut core = core(members);
        settle(&mut core, Input::Connected { stream: 1 });
        let welcome = controller_message::Body::Welcome(Welcome {
            generation: 1,
            revision: 1,
            run: 1,
            ..Welcome::default()
        });
        settle(&mut core, received(1, welcome));
        let (mut revision, mut sequence) = (1, 1);
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                let mut member = slice_member(members - 1);
                member.host = format!("hv{:04}", 1 + revision % 2);
                let delta = SliceDelta {
                    network_id: NETWORK,
                    from_revision: revision,
                    to_revision: revision + 1,
                    upsert_members: vec![member],
                    ..SliceDelta::default()
                };
                (revision, sequence) = (revision + 1, sequence + 1);
                let delta = Delta {
                    kind: SliceKind::Network.into(),
                    delta: delta.encode_to_vec().into(),
                };
                settle(
                    &mut core,
                    received(sequence, controller_message::Body::Delta(delta)),
                );
            });
        });
    }
    group.finish();
}

fn received(sequence: u64, body: controller_message::Body) -> Input {
    Input::Received {
        stream: 1,
        message: ControllerMessage {
            sequence,
            body: Some(body),
        },
    }
}

criterion_group!(benches, arrive, elsewhere);
criterion_main!(benches);
