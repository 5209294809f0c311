//! A connection goes along with a port: the kernel of another host, with another secret in its tables, follows it from where it
//! stood, in both directions and no wider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod stand;

use coax_pipeline::Verdict;
use coax_sim::golden::Case;
use coax_sim::{Enters, Scenario};
use coax_tables::{DomainId, DropReason};
use coax_vswitch::{Connection, DataPlane};
use stand::KernelStand;
use stand::executor::Executor;

/// The domain of the golden cases' firewall, which lets VM 1 open connections and VM 2 none.
const DOMAIN: DomainId = DomainId(1);

/// In the golden cases: the segments that open the connection with the first data, and the first two of the responder after.
const OPENED: usize = 4;
const ANSWERS: [usize; 2] = [4, 6];

/// What a host says of segments, one after the other.
fn ends(executor: &mut Executor, segments: &[Enters]) -> Vec<Result<Verdict, DropReason>> {
    let outcomes = segments.iter().map(|segment| executor.frame(segment));
    outcomes
        .map(|outcome| outcome.reason.map_or(Ok(outcome.verdict), Err))
        .collect()
}

/// The segment with another sequence number, as of somebody who guesses. Nobody compares its checksum.
fn guessed(segment: &Enters, ip_header: usize) -> Enters {
    let mut guessed = segment.clone();
    guessed.bytes[14 + ip_header + 4] ^= 0x40;
    guessed
}

fn as_another_host(scenario: &Scenario) -> Scenario {
    let mut other = scenario.clone();
    other.rows.host.seed ^= 0x5555;
    other
}

#[test]
fn another_kernel_goes_on_where_the_connection_stood() {
    const PASSED: Result<Verdict, DropReason> = Ok(Verdict::Deliver);
    const OUT: Result<Verdict, DropReason> = Err(DropReason::NoConnection);
    KernelStand::build("handover").run("handover", |old| {
        let mut new = Executor::open("handover-new", old.stand.clone());
        for (name, ip_header) in [("firewall/ipv4-tcp", 20), ("firewall/ipv6-tcp", 40)] {
            let case = Case::read(name, &old.stand).unwrap();
            let segments = &case.scenario.frames;
            old.begin(&case.scenario);
            assert_eq!(ends(old, &segments[..OPENED]), [PASSED; OPENED]);
            let connections: Vec<Connection> = old
                .plane
                .connections()
                .unwrap()
                .iter()
                .filter_map(|it| Connection::remembered(it.memory, it.state, it.expires_in))
                .collect();
            assert_eq!(connections.len(), 1);

            let answers = ANSWERS.map(|place| segments[place].clone());
            let there = as_another_host(&case.scenario);
            new.begin(&there);
            assert_eq!(ends(&mut new, &answers[..1]), [OUT], "nothing came along");

            new.begin(&there);
            let taken = new.plane.adopt_connections(&connections, DOMAIN);
            assert_eq!(taken.unwrap(), 1);
            let twice = new.plane.adopt_connections(&connections, DOMAIN);
            assert_eq!(twice.unwrap(), 0, "it is there already");
            let guess = guessed(&answers[1], ip_header);
            let found = ends(&mut new, &[answers[0].clone(), guess, segments[5].clone()]);
            assert_eq!(found, [PASSED, OUT, PASSED], "{name}");
            let here = new.plane.connections().unwrap();
            assert_eq!(here[0].state_name(), "established");

            // Without a domain, and with one that has its share, nothing is taken.
            new.begin(&there);
            let none = new.plane.adopt_connections(&connections, DomainId(2));
            assert_eq!(none.unwrap(), 0);
            let mut full = there.clone();
            for domain in full.rows.domains.values_mut() {
                domain.quota = 0;
            }
            new.begin(&full);
            let none = new.plane.adopt_connections(&connections, DOMAIN);
            assert_eq!(none.unwrap(), 0);
        }
    });
}
