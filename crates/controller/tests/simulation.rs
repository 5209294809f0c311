//! Many agents, a bad network, crashes and failing disks, all from a seed. However it went: when it
//! is over, every agent holds exactly what a full compile of what is stored says it needs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use std::time::Duration;

use coax_controller::core::message::Write;
use coax_controller::core::submission::{Confirm, Submission};
use coax_model::StackFile;
use world::{Dice, World};

/// A stack file with some networks and ports, never the same twice.
fn stack(project: &str, hosts: usize, dice: &mut Dice) -> StackFile {
    let mut yaml = format!("version: 1\nproject: {project}\nnetworks:\n");
    let networks = 1 + dice.below(3);
    for network in 0..networks {
        // Both projects use the same addresses.
        yaml += &format!("  n{network}: {{ subnets: [10.0.{network}.0/24]");
        if dice.one_in(4) {
            let base = if project == "shop" { 100 } else { 200 };
            yaml += &format!(", vni: {}", base + network + 10 * dice.below(2));
        }
        if dice.one_in(3) {
            yaml += ", flood_unknown: true";
        }
        yaml += " }\n";
    }
    if dice.one_in(2) {
        let joined: Vec<String> = (0..networks)
            .filter(|_| !dice.one_in(3))
            .map(|network| format!("n{network}"))
            .collect();
        yaml += &format!("routers:\n  gw: {{ networks: [{}] }}\n", joined.join(", "));
    }
    yaml += "ports:\n  always: { network: n0 }\n";
    for port in 0..6 {
        if dice.one_in(3) {
            continue;
        }
        yaml += &format!("  p{port}: {{ network: n{}", dice.below(networks));
        if dice.one_in(3) {
            yaml += &format!(", host: hv{}", 1 + dice.below(hosts));
        }
        if networks > 1 && dice.one_in(4) {
            yaml += &format!(", trunk: {{ 7: n{} }}", dice.below(networks));
        }
        yaml += " }\n";
    }
    if dice.one_in(2) {
        let port = dice.below(6);
        yaml += &format!("groups:\n  odd: {{ ports: [always, p{port}] }}\n");
        yaml += "firewall:\n  default: deny\n  rules:\n";
        yaml += "    - { name: first, from: group/odd, to: any, allow: [tcp/80] }\n";
        if dice.one_in(2) {
            yaml += "    - { name: second, from: network/n0, to: group/odd, allow: [udp/53] }\n";
            // Some hold and some do not, whatever else is in the file: such a file is refused.
            let port = 80 + dice.below(2);
            yaml += "checks:\n";
            yaml += &format!(
                "  - {{ from: group/odd, to: network/n0, port: tcp/{port}, expect: allow }}\n"
            );
        }
    }
    if dice.one_in(2) {
        let address = if project == "shop" {
            "192.0.2.200"
        } else {
            "192.0.2.201"
        };
        yaml += &format!("vteps:\n  legacy: {{ address: {address}, networks: [n0] }}\n");
    }
    StackFile::parse(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn some_port(dice: &mut Dice) -> String {
    let project = if dice.one_in(2) { "shop" } else { "bank" };
    match dice.below(8) {
        7 => format!("{project}/unheard-of"),
        6 => format!("{project}/always"),
        n => format!("{project}/p{n}"),
    }
}

fn apply_some_file(world: &mut World) {
    let hosts = world.agents.len();
    let project = if world.dice.one_in(2) { "shop" } else { "bank" };
    let file = stack(project, hosts, &mut world.dice);
    let confirm = match world.dice.below(6) {
        0 => Confirm::Within(Duration::from_millis(1 << world.dice.below(15))),
        1 => Confirm::Now,
        _ => Confirm::No,
    };
    let write = Write::Apply {
        file: Box::new(file.into()),
        dry_run: false,
    };
    let submission = Submission {
        confirm,
        ..Submission::default()
    };
    // Refusals (a VNI that the other project has) and full disks are part of life.
    let _ = world.submit(write, submission);
}

fn go_back(world: &mut World) {
    let revisions: Vec<u64> = world.core.revisions(None).map(|it| it.revision).collect();
    if !revisions.is_empty() {
        let revision = revisions[world.dice.below(revisions.len())];
        let back = world.write(Write::Rollback {
            revision,
            project: None,
            dry_run: false,
        });
        // What others have by now may be in the way, but never the history itself.
        if let Err(problem) = back {
            assert_ne!(problem.code, "history-damaged", "{problem}");
        }
    }
}

fn act(world: &mut World) {
    let hosts = world.agents.len();
    let agent = world.dice.below(hosts);
    match world.dice.below(16) {
        0 | 1 => {
            apply_some_file(world);
        }
        2..=5 => {
            let port = some_port(&mut world.dice);
            world.plug(agent, &port);
        }
        6 | 7 => {
            let devices: Vec<String> = world.agents[agent].devices.iter().cloned().collect();
            if !devices.is_empty() {
                let device = world.dice.below(devices.len());
                world.unplug(agent, &devices[device]);
            }
        }
        8..=10 => {
            let port = some_port(&mut world.dice);
            let host = world.agents[agent].name.clone();
            if world.move_port(&port, &host).is_ok() && world.dice.one_in(2) {
                world.plug(agent, &port);
            }
        }
        11 => world.detach(agent),
        12 | 13 => {
            if !world.agents[agent].is_attached() {
                world.attach(agent);
            }
        }
        14 => {
            // The agent is installed anew: it remembers nothing.
            world.detach(agent);
            world.agents[agent].slices.clear();
            world.agents[agent].routers.clear();
            world.agents[agent].policies.clear();
        }
        15 if world.dice.one_in(3) => {
            // Refused while its agent is attached, unless by force; it presents itself again some day.
            let host = world.agents[agent].name.parse().unwrap();
            let force = world.dice.one_in(2);
            let _ = world.write(Write::RemoveHost { host, force });
        }
        15 if world.dice.one_in(2) => {
            go_back(world);
        }
        _ if world.dice.one_in(4) => world.crash_controller(),
        _ => {
            let time = Duration::from_millis(1 << world.dice.below(15));
            world.pass(time);
        }
    }
}

fn run(seed: u64, agents: u8, steps: usize) {
    let mut world = World::new(agents, seed);
    world.faults = true;
    for _ in 0..steps {
        act(&mut world);
        for _ in 0..world.dice.below(40) {
            world.deliver_one();
        }
    }
    world.heal();
    world.check();
}

#[test]
fn few_agents_converge_after_anything() {
    for seed in 0..150 {
        run(seed, 3, 120);
    }
}

#[test]
fn many_agents_converge_after_anything() {
    for seed in 1000..1006 {
        run(seed, 40, 600);
    }
}

#[test]
fn the_same_seed_gives_the_same_end() {
    let end = |seed| {
        let mut world = World::new(5, seed);
        world.faults = true;
        (0..200).for_each(|_| {
            act(&mut world);
            (0..20).all(|_| world.deliver_one());
        });
        world.heal();
        (world.commits, world.core.intent().clone())
    };
    assert_eq!(end(7), end(7));
}
