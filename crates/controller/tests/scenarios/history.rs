//! Who changed what, going back, and changes that wait for confirmation.

use std::time::Duration;

use coax_api::{Plan, Problem, Revision};
use coax_controller::core::message::{Answer, Write};
use coax_controller::core::submission::{Condition, Confirm, Submission};
use coax_controller::history::{Limits, RepeatKey};
use coax_model::{File, StackFile};

use super::world::World;
use super::{HV1, STACK, at, place};

const LESS: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24] }
ports:
  web-1: { network: web, host: hv1 }
";

fn file(yaml: &str) -> Box<File> {
    Box::new(StackFile::parse(yaml).unwrap().into())
}

fn apply(world: &mut World, yaml: &str, submission: Submission) -> Result<Plan, Box<Problem>> {
    let write = Write::Apply {
        file: file(yaml),
        dry_run: false,
    };
    plan(world.submit(write, submission))
}

fn rollback(world: &mut World, revision: u64) -> Result<Plan, Box<Problem>> {
    plan(world.write(Write::Rollback {
        revision,
        project: None,
        dry_run: false,
    }))
}

fn plan(answer: Result<Answer, Box<Problem>>) -> Result<Plan, Box<Problem>> {
    answer.map(|answer| match answer {
        Answer::Plan(plan) => plan,
        other => panic!("{other:?}"),
    })
}

fn export(world: &World, project: &str) -> Option<File> {
    world.core.stack(&project.parse().unwrap())
}

fn newest(world: &World) -> Revision {
    world.core.revisions(None).next().unwrap()
}

fn within(seconds: u64) -> Submission {
    Submission {
        confirm: Confirm::Within(Duration::from_secs(seconds)),
        ..Submission::default()
    }
}

#[test]
fn the_history_says_who_what_why_and_when() {
    let mut world = World::attached(2, 1);
    world.pass(Duration::from_secs(90));
    let submission = Submission {
        author: "ada".into(),
        reason: "the shop opens".into(),
        ..Submission::default()
    };
    let plan = apply(&mut world, STACK, submission).unwrap();
    let seen = world.core.revision_named(plan.revision).unwrap();
    assert_eq!(
        (seen.author.as_str(), seen.reason.as_str()),
        ("ada", "the shop opens")
    );
    assert_eq!(seen.time, "1970-01-01T00:01:30Z");
    assert_eq!((seen.created, seen.changed, seen.deleted), (5, 0, 0));
    assert_eq!(seen.changes, plan.changes);

    // What the controller stores by itself is no entry; what users do is, files or not.
    world.plug(HV1, "shop/web-1");
    world.settle();
    world.move_port("shop/web-2", "hv2").unwrap();
    let entries: Vec<_> = world.core.revisions(None).map(|it| it.action).collect();
    assert_eq!(entries, ["move", "apply"]);
    // After a restart it says the same.
    world.crash_controller();
    world.heal();
    world.check();
    assert_eq!(world.core.revision_named(plan.revision).unwrap(), seen);
}

#[test]
fn going_back_gives_the_file_of_then_and_is_a_revision_itself() {
    let mut world = World::attached(2, 1);
    world.plug(HV1, "shop/web-1");
    world.settle();
    let first = world.apply(STACK).revision;
    let then = export(&world, "shop");
    world.apply("{ version: 1, project: bank, networks: { safe: {} } }");
    world.apply(LESS);
    let less = export(&world, "shop");
    let gone = Write::Destroy {
        project: "shop".parse().unwrap(),
        dry_run: false,
    };
    let destroyed = plan(world.write(gone)).unwrap().revision;
    assert_eq!(export(&world, "shop"), None);

    let back = rollback(&mut world, first).unwrap();
    assert!(back.revision > destroyed);
    assert_eq!(export(&world, "shop"), then, "addresses and VNIs of then");
    assert_eq!(
        place(&world, "shop/web-1"),
        at("hv1"),
        "plugged in all the time"
    );
    assert_eq!(newest(&world).back_to, Some(first));
    // Forwards, too, and to where nothing was.
    let forth = rollback(&mut world, first + 2).unwrap();
    assert_eq!(export(&world, "shop"), less);
    rollback(&mut world, destroyed).unwrap();
    assert_eq!(export(&world, "shop"), None);
    rollback(&mut world, forth.revision).unwrap();
    assert_eq!(export(&world, "shop"), less);
    world.heal();
    world.check();

    assert_eq!(
        rollback(&mut world, 999).unwrap_err().code,
        "not-in-history"
    );
}

