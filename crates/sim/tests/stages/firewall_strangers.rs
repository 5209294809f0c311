//! Stage `firewall`: what is said to senders behind foreign VTEPs, which nobody vouches for.

use crate::firewall::{Ends, ends};
use crate::firewall_fixture::{FAMILIES, address, guarded, in_packet};
use crate::fixture::*;
use coax_pipeline::Verdict;
use coax_sim::craft::{self, ethernet};
use coax_sim::noise::mac;
use coax_sim::rows::Receiver;
use coax_sim::rules::Policy;
use coax_sim::stand::Vtep;
use coax_sim::{Device, Enters, SimRows, Stand};
use coax_tables::{DropReason, NetworkRow, PolicyRow};
use coax_wire::MacAddress;

/// A network that floods frames to unknown addresses, with ports that reject everything; `receivers` beside the ports.
fn rejecting(receivers: &[Receiver]) -> SimRows {
    let policy = Policy {
        rules: Vec::new(),
        otherwise: PolicyRow::REJECT,
    };
    let mut rows = guarded(&policy);
    rows.tunnel(Vtep::FOREIGN.row(false), NETWORK, 0);
    let mut all: Vec<Receiver> = VMS.map(|(vm, device)| receiver(vm, device)).into();
    all.push(Receiver::Host(Vtep::PEER.row(false)));
    all.extend(receivers);
    rows.network(NETWORK, MTU, NetworkRow::FLOOD_UNKNOWN, &all);
    rows
}

/// What the foreign VTEP sends to VM 1: with this source, a segment that opens a connection, and a datagram.
fn asks(from: MacAddress, over_ipv6: bool) -> Vec<Enters> {
    let (source, destination) = (address(77, over_ipv6), address(1, over_ipv6));
    let segment = craft::tcp_opening((source, 4000), (destination, 23), 2, &[]);
    let datagram = craft::udp((source, 4000), (destination, 23), b"hello");
    let ethertype = if over_ipv6 { craft::IPV6 } else { craft::IPV4 };
    let [foreign, own] = [Vtep::FOREIGN, Vtep::OWN].map(|vtep| vtep.address(false));
    [(6, segment), (17, datagram)]
        .map(|(protocol, body)| {
            let packet = in_packet(source, destination, protocol, &body);
            let frame = ethernet(mac(1), from, ethertype, &packet);
            let tunnel = craft::Tunnel::new(foreign, own, NETWORK.0);
            Enters::new(Device::Up1, tunnel.around(&frame))
        })
        .into()
}

fn run(name: &str, about: &str, rows: SimRows, frames: Vec<Enters>) -> (Ends, Vec<Device>) {
    let played = play(&format!("firewall/{name}"), about, rows, frames);
    let copies = played.outcomes.iter().flat_map(|outcome| &outcome.copies);
    let stand = Stand::default();
    let devices = copies.map(|(device, _)| stand.device(*device).unwrap());
    (ends(&played), devices.collect())
}

#[test]
fn nobody_has_a_refusal_sent_to_everybody() {
    for (over_ipv6, family) in FAMILIES {
        let groups = [
            MacAddress::BROADCAST,
            MacAddress([0x33, 0x33, 0, 0, 0, 1]),
            MacAddress([1, 0, 0x5e, 0, 0, 1]),
        ];
        let frames = groups.iter().flat_map(|group| asks(*group, over_ipv6));
        let found = run(
            &format!("{family}-rejected-of-a-group"),
            "The sender's MAC address is that of a group: an answer would go to all of it.",
            rejecting(&[Receiver::Foreign(Vtep::FOREIGN.row(false))]),
            frames.collect(),
        );
        assert_eq!(found, (vec![Err(DropReason::Rejected); 6], vec![]));
    }
}

#[test]
fn who_is_not_listed_is_told_through_foreign_vteps_only() {
    for (over_ipv6, family) in FAMILIES {
        let found = run(
            &format!("{family}-rejected-of-a-stranger"),
            "Nobody knows where the sender is: foreign VTEPs get the answer, and no port, though the network floods.",
            rejecting(&[Receiver::Foreign(Vtep::FOREIGN.row(false))]),
            asks(mac(77), over_ipv6),
        );
        assert_eq!(found, (vec![Ok(Verdict::Flood); 2], vec![Device::Up1; 2]));
        let found = run(
            &format!("{family}-rejected-of-nobody"),
            "Nobody knows where the sender is, and no VTEP is asked for stations that are not known.",
            rejecting(&[]),
            asks(mac(77), over_ipv6),
        );
        assert_eq!(found, (vec![Err(DropReason::UnknownUnicast); 2], vec![]));
    }
}

#[test]
fn who_is_listed_is_told_where_he_is() {
    for (over_ipv6, family) in FAMILIES {
        let mut rows = rejecting(&[Receiver::Foreign(Vtep::FOREIGN.row(false))]);
        rows.mac(NETWORK, mac(77), remote(Vtep::FOREIGN, false));
        let found = run(
            &format!("{family}-rejected-of-a-station"),
            "A listed station behind a foreign VTEP is told there.",
            rows,
            asks(mac(77), over_ipv6),
        );
        assert_eq!(found, (vec![Ok(Verdict::Send); 2], vec![]));
    }
}
