//! A host that sends what nobody should: each frame ends for the reason of its own, nothing of it
//! reaches the VM, and every frame is accounted for.

use crate::capture::Capture;
use crate::counters::{self, Drops, assert_accounted, fabric_drops, wait_until};
use crate::raw::{self, Outer, Sum};
use coax_bench::pair::Pair;
use coax_bench::plan::{Peer, Plan, Side};
use coax_bench::vm::Vm;
use coax_tables::{DropReason, FABRIC_SLOT};
use coax_vswitch::DataPlane;
use std::net::IpAddr;

/// What is to become of a frame.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The first host drops it for this reason.
    Dropped(DropReason),
    /// The VM gets this.
    Delivered(Vec<u8>),
    /// It is no tunnel packet of ours: the host's own stack gets it.
    Passed,
}

/// A frame of the second host, what it is about and how it ends.
pub struct Case {
    about: &'static str,
    frame: Vec<u8>,
    outcome: Outcome,
}

/// Shortens the lists of cases.
pub fn case(about: &'static str, frame: Vec<u8>, outcome: Outcome) -> Case {
    Case {
        about,
        frame,
        outcome,
    }
}

fn dropped(about: &'static str, frame: Vec<u8>, reason: DropReason) -> Case {
    case(about, frame, Outcome::Dropped(reason))
}

/// A first host that runs Coax and a second one that nobody forwards on.
pub struct Hostile {
    pair: Pair,
    /// What the second host would send if it behaved.
    pub outer: Outer,
    capture: Capture,
}

impl Hostile {
    /// Builds both.
    pub async fn new(label: &str, over_ipv6: bool, vlan_transparent: bool) -> Self {
        let mut plan = Plan::new(label, [Side::Coax(Peer::Coax), Side::Bare]).over_ipv6(over_ipv6);
        plan.vlan_transparent = vlan_transparent;
        let pair = Pair::build_plan(&plan).await.unwrap();
        let outer = Outer::to_first_host(&pair, over_ipv6).await;
        // The edge's own answers to the VM's questions come in the other VM's name.
        let filter = format!("ether src {} and not arp and not icmp6", Vm::number(2).mac);
        let capture = Capture::of_vm(&pair, 0, &filter);
        Self {
            pair,
            outer,
            capture,
        }
    }

    fn received(&mut self) -> u64 {
        let found = self.pair.planes()[0].counters(FABRIC_SLOT).unwrap();
        found.counters.received_frames
    }

    /// Sends the frames one by one, then asks what became of each.
    pub fn run(mut self, cases: Vec<Case>) {
        let mut delivered = Vec::new();
        for case in cases {
            let (received, drops) = (self.received(), fabric_drops(&mut self.pair));
            raw::send(self.pair.host(1).unwrap(), "ul0", &[case.frame]);
            let mut expected = Drops::new();
            match case.outcome {
                // The next frame that is counted comes behind it.
                Outcome::Passed => continue,
                Outcome::Dropped(reason) => {
                    expected.insert(reason, 1);
                }
                Outcome::Delivered(frame) => {
                    delivered.push(frame);
                    let wanted = delivered.len();
                    self.capture.until(case.about, |got| got.len() >= wanted);
                }
            }
            wait_until(case.about, || self.received() > received);
            assert_eq!(self.received(), received + 1, "{}", case.about);
            let found = counters::since(&drops, fabric_drops(&mut self.pair));
            assert_eq!(found, expected, "{}", case.about);
        }
        assert_accounted(&mut self.pair);
        let found = self.capture.finish();
        assert_eq!(found.len(), delivered.len(), "frames that the VM got");
        for (found, delivered) in found.iter().zip(&delivered) {
            assert_eq!(found, delivered);
        }
    }
}

fn good() -> Vec<u8> {
    inner(b"as it should be")
}

fn inner(payload: &[u8]) -> Vec<u8> {
    raw::datagram(&Vm::number(2), &Vm::number(1), false, 0, payload)
}

fn to(mac: [u8; 6]) -> Vec<u8> {
    let mut frame = good();
    frame[..6].copy_from_slice(&mac);
    frame
}

/// Who may speak for which network.
fn membership(outer: &Outer) -> Vec<Case> {
    let with = |change: &dyn Fn(&mut Outer)| {
        let mut outer = outer.clone();
        change(&mut outer);
        outer.wrap(&good())
    };
    let stranger: IpAddr = match outer.source {
        IpAddr::V4(_) => "192.0.2.77".parse().unwrap(),
        IpAddr::V6(_) => "2001:db8::77".parse().unwrap(),
    };
    let not_member = DropReason::NotMember;
    vec![
        case("a good frame", with(&|_| {}), Outcome::Delivered(good())),
        dropped("no I flag", with(&|o| o.flags = 0), DropReason::NoVni),
        dropped(
            "all flags but the I flag",
            with(&|o| o.flags = 0xf7ff_ffff),
            DropReason::NoVni,
        ),
        dropped("unknown VNI", with(&|o| o.vni += 1), not_member),
        dropped("VNI 0", with(&|o| o.vni = 0), not_member),
        dropped("a stranger", with(&|o| o.source = stranger), not_member),
        dropped(
            "our own address as source",
            with(&|o| o.source = o.destination),
            not_member,
        ),
        case(
            "reserved bits set",
            with(&|o| (o.flags, o.reserved) = (0xffff_ffff, 0xff)),
            Outcome::Delivered(good()),
        ),
        case(
            "a right checksum",
            with(&|o| o.sum = Sum::Right),
            Outcome::Delivered(good()),
        ),
        case(
            "a wrong checksum, which is not verified",
            with(&|o| o.sum = Sum::Wrong),
            Outcome::Delivered(good()),
        ),
        case(
            "another UDP port",
            with(&|o| o.port = 4790),
            Outcome::Passed,
        ),
        case(
            "another host's address",
            with(&|o| o.destination = stranger),
            Outcome::Passed,
        ),
    ]
}

