//! RFC 6040 through a tunnel and back: all sixteen combinations of inner and outer marks, for both
//! inner and both outer families.

use crate::encapsulate::class;
use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::Device;
use coax_sim::craft::{IPV4, IPV6, Ipv4, Ipv6, Tunnel, ethernet};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_tables::{DropReason, FABRIC_SLOT};

const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// RFC 6040 figure 4: what leaves a tunnel for an arriving inner and outer mark.
const fn outgoing(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (ECT_0, NOT_ECT | ECT_0) => Some(ECT_0),
        (ECT_0 | ECT_1, ECT_1) => Some(ECT_1),
        (ECT_1, NOT_ECT | ECT_0) => Some(ECT_1),
        (_, _) => Some(CE),
    }
}

fn inner(over_ipv6: bool, class: u8) -> Vec<u8> {
    if over_ipv6 {
        let packet = Ipv6::new(ipv6(9), ipv6(1), 17).with_class(class);
        ethernet(mac(1), mac(9), IPV6, &in_ipv6(&packet, b"marked"))
    } else {
        let packet = Ipv4::new(ipv4(9), ipv4(1), 17).with_class(class);
        ethernet(mac(1), mac(9), IPV4, &in_ipv4(&packet, b"marked"))
    }
}

#[test]
fn all_combinations_of_marks() {
    const DSCP: u8 = 10 << 2;
    let family = |ipv6| if ipv6 { "ipv6" } else { "ipv4" };
    for inner_mark in 0..4u8 {
        for outer_mark in 0..4u8 {
            for (inner_ipv6, outer_ipv6) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let frame = inner(inner_ipv6, DSCP | inner_mark);
                let tunnel = Tunnel {
                    class: 46 << 2 | outer_mark,
                    ..tunnel(outer_ipv6)
                };
                let played = from_fabric(
                    &format!(
                        "decapsulate/ecn-{inner_mark}-in-{outer_mark}-{}-in-{}",
                        family(inner_ipv6),
                        family(outer_ipv6)
                    ),
                    "RFC 6040 figure 4; the inner DSCP stays as it is.",
                    rows(),
                    tunnel.around(&frame),
                );
                match outgoing(inner_mark, outer_mark) {
                    None => {
                        played.dropped(Stage::Decapsulate, DropReason::CongestionMark, FABRIC_SLOT)
                    }
                    // The whole packet is compared, so the IPv4 checksum is right too.
                    Some(mark) => {
                        played.delivered(Device::Vm1, &inner(inner_ipv6, DSCP | mark));
                    }
                }
            }
        }
    }
}

#[test]
fn marks_do_not_touch_what_is_not_ip() {
    let frame = ethernet(mac(1), mac(9), coax_sim::craft::EXPERIMENT, &[0x45; 40]);
    let tunnel = Tunnel {
        class: CE,
        ..tunnel(false)
    };
    let about = "A mark on the outer header, and nothing inside that could carry it.";
    let name = "decapsulate/ecn-on-other-frames";
    from_fabric(name, about, rows(), tunnel.around(&frame)).delivered(Device::Vm1, &frame);
}

#[test]
fn marks_go_along_with_stragglers() {
    let mut rows = rows();
    let mut row = remote(coax_sim::stand::Vtep::JUMBO, true);
    row.flags |= coax_tables::MacRow::FORWARD;
    rows.mac(NETWORK, mac(1), row);
    let tunnel = Tunnel {
        class: CE,
        ..tunnel(false)
    };
    let played = from_fabric(
        "decapsulate/ecn-of-a-straggler",
        "The mark goes from the first tunnel to the inner packet and on to the second tunnel.",
        rows,
        tunnel.around(&inner(false, ECT_0)),
    );
    let packet = played.sent(Device::Up2);
    assert_eq!(class(packet), CE);
    assert_eq!(inside(packet), inner(false, CE));
}
