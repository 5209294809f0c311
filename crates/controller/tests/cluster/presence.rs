//! Hosts that some controllers hear and others do not.

use super::*;
use coax_controller::core::{LOST_AFTER, Listing, OBJECTION};

const HV1: usize = 0;
const HV2: usize = 1;

/// A cluster without faults in which hv1 has shop/p0, by way of the first controller.
fn cluster(members: usize) -> Cluster {
    let mut cluster = Cluster::new(members, 3, 7);
    cluster.faults = false;
    let yaml = "version: 1\nproject: shop\nnetworks:\n  n0: { subnets: [10.0.0.0/24] }\nports:\n  p0: { network: n0 }\n";
    let write = Write::Apply {
        file: Box::new(StackFile::parse(yaml).unwrap().into()),
        dry_run: false,
    };
    cluster.write(0, write, Submission::default());
    cluster.plug(HV1, "shop/p0", true);
    cluster.attach(HV1, 0);
    cluster.live(Duration::from_secs(3));
    assert_eq!(place(&cluster, 0), "hv1");
    cluster
}

fn place(cluster: &Cluster, member: usize) -> String {
    let port = Listing::single(cluster.core(member)).port_named(&"shop/p0".parse().unwrap());
    port.unwrap().host.unwrap_or_default()
}

const LONG: Duration = Duration::from_secs(120);

fn long_enough() -> Duration {
    LOST_AFTER + OBJECTION + Duration::from_secs(3)
}

#[test]
fn a_port_of_a_lost_host_goes_to_who_claims_it() {
    let mut cluster = cluster(1);
    cluster.plug(HV2, "shop/p0", true);
    cluster.attach(HV2, 0);
    cluster.live(LONG);
    assert_eq!(place(&cluster, 0), "hv1");
    cluster.detach(HV1);
    cluster.live(LOST_AFTER);
    assert_eq!(place(&cluster, 0), "hv1", "it may be attached elsewhere");
    cluster.live(OBJECTION + Duration::from_secs(3));
    assert_eq!(place(&cluster, 0), "hv2");
    // When it is back, it is not lost, and what it had is what another has.
    cluster.agents[HV1].refusals.clear();
    cluster.attach(HV1, 0);
    cluster.live(LONG);
    assert_eq!(place(&cluster, 0), "hv2");
    let refusals = &cluster.agents[HV1].refusals;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    cluster.heal();
    cluster.check();
}

#[test]
fn a_host_that_any_controller_hears_keeps_its_ports() {
    let mut cluster = cluster(3);
    cluster.plug(HV2, "shop/p0", true);
    cluster.attach(HV2, 1);
    let before = cluster.core(0).revision();
    cluster.live(LONG);
    assert_eq!(place(&cluster, 1), "hv1", "the first controller hears it");
    let said = cluster.core(0).revision() - before;
    assert!(said <= 10, "{said} transactions in two minutes");
    // Its controller dies with it.
    cluster.crash(0);
    cluster.live(LONG);
    assert_eq!(place(&cluster, 1), "hv2");
    assert_eq!(place(&cluster, 0), "hv2");
    cluster.heal();
    cluster.check();
}

#[test]
fn a_host_that_changes_its_controller_is_not_lost() {
    let mut cluster = cluster(2);
    cluster.plug(HV2, "shop/p0", true);
    cluster.attach(HV2, 1);
    for turn in 0..12 {
        cluster.live(LOST_AFTER + OBJECTION - Duration::from_secs(1));
        cluster.detach(HV1);
        cluster.live(Duration::from_secs(4));
        cluster.attach(HV1, turn % 2);
    }
    cluster.live(LONG);
    assert_eq!(place(&cluster, 1), "hv1");
}

#[test]
fn what_a_controller_hears_that_is_cut_off_counts_for_nothing() {
    let mut cluster = cluster(3);
    // It hears hv2 alone, and cannot take anything over for it.
    cluster.detach(HV1);
    cluster.attach(HV1, 1);
    cluster.plug(HV2, "shop/p0", true);
    cluster.attach(HV2, 0);
    cluster.cut(0, true);
    cluster.live(LONG);
    assert_eq!(place(&cluster, 0), "hv1");
    cluster.cut(0, false);
    cluster.live(LONG);
    assert_eq!(place(&cluster, 0), "hv1", "the second one hears it");

    // It hears hv1 alone, and cannot object.
    cluster.detach(HV1);
    cluster.detach(HV2);
    cluster.attach(HV1, 0);
    cluster.live(Duration::from_secs(60));
    cluster.cut(0, true);
    cluster.attach(HV2, 2);
    cluster.live(long_enough());
    assert_eq!(place(&cluster, 2), "hv2");
    cluster.cut(0, false);
    cluster.live(LONG);
    assert_eq!(place(&cluster, 0), "hv2");
    assert!(!cluster.agents[HV1].refusals.is_empty());
    cluster.heal();
    cluster.check();
}
