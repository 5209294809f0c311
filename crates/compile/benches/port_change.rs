//! The price of one change at the size of a large deployment: 1,000 hosts, 50,000 ports, in networks
//! of several sizes; beside it the same change in a deployment of fifty times fewer networks, which
//! must cost the same, and the full recompute.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use coax_compile::Compiler;
use coax_model::{
    Binding, Change, Host, HostName, Intent, Name, Network, ObjectName, Port, PortName, Subnet,
};
use coax_wire::{MacAddress, Mtu, Vni};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use prost::Message;

const HOSTS: u32 = 1000;

fn host_name(number: u32) -> HostName {
    HostName::new(&format!("hv{number}")).unwrap()
}

fn port_name(network: u32, port: u32) -> PortName {
    ObjectName::new(
        project(network),
        Name::new(&format!("vm-{network}-{port}")).unwrap(),
    )
}

/// Ten networks a project.
fn project(network: u32) -> Name {
    Name::new(&format!("tenant-{}", network / 10)).unwrap()
}

fn deployment(networks: u32, ports: u32) -> Intent {
    let mut intent = Intent::default();
    for number in 0..HOSTS {
        let ipv4 = Some(std::net::Ipv4Addr::from(0x0a00_0000 + number));
        let host = Host {
            ipv4,
            ipv6: None,
            underlay_mtu: 1600,
        };
        intent.hosts.insert(host_name(number), host);
    }
    for network in 0..networks {
        let name = Name::new(&format!("net-{network}")).unwrap();
        let full = ObjectName::new(project(network), name.clone());
        let value = Network {
            subnets: vec![Subnet::new("10.0.0.0/16".parse().unwrap())],
            ..Network::new(
                Vni::try_from(4096 + network).unwrap(),
                Mtu::try_from(1500_u32).unwrap(),
            )
        };
        intent.networks.insert(full, value);
        for port in 0..ports {
            let [_, a, b, c] = (port + 2).to_be_bytes();
            let value = Port {
                addresses: vec![[10, a, b, c].into()],
                ..Port::new(name.clone(), MacAddress([2, 0, 0, a, b, c]))
            };
            let full = port_name(network, port);
            let host = host_name((network * 7 + port * 13) % HOSTS);
            intent.ports.insert(full.clone(), value);
            intent.bindings.insert(full, Binding::at(host));
        }
    }
    intent
}

fn port_change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("port_change");
    for (networks, ports) in [(10, 100), (500, 100), (50, 1000), (1, 50_000)] {
        let mut compiler = Compiler::full(&deployment(networks, ports), 1);
        let mut revision = 1;
        group.bench_function(format!("{networks}_networks_of_{ports}"), |bencher| {
            bencher.iter(|| {
                revision += 1;
                let host = host_name(u32::try_from(revision % 1000).unwrap());
                let (port, binding) = (port_name(networks / 2, ports / 2), Binding::at(host));
                let steps = compiler.apply(revision, &[Change::PutBinding { port, binding }]);
                let deltas = steps.networks.iter().map(|step| step.delta.encode_to_vec());
                black_box(deltas.collect::<Vec<_>>())
            });
        });
    }
    group.finish();
}

fn full_recompute(criterion: &mut Criterion) {
    let intent = deployment(500, 100);
    let mut group = criterion.benchmark_group("full");
    group.sample_size(10);
    group.bench_function("recompute_50000_ports", |bencher| {
        bencher.iter(|| Compiler::full(black_box(&intent), 1));
    });
    let compiler = Compiler::full(&intent, 1);
    group.bench_function("encode_all_snapshots", |bencher| {
        let encode = |id| compiler.slice(id).unwrap().encode_to_vec();
        bencher.iter_batched(
            || compiler.network_ids().collect::<Vec<_>>(),
            |ids| {
                ids.into_iter()
                    .map(encode)
                    .map(|bytes| bytes.len())
                    .sum::<usize>()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, port_change, full_recompute);
criterion_main!(benches);
