//! Streams to controllers that do not tell this host what to do.

use std::time::Duration;

use coax_api::agent::agent_message::Body;
use coax_api::agent::controller_message::Body as Said;
use coax_api::agent::{
    Connections, Controller, ControllerMessage, Controllers, Current, Forget, Question, Refused,
    ReportRequest, Welcome,
};

use super::world::{HOST, OTHER, World};
use crate::input::Input;

const ITS_OWN: &str = "192.0.2.1:7450";
const ELSEWHERE: &str = "192.0.2.2:7450";
const ITS_RUN: u64 = 99;
const SOON: Duration = Duration::from_secs(1);

/// A world in which the controller told of another one, and the number of the stream to that.
fn world() -> (World, u64) {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    world.bind("p/a", HOST);
    world.plug("p/a");
    world.run();
    let own = (world.controller.run, ITS_OWN);
    tell_of(&mut world, &[own, (ITS_RUN, ELSEWHERE)]);
    let [(stream, address)] = world.standbys.as_slice() else {
        panic!("{:?}", world.standbys)
    };
    assert_eq!(address, ELSEWHERE);
    let stream = *stream;
    world.input(Input::Connected { stream });
    (world, stream)
}

/// The controller says which ones there are.
fn tell_of(world: &mut World, controllers: &[(u64, &str)]) {
    let controllers = controllers.iter().map(|(run, address)| Controller {
        run: *run,
        addresses: vec![(*address).into()],
    });
    let controllers = controllers.collect();
    world.controller_says(Said::Controllers(Controllers { controllers }));
    world.run_for(SOON);
}

fn say(world: &mut World, stream: u64, sequence: u64, body: Said) {
    let message = ControllerMessage {
        sequence,
        body: Some(body),
    };
    world.input(Input::Received { stream, message });
}

fn welcome(world: &mut World, stream: u64) {
    let welcome = Welcome {
        generation: world.controller.generation,
        revision: world.controller.revision,
        run: ITS_RUN,
        ..Welcome::default()
    };
    say(world, stream, 1, Said::Welcome(welcome));
}

#[test]
fn another_controller_hears_and_asks_and_is_not_obeyed() {
    let (mut world, stream) = world();
    let [(_, Body::Hello(hello)), (_, Body::Claims(claims))] = world.sent_elsewhere.as_slice()
    else {
        panic!("{:?}", world.sent_elsewhere)
    };
    assert!(hello.standby && hello.have.is_empty());
    assert!(claims.full && claims.plugged[0].port == "p/a");
    welcome(&mut world, stream);
    let Some((_, Body::Realised(realised))) = world.sent_elsewhere.last() else {
        panic!("{:?}", world.sent_elsewhere)
    };
    assert_eq!(Some(realised.revision), world.realised());

    // Both controllers use the same number for their questions.
    world.ask_for_report(7);
    say(
        &mut world,
        stream,
        2,
        Said::ReportRequest(ReportRequest { request_id: 7 }),
    );
    let report = world.sent_elsewhere.last();
    assert!(
        matches!(report, Some((_, Body::Report(report))) if report.request_id == 7),
        "{report:?}"
    );

    let number = *world.core.slices.all().keys().next().unwrap();
    let forget = Forget { number, kind: 0 };
    say(&mut world, stream, 3, Said::Forget(forget));
    world.run();
    assert_eq!(world.rows().ports.len(), 1);

    // What changes both hear.
    world.port("p/b", "p/net");
    world.plug("p/b");
    world.run();
    let said = |wanted: fn(&Body) -> bool| {
        let mut all = world.sent_elsewhere.iter();
        all.any(|(_, body)| wanted(body))
    };
    assert!(said(
        |body| matches!(body, Body::Claims(claims) if !claims.full)
    ));
    let last = world.sent_elsewhere.iter().rev();
    let mut realised = last.filter_map(|(_, body)| match body {
        Body::Realised(realised) => Some(realised.revision),
        _ => None,
    });
    assert_eq!(realised.next(), world.realised());
}

#[test]
fn what_another_controller_says_of_revisions_the_own_one_is_asked_for() {
    let (mut world, stream) = world();
    welcome(&mut world, stream);
    // Nothing of it concerns this host, so its controller did not say so.
    world.controller.revision += 5;
    let revision = world.controller.revision;
    let current = || Said::Current(Current { revision });
    say(&mut world, stream, 2, current());
    say(&mut world, stream, 3, current());
    let asked = world.sent.iter().filter(
        |body| matches!(body, Body::CurrentRequest(request) if request.revision == revision),
    );
    assert_eq!(asked.count(), 1);
    world.controller_says(current());
    world.run();
    let Some((_, Body::Realised(realised))) = world.sent_elsewhere.last() else {
        panic!("{:?}", world.sent_elsewhere)
    };
    assert_eq!(realised.revision, revision);
}

