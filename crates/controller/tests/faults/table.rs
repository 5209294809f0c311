//! The faults.

use coax_tables::{AddressKey, DropReason, MacKey, MacRow, NetworkId, PortKey};
use coax_vswitch::{MemoryDataPlane, Rows, SlotCounters, Table};
use coax_wire::{MacAddress, ip};

use crate::hypervisor::{Hypervisor, UPLINK};
use crate::site::{STACK, Site};

/// Something that is broken, and what `coax trace` must say of it.
pub struct Fault {
    /// What is broken.
    pub name: &'static str,
    /// Breaks it.
    pub seed: fn(&mut Site),
    /// From, to, kind of packet.
    pub trace: (&'static str, &'static str, &'static str),
    /// Bytes of the packet, if it is large.
    pub size: Option<u32>,
    /// Name of the cause.
    pub cause: &'static str,
    /// What the first line must hold.
    pub line: &'static [&'static str],
}

const WEB: NetworkId = NetworkId(100);
const WEB_2: MacAddress = MacAddress([2, 0, 0, 0, 1, 2]);
const WEB_3: MacAddress = MacAddress([2, 0, 0, 0, 1, 3]);

const fn mac(address: MacAddress) -> MacKey {
    MacKey::new(WEB, address)
}

fn address(last: u8) -> AddressKey {
    AddressKey {
        address: ip::mapped([10, 10, 1, last]),
        network: WEB,
    }
}

fn vtep(number: u8) -> [u8; 16] {
    ip::mapped([192, 0, 2, number])
}

/// Changes the row of a MAC address.
fn change_mac(rows: &mut Rows, address: MacAddress, change: impl FnOnce(&mut MacRow)) {
    change(rows.macs.get_mut(&mac(address)).unwrap());
}

fn port_row(hypervisor: &Hypervisor, port: &str) -> PortKey {
    PortKey {
        ifindex: hypervisor.device_of(port),
        vlan: 0,
    }
}

/// Counts drops of a port.
pub fn count(hypervisor: &mut Hypervisor, port: &str, reason: DropReason, count: u64) {
    let key = port_row(hypervisor, port);
    let slot = hypervisor.rows().ports[&key].slot;
    let counters = SlotCounters {
        drops: vec![(reason, count)],
        ..SlotCounters::default()
    };
    hypervisor.plane.set_counters(slot, counters);
}

/// Data planes of which one has a table with room for so many rows.
fn full(number: u8, host: u8, table: Table, rows: u32) -> MemoryDataPlane {
    match number == host {
        true => MemoryDataPlane::new().with_capacity(table, rows),
        false => MemoryDataPlane::new(),
    }
}

/// A fault that any packet meets.
pub const fn fault(
    name: &'static str,
    seed: fn(&mut Site),
    trace: (&'static str, &'static str, &'static str),
    cause: &'static str,
    line: &'static [&'static str],
) -> Fault {
    Fault {
        name,
        seed,
        trace,
        size: None,
        cause,
        line,
    }
}

const THERE: (&str, &str, &str) = ("shop/web-1", "shop/web-2", "tcp/443");

