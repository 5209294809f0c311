//! Worlds: which networks the VMs are in, which of them have trunks, and how much room their hosts have.

use super::policies;
use crate::noise::Noise;
use crate::reference::world::{NETWORKS, VMS, World, host_of, vm_of};
use std::collections::BTreeMap;

/// Places for connections on a host where they are few: one bucket of the pipeline's table, so that where a
/// connection may be decides nothing.
pub const FEW: usize = 8;

/// Any world.
pub fn world(noise: &mut Noise<'_>) -> World {
    let crowded = noise.one_in(3).then_some(FEW);
    let mut world = World {
        homes: BTreeMap::new(),
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
    for project in 0..2 {
        world.policies[project] = policies::policy(noise, &world, project);
    }
    world
}
