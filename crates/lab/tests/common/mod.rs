//! A fabric of namespaces for one test, routed by the real supervisor's router, gone with the test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use coax_fabric::Tier;
use coax_lab::measure::{self, ping};
use coax_lab::site::Site;
use coax_lab::{LabFile, LabName, down, supervise, up};
use tokio::runtime::Runtime;

/// The lab file of the documentation.
pub const EXAMPLE: &str = include_str!("../../../../examples/leaf-spine.yaml");

/// A lab without controller and agents.
pub struct Fabric {
    pub runtime: Runtime,
    pub site: Site,
    router: tokio::task::JoinHandle<()>,
}

/// A name that no other test has at this time.
pub fn unique_name(letter: char) -> LabName {
    format!("t{letter}{}", std::process::id()).parse().unwrap()
}

impl Fabric {
    /// Builds the example's fabric and starts its router.
    pub fn up(letter: char) -> Self {
        let runtime = Runtime::new().unwrap();
        let name = unique_name(letter);
        let options = up::Options {
            file: LabFile::parse(Path::new("example"), EXAMPLE).unwrap(),
            name: name.clone(),
            binary: None,
            limit: Duration::from_secs(10),
        };
        runtime.block_on(up::up(&options, &|_| {})).unwrap();
        let plan = options.file.plan().unwrap();
        let site = runtime.block_on(Site::open(&name, plan)).unwrap();
        let routed = site.clone();
        let router = runtime.spawn(async move {
            supervise::route(routed).await.unwrap();
        });
        Self {
            runtime,
            site,
            router,
        }
    }

    /// The loopbacks of all hosts but one, IPv4 and IPv6.
    pub fn other_loopbacks(&self, host: &str) -> Vec<IpAddr> {
        let others = self.site.plan.topology.tier(Tier::Host);
        let others = others.filter(|(_, node)| node.name.as_str() != host);
        others
            .flat_map(|(id, _)| {
                let pair = self.site.plan.addressing.loopback(id);
                [IpAddr::V4(pair.v4), IpAddr::V6(pair.v6)]
            })
            .collect()
    }

    /// Pairs of host and address that do not answer, everybody pinging everybody.
    pub fn unreachable(&self) -> Vec<(String, IpAddr)> {
        let mut silent = Vec::new();
        for (id, node) in self.site.plan.topology.tier(Tier::Host) {
            let targets = self.other_loopbacks(node.name.as_str());
            let options = ping::Options {
                tries: 1,
                ..ping::Options::default()
            };
            let namespace = &self.site.node(id).namespace;
            let answers = measure::run(namespace, move || ping::ping(&targets, options)).unwrap();
            let missing = answers
                .into_iter()
                .filter(|answer| answer.answered.is_none());
            silent.extend(missing.map(|answer| (node.name.to_string(), answer.target)));
        }
        silent
    }

    /// Waits until everybody reaches everybody.
    pub fn converge(&self) {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let silent = self.unreachable();
            if silent.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "still unreachable: {silent:?}");
        }
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.router.abort();
        let gone = self.runtime.block_on(down::down(&self.site.lab));
        assert!(std::thread::panicking() || gone.unwrap());
    }
}
