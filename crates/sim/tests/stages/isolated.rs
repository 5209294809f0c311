//! Isolated ports reach everybody but each other, on one host and across hosts.

use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::noise::mac;
use coax_sim::rows::Receiver;
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, FABRIC_SLOT, MacRow, PortRow, ReplicaRow};

/// VMs 1 and 2 are isolated here, VM 4 elsewhere; VMs 3 and 5 are not.
fn isolated_rows() -> SimRows {
    let mut rows = rows();
    for (vm, device) in [(1, Device::Vm1), (2, Device::Vm2)] {
        let mut row = port_row(vm);
        row.flags |= PortRow::ISOLATED;
        rows.port(index(device), row);
    }
    for vm in [1, 2, 4] {
        let key = coax_tables::MacKey::new(NETWORK, mac(vm));
        if let Some(row) = rows.macs.get_mut(&key) {
            row.flags |= MacRow::ISOLATED;
        }
    }
    let isolated = |vm: u8, device| {
        Receiver::Local(ReplicaRow {
            ifindex: index(device),
            slot: vm.into(),
            flags: ReplicaRow::ISOLATED,
            ..ReplicaRow::default()
        })
    };
    let receivers = [
        isolated(1, Device::Vm1),
        isolated(2, Device::Vm2),
        receiver(3, Device::Vm3),
    ];
    rows.network(NETWORK, MTU, 0, &receivers);
    rows
}

#[test]
fn isolated_ports_do_not_reach_each_other() {
    for (name, to) in [("here", 2), ("elsewhere", 4)] {
        let about = "From one isolated port to another, here or on another host.";
        let name = format!("forward/isolated-{name}");
        from_vm1(&name, about, isolated_rows(), udp4(1, to, 20)).dropped(
            Stage::Forward,
            DropReason::Isolated,
            1,
        );
    }
}

#[test]
fn an_isolated_port_reaches_the_others() {
    let frame = udp4(1, 3, 20);
    let about = "From an isolated port to one that is not.";
    from_vm1(
        "forward/isolated-to-another",
        about,
        isolated_rows(),
        frame.clone(),
    )
    .delivered(Device::Vm3, &frame);
    let about = "From an isolated port to one that is not, on another host.";
    from_vm1(
        "forward/isolated-to-another-elsewhere",
        about,
        isolated_rows(),
        udp4(1, 5, 20),
    )
    .sent(Device::Up1);
}

#[test]
fn copies_leave_isolated_ports_out() {
    let about = "A broadcast of an isolated port reaches no other one.";
    let played = from_vm1(
        "replicate/from-isolated",
        about,
        isolated_rows(),
        broadcast(1),
    );
    assert_eq!(played.flooded(), [Device::Vm3]);
}

#[test]
fn the_receivers_host_knows_who_is_isolated() {
    for (name, vm, reached) in [
        ("isolated", 4, &[Device::Vm3][..]),
        ("another", 5, &[Device::Vm1, Device::Vm2, Device::Vm3]),
    ] {
        let about = "A broadcast from another host's port, isolated or not.";
        let frame = tunnel(false).around(&broadcast(vm));
        let name = format!("replicate/from-fabric-by-{name}");
        let played = from_fabric(&name, about, isolated_rows(), frame);
        assert_eq!(played.flooded(), reached);
    }
    let about = "From an isolated port of another host: its own host should have dropped it.";
    let frame = tunnel(false).around(&udp4(4, 2, 20));
    from_fabric(
        "forward/isolated-from-fabric",
        about,
        isolated_rows(),
        frame,
    )
    .dropped(Stage::Forward, DropReason::Isolated, FABRIC_SLOT);
    let frame = tunnel(false).around(&udp4(5, 2, 20));
    let about = "From a port of another host that is not isolated.";
    from_fabric(
        "forward/to-isolated-from-fabric",
        about,
        isolated_rows(),
        frame,
    )
    .delivered(Device::Vm2, &udp4(5, 2, 20));
}
