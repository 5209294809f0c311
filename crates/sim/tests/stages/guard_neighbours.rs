//! Stage `guard`: ARP and neighbour discovery in the port's own name only.

use crate::fixture::*;
use crate::guard_sources::{guarded, own_link_local};
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, ARP, Discovery, IPV6, ethernet, group_mac, link_address};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_tables::DropReason;
use coax_wire::MacAddress;
use std::net::{Ipv4Addr, Ipv6Addr};

fn arp(operation: u16, sender: (MacAddress, Ipv4Addr), target: u8) -> Vec<u8> {
    let packet = craft::arp(operation, sender, (MacAddress::default(), ipv4(target)));
    ethernet(MacAddress::BROADCAST, mac(1), ARP, &packet)
}

fn nd(message: &Discovery) -> Vec<u8> {
    let to = group_mac(message.destination);
    ethernet(to, mac(1), IPV6, &message.packet())
}

fn forged(name: &str, about: &str, frame: Vec<u8>, reason: DropReason) {
    from_vm1(&format!("guard/{name}"), about, guarded(), frame).dropped(Stage::Guard, reason, 1);
}

#[test]
fn arp_in_the_ports_own_name() {
    let question = arp(1, (mac(1), ipv4(1)), 2);
    let probe = arp(1, (mac(1), Ipv4Addr::UNSPECIFIED), 2);
    for (name, frame) in [("question", question), ("probe", probe)] {
        let about = "ARP with the port's own addresses, or without one, as before.";
        from_vm1(&format!("guard/arp-{name}"), about, guarded(), frame).answered();
    }
}

#[test]
fn arp_in_somebody_elses_name() {
    let (own, theirs) = ((mac(1), ipv4(1)), (mac(3), ipv4(3)));
    let mut odd_lengths = arp(1, own, 2);
    odd_lengths[18] = 8;
    let mut odd_hardware = arp(1, (mac(1), ipv4(3)), 2);
    odd_hardware[15] = 6;
    let mut unicast = arp(2, (mac(1), ipv4(3)), 2);
    unicast[..6].copy_from_slice(&mac(2).0);
    for (name, frame) in [
        ("ip", arp(1, (mac(1), ipv4(3)), 2)),
        ("mac", arp(1, (mac(3), ipv4(1)), 2)),
        ("both", arp(2, theirs, 2)),
        ("unicast-answer", unicast),
        ("gratuitous", arp(1, (mac(1), ipv4(3)), 3)),
        (
            "probe-with-another-mac",
            arp(1, (mac(3), Ipv4Addr::UNSPECIFIED), 2),
        ),
        ("odd-lengths", odd_lengths),
        ("odd-hardware", odd_hardware),
    ] {
        let about = "ARP whose sender is not the port, in any disguise.";
        forged(
            &format!("forged-arp-{name}"),
            about,
            frame,
            DropReason::ForgedArp,
        );
    }
    let frame = arp(1, own, 2)[..40].to_vec();
    forged(
        "short-arp",
        "ARP that ends too early.",
        frame,
        DropReason::Truncated,
    );
}

#[test]
fn discovery_in_the_ports_own_name() {
    let solicitation = Discovery::solicitation((mac(1), ipv6(1)), ipv6(2));
    let probe = Discovery::solicitation((mac(1), Ipv6Addr::UNSPECIFIED), ipv6(2));
    let local = Discovery::solicitation((mac(1), own_link_local(1)), ipv6(2));
    for (name, message) in [
        ("question", solicitation),
        ("probe", probe),
        ("link-local", local),
    ] {
        let about = "Neighbour discovery with the port's own addresses, or without one, as before.";
        from_vm1(&format!("guard/nd-{name}"), about, guarded(), nd(&message)).answered();
    }
    let own = Discovery::advertisement((mac(1), ipv6(1)), ipv6(2), 0x60);
    let frame = ethernet(mac(2), mac(1), IPV6, &own.packet());
    let about = "An advertisement of the port's own address.";
    from_vm1(
        "guard/nd-own-advertisement",
        about,
        guarded(),
        frame.clone(),
    )
    .delivered(coax_sim::Device::Vm2, &frame);
}

