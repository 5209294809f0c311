//! What VMs say about addresses: questions, answers and announcements, some of them forged.

use crate::craft;
use crate::noise::{Noise, mac};
use crate::reference::neighbours::{Message, Neighbour, Saying, shared};
use crate::reference::world::{GATE, VMS, World, address, link_local, mac_of, vm_of};
use coax_wire::MacAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// A link-local address that is made of nobody's MAC address.
const STRANGE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);

/// Anything that a port may say.
pub fn saying(noise: &mut Noise<'_>, world: &World) -> Saying {
    let port = super::any_port(noise, world);
    let network = world.home(port);
    let question = !noise.one_in(3);
    let other = 1 + noise.below(VMS.into()) as u8;
    let group = !noise.one_in(3);
    if noise.one_in(2) {
        return arp(noise, port, network, (question, other, group));
    }
    let own = mac_of(port);
    let numbered = |number| as_ipv6(address(network, true, number));
    let (ours, theirs) = (numbered(vm_of(port)), numbered(other));
    let common = as_ipv6(shared(network, true));
    let unspecified = Ipv6Addr::UNSPECIFIED;
    let target = if question {
        let others = [ours, numbered(GATE), numbered(77), common, STRANGE];
        noise.pick(theirs, &others)
    } else {
        noise.pick(
            ours,
            &[
                common,
                common,
                theirs,
                link_local(own),
                link_local(mac(other)),
            ],
        )
    };
    let source = noise.pick(
        ours,
        &[
            ours,
            link_local(own),
            unspecified,
            theirs,
            common,
            link_local(mac(other)),
        ],
    );
    let destination = if question {
        craft::solicited_node(target)
    } else {
        ALL_NODES
    };
    let hop_limit = if (question || group) && noise.one_in(8) {
        64
    } else {
        255
    };
    Saying {
        port,
        to: if group {
            craft::group_mac(destination)
        } else {
            unicast(noise, other)
        },
        message: Message::Neighbour(Neighbour {
            question,
            source,
            destination: if group { destination } else { theirs },
            target,
            link: noise.pick(Some(own), &[Some(own), Some(own), None, Some(mac(other))]),
            solicited: !question && !noise.one_in(2),
            hop_limit,
        }),
    }
}

fn arp(
    noise: &mut Noise<'_>,
    port: u8,
    network: u8,
    (question, other, group): (bool, u8, bool),
) -> Saying {
    let own = mac_of(port);
    let numbered = |number| as_ipv4(address(network, false, number));
    let (ours, theirs) = (numbered(vm_of(port)), numbered(other));
    let common = as_ipv4(shared(network, false));
    let nobody = Ipv4Addr::UNSPECIFIED;
    let sender = noise.pick(ours, &[ours, ours, nobody, theirs, common, numbered(GATE)]);
    let target = if noise.one_in(3) {
        sender
    } else {
        noise.pick(theirs, &[ours, numbered(GATE), numbered(77), common])
    };
    let claimed = if noise.one_in(8) { mac(other) } else { own };
    Saying {
        port,
        to: if group {
            MacAddress::BROADCAST
        } else {
            unicast(noise, other)
        },
        message: Message::Arp {
            question,
            sender: (claimed, sender),
            target: (MacAddress::default(), target),
        },
    }
}

/// A VM's MAC address, or one that nobody has.
fn unicast(noise: &mut Noise<'_>, vm: u8) -> MacAddress {
    noise.pick(mac(vm), &[mac(vm), mac(vm), mac(99)])
}

const fn as_ipv4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

const fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
    }
}
