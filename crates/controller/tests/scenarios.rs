//! What happens to ports, step by step, in simulated time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "scenarios/events.rs"]
mod events;
#[path = "scenarios/history.rs"]
mod history;
#[path = "scenarios/moves.rs"]
mod moves;
#[path = "scenarios/waiting.rs"]
mod waiting;
mod world;

use std::time::Duration;

use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{Condition, HostReport, PortState};
use coax_controller::core::message::{Answer, Request, Write};
use coax_controller::core::{LOST_AFTER, Listing, QUESTION_DEADLINE, REPORT_DEADLINE};
use world::World;

const STACK: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24] }
  db: { subnets: [10.10.2.0/24] }
ports:
  web-1: { network: web, host: hv1 }
  web-2: { network: web }
  db-1: { network: db }
";

/// Numbers of agents, as the world counts them.
const HV1: usize = 0;
const HV2: usize = 1;
const HV3: usize = 2;

fn world() -> World {
    let mut world = World::attached(3, 1);
    world.apply(STACK);
    world
}

fn port(world: &World, name: &str) -> coax_api::Port {
    Listing::single(&world.core)
        .port_named(&name.parse().unwrap())
        .unwrap()
}

fn place(world: &World, name: &str) -> (Option<String>, Option<String>, Option<String>) {
    let port = port(world, name);
    (port.host, port.moving_to, port.moved_from)
}

fn at(host: &str) -> (Option<String>, Option<String>, Option<String>) {
    (Some(host.into()), None, None)
}

/// Names of the networks that an agent holds.
fn held(world: &World, agent: usize) -> Vec<String> {
    world.agents[agent]
        .slices
        .values()
        .map(coax_compile::NetworkSlice::full_name)
        .collect()
}

#[test]
fn a_claim_before_the_port_exists_is_remembered() {
    let mut world = World::attached(2, 1);
    world.plug(HV1, "shop/web-1");
    world.plug(HV2, "shop/web-2");
    world.settle();
    let host = world.core.host_named(&"hv1".parse().unwrap()).unwrap();
    assert_eq!(host.status.conditions[0].code, "claim-unknown");

    let before = world.commits;
    let plan = world.apply(STACK);
    assert_eq!(
        world.commits,
        before + 1,
        "creating and binding is one transaction"
    );
    assert_eq!(place(&world, "shop/web-1"), at("hv1"));
    assert_eq!(place(&world, "shop/web-2"), at("hv2"));
    assert_eq!(port(&world, "shop/web-1").state, PortState::Active);
    world.settle();
    assert_eq!(held(&world, HV1), ["shop/web"]);
    assert_eq!(
        world.agents[HV2].slices.values().next().unwrap().revision,
        plan.revision
    );
    world.check();
}

#[test]
fn a_host_gets_only_what_its_ports_reach() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.plug(HV2, "shop/db-1");
    world.settle();
    assert_eq!(held(&world, HV1), ["shop/web"]);
    assert_eq!(held(&world, HV2), ["shop/db"]);
    assert!(held(&world, HV3).is_empty());
    world.unplug(HV2, "shop/db-1");
    world.settle();
    assert!(held(&world, HV2).is_empty());
    assert_eq!(port(&world, "shop/db-1").state, PortState::Unbound);
    world.check();
}

#[test]
fn a_claim_by_another_host_than_the_wanted_one_is_refused_and_reported() {
    let mut world = world();
    world.plug(HV2, "shop/web-1");
    world.settle();
    assert_eq!(port(&world, "shop/web-1").host, None);
    let [(refused, reason)] = world.agents[HV2].refusals.as_slice() else {
        panic!("{:?}", world.agents[HV2].refusals);
    };
    assert_eq!(refused, "shop/web-1");
    assert!(reason.contains("wanted on hv1"), "{reason}");
    let condition = &port(&world, "shop/web-1").status.conditions[0];
    assert_eq!(
        (condition.code.as_str(), condition.host.as_deref()),
        ("claim-refused", Some("hv2"))
    );
    assert!(held(&world, HV2).is_empty());
    assert!(world.core.status().conditions.contains(condition));

    // The wish follows the device: now it is granted.
    world.apply(&STACK.replace("host: hv1", "host: hv2"));
    assert_eq!(place(&world, "shop/web-1"), at("hv2"));
    assert!(port(&world, "shop/web-1").status.conditions.is_empty());
    world.settle();
    world.check();
}