/// Frames that end too early or say so.
fn lengths(outer: &Outer) -> Vec<Case> {
    let whole = outer.wrap(&good());
    let padded = [&whole[..], &[0xaa; 30]].concat();
    let cut = |length: usize| {
        let mut frame = whole.clone();
        frame.truncate(length);
        frame
    };
    let headers = outer.headers();
    let mut udp_too_long = whole.clone();
    udp_too_long[headers - 4] += 1;
    let mut udp_too_short = whole.clone();
    udp_too_short[headers - 3] -= 1;
    let mut udp_short_and_padded = udp_too_short.clone();
    udp_short_and_padded.extend([0; 9]);
    let (truncated, malformed) = (DropReason::Truncated, DropReason::Malformed);
    vec![
        dropped("UDP without a byte", outer.udp(&[]), truncated),
        dropped("half a VXLAN header", outer.udp(&[8, 0, 0, 0]), truncated),
        dropped("no inner frame", outer.wrap(&[]), truncated),
        dropped("half an inner header", outer.wrap(&good()[..13]), truncated),
        dropped("IP promises more", cut(whole.len() - 1), truncated),
        dropped("IP promises much more", cut(headers + 8 + 14), truncated),
        dropped("UDP promises more", udp_too_long, malformed),
        dropped("UDP promises less", udp_too_short, malformed),
        dropped(
            "padding, UDP promises less",
            udp_short_and_padded,
            malformed,
        ),
        case(
            "Ethernet padding behind",
            padded,
            Outcome::Delivered(good()),
        ),
    ]
}

/// Inner frames that have no business here.
fn strays() -> Vec<(&'static str, Vec<u8>, DropReason)> {
    vec![
        (
            "a stranger's MAC",
            to([6, 6, 6, 6, 6, 6]),
            DropReason::NotHere,
        ),
        (
            "a MAC of another host",
            to(Vm::number(2).mac.0),
            DropReason::NotHere,
        ),
        (
            "a bridge's control frame",
            to([1, 0x80, 0xc2, 0, 0, 0]),
            DropReason::ReservedGroup,
        ),
    ]
}

fn common(outer: &Outer) -> Vec<Case> {
    let mut cases = membership(outer);
    cases.extend(lengths(outer));
    for (about, frame, reason) in strays() {
        cases.push(dropped(about, outer.wrap(&frame), reason));
    }
    cases.push(case(
        "a good frame at last",
        outer.wrap(&inner(b"the end")),
        Outcome::Delivered(inner(b"the end")),
    ));
    cases
}

#[tokio::test]
async fn over_ipv4_each_ends_for_its_own_reason() {
    let hostile = Hostile::new("hos4", false, true).await;
    let outer = hostile.outer.clone();
    let changed = |change: &dyn Fn(&mut etherparse::Ipv4Header)| {
        let mut frame = outer.wrap(&good());
        raw::change_ipv4(&mut frame, change);
        frame
    };
    let first_fragment = changed(&|ip| ip.more_fragments = true);
    let later_fragment = changed(&|ip| ip.fragment_offset = 64.try_into().unwrap());
    let tcp = changed(&|ip| ip.protocol = etherparse::IpNumber::TCP);
    let mut damaged = outer.wrap(&good());
    damaged[24] ^= 1;
    let mut cases = vec![
        dropped("a damaged IP header", damaged, DropReason::Malformed),
        dropped("first fragment", first_fragment, DropReason::TunnelFragment),
        case("later fragment", later_fragment, Outcome::Passed),
        case("TCP", tcp, Outcome::Passed),
        case(
            "half an IP header",
            outer.udp(&[])[..30].to_vec(),
            Outcome::Passed,
        ),
    ];
    cases.extend(common(&outer));
    hostile.run(cases);
}

#[tokio::test]
async fn over_ipv6_each_ends_for_its_own_reason() {
    let hostile = Hostile::new("hos6", true, true).await;
    let outer = hostile.outer.clone();
    let fragment = |offset: [u8; 2]| {
        let mut frame = outer.wrap(&good());
        let length = u16::from_be_bytes([frame[18], frame[19]]) + 8;
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame[20] = 44;
        let header = [17, 0, offset[0], offset[1], 0, 0, 0, 1];
        frame.splice(54..54, header);
        frame
    };
    let mut cases = vec![
        dropped(
            "first fragment",
            fragment([0, 1]),
            DropReason::TunnelFragment,
        ),
        case("later fragment", fragment([1, 0]), Outcome::Passed),
        case(
            "half an IP header",
            outer.udp(&[])[..50].to_vec(),
            Outcome::Passed,
        ),
    ];
    cases.extend(common(&outer));
    hostile.run(cases);
}