/// All faults.
pub const FAULTS: &[Fault] = &[
    // Known before any packet.
    fault(
        "a name that nothing has",
        |_| {},
        ("web-1", "wbe-2", "icmp"),
        "no-such-port",
        &["wbe-2"],
    ),
    fault(
        "an address that no port has, as sender",
        |_| {},
        ("10.10.1.99", "web-2", "icmp"),
        "no-such-port",
        &["10.10.1.99"],
    ),
    fault(
        "no address of the family",
        |_| {},
        ("fd00:1::11", "web-4", "icmp"),
        "no-common-family",
        &["shop/web-1", "web-4"],
    ),
    fault(
        "the sender is plugged in nowhere",
        |site| site.apply(&STACK.replace("vteps:", "  web-5: { network: web }\nvteps:")),
        ("web-5", "web-2", "tcp/80"),
        "port-unbound",
        &["shop/web-5", "on no host"],
    ),
    fault(
        "the receiver is plugged in nowhere",
        |site| site.apply(&STACK.replace("vteps:", "  web-5: { network: web }\nvteps:")),
        ("web-1", "web-5", "tcp/80"),
        "port-unbound",
        &["shop/web-5", "on no host"],
    ),
    fault(
        "the sender's device is gone",
        |site| site.unplug(1, "shop/web-1"),
        THERE,
        "port-unbound",
        &["shop/web-1", "plugged in nowhere"],
    ),
    fault(
        "the receiver's device is gone",
        |site| site.unplug(2, "shop/web-2"),
        THERE,
        "port-unbound",
        &["shop/web-2", "plugged in nowhere"],
    ),
    fault(
        "the receiver's VM was started on a host where it must not be",
        |site| {
            site.unplug(2, "shop/web-2");
            let wish = STACK.replace("'02:00:00:00:01:02'", "'02:00:00:00:01:02', host: hv2");
            site.apply(&wish);
            site.plug(3, "shop/web-2");
        },
        THERE,
        "claim-refused",
        &["shop/web-2", "hv3"],
    ),
    fault(
        "the sender's agent is dead",
        |site| site.kill(1),
        THERE,
        "host-away",
        &["agent of hv1", "not attached"],
    ),
    fault(
        "the receiver's agent is dead",
        |site| site.kill(2),
        THERE,
        "host-away",
        &["hv1 sends", "agent of hv2", "not attached"],
    ),
    fault(
        "the sender's agent hangs",
        |site| site.host(1, |host| host.mute = true),
        THERE,
        "host-silent",
        &["hv1 cannot be asked"],
    ),
    fault(
        "the receiver's agent hangs",
        |site| site.host(2, |host| host.mute = true),
        THERE,
        "host-silent",
        &["hv1 sends the packet to hv2", "hv2 cannot be asked"],
    ),
    fault(
        "two networks without a router",
        |_| {},
        ("web-1", "db-1", "tcp/5432"),
        "no-router",
        &["shop/db-1", "shop/db", "shop/web", "no router"],
    ),
    fault(
        "another project's port with an address of the own subnet",
        |_| {},
        ("shop/web-1", "bank/safe", "tcp/22"),
        "no-router",
        &["bank/vault", "shop/web", "no router"],
    ),
    fault(
        "an address outside of all subnets",
        |_| {},
        ("web-1", "203.0.113.5", "tcp/443"),
        "no-gateway",
        &["203.0.113.5", "shop/web", "no router"],
    ),
    // The sender's host.
    fault(
        "an address that nobody has",
        |_| {},
        ("web-1", "10.10.1.200", "icmp"),
        "unknown-address",
        &["hv1", "nobody in shop/web has 10.10.1.200"],
    ),
    fault(
        "the sender's host lacks the receiver's address",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| {
                    rows.addresses.remove(&address(12));
                });
            });
        },
        THERE,
        "unknown-address",
        &["hv1", "10.10.1.12", "shop/web-2", "missing"],
    ),
    fault(
        "the sender's host lacks the receiver's MAC address",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| {
                    rows.macs.remove(&mac(WEB_2));
                });
            });
        },
        THERE,
        "unknown-unicast",
        &["hv1", "MAC address of shop/web-2", "missing"],
    ),
    fault(
        "an address answered with another port's MAC address",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| rows.addresses.get_mut(&address(12)).unwrap().mac = WEB_3);
            });
        },
        THERE,
        "stale-address",
        &[
            "hv1",
            "shop/web-2",
            "02:00:00:00:01:03 instead of 02:00:00:00:01:02",
        ],
    ),
    fault(
        "a MAC row with the endpoint of another host",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| change_mac(rows, WEB_2, |row| row.vtep = vtep(3)));
            });
        },
        THERE,
        "wrong-host",
        &["hv1 sends the packet to hv3", "shop/web-2 is on hv2"],
    ),
    fault(
        "a MAC row with an endpoint that nobody has",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| change_mac(rows, WEB_2, |row| row.vtep = vtep(77)));
            });
        },
        THERE,
        "unknown-endpoint",
        &["hv1", "192.0.2.77", "no host has"],
    ),
    fault(
        "a MAC row that says that the receiver is here",
        |site| {
            site.host(1, |host| {
                let wrong = host.device_of("shop/web-3");
                host.corrupt(move |rows| {
                    change_mac(rows, WEB_2, |row| {
                        row.flags |= MacRow::LOCAL;
                        row.ifindex = wrong;
                    });
                });
            });
        },
        THERE,
        "wrong-port",
        &["hv1 hands the packet to shop/web-3 instead of shop/web-2"],
    ),
    fault(
        "the port's row is missing",
        |site| {
            site.host(1, |host| {
                let key = port_row(host, "shop/web-1");
                host.corrupt(move |rows| {
                    rows.ports.remove(&key);
                });
            });
        },
        THERE,
        "unknown-port",
        &["hv1", "shop/web-1", "missing"],
    ),
    fault(
        "the port's row has another MAC address",
        |site| {
            site.host(1, |host| {
                let key = port_row(host, "shop/web-1");
                host.corrupt(move |rows| rows.ports.get_mut(&key).unwrap().mac = WEB_3);
            });
        },
        THERE,
        "forged-source",
        &["hv1", "shop/web-1", "another MAC address"],
    ),
    fault(
        "the port's row has another network",
        |site| {
            site.host(1, |host| {
                let key = port_row(host, "shop/web-1");
                host.corrupt(move |rows| {
                    rows.ports.get_mut(&key).unwrap().network = NetworkId(300)
                });
            });
        },
        THERE,
        "unknown-address",
        &["hv1", "10.10.1.12"],
    ),
    fault(
        "the host lost its tunnel endpoint",
        |site| {
            site.host(1, |host| host.corrupt(|rows| rows.host.vtep_ipv4 = [0; 4]));
        },
        THERE,
        "no-tunnel-address",
        &["hv1", "no tunnel endpoint", "shop/web-2"],
    ),
    fault(
        "the sender's device is down",
        |site| {
            site.host(1, |host| host.down.push(host.device_of("shop/web-1")));
        },
        THERE,
        "device-down",
        &["shop/web-1", "hv1", "down"],
    ),
    fault(
        "the program is not on the sender's device",
        |site| {
            site.host(1, |host| {
                host.without_program.push(host.device_of("shop/web-1"));
            });
        },
        THERE,
        "no-program",
        &["shop/web-1", "hv1", "no vSwitch program"],
    ),
    Fault {
        name: "a packet larger than the network",
        seed: |_| {},
        trace: THERE,
        size: Some(2000),
        cause: "too-big",
        line: &["hv1 answers shop/web-1", "too big", "1500"],
    },
    fault(
        "a MAC address behind a foreign tunnel endpoint",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| change_mac(rows, WEB_2, |row| row.vtep = vtep(99)));
            });
        },
        THERE,
        "foreign-endpoint",
        &["hv1", "shop/legacy", "192.0.2.99"],
    ),
    // The fabric.
    fault(
        "no route to the receiver's host",
        |site| site.host(1, |host| host.has_route = false),
        THERE,
        "no-path",
        &["hv1", "no route to 192.0.2.2", "hv2"],
    ),
    fault(
        "the next hop does not answer",
        |site| site.host(1, |host| host.next_hop_answers = false),
        THERE,
        "next-hop-silent",
        &["hv1", "hv2", "198.51.100.1", "eth0"],
    ),
    fault(
        "the uplink carries less than the smallest tunnel packet",
        |site| site.host(1, |host| host.uplink_mtu = 80),
        THERE,
        "path-too-small",
        &["hv1", "eth0", "80 bytes"],
    ),
    fault(
        "the uplink carries less than a full tunnel packet",
        |site| site.host(1, |host| host.uplink_mtu = 1500),
        THERE,
        "underlay-mtu-lost",
        &["large packets", "hv1", "eth0", "1500", "1550"],
    ),
    fault(
        "the fabric carries less than a full tunnel packet",
        |site| site.fabric_mtu(1500),
        THERE,
        "underlay-mtu-lost",
        &["large packets", "between hv1 and hv2", "1550"],
    ),
    fault(
        "the fabric drops tunnel packets",
        |site| site.block(1, 2),
        THERE,
        "underlay-blocked",
        &["fabric between hv1 and hv2", "192.0.2.1", "192.0.2.2"],
    ),
    fault(
        "the fabric drops tunnel packets of the answer",
        |site| site.block(2, 1),
        THERE,
        "underlay-blocked",
        &[
            "delivered to shop/web-2 on hv2",
            "answer is lost",
            "between hv2 and hv1",
        ],
    ),
    // The receiver's host.
    fault(
        "the receiver's uplink is down",
        |site| site.host(2, |host| host.down.push(UPLINK)),
        THERE,
        "device-down",
        &["uplink eth0 on hv2 is down"],
    ),
    fault(
        "the program is not on the receiver's uplink",
        |site| site.host(2, |host| host.without_program.push(UPLINK)),
        THERE,
        "no-program",
        &["uplink eth0 on hv2", "no vSwitch program"],
    ),
    fault(
        "the receiver's host does not accept the sender's",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| rows.tunnels.retain(|key, _| key.vtep != vtep(1)));
            });
        },
        THERE,
        "not-a-member",
        &["hv2", "no tunnel packets of shop/web from hv1"],
    ),
    fault(
        "the receiver's host takes the VNI for another network",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| {
                    for (key, row) in &mut rows.tunnels {
                        if key.vni == WEB.0 {
                            row.network = NetworkId(300);
                        }
                    }
                });
            });
        },
        THERE,
        "not-here",
        &["hv2", "shop/web-2"],
    ),
    fault(
        "the receiver's host lacks the receiver's MAC address",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| {
                    rows.macs.remove(&mac(WEB_2));
                });
            });
        },
        THERE,
        "not-here",
        &["hv2", "MAC address of shop/web-2", "missing"],
    ),
    fault(
        "the receiver's host hands packets to another port",
        |site| {
            site.host(2, |host| {
                let wrong = host.device_of("shop/db-1");
                host.corrupt(move |rows| change_mac(rows, WEB_2, |row| row.ifindex = wrong));
            });
        },
        THERE,
        "wrong-port",
        &["hv2 hands the packet to shop/db-1 instead of shop/web-2"],
    ),
    fault(
        "the receiver's host hands packets to a device that does not exist",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| change_mac(rows, WEB_2, |row| row.ifindex = 4711));
            });
        },
        THERE,
        "wrong-port",
        &["hv2", "device 4711, which does not exist", "shop/web-2"],
    ),
    fault(
        "the receiver's host thinks that it has another tunnel endpoint",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| rows.host.vtep_ipv4 = [192, 0, 2, 88]);
            });
        },
        THERE,
        "not-for-vswitch",
        &["hv2", "192.0.2.2", "192.0.2.88"],
    ),
    fault(
        "hosts disagree about the tunnel's UDP port",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| rows.host.udp_port = 8472_u16.to_be_bytes());
            });
        },
        THERE,
        "not-for-vswitch",
        &["hv2", "UDP port 8472"],
    ),
    fault(
        "the receiver's host lacks the way back",
        |site| {
            site.host(2, |host| {
                host.corrupt(|rows| {
                    rows.addresses.remove(&address(11));
                });
            });
        },
        THERE,
        "unknown-address",
        &["delivered to shop/web-2", "answer is lost", "10.10.1.11"],
    ),
    fault(
        "the sender's host refuses the answer",
        |site| {
            site.host(1, |host| {
                host.corrupt(|rows| rows.tunnels.retain(|key, _| key.vtep != vtep(2)));
            });
        },
        THERE,
        "not-a-member",
        &["answer is lost", "hv1", "from hv2"],
    ),
    // Hosts that are behind or full.
    fault(
        "the sender's host is behind",
        |site| {
            site.host(1, |host| host.stuck = true);
            site.apply(&STACK.replace("vteps:", "  web-5: { network: web }\nvteps:"));
            site.plug(2, "shop/web-5");
        },
        ("web-1", "web-5", "tcp/443"),
        "host-behind",
        &["hv1 is behind", "revision"],
    ),
    fault(
        "the receiver's host is behind",
        |site| {
            site.host(2, |host| host.stuck = true);
            site.apply(&STACK.replace("vteps:", "  web-5: { network: web }\nvteps:"));
            site.plug(3, "shop/web-5");
        },
        ("web-5", "web-2", "tcp/443"),
        "host-behind",
        &["hv2 is behind", "revision"],
    ),
    fault(
        "the sender's MAC table is full",
        |site| *site = Site::with_planes(|number| full(number, 1, Table::Macs, 3)),
        THERE,
        "host-problem",
        &["hv1", "unknown-unicast", "table `macs` is full (3 rows)"],
    ),
    fault(
        "the sender's address table is full",
        |site| *site = Site::with_planes(|number| full(number, 1, Table::Addresses, 3)),
        THERE,
        "host-problem",
        &[
            "hv1",
            "unknown-address",
            "table `addresses` is full (3 rows)",
        ],
    ),
    fault(
        "the receiver's tunnel table is full",
        |site| *site = Site::with_planes(|number| full(number, 2, Table::Tunnels, 1)),
        ("web-4", "web-2", "tcp/443"),
        "host-problem",
        &["hv2", "not-a-member", "table `tunnels` is full (1 rows)"],
    ),
    // What the VM really sends.
    fault(
        "the sender's VM uses another MAC address",
        |site| {
            site.host(1, |host| {
                count(host, "shop/web-1", DropReason::ForgedSource, 57)
            });
        },
        THERE,
        "sender-drops",
        &["shop/web-1", "57 frames", "forged-source"],
    ),
    fault(
        "the sender's VM sends VLAN tags",
        |site| {
            site.host(1, |host| {
                count(host, "shop/web-1", DropReason::TaggedFrame, 3)
            });
        },
        THERE,
        "sender-drops",
        &["shop/web-1", "3 frames", "tagged-frame"],
    ),
];
