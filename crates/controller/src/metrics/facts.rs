//! What the core knows at one moment, as metrics.

use std::collections::HashMap;

use coax_api::{Check, ProofState};
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Gauge, OfHost, OfState, register, registry};
use crate::core::Core;
use crate::doctor::overhead;

/// How many checks are in which state, in the order of [`Checks::STATES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks([u64; 4]);

impl Checks {
    const STATES: [&'static str; 4] = ["holds", "fails", "idle", "unproved"];

    /// Counts checks by what was proved of them.
    pub fn count(checks: &[Check]) -> Self {
        let mut counts = [0; 4];
        for check in checks {
            let place = match check.state {
                ProofState::Holds => 0,
                ProofState::Fails => 1,
                ProofState::Idle => 2,
                ProofState::Unproved => 3,
            };
            counts[place] += 1;
        }
        Self(counts)
    }
}

/// What the core knows of one host.
struct HostFacts {
    name: String,
    attached: bool,
    lag: u64,
    tunnel_mtu: Option<u32>,
}

/// What the core knows at one moment.
pub struct Facts {
    pub(super) revision: u64,
    generation: u64,
    hosts: Vec<HostFacts>,
    /// Network of each port, by full name.
    pub(super) networks: HashMap<String, String>,
}

impl Facts {
    /// What is known now.
    pub fn of(core: &Core) -> Self {
        let intent = core.intent();
        let networks = intent.ports.iter();
        let hosts = core.host_lags().map(|(name, attached, lag)| {
            let host = intent.hosts.get(name);
            let tunnel_mtu = host.map(|host| {
                let over_ipv4 = host.ipv6.is_none();
                host.underlay_mtu.saturating_sub(overhead(over_ipv4))
            });
            HostFacts {
                name: name.to_string(),
                attached,
                lag,
                tunnel_mtu,
            }
        });
        Self {
            revision: core.revision(),
            generation: core.generation(),
            hosts: hosts.collect(),
            networks: networks
                .map(|(name, port)| (name.to_string(), port.network.to_string()))
                .collect(),
        }
    }

    /// The revision that they are of.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn registry(&self, checks: Checks) -> Registry {
        let mut registry = registry();
        for (name, value) in [
            ("controller_revision", self.revision),
            ("controller_generation", self.generation),
        ] {
            let gauge = Gauge::default();
            gauge.set(value);
            register(&mut registry, name, gauge);
        }
        let attached = self.hosts.iter().filter(|host| host.attached).count();
        let away = self.hosts.len() - attached;
        let states = Family::<OfState, Gauge>::default();
        for (state, count) in [("attached", attached), ("away", away)] {
            let of = OfState { state };
            states.get_or_create(&of).set(count as u64);
        }
        register(&mut registry, "hosts", states);
        let lags = Family::<OfHost, Gauge>::default();
        let mtus = Family::<OfHost, Gauge>::default();
        for host in &self.hosts {
            let of = OfHost {
                host: host.name.clone(),
            };
            lags.get_or_create(&of).set(host.lag);
            if let Some(mtu) = host.tunnel_mtu {
                mtus.get_or_create(&of).set(mtu.into());
            }
        }
        register(&mut registry, "host_lag_revisions", lags);
        register(&mut registry, "tunnel_mtu_bytes", mtus);
        let family = Family::<OfState, Gauge>::default();
        for (state, count) in Checks::STATES.iter().zip(checks.0) {
            family.get_or_create(&OfState { state }).set(count);
        }
        register(&mut registry, "checks", family);
        registry
    }
}

#[cfg(test)]
impl Facts {
    /// Of one host that has one port.
    pub(super) fn sample() -> Self {
        Self {
            revision: 7,
            generation: 1,
            hosts: vec![HostFacts {
                name: "hv1".into(),
                attached: true,
                lag: 0,
                tunnel_mtu: Some(1430),
            }],
            networks: [("shop/web-1".to_owned(), "web".to_owned())].into(),
        }
    }
}