#[test]
fn when_its_controller_dies_the_other_one_takes_over() {
    let (mut world, stream) = world();
    welcome(&mut world, stream);
    world.mains.clear();
    world.controller_dies();
    world.bind("p/a", OTHER);
    world.run_for(SOON);
    assert_eq!(world.mains[0], ELSEWHERE);
    assert!(world.closed.contains(&stream));
    // After a restart it is remembered where controllers are.
    world.mains.clear();
    world.restart();
    world.run_for(10 * SOON);
    assert!(world.mains.iter().any(|address| address == ELSEWHERE));
}

#[test]
fn after_a_restart_the_last_main_controller_is_tried_first() {
    let (mut world, stream) = world();
    welcome(&mut world, stream);
    world.controller_dies();
    world.controller_comes_back();
    world.mains.clear();
    world.run_for(10 * SOON);
    assert_eq!(world.mains, [ELSEWHERE]);
    world.mains.clear();
    world.restart();
    world.run_for(10 * SOON);
    assert_eq!(world.mains, [ELSEWHERE]);
}

#[test]
fn who_has_not_introduced_himself_gets_no_answer() {
    for body in [
        Said::ReportRequest(ReportRequest { request_id: 7 }),
        Said::Question(Question::default()),
        Said::Connections(Connections::default()),
        Said::Current(Current { revision: 9 }),
    ] {
        let (mut world, stream) = world();
        world.sent_elsewhere.clear();
        say(&mut world, stream, 1, body);
        assert_eq!(world.closed.last(), Some(&stream));
        assert!(world.reports.is_empty() && world.inquiries.is_empty());
        assert_eq!(world.sent_elsewhere, []);
        world.run_for(SOON);
        let [_, (again, address)] = world.standbys.as_slice() else {
            panic!("{:?}", world.standbys)
        };
        assert!(*again != stream && address == ELSEWHERE);
    }
}

#[test]
fn a_controller_that_refuses_is_asked_again_much_later() {
    let (mut world, stream) = world();
    welcome(&mut world, stream);
    let refused = Refused {
        port: String::new(),
        reason: "this controller has a stream of the host already".into(),
    };
    say(&mut world, stream, 2, Said::Refused(refused));
    assert_eq!(world.closed.last(), Some(&stream));
    world.run_for(2 * SOON);
    assert_eq!(world.standbys.len(), 1);
    world.run_for(3 * SOON);
    assert_eq!(world.standbys.len(), 2);
}

#[test]
fn a_controller_that_is_gone_is_not_looked_for() {
    let (mut world, stream) = world();
    welcome(&mut world, stream);
    let own = (world.controller.run, ITS_OWN);
    tell_of(&mut world, &[own]);
    assert_eq!(world.closed.last(), Some(&stream));
    world.sent_elsewhere.clear();
    let request = ReportRequest { request_id: 7 };
    say(&mut world, stream, 2, Said::ReportRequest(request));
    world.port("p/b", "p/net");
    world.plug("p/b");
    world.run();
    assert!(world.sent_elsewhere.is_empty() && world.reports.is_empty());
    assert_eq!(world.standbys.len(), 1);
    world.mains.clear();
    world.controller_dies();
    world.run_for(10 * SOON);
    assert!(!world.mains.is_empty());
    assert!(world.mains.iter().all(|address| address == ITS_OWN));
}

#[test]
fn a_stream_that_the_agent_begins_anew_goes_to_the_same_controller() {
    let (mut world, stream) = world();
    welcome(&mut world, stream);
    world.port("p/b", "p/net");
    world.run();
    let lose = |world: &mut World| {
        world.bind("p/b", OTHER);
        world.wire.pop_front();
        world.bind("p/b", "hv3");
    };
    let raise_mtu = |world: &mut World| {
        let mut uplink = world.devices[&world.uplink].clone();
        uplink.mtu += 100;
        world.change_device(uplink);
    };
    let begins: [fn(&mut World); 2] = [lose, raise_mtu];
    for begin in begins {
        world.mains.clear();
        begin(&mut world);
        world.run_for(SOON);
        assert_eq!(world.mains, [ITS_OWN]);
        assert!(!world.closed.contains(&stream));
    }
    // It is gone: the next attempt goes elsewhere.
    world.mains.clear();
    lose(&mut world);
    world.controller.up = false;
    world.run_for(SOON);
    assert_eq!(world.mains[..2], [ITS_OWN, ELSEWHERE]);
}