#[test]
fn going_back_does_not_take_what_others_have_by_now() {
    let mut world = World::attached(1, 1);
    let shop = "{ version: 1, project: shop, networks: { web: { vni: 500 } } }";
    let bank = "{ version: 1, project: bank, networks: { safe: { vni: 500 } } }";
    let first = world.apply(shop).revision;
    world.apply("{ version: 1, project: shop, networks: { web: { vni: 501 } } }");
    world.apply(bank);
    let before = (
        export(&world, "shop"),
        export(&world, "bank"),
        world.core.revision(),
    );
    let problem = rollback(&mut world, first).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (422, "vni-taken"));
    assert!(problem.message.contains("bank/safe"), "{}", problem.message);
    assert_eq!(
        (
            export(&world, "shop"),
            export(&world, "bank"),
            world.core.revision()
        ),
        before
    );
}

#[test]
fn a_change_that_nobody_confirms_is_taken_back_also_after_a_crash() {
    let mut world = World::attached(1, 1);
    let first = world.apply(STACK).revision;
    let then = export(&world, "shop");
    apply(&mut world, LESS, within(300)).unwrap();
    let until = newest(&world).unconfirmed_until.unwrap();
    assert_eq!(until, "1970-01-01T00:05:00Z");
    // Until that is decided, nothing else is mixed with it.
    let problem = apply(&mut world, STACK, Submission::default()).unwrap_err();
    assert_eq!(problem.code, "unconfirmed");

    world.pass(Duration::from_secs(200));
    world.crash_controller();
    world.pass(Duration::from_secs(99));
    assert_ne!(export(&world, "shop"), then);
    world.pass(Duration::from_secs(2));
    assert_eq!(export(&world, "shop"), then);
    let revert = newest(&world);
    assert_eq!(
        (revert.action.as_str(), revert.author.as_str()),
        ("revert", "coax")
    );
    assert!(revert.back_to >= Some(first));
    world.pass(Duration::from_secs(3600));
    assert_eq!(newest(&world), revert, "once");
    // A project that was not there is not there again.
    apply(
        &mut world,
        "{ version: 1, project: bank, networks: { safe: {} } }",
        within(1),
    )
    .unwrap();
    world.pass(Duration::from_secs(2));
    assert_eq!(export(&world, "bank"), None);
    world.heal();
    world.check();
}

#[test]
fn what_is_confirmed_holds() {
    let mut world = World::attached(1, 1);
    world.apply(STACK);
    let then = export(&world, "shop");
    let unconfirmed = apply(&mut world, LESS, within(60)).unwrap().revision;
    let confirm = |world: &mut World, revision| world.write(Write::Confirm { revision });
    confirm(&mut world, unconfirmed).unwrap();
    assert_eq!(
        confirm(&mut world, unconfirmed).unwrap_err().code,
        "nothing-unconfirmed"
    );
    world.pass(Duration::from_secs(120));
    assert_ne!(export(&world, "shop"), then);

    // Two in a row go back together; confirmed at once they hold together.
    let less = export(&world, "shop");
    apply(&mut world, STACK, within(60)).unwrap();
    apply(
        &mut world,
        "{ version: 1, project: shop, networks: { x: {} } }",
        within(60),
    )
    .unwrap();
    world.pass(Duration::from_secs(120));
    assert_eq!(export(&world, "shop"), less);
    apply(&mut world, STACK, within(60)).unwrap();
    let now = Submission {
        confirm: Confirm::Now,
        ..Submission::default()
    };
    apply(&mut world, STACK, now).unwrap();
    world.pass(Duration::from_secs(120));
    assert_ne!(export(&world, "shop"), less);
    // Whoever goes back has decided.
    let unconfirmed = apply(&mut world, LESS, within(60)).unwrap().revision;
    rollback(&mut world, unconfirmed).unwrap();
    world.pass(Duration::from_secs(120));
    assert_eq!(export(&world, "shop"), less);
}

#[test]
fn a_condition_that_does_not_hold_changes_nothing() {
    let mut world = World::attached(1, 1);
    let shop = "shop".parse().unwrap();
    let on = |condition| Submission {
        condition,
        ..Submission::default()
    };
    assert_eq!(
        apply(&mut world, STACK, on(Condition::Exists))
            .unwrap_err()
            .status,
        412
    );
    let first = apply(&mut world, STACK, on(Condition::Absent))
        .unwrap()
        .revision;
    assert_eq!(world.core.project_revision(&shop), first);
    assert_eq!(
        apply(&mut world, LESS, on(Condition::Absent))
            .unwrap_err()
            .status,
        412
    );
    // Another project's change is none of this one.
    world.apply("{ version: 1, project: bank, networks: { safe: {} } }");
    let second = apply(&mut world, LESS, on(Condition::Match(vec![first])))
        .unwrap()
        .revision;
    let problem = apply(&mut world, STACK, on(Condition::Match(vec![first]))).unwrap_err();
    assert_eq!(problem.code, "revision-mismatch");
    assert!(
        problem.message.contains(&second.to_string()),
        "{}",
        problem.message
    );
}

