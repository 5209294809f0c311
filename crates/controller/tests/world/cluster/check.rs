//! What must be true of several controllers when all is quiet.

use coax_controller::core::{Core, Listing};
use coax_controller::records;

use super::Cluster;
use crate::world::UNDERLAY_MTU;
use crate::world::check::{check_audit_log, check_slices};

impl Cluster {
    /// What must be true when all is quiet: everybody knows what is stored.
    pub fn check(&self) {
        for member in &self.members {
            assert!(member.waiting.is_empty(), "requests without an answer");
        }
        let stored = records::load(&self.store, UNDERLAY_MTU).unwrap();
        let full = coax_compile::Compiler::full(&stored.intent, 1);
        let history = |core: &Core| -> Vec<coax_api::Revision> {
            let all = core.revisions(None);
            all.map(|it| coax_api::Revision {
                trouble: None,
                ..it
            })
            .collect()
        };
        let first = history(self.core(0));
        for member in &self.members {
            assert_eq!(&stored.intent, member.core.intent());
            assert_eq!(stored.revision, member.core.revision());
            assert_eq!(history(&member.core), first);
        }
        check_audit_log(&self.store, self.core(0));
        self.check_hosts();
        for agent in &self.agents {
            check_slices(agent, &stored.intent, &full);
        }
    }

    /// Whoever is asked says the same of hosts and ports.
    fn check_hosts(&self) {
        let hosts = |core: &Core| -> Vec<_> {
            let hosts = core.host_views().into_iter();
            hosts
                .map(|it| {
                    (
                        it.name,
                        it.connected,
                        it.ready,
                        it.lag,
                        it.status.conditions,
                    )
                })
                .collect()
        };
        let ports = |core: &Core| -> Vec<_> {
            let ports = Listing::new(core).ports(None).into_iter();
            ports
                .map(|it| (it.id, it.state, it.host, it.device))
                .collect()
        };
        for agent in &self.agents {
            let heard = usize::from(agent.is_attached()) + agent.standbys.len();
            assert_eq!(heard, self.members.len(), "who hears {}", agent.name);
        }
        let (first, first_ports) = (hosts(self.core(0)), ports(self.core(0)));
        for (name, connected, _, lag, _) in &first {
            assert!(*connected && *lag == 0, "{name} has everything: {lag}");
        }
        for member in &self.members {
            assert_eq!(hosts(&member.core), first);
            assert_eq!(ports(&member.core), first_ports);
        }
        let runs = self.members.iter().map(|it| it.core.run()).collect();
        for agent in &self.agents {
            assert_eq!(agent.controllers, runs);
        }
    }
}