#[test]
fn a_lost_host_gives_its_ports_to_who_has_the_device() {
    let mut world = world();
    world.plug(HV1, "shop/web-2");
    world.settle();
    world.detach(HV1);
    world.plug(HV2, "shop/web-2");
    world.settle();
    assert_eq!(
        place(&world, "shop/web-2"),
        at("hv1"),
        "it may be back at once"
    );
    world.pass(LOST_AFTER + Duration::from_secs(2));
    world.settle();
    assert_eq!(place(&world, "shop/web-2"), at("hv2"));
    // When it is back, its claim is refused.
    world.attach(HV1);
    world.settle();
    assert_eq!(place(&world, "shop/web-2"), at("hv2"));
    assert!(
        world.agents[HV1].refusals[0]
            .1
            .contains("plugged in on hv2")
    );
    world.check();
}

#[test]
fn a_host_that_is_away_keeps_its_ports_also_over_a_restart_of_the_controller() {
    let mut world = world();
    world.plug(HV1, "shop/web-2");
    world.settle();
    world.detach(HV1);
    world.pass(Duration::from_secs(3600));
    assert_eq!(place(&world, "shop/web-2"), at("hv1"));
    world.crash_controller();
    assert_eq!(place(&world, "shop/web-2"), at("hv1"));
    world.heal();
    assert_eq!(port(&world, "shop/web-2").state, PortState::Active);
    world.check();
}

#[test]
fn a_question_to_one_host_is_answered_by_it_or_by_the_deadline() {
    let mut world = world();
    world.agents[HV2].answers_reports = false;
    world.detach(HV3);
    let mut ask = |host: &str| {
        let question = HostQuestion::Run { frames: Vec::new() };
        let host = host.parse().unwrap();
        let request = world.request(Request::Ask { host, question });
        world.settle();
        let at_once = world.replies.remove(&request);
        let answer = at_once.or_else(|| {
            world.pass(QUESTION_DEADLINE);
            world.replies.remove(&request)
        });
        match answer {
            Some(Ok(Answer::Told(answer))) => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask("hv1"), Ok(HostAnswer::Sent));
    assert!(ask("hv2").unwrap_err().contains("within 3 s"));
    assert!(ask("hv3").unwrap_err().contains("not attached"));
    assert!(ask("nobody").unwrap_err().contains("not attached"));
}

#[test]
fn a_host_that_does_not_report_is_named() {
    let mut world = world();
    world.agents[HV2].answers_reports = false;
    world.detach(HV3);
    let request = world.request(Request::Report);
    world.settle();
    assert!(!world.replies.contains_key(&request));
    world.pass(REPORT_DEADLINE);
    let Some(Ok(Answer::Reports { reports, missing })) = world.replies.remove(&request) else {
        panic!("there is a deadline");
    };
    assert_eq!(
        reports
            .iter()
            .map(|report: &HostReport| report.host.as_str())
            .collect::<Vec<_>>(),
        ["hv1"]
    );
    assert_eq!(
        missing
            .iter()
            .map(|host| host.host.as_str())
            .collect::<Vec<_>>(),
        ["hv2", "hv3"]
    );
}

#[test]
fn the_same_vtep_on_two_hosts_is_refused() {
    let mut world = World::attached(2, 1);
    world.detach(HV2);
    world.agents[HV2].number = 1;
    world.attach(HV2);
    world.settle();
    assert!(!world.agents[HV2].is_attached());
    let (port, reason) = world.agents[HV2].refusals.last().unwrap();
    assert!(port.is_empty() && reason.contains("192.0.2.1"), "{reason}");
}

#[test]
fn an_agent_that_comes_back_is_sent_only_what_it_lacks() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.plug(HV1, "shop/db-1");
    world.settle();
    let before = world.agents[HV1].slices.clone();
    world.detach(HV1);
    world.apply(&STACK.replace("db-1:", "web-3: { network: web }\n  db-1:"));
    world.attach(HV1);
    let kinds = world.settle_and_count_snapshots();
    assert_eq!(kinds, 1, "only the network that changed");
    assert_ne!(world.agents[HV1].slices, before);
    world.check();
}

