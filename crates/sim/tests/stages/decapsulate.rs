//! Stage `decapsulate`.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, EXPERIMENT, Tunnel, ethernet};
use coax_sim::noise::mac;
use coax_sim::rows::is_ipv4;
use coax_sim::stand::Vtep;
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, FABRIC_SLOT};

const FAMILIES: [(&str, bool); 2] = [("ipv4", false), ("ipv6", true)];

/// Plays a packet of each family that `change` made different from a plain one.
fn each_family(
    name: &str,
    about: &str,
    rows: &SimRows,
    packet: impl Fn(Tunnel) -> Vec<u8>,
    mut check: impl FnMut(Played),
) {
    for (family, over_ipv6) in FAMILIES {
        let name = format!("decapsulate/{name}-over-{family}");
        check(from_fabric(
            &name,
            about,
            rows.clone(),
            packet(tunnel(over_ipv6)),
        ));
    }
}

fn drops(stage: Stage, reason: DropReason) -> impl FnMut(Played) {
    move |played| played.dropped(stage, reason, FABRIC_SLOT)
}

fn passes(played: Played) {
    assert_eq!(played.only().verdict, Verdict::Pass);
    assert!(played.tallies.is_empty());
}

#[test]
fn every_kind_of_frame_over_both_families() {
    for (kind, frame) in [
        ("ipv4", udp4(9, 1, 20)),
        ("ipv6", udp6(9, 1, 20)),
        ("other", ethernet(mac(1), mac(9), EXPERIMENT, b"anything")),
        ("empty", ethernet(mac(1), mac(9), EXPERIMENT, &[])),
        ("short-ipv4", ethernet(mac(1), mac(9), 0x0800, &[0x45; 3])),
        ("short-ipv6", ethernet(mac(1), mac(9), 0x86dd, &[0x60; 3])),
        ("full-size", udp4(9, 1, 1472)),
    ] {
        let packet = |tunnel: Tunnel| tunnel.around(&frame);
        let about = "Out of the tunnel comes what was put into it.";
        each_family(kind, about, &rows(), packet, |played| {
            played.delivered(Device::Vm1, &frame);
            let fabric = played.tallies[&FABRIC_SLOT].counters;
            assert_eq!(fabric.received_bytes, frame.len() as u64);
        });
    }
}

#[test]
fn frames_without_the_i_flag_are_dropped() {
    let packet = |tunnel: Tunnel| {
        let vxlan = [0xf7, 0, 0, 0, 0, 0, 7, 0];
        Tunnel { vxlan, ..tunnel }.around(&udp4(9, 1, 20))
    };
    let about = "RFC 7348 section 5: the I flag MUST be 1 for a valid VNI.";
    let check = drops(Stage::Decapsulate, DropReason::NoVni);
    each_family("no-i-flag", about, &rows(), packet, check);
}

#[test]
fn reserved_bits_are_ignored() {
    let frame = udp4(9, 1, 20);
    let packet = |tunnel: Tunnel| {
        let vxlan = [0xff, 1, 2, 3, 0, 0, 7, 0xff];
        Tunnel { vxlan, ..tunnel }.around(&frame)
    };
    let about = "RFC 7348 section 5: reserved fields are ignored on receipt.";
    let check = |played: Played| played.delivered(Device::Vm1, &frame);
    each_family("reserved-bits", about, &rows(), packet, check);
}

#[test]
fn only_members_may_send() {
    let check = || drops(Stage::Decapsulate, DropReason::NotMember);
    let stranger = |tunnel: Tunnel| {
        let source = Vtep::FOREIGN.address(tunnel.source.is_ipv6());
        Tunnel { source, ..tunnel }.around(&udp4(9, 1, 20))
    };
    let about = "A VTEP that Coax was not told about.";
    each_family("stranger", about, &rows(), stranger, check());
    let other_network = |tunnel: Tunnel| {
        let vxlan = [8, 0, 0, 0, 0, 0, 8, 0];
        Tunnel { vxlan, ..tunnel }.around(&udp4(9, 1, 20))
    };
    let about = "A VNI that the sender is no member of.";
    each_family("other-vni", about, &rows(), other_network, check());
    let mut rows = rows();
    rows.tunnels.retain(|key, _| !is_ipv4(&key.vtep));
    let about = "The same host is a member over the other family only.";
    let name = "decapsulate/member-over-the-other-family";
    let packet = tunnel(false).around(&udp4(9, 1, 20));
    from_fabric(name, about, rows, packet).dropped(
        Stage::Decapsulate,
        DropReason::NotMember,
        FABRIC_SLOT,
    );
}

