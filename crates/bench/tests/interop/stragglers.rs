//! Tunnel packets whose next step is not yet known, or never ends: a next hop that has to be asked for,
//! and two hosts that believe of each other that a VM is there.

use crate::capture::Capture;
use crate::counters::wait_until;
use crate::raw;
use crate::traffic::must;
use coax_bench::pair::Pair;
use coax_bench::plan::{Peer, Plan, Side};
use coax_bench::rows::{NETWORK, key_address};
use coax_bench::vm::Vm;
use coax_tables::{DropReason, FABRIC_SLOT, MacKey, MacRow};
use coax_vswitch::{DataPlane, Row, RowOperation};
use coax_wire::MacAddress;

async fn build(label: &str, over_ipv6: bool) -> Pair {
    let plan = Plan::new(label, [Side::Coax(Peer::Coax); 2]).over_ipv6(over_ipv6);
    Pair::build_plan(&plan).await.unwrap()
}

/// The host's kernel asks for the next hop and sends the packet that waited; none is lost.
#[tokio::test]
async fn the_first_packet_waits_until_the_next_hop_is_known() {
    for over_ipv6 in [false, true] {
        let label = if over_ipv6 { "hop6" } else { "hop4" };
        let pair = build(label, over_ipv6).await;
        let host = pair.host(0).unwrap();
        let gateway = Vm::number(2).link_address(over_ipv6);
        for ipv6 in [false, true] {
            must(host, &format!("ip neigh del {gateway} dev ul0"));
            // What the data plane has just been told by the kernel is asked again in the next tick.
            std::thread::sleep(std::time::Duration::from_millis(50));
            let known = must(host, &format!("ip neigh show {gateway} dev ul0"));
            assert!(!known.contains("lladdr"), "{known}");
            let target = Vm::number(2).address(ipv6);
            let said = must(&pair.vms[0], &format!("ping -n -c 1 -W 5 {target}"));
            assert!(said.contains(" 0% packet loss"), "{said}");
            let known = must(host, &format!("ip neigh show {gateway} dev ul0"));
            assert!(known.contains("lladdr"), "{known}");
        }
    }
}

/// Each step takes a hop of the tunnel packet, of which there are 64.
#[tokio::test]
async fn a_frame_that_two_hosts_send_to_each_other_comes_to_an_end() {
    for over_ipv6 in [false, true] {
        let label = if over_ipv6 { "potato6" } else { "potato4" };
        let mut pair = build(label, over_ipv6).await;
        let nobody = MacAddress([2, 0, 0, 0, 0, 77]);
        for host in 0..2 {
            let row = MacRow {
                vtep: key_address(Vm::number(2 - host as u8).vtep(over_ipv6)),
                mtu: 1500,
                flags: MacRow::FORWARD | if over_ipv6 { MacRow::IPV6 } else { 0 },
                ..MacRow::default()
            };
            let row = Row::Mac(MacKey::new(NETWORK, nobody), row);
            pair.planes()[host].apply(&RowOperation::Put(row)).unwrap();
        }
        let frame = raw::ethernet(nobody.0, Vm::number(1).mac.0, &[0x88, 0xb5], &[0; 46]);
        let ended = |pair: &mut Pair| -> u64 {
            let drops = pair
                .planes()
                .iter()
                .flat_map(|plane| plane.counters(FABRIC_SLOT).unwrap().drops);
            drops
                .filter(|(reason, _)| *reason == DropReason::NotHere)
                .map(|(_, count)| count)
                .sum()
        };
        let sent = |pair: &mut Pair| -> u64 {
            pair.planes()
                .iter()
                .map(|plane| plane.counters(FABRIC_SLOT).unwrap().counters.sent_frames)
                .sum()
        };
        let before = sent(&mut pair);
        let capture = Capture::of_uplink(&pair, "udp port 4789");
        raw::send(&pair.vms[0], "eth0", &[frame]);
        wait_until("the frame is dropped", || ended(&mut pair) == 1);
        let steps = sent(&mut pair) - before;
        // What VMs say by themselves may come on top.
        assert!((64..80).contains(&steps), "{steps}");
        let place = if over_ipv6 { 21 } else { 22 };
        let packets = capture.finish();
        let potato = packets
            .iter()
            .filter(|packet| raw::unwrap(packet).1.starts_with(&nobody.0));
        let hops: Vec<u8> = potato.map(|packet| packet[place]).collect();
        let expected: Vec<u8> = (1..=32).rev().map(|half| half * 2).collect();
        assert_eq!(hops, expected, "those of every second step");
    }
}
