//! What must be true of several controllers when all is quiet.

use coax_controller::core::Core;
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
        for agent in &self.agents {
            check_slices(agent, &stored.intent, &full);
        }
    }
}