#[test]
fn checksums_are_accepted_zero_or_not() {
    let frame = udp4(9, 1, 20);
    let packet = |tunnel: Tunnel| {
        let checksum = 0xbeef;
        Tunnel { checksum, ..tunnel }.around(&frame)
    };
    let about = "RFC 7348 section 5: a UDP checksum MAY be verified; it is not.";
    let check = |played: Played| played.delivered(Device::Vm1, &frame);
    each_family("udp-checksum", about, &rows(), packet, check);
}

#[test]
fn padding_is_cut_off() {
    for (kind, frame) in [
        ("ipv4", udp4(9, 1, 1)),
        ("other", ethernet(mac(1), mac(9), EXPERIMENT, b"x")),
    ] {
        let packet = |tunnel: Tunnel| {
            let mut packet = tunnel.around(&frame);
            packet.extend([0x55; 11]);
            packet
        };
        let name = format!("padding-{kind}");
        let about = "Bytes behind the outer packet are the link's, not the frame's.";
        let check = |played: Played| played.delivered(Device::Vm1, &frame);
        each_family(&name, about, &rows(), packet, check);
    }
}

#[test]
fn lengths_that_contradict_each_other() {
    let cut = |tunnel: Tunnel| {
        let mut packet = tunnel.around(&udp4(9, 1, 20));
        packet.pop();
        packet
    };
    let check = drops(Stage::Decapsulate, DropReason::Truncated);
    let about = "The frame is shorter than its IP header says.";
    each_family("cut", about, &rows(), cut, check);
    for (name, delta) in [("long", 1u16), ("short", 1u16.wrapping_neg())] {
        let packet = |tunnel: Tunnel| {
            let at = if tunnel.source.is_ipv6() { 58 } else { 38 };
            let mut packet = tunnel.around(&udp4(9, 1, 20));
            let length = u16::from_be_bytes([packet[at], packet[at + 1]]);
            packet[at..at + 2].copy_from_slice(&length.wrapping_add(delta).to_be_bytes());
            packet
        };
        let check = drops(Stage::Decapsulate, DropReason::Malformed);
        let about = "UDP and IP say different lengths.";
        each_family(&format!("udp-too-{name}"), about, &rows(), packet, check);
    }
}

#[test]
fn an_inner_frame_that_is_cut() {
    for length in [0, 1, 13] {
        let packet = |tunnel: Tunnel| tunnel.around(&udp4(9, 1, 20)[..length]);
        let check = drops(Stage::Decapsulate, DropReason::Truncated);
        let about = "Not even an Ethernet header is inside.";
        each_family(&format!("inner-of-{length}"), about, &rows(), packet, check);
    }
}

#[test]
fn fragments_are_refused() {
    let packet = |fragment| {
        let tunnel = Tunnel {
            fragment,
            ..tunnel(false)
        };
        tunnel.around(&udp4(9, 1, 20))
    };
    from_fabric(
        "decapsulate/first-fragment",
        "RFC 7348 section 4.3: a VTEP MAY silently discard fragments. This one counts them.",
        rows(),
        packet(0x2000),
    )
    .dropped(Stage::Decapsulate, DropReason::TunnelFragment, FABRIC_SLOT);
    let about = "A later fragment has no UDP header: it cannot be told from anything else.";
    passes(from_fabric(
        "decapsulate/later-fragment",
        about,
        rows(),
        packet(0x0010),
    ));
}

#[test]
fn what_is_not_for_the_vtep_passes() {
    let other_port = |tunnel: Tunnel| {
        Tunnel {
            port: 8472,
            ..tunnel
        }
        .around(&udp4(9, 1, 20))
    };
    each_family(
        "other-port",
        "Another UDP port.",
        &rows(),
        other_port,
        passes,
    );
    let other_host = |tunnel: Tunnel| {
        let destination = Vtep::JUMBO.address(tunnel.source.is_ipv6());
        let tunnel = Tunnel {
            destination,
            ..tunnel
        };
        tunnel.around(&udp4(9, 1, 20))
    };
    each_family(
        "other-host",
        "Another host's VTEP.",
        &rows(),
        other_host,
        passes,
    );
    let tcp = |tunnel: Tunnel| {
        let at = if tunnel.source.is_ipv6() { 20 } else { 23 };
        let mut packet = tunnel.around(&udp4(9, 1, 20));
        packet[at] = 6;
        packet
    };
    each_family("not-udp", "Not UDP.", &rows(), tcp, passes);
    let tagged = |tunnel: Tunnel| craft::tagged(&tunnel.around(&udp4(9, 1, 20)), 0x8100, 5);
    let about = "Tunnel packets of the fabric are untagged: this one is from some VLAN.";
    each_family("tagged", about, &rows(), tagged, passes);
    let about = "Other traffic of the host.";
    passes(from_fabric("decapsulate/arp", about, rows(), {
        let packet = craft::arp(1, (mac(9), Vtep::PEER.ipv4()), (mac(0), Vtep::OWN.ipv4()));
        ethernet(
            coax_wire::MacAddress::BROADCAST,
            mac(9),
            craft::ARP,
            &packet,
        )
    }));
}

