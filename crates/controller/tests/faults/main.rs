//! Seeded faults: something is broken on purpose in a site of real controller and agent cores, and `coax trace` must
//! name it in its first line.
//!
//! Everything runs in this process: the data planes are in memory, the fabric is a value, the pipeline is
//! the real one. What needs a kernel is in the lab's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod doubtful;
mod hypervisor;
mod site;
mod standing;
mod table;
mod upgrade;
mod zones;

use std::net::IpAddr;

use coax_api::{TraceRequest, TraceVerdict};
use coax_controller::trace::{Facts, trace};
use site::Site;
use table::Fault;

/// Faults of IPv4 addresses, and of ports that have no others.
const ONLY_IPV4: &[&str] = &[
    "two networks without a router",
    "another project's port with an address of the own subnet",
    "the sender's host lacks the receiver's address",
    "an address answered with another port's MAC address",
    "the port's row has another network",
    "the receiver's host lacks the way back",
    "the receiver's tunnel table is full",
    "the address group has the wrong prefix",
    "a rail names an address group that holds the server",
    "the sender's host has lost the route to the server's network",
];

/// All faults.
fn faults() -> impl Iterator<Item = &'static Fault> {
    table::FAULTS.iter().chain(zones::FAULTS)
}

/// What `coax trace` prints first, and the name of the cause.
fn first_line(site: Site, fault: &Fault, family: Option<&str>) -> (String, String, TraceVerdict) {
    let (from, to, traffic) = fault.trace;
    let request = TraceRequest {
        family: family.map(str::to_owned),
        from: from.into(),
        to: to.into(),
        traffic: Some(traffic.into()),
        size: fault.size,
        ..TraceRequest::default()
    };
    let facts = match Facts::gather(&site.core(), &request) {
        Ok(facts) => facts,
        Err(problem) => return (problem.message, problem.code, TraceVerdict::Unknown),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let trace = runtime.block_on(trace(&facts, &site));
    (trace.summary, trace.cause, trace.verdict)
}

/// Asserts that the first line names the causes of these faults.
fn assert_named<'a>(faults: impl Iterator<Item = &'a Fault>, family: Option<&str>) {
    let mut wrong = Vec::new();
    for fault in faults {
        let mut site = Site::new();
        (fault.seed)(&mut site);
        let (line, cause, _) = first_line(site, fault, family);
        let named = fault.line.iter().all(|part| line.contains(part));
        if !named || cause != fault.cause {
            wrong.push(format!("{}:\n  [{cause}] {line}", fault.name));
        }
    }
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{count} faults are not named:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_first_line_names_the_cause_of_every_seeded_fault() {
    assert_named(faults(), None);
}

/// What is not about an address breaks the other family alike.
#[test]
fn the_first_line_names_the_cause_over_ipv6() {
    let named = |fault: &&Fault| {
        let (from, to, _) = fault.trace;
        let are_names = [from, to].iter().all(|end| end.parse::<IpAddr>().is_err());
        are_names && !ONLY_IPV4.contains(&fault.name)
    };
    assert_named(faults().filter(named), Some("ipv6"));
}

#[test]
fn faults_have_different_names_and_lines() {
    let mut names: Vec<&str> = faults().map(|fault| fault.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), faults().count());
    assert!(names.len() >= 75, "{}", names.len());
}

/// Without a fault the same pairs reach each other: the faults are what breaks them.
#[test]
fn without_a_fault_everything_is_delivered() {
    for (from, to, hops) in [
        ("web-1", "web-2", "2 hops"),
        ("web-1", "web-3", "1 hop"),
        ("web-2", "web-1", "2 hops"),
        ("fd00:1::11", "web-2", "2 hops"),
    ] {
        for traffic in ["tcp/443", "udp/53", "icmp"] {
            let fault = Fault {
                name: "none",
                seed: |_| {},
                trace: (from, to, traffic),
                size: None,
                cause: "",
                line: &[],
            };
            let (line, cause, verdict) = first_line(Site::new(), &fault, None);
            assert_eq!(verdict, TraceVerdict::Delivered, "{from} {to}: {line}");
            assert_eq!(cause, "");
            assert!(line.ends_with(hops), "{line}");
        }
    }
}

/// With a firewall and a router, too, what the file allows is delivered.
#[test]
fn without_a_fault_the_firewall_lets_pass_what_it_should() {
    for trace in zones::ALLOWED {
        let fault = Fault {
            name: "none",
            seed: |_| {},
            trace,
            size: None,
            cause: "",
            line: &[],
        };
        let site = Site::new();
        zones::seed(&site);
        let (line, cause, verdict) = first_line(site, &fault, None);
        assert_eq!(verdict, TraceVerdict::Delivered, "{trace:?}: {line}");
        assert_eq!(cause, "");
    }
}