#[test]
fn discovery_in_somebody_elses_name() {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let about = "Neighbour discovery that would put the sender, or a third, into caches under a foreign name.";
    let mut target = Discovery::advertisement((mac(1), ipv6(1)), all, 0x20);
    target.target = ipv6(3);
    let mut option = Discovery::advertisement((mac(1), ipv6(1)), all, 0x20);
    option.options = link_address(2, mac(3));
    let mut solicitation = Discovery::solicitation((mac(1), ipv6(1)), ipv6(9));
    solicitation.options = link_address(1, mac(3));
    let mut second = Discovery::solicitation((mac(1), ipv6(1)), ipv6(9));
    second.options = [link_address(1, mac(1)), link_address(1, mac(3))].concat();
    let mut endless = Discovery::solicitation((mac(1), ipv6(1)), ipv6(9));
    endless.options = [14, 1, 0, 0, 0, 0, 0, 0].repeat(7);
    let mut zero = Discovery::solicitation((mac(1), ipv6(1)), ipv6(9));
    zero.options = vec![1, 0, 2, 0, 0, 0, 0, 9];
    let mut local = Discovery::advertisement((mac(1), own_link_local(1)), all, 0x20);
    local.target = own_link_local(3);
    for (name, message) in [
        ("target", target),
        ("option", option),
        ("question", solicitation),
        ("second-option", second),
        ("too-many-options", endless),
        ("option-without-length", zero),
        ("link-local", local),
    ] {
        let name = format!("forged-nd-{name}");
        forged(&name, about, nd(&message), DropReason::ForgedNeighbour);
    }
    let source = Discovery::solicitation((mac(1), ipv6(3)), ipv6(2));
    let about = "The sender of the packet itself is forged.";
    forged(
        "forged-nd-source",
        about,
        nd(&source),
        DropReason::ForgedAddress,
    );
    let cut = nd(&Discovery::advertisement((mac(1), ipv6(1)), all, 0x20))[..70].to_vec();
    let about = "An advertisement that ends too early.";
    forged("short-nd", about, cut, DropReason::Truncated);
}

#[test]
fn discovery_that_hides_is_dropped() {
    let solicitation = Discovery::solicitation((mac(1), ipv6(1)), ipv6(9));
    let plain = nd(&solicitation);
    let behind = |kind: u8, header: &[u8]| {
        let mut frame = plain.clone();
        let length = 32 + header.len() as u16;
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame[20] = kind;
        frame.splice(54..54, header.iter().copied());
        frame
    };
    for (name, frame) in [
        ("hop-by-hop", behind(0, &[58, 0, 1, 4, 0, 0, 0, 0])),
        (
            "destination-options",
            behind(60, &[58, 0, 1, 4, 0, 0, 0, 0]),
        ),
        ("first-fragment", behind(44, &[58, 0, 0, 1, 0, 0, 0, 7])),
        ("atomic-fragment", behind(44, &[58, 0, 0, 0, 0, 0, 0, 7])),
        (
            "first-fragment-without-it",
            behind(44, &[60, 0, 0, 1, 0, 0, 0, 7])[..62].to_vec(),
        ),
    ] {
        let about = "Neighbour discovery behind other headers or in fragments (RFC 6980).";
        forged(
            &format!("hidden-nd-{name}"),
            about,
            frame,
            DropReason::HeaderChain,
        );
    }
    let many = [60, 0, 1, 4, 0, 0, 0, 0].repeat(9);
    let about = "More extension headers than are read.";
    forged(
        "endless-headers",
        about,
        behind(60, &many),
        DropReason::HeaderChain,
    );
    let later = behind(44, &[58, 0, 0, 8, 0, 0, 0, 7]);
    let about = "A later fragment is nothing without its first one.";
    let played = from_vm1("guard/later-fragment", about, guarded(), later);
    assert_ne!(played.only().verdict, Verdict::Drop);
}