#[test]
fn a_silent_stream_is_asked_and_then_ended() {
    let mut world = World::attached(1, 1);
    world.agents[HV1].deaf = true;
    world.pass(Duration::from_secs(60));
    world.settle();
    assert_eq!(world.core.status().hosts.connected, 0);
    let away = |condition: &Condition| condition.code == "host-away";
    assert!(world.core.status().conditions.iter().any(away));
}

const JOINED: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24] }
  db: { subnets: [10.10.2.0/24] }
  lab: { subnets: [10.10.3.0/24] }
routers:
  gw: { networks: [web, db] }
ports:
  web-1: { network: web }
  db-1: { network: db }
  lab-1: { network: lab }
";

#[test]
fn a_host_gets_what_the_routers_of_its_networks_join() {
    let mut world = World::attached(3, 1);
    world.apply(JOINED);
    world.plug(HV1, "shop/web-1");
    world.plug(HV2, "shop/db-1");
    world.plug(HV3, "shop/lab-1");
    world.settle();
    assert_eq!(held(&world, HV1), ["shop/db", "shop/web"]);
    assert_eq!(held(&world, HV2), ["shop/db", "shop/web"]);
    assert_eq!(held(&world, HV3), ["shop/lab"]);
    let router = world.agents[HV1].routers.values().next().unwrap();
    assert_eq!(
        (router.full_name(), router.networks.len()),
        ("shop/gw".into(), 2)
    );
    assert!(world.agents[HV3].routers.is_empty());
    // Each accepts frames of both networks from the other.
    for slice in world.agents[HV1].slices.values() {
        let hosts: Vec<&str> = slice.hosts.iter().map(|host| host.host.as_str()).collect();
        assert_eq!(hosts, ["hv1", "hv2"]);
    }
    world.check();

    world.apply(&JOINED.replace("[web, db]", "[web, db, lab]"));
    world.settle();
    assert_eq!(held(&world, HV3).len(), 3);
    world.check();
    world.apply(&JOINED.replace("routers:\n  gw: { networks: [web, db] }\n", ""));
    world.settle();
    assert_eq!(held(&world, HV1), ["shop/web"]);
    assert!(world.agents.iter().all(|agent| agent.routers.is_empty()));
    world.check();
}

#[test]
fn a_host_that_never_comes_back_is_removed_and_not_waited_for() {
    let mut world = world();
    world.plug(HV1, "shop/web-2");
    world.plug(HV3, "shop/db-1");
    world.settle();
    let remove = |host: &str| Write::RemoveHost {
        host: host.parse().unwrap(),
        force: false,
    };
    let attached = world.write(remove("hv1"));
    assert_eq!(attached.unwrap_err().code, "host-attached");
    world.move_port("shop/web-2", "hv2").unwrap();
    world.settle();
    world.plug(HV2, "shop/web-2");
    // The old host burns down before it heard of the end of the move.
    world.detach(HV1);
    world.settle();
    let (host, _, from) = place(&world, "shop/web-2");
    assert_eq!(
        (host.as_deref(), from.as_deref()),
        (Some("hv2"), Some("hv1"))
    );
    world.detach(HV3);
    for host in ["hv1", "hv3"] {
        let Ok(Answer::Host(host)) = world.write(remove(host)) else {
            panic!("a host that is away is removed");
        };
        assert!(!host.connected);
    }
    world.settle();
    assert_eq!(place(&world, "shop/web-2"), at("hv2"));
    assert_eq!(port(&world, "shop/db-1").state, PortState::Unbound);
    assert_eq!(world.core.status().hosts.total, 1);
    let unknown = world.write(remove("hv1"));
    assert_eq!(unknown.unwrap_err().code, "no-such-host");
    // It was only a cut cable: everything is as before.
    world.attach(HV3);
    world.attach(HV1);
    world.settle();
    assert_eq!(place(&world, "shop/db-1"), at("hv3"));
    assert_eq!(world.core.status().hosts.total, 3);
}
