//! What people are told of what happens, whichever controller they ask: each thing once.

use super::*;
use coax_api::EventKind::{self, *};

const HV1: usize = 0;
const HV2: usize = 1;

const A_WHILE: Duration = Duration::from_secs(8);

/// What one of them told of hosts and ports since the last call: kind, object, host.
fn told(cluster: &mut Cluster, member: usize) -> Vec<(EventKind, String, String)> {
    let notes = cluster.notes(member).into_iter();
    let notes = notes.filter(|note| note.kind != RevisionStored);
    let notes = notes.map(|note| {
        let host = note.host.map(|it| it.to_string());
        (note.kind, note.object, host.unwrap_or_default())
    });
    let mut notes: Vec<_> = notes.collect();
    notes.sort();
    notes
}

fn assert_told(cluster: &mut Cluster, wanted: &[(EventKind, &str, &str)]) {
    cluster.live(A_WHILE);
    let event = |(kind, object, host): &(EventKind, &str, &str)| {
        (*kind, (*object).to_owned(), (*host).to_owned())
    };
    let wanted: Vec<_> = wanted.iter().map(event).collect();
    for member in 0..cluster.members() {
        assert_eq!(told(cluster, member), wanted, "controller {member}");
    }
}

fn write(cluster: &mut Cluster, member: usize, write: Write) {
    let id = cluster.write(member, write, Submission::default());
    cluster.live(A_WHILE);
    assert!(cluster.replies[&id].is_ok(), "{:?}", cluster.replies[&id]);
}

#[test]
fn every_controller_tells_each_thing_once() {
    let mut cluster = Cluster::new(3, 2, 7);
    cluster.faults = false;
    cluster.attach(HV1, 0);
    cluster.attach(HV2, 1);
    cluster.attach_all();
    let both = [(HostAttached, "hv1", "hv1"), (HostAttached, "hv2", "hv2")];
    assert_told(&mut cluster, &both);

    // Each has a device before its port is there, or plugs it in afterwards.
    cluster.plug(HV2, "shop/p1", true);
    cluster.live(A_WHILE);
    let yaml = "version: 1\nproject: shop\nnetworks:\n  n0: { subnets: [10.0.0.0/24] }\nports:\n  p0: { network: n0 }\n  p1: { network: n0 }\n";
    let file = Box::new(StackFile::parse(yaml).unwrap().into());
    let dry_run = false;
    write(&mut cluster, 0, Write::Apply { file, dry_run });
    assert_told(&mut cluster, &[(PortPlugged, "shop/p1", "hv2")]);
    cluster.plug(HV1, "shop/p0", true);
    assert_told(&mut cluster, &[(PortPlugged, "shop/p0", "hv1")]);

    let (port, host) = ("shop/p0".parse().unwrap(), "hv2".parse().unwrap());
    write(&mut cluster, 2, Write::Move { port, host });
    cluster.plug(HV2, "shop/p0", true);
    cluster.plug(HV1, "shop/p0", false);
    assert_told(&mut cluster, &[(PortMoved, "shop/p0", "hv2")]);

    let project = "shop".parse().unwrap();
    write(&mut cluster, 0, Write::Destroy { project, dry_run });
    let gone = [
        (PortUnplugged, "shop/p0", "hv2"),
        (PortUnplugged, "shop/p1", "hv2"),
    ];
    assert_told(&mut cluster, &gone);
}

#[test]
fn a_host_that_changes_its_controller_is_not_away() {
    let mut cluster = Cluster::new(2, 1, 7);
    cluster.faults = false;
    cluster.attach(HV1, 0);
    cluster.attach_all();
    assert_told(&mut cluster, &[(HostAttached, "hv1", "hv1")]);
    cluster.detach(HV1);
    cluster.live(Duration::from_secs(2));
    cluster.attach(HV1, 1);
    cluster.attach_all();
    assert_told(&mut cluster, &[]);
}

#[test]
fn claims_that_are_refused_are_told_by_every_controller() {
    let mut cluster = Cluster::new(2, 2, 7);
    cluster.faults = false;
    cluster.attach(HV1, 0);
    cluster.attach(HV2, 1);
    cluster.attach_all();
    let yaml = "version: 1\nproject: shop\nnetworks:\n  n0: { subnets: [10.0.0.0/24] }\nports:\n  p0: { network: n0 }\n";
    let file = Box::new(StackFile::parse(yaml).unwrap().into());
    let dry_run = false;
    write(&mut cluster, 0, Write::Apply { file, dry_run });
    cluster.plug(HV1, "shop/p0", true);
    cluster.live(A_WHILE);
    for member in 0..2 {
        told(&mut cluster, member);
    }
    cluster.plug(HV2, "shop/p0", true);
    assert_told(&mut cluster, &[(ClaimRefused, "shop/p0", "hv2")]);
}
