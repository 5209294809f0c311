//! Worlds: which networks the VMs are in and of what kind those are, which VMs have trunks, which ports are isolated, and how
//! much room the hosts have.

use super::policies;
use crate::noise::Noise;
use crate::reference::placement::ROW;
use crate::reference::world::{NETWORKS, VMS, World, host_of, vm_of};
use std::collections::{BTreeMap, BTreeSet};

/// Places for connections on a host where they are few: one row, so that where a connection may be decides nothing.
pub const FEW: usize = ROW;
/// Places in two rows: those of a connection may be full while others are not.
pub const SOME: usize = 2 * ROW;

/// Any world.
pub fn world(noise: &mut Noise<'_>) -> World {
    let crowded = noise.pick(None, &[None, Some(SOME), Some(FEW)]);
    let mut world = World {
        homes: BTreeMap::new(),
        isolated: BTreeSet::new(),
        routed: BTreeSet::new(),
        foreign: BTreeSet::new(),
        policies: [policies::none(), policies::none()],
        crowded,
    };
    // Where few connections fit, no packet begins two on one host: none is routed there.
    let routed = [0, 1].map(|_| noise.below(2) as u8);
    let allowed = |port: u8, network: u8| {
        if crowded.is_some() && network < 2 {
            routed[host_of(port)]
        } else {
            network
        }
    };
    for vm in 1..=VMS {
        let network = noise.below(usize::from(NETWORKS) * 2) as u8 / 2;
        world.homes.insert(vm, allowed(vm, network));
    }
    for port in [7, 8, 9, 10] {
        let network = allowed(port, noise.below(NETWORKS.into()) as u8);
        let wanted = noise.one_in(2);
        let has_one = world.members(network).any(|own| vm_of(own) == vm_of(port));
        if wanted && !has_one {
            world.homes.insert(port, network);
        }
    }
    for network in 0..NETWORKS {
        match noise.below(4) {
            2 => drop(world.routed.insert(network)),
            3 => drop(world.foreign.insert(network)),
            _ => {}
        }
    }
    let apart = if noise.one_in(2) { noise.byte() } else { 0 };
    let apart = |port: &u8| apart >> (port % 8) & 1 != 0;
    world.isolated = world.ports().filter(apart).collect();
    for project in 0..2 {
        world.policies[project] = policies::policy(noise, &world, project);
    }
    world
}