#[test]
fn a_repeated_request_is_done_once_whatever_came_between() {
    let mut world = World::attached(1, 1);
    let keyed = |key: &str, digest| Submission {
        author: "ada".into(),
        repeat: Some(RepeatKey {
            key: key.into(),
            digest,
        }),
        ..Submission::default()
    };
    let first = apply(&mut world, STACK, keyed("k1", 7)).unwrap();
    world.apply(LESS);
    world.crash_controller();
    let revision = world.core.revision();
    let again = apply(&mut world, STACK, keyed("k1", 7)).unwrap();
    assert_eq!(again, first);
    assert_eq!(world.core.revision(), revision);
    let problem = apply(&mut world, LESS, keyed("k1", 8)).unwrap_err();
    assert_eq!(problem.code, "idempotency-key-reused");
    // Another author's key is another key.
    let other = Submission {
        author: "bob".into(),
        ..keyed("k1", 8)
    };
    assert!(apply(&mut world, STACK, other).unwrap().revision > revision);
}

#[test]
fn the_history_is_as_long_as_it_may_be() {
    let mut world = World::attached(1, 1);
    let limits = Limits {
        records: 3,
        ..Limits::default()
    };
    world.core.keep(limits);
    let stack = |n| format!("{{ version: 1, project: shop, networks: {{ n{n}: {{}} }} }}");
    let mut revisions: Vec<u64> = (0..6).map(|n| world.apply(&stack(n)).revision).collect();
    revisions.reverse();
    let kept: Vec<u64> = world.core.revisions(None).map(|it| it.revision).collect();
    assert_eq!(kept, revisions[..3]);
    assert!(rollback(&mut world, revisions[3]).is_err());
    // What may have to be taken back stays.
    apply(&mut world, STACK, within(100)).unwrap();
    for n in 0..5 {
        world.apply(&format!(
            "{{ version: 1, project: bank, networks: {{ n{n}: {{ vni: 900{n} }} }} }}"
        ));
    }
    world.pass(Duration::from_secs(200));
    let all: Vec<_> = world.core.revisions(None).collect();
    assert_eq!(all[0].action, "revert", "{all:#?}");
    world.heal();
    world.check();
    world.core.keep(limits);
    world.apply("{ version: 1, project: bank, networks: {} }");
    assert_eq!(world.core.revisions(None).count(), 3);
}

#[test]
fn a_dry_run_says_whom_it_touches_and_who_may_do_what_then() {
    let mut world = World::attached(3, 1);
    world.apply(STACK);
    world.plug(HV1, "shop/web-1");
    world.settle();
    let zones = STACK.to_owned()
        + "groups: { web: { match: { vm: \"web-*\" } } }\n\
           firewall: { default: deny, rules: [{ name: ssh, from: group/web, to: group/web, allow: [tcp/22] }] }\n";
    let write = Write::Apply {
        file: file(&zones),
        dry_run: true,
    };
    let foreseen = plan(world.write(write)).unwrap();
    assert_eq!(foreseen.hosts, ["hv1"]);
    assert!(foreseen.gained.is_empty(), "{:?}", foreseen.gained);
    assert_eq!(
        foreseen.lost,
        ["web-* may no longer reach each other on everything but tcp/22"]
    );
    let done = apply(&mut world, &zones, Submission::default()).unwrap();
    assert!(done.hosts.is_empty() && done.lost.is_empty());
}

#[test]
fn a_renamed_network_stays_the_same_cable() {
    let mut world = World::attached(3, 1);
    world.apply(STACK);
    world.plug(HV1, "shop/web-1");
    world.settle();
    let renamed = STACK
        .replace("  web: {", "  www: {")
        .replace("network: web", "network: www")
        + "moved: [{ from: network/web, to: network/www }]\n";
    let vni = |world: &World, name: &str| {
        let networks = &world.core.intent().networks;
        networks.get(&name.parse().unwrap()).map(|it| it.vni)
    };
    let before = vni(&world, "shop/web");
    let plan = world.apply(&renamed);
    assert!(
        plan.changes
            .iter()
            .all(|it| it.action == coax_api::Action::Change)
    );
    assert_eq!(
        (vni(&world, "shop/web"), vni(&world, "shop/www")),
        (None, before)
    );
    assert_eq!(place(&world, "shop/web-1"), at("hv1"));
    // The way back gives the old name to the same cable.
    let first = world.core.revisions(None).nth(1).unwrap().revision;
    rollback(&mut world, first).unwrap();
    assert_eq!(vni(&world, "shop/web"), before);
    world.heal();
    world.check();
}
