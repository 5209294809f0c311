//! What people are told of what happens: each thing once, with its names.

use coax_api::EventKind::{self, *};
use coax_api::agent;
use coax_controller::core::AWAY_GRACE;
use coax_controller::core::events::Noted;

use super::*;

/// What was noted since the last call, sorted: kind, object, host.
fn noted(world: &mut World) -> Vec<(EventKind, String, String)> {
    let notes = std::mem::take(&mut world.notes).into_iter();
    let notes = notes.map(|note| {
        let host = note.host.map(|it| it.to_string());
        (note.kind, note.object, host.unwrap_or_default())
    });
    // Agents' messages arrive in any order.
    let mut notes: Vec<_> = notes.collect();
    notes.sort();
    notes
}

fn event(kind: EventKind, object: &str, host: &str) -> (EventKind, String, String) {
    (kind, object.into(), host.into())
}

#[test]
fn changes_hosts_and_ports_are_told_once() {
    let mut world = World::attached(2, 1);
    assert_eq!(
        noted(&mut world),
        [
            event(HostAttached, "hv1", "hv1"),
            event(HostAttached, "hv2", "hv2")
        ]
    );
    let revision = world.apply(STACK).revision;
    let note = world.notes.pop().unwrap();
    assert_eq!((note.kind, note.revision), (RevisionStored, Some(revision)));
    assert_eq!(note.project.unwrap().as_str(), "shop");
    assert!(note.message.contains("created"), "{}", note.message);

    world.plug(HV1, "shop/web-2");
    world.plug(HV2, "shop/web-1");
    world.settle();
    assert_eq!(
        noted(&mut world),
        [
            event(PortPlugged, "shop/web-2", "hv1"),
            event(ClaimRefused, "shop/web-1", "hv2")
        ]
    );
    world.pass(Duration::from_secs(30));
    world.settle();
    assert_eq!(noted(&mut world), [], "what lasts is told once");

    world.plug(HV2, "shop/web-2");
    world.move_port("shop/web-2", "hv2").unwrap();
    world.settle();
    let told = noted(&mut world);
    assert!(
        told.contains(&event(PortMoved, "shop/web-2", "hv2")),
        "{told:?}"
    );
    world.unplug(HV1, "shop/web-2");
    world.unplug(HV2, "shop/web-2");
    world.detach(HV1);
    world.settle();
    assert_eq!(
        noted(&mut world),
        [event(PortUnplugged, "shop/web-2", "hv2")]
    );
    world.attach(HV1);
    world.settle();
    world.pass(Duration::from_secs(30));
    world.settle();
    assert_eq!(noted(&mut world), [], "it was away for a moment only");

    world.detach(HV1);
    world.pass(AWAY_GRACE + Duration::from_secs(1));
    assert_eq!(noted(&mut world), [event(HostAway, "hv1", "hv1")]);
    world.attach(HV1);
    world.settle();
    assert_eq!(noted(&mut world), [event(HostAttached, "hv1", "hv1")]);
}

/// The host reports these problems from now on, on a new stream; what is noted of it.
fn change(world: &mut World, problems: Vec<agent::Problem>) -> Vec<Noted> {
    world.agents[HV1].problems = problems;
    world.detach(HV1);
    world.attach(HV1);
    world.settle();
    let ours = |note: &Noted| {
        matches!(
            note.kind,
            ProblemBegan | ProblemEnded | GuardBegan | GuardEnded
        )
    };
    let notes = std::mem::take(&mut world.notes);
    notes.into_iter().filter(ours).collect()
}

#[test]
fn problems_begin_and_end_once_whatever_the_stream_does() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.settle();
    let shut = |reason: &str| agent::Problem {
        object: "shop/web-1".into(),
        reason: reason.into(),
        code: "port-shut".into(),
    };
    let table = agent::Problem {
        object: "mac-table".into(),
        reason: "full".into(),
        code: String::new(),
    };
    let began = change(&mut world, vec![shut("a BPDU, 30 s to go"), table.clone()]);
    assert_eq!(began.len(), 2);
    let of_port = began.iter().find(|it| it.code == "port-shut").unwrap();
    assert_eq!(of_port.kind, GuardBegan);
    assert_eq!(of_port.project.as_ref().unwrap().as_str(), "shop");
    assert!(of_port.message.contains("a BPDU"), "{}", of_port.message);
    let of_table = began.iter().find(|it| it.object == "mac-table").unwrap();
    assert_eq!(of_table.project, None, "nobody's project is told of it");

    let again = change(&mut world, vec![shut("a BPDU, 10 s to go"), table.clone()]);
    assert_eq!(
        again,
        [],
        "other words, and another stream, but not another problem"
    );
    let ended = change(&mut world, vec![table]);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].kind, ended[0].object.as_str()),
        (GuardEnded, "shop/web-1")
    );
    assert!(ended[0].message.contains("is open again on hv1"));
}

#[test]
fn what_guards_drop_is_told_and_does_not_make_things_worse() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.settle();
    let forged = agent::Problem {
        object: "shop/web-1".into(),
        reason: "its guard `forged-arp` dropped 3 frames".into(),
        code: "forged-arp".into(),
    };
    let began = change(&mut world, vec![forged]);
    let began = began.iter().find(|it| it.kind == GuardBegan).unwrap();
    assert_eq!(began.code, "forged-arp");
    assert!(began.message.contains("shop/web-1: its guard"));
    let status = world.core.status();
    assert_eq!(
        status.conditions,
        [],
        "how things are is not the VM's to say"
    );
    assert_eq!(status.guards.len(), 1);
    let port = port(&world, "shop/web-1").status.conditions;
    assert_eq!(port[0].code, "forged-arp");
    let ended = change(&mut world, Vec::new());
    assert_eq!(ended[0].kind, GuardEnded);
    assert_eq!(world.core.status().guards, []);
}