#[test]
fn headers_with_options_pass() {
    let mut packet = tunnel(false).around(&udp4(9, 1, 20));
    packet[14] = 0x46;
    let about = "An outer IPv4 header with options is no tunnel packet that anybody sends.";
    passes(from_fabric(
        "decapsulate/outer-options",
        about,
        rows(),
        packet,
    ));
}

#[test]
fn inner_tags_are_refused_where_the_network_takes_none() {
    for (kind, frame) in [
        ("ipv4", udp4(9, 1, 20)),
        ("other", ethernet(mac(1), mac(9), EXPERIMENT, b"anything")),
    ] {
        let packet = |tunnel: Tunnel| tunnel.around(&with_tags(&frame, &TAGS[1..2]));
        let about = "RFC 7348 section 6.1: an inner tag SHOULD be discarded unless configured.";
        let check = drops(Stage::Decapsulate, DropReason::TaggedFrame);
        each_family(&format!("inner-tag-{kind}"), about, &rows(), packet, check);
    }
}

#[test]
fn inner_tags_reach_transparent_networks() {
    for (kind, frame) in [
        ("ipv4", udp4(9, 1, 20)),
        ("ipv6", udp6(9, 1, 20)),
        ("other", ethernet(mac(1), mac(9), EXPERIMENT, b"anything")),
        ("empty", ethernet(mac(1), mac(9), EXPERIMENT, &[])),
    ] {
        for count in 1..=3 {
            let frame = with_tags(&frame, &TAGS[..count]);
            let packet = |tunnel: Tunnel| tunnel.around(&frame);
            let name = format!("{kind}-{count}-tags");
            let about = "A network that is vlan_transparent carries tags as they are.";
            let check = |played: Played| played.delivered(Device::Vm1, &frame);
            each_family(&name, about, &transparent_rows(), packet, check);
        }
    }
}

#[test]
fn four_inner_tags_are_too_many_and_half_a_tag_is_truncated() {
    let four = with_tags(&udp4(9, 1, 20), &TAGS);
    let packet = |tunnel: Tunnel| tunnel.around(&four);
    let check = drops(Stage::Decapsulate, DropReason::TooManyTags);
    let about = "One tag more than the vSwitch reads.";
    each_family("4-tags", about, &transparent_rows(), packet, check);
    for length in [14, 15, 17, 21] {
        let packet = |tunnel: Tunnel| tunnel.around(&four[..length]);
        let check = drops(Stage::Decapsulate, DropReason::Truncated);
        let name = format!("inner-tag-cut-at-{length}");
        let about = "The inner frame ends inside its tags.";
        each_family(&name, about, &transparent_rows(), packet, check);
    }
}

#[test]
fn a_tunnel_in_a_tunnel_is_a_frame_like_any_other() {
    let nested = tunnel(true).around(&tunnel(false).around(&udp4(9, 1, 20)));
    let mut frame = nested.clone();
    frame[..6].copy_from_slice(&mac(1).0);
    let packet = |tunnel: Tunnel| tunnel.around(&frame);
    let about = "Only the outermost tunnel is ours: a VM may run tunnels of its own.";
    let check = |played: Played| played.delivered(Device::Vm1, &frame);
    each_family("nested", about, &rows(), packet, check);
}

#[test]
fn a_vm_cannot_send_tunnel_packets_past_its_network() {
    let mut forged = tunnel(false).around(&udp4(9, 2, 20));
    forged[..6].copy_from_slice(&mac(2).0);
    forged[6..12].copy_from_slice(&mac(1).0);
    let about = "A VM's own tunnel packet to the host's VTEP is an ordinary frame of its network.";
    let name = "decapsulate/forged-by-a-vm";
    from_vm1(name, about, rows(), forged.clone()).delivered(Device::Vm2, &forged);
}
