//! Policies, and their changes.

use super::worlds::SOME;
use crate::noise::Noise;
use crate::reference::policy::{Action, End, Policy, Prefix, Rule, Services};
use crate::reference::world::{World, project_of};
use std::collections::BTreeMap;
use std::net::IpAddr;

const GROUPS: u8 = 3;
const ADDRESS_GROUPS: u8 = 2;

/// Connections that a project may have: more than any script makes.
const PLENTY: u32 = 500;

const SERVICES: [Services; 14] = [
    (6, 80, 80),
    (6, 0, 65535),
    (17, 0, 65535),
    (6, 81, 9000),
    (6, 1, 1023),
    (17, 80, 443),
    (17, 9000, 9000),
    (1, 0x0800, 0x08ff),
    (58, 0x8000, 0x80ff),
    (1, 0, 65535),
    (58, 0, 65535),
    (132, 80, 80),
    (47, 0, 65535),
    (132, 0, 65535),
];

/// A policy that allows nothing.
pub fn none() -> Policy {
    Policy {
        rails: Vec::new(),
        rules: Vec::new(),
        groups: BTreeMap::new(),
        addresses: BTreeMap::new(),
        otherwise: Action::Deny,
        quota: PLENTY,
    }
}

/// Any policy.
pub fn policy(noise: &mut Noise<'_>, world: &World, project: usize) -> Policy {
    let mut policy = none();
    policy.otherwise = noise.pick(Action::Allow, &[Action::Deny, Action::Deny, Action::Reject]);
    if world.crowded.is_some() {
        policy.otherwise = noise.pick(policy.otherwise, &[Action::Allow, Action::Allow]);
        policy.quota = quota(noise, world);
    }
    for group in 0..GROUPS {
        let members = members(noise, world, project);
        policy.groups.insert(group, members);
    }
    for name in 0..ADDRESS_GROUPS {
        let count = noise.below(3);
        let prefixes = (0..count).map(|_| prefix(noise)).collect();
        policy.addresses.insert(name, prefixes);
    }
    let mut next = 1;
    for _ in 0..noise.below(3) {
        policy.rails.push(rule(noise, next, true));
        next += 1;
    }
    for _ in 0..noise.below(6) {
        policy.rules.push(rule(noise, next, false));
        next += 1;
    }
    policy
}

/// Few, so that it is reached; or more than fit on a host.
fn quota(noise: &mut Noise<'_>, world: &World) -> u32 {
    if world.crowded == Some(SOME) {
        return noise.pick(PLENTY, &[PLENTY, PLENTY, 5, 9]);
    }
    noise.pick(PLENTY, &[PLENTY, PLENTY, 1, 2, 3, 5, 6])
}

fn members(noise: &mut Noise<'_>, world: &World, project: usize) -> Vec<IpAddr> {
    let chosen = noise.byte();
    let own = world
        .ports()
        .filter(|port| project_of(world.home(*port)) == project);
    let members = own.filter(|port| chosen >> (port % 8) & 1 != 0);
    members
        .flat_map(|port| [false, true].map(|ipv6| world.address(port, ipv6)))
        .collect()
}

fn prefix(noise: &mut Noise<'_>) -> Prefix {
    let four = |a, b, c, d, length| (IpAddr::from([a, b, c, d]), length);
    let six = |a, b, length| (IpAddr::from([a, 0, 0, 0, 0, 0, 0, b]), length);
    noise.pick(
        four(10, 0, 0, 0, 24),
        &[
            four(10, 0, 0, 0, 8),
            four(10, 0, 1, 0, 24),
            four(10, 0, 0, 1, 32),
            four(10, 0, 0, 2, 31),
            four(0, 0, 0, 0, 0),
            six(0xfd00, 0, 64),
            six(0xfd01, 0, 64),
            six(0xfd00, 1, 128),
            six(0xfd00, 0, 8),
            six(0xfd00, 4, 127),
            six(0, 0, 0),
        ],
    )
}

/// Rails name nothing of projects.
fn end(noise: &mut Noise<'_>, rail: bool) -> Vec<End> {
    let count = noise.pick(0, &[1, 1, 2]);
    let one = |noise: &mut Noise<'_>| match noise.below(3) {
        0 if !rail => End::Group(noise.below(GROUPS.into()) as u8),
        1 => End::Addresses(noise.below(ADDRESS_GROUPS.into()) as u8),
        _ => End::Prefix(prefix(noise)),
    };
    (0..count).map(|_| one(noise)).collect()
}

fn rule(noise: &mut Noise<'_>, number: u32, rail: bool) -> Rule {
    let count = noise.pick(0, &[1, 1, 1, 2]);
    Rule {
        number,
        from: end(noise, rail),
        to: end(noise, rail),
        services: (0..count)
            .map(|_| noise.pick(SERVICES[0], &SERVICES[1..]))
            .collect(),
        action: noise.pick(
            Action::Allow,
            &[Action::Allow, Action::Allow, Action::Deny, Action::Reject],
        ),
        audit: noise.one_in(8),
        log: noise.one_in(8),
    }
}

/// The policy after a change. Numbers of rules are never used for another one.
pub fn changed(noise: &mut Noise<'_>, world: &World, project: usize, before: Policy) -> Policy {
    let mut policy = before;
    let next = 100 + u32::from(noise.byte());
    match noise.below(8) {
        0 if world.crowded.is_some() => policy.quota = quota(noise, world),
        0 => policy.otherwise = noise.pick(Action::Deny, &[Action::Allow, Action::Reject]),
        1 | 2 => {
            let group = noise.below(GROUPS.into()) as u8;
            policy.groups.insert(group, members(noise, world, project));
        }
        3 => {
            let name = noise.below(ADDRESS_GROUPS.into()) as u8;
            policy.addresses.insert(name, vec![prefix(noise)]);
        }
        4 if !policy.rules.is_empty() => {
            let place = noise.below(policy.rules.len());
            policy.rules.remove(place);
        }
        5 if policy.rules.len() > 1 => {
            let place = noise.below(policy.rules.len() - 1);
            policy.rules.swap(place, place + 1);
        }
        6 => {
            let rail = rule(noise, 1000 + next, true);
            policy.rails.retain(|other| other.number != rail.number);
            policy.rails.insert(0, rail);
        }
        _ => {
            let place = noise.below(policy.rules.len() + 1);
            policy.rules.retain(|other| other.number != next);
            let place = place.min(policy.rules.len());
            policy.rules.insert(place, rule(noise, next, false));
        }
    }
    policy
}
