//! Requests of users that are answered by a controller which first learned what is stored, as those do that serve users.

use coax_controller::core::message::Write;
use coax_controller::core::submission::Submission;
use coax_controller::records;
use coax_model::Name;
use coax_store::Store;

use super::Cluster;

/// A request of a user on its way into a controller, which first learns what is stored.
pub(super) struct Arriving {
    id: u64,
    pub(super) member: usize,
    /// The revision of the newest change when the store was asked for it.
    newest: Option<u64>,
    wanted: Wanted,
}

enum Wanted {
    Read(Name),
    Write(Box<(Write, Submission)>),
}

/// What somebody read of a project.
pub struct Found {
    pub at: u64,
    /// Of the project's last change.
    pub revision: u64,
    pub networks: Vec<Name>,
}

impl Cluster {
    /// A user asks one of them, which first learns what is stored, as one that serves users does.
    pub fn write_when_caught_up(
        &mut self,
        member: usize,
        write: Write,
        submission: Submission,
    ) -> u64 {
        self.arrive(member, Wanted::Write(Box::new((write, submission))))
    }

    /// Requests without an answer so far.
    pub fn under_way(&self) -> usize {
        let waiting = self.members.iter().map(|member| member.waiting.len());
        self.arriving.len() + waiting.sum::<usize>()
    }

    /// A user reads a project.
    pub fn read(&mut self, member: usize, project: Name) -> u64 {
        self.arrive(member, Wanted::Read(project))
    }

    fn arrive(&mut self, member: usize, wanted: Wanted) -> u64 {
        self.clock += 1;
        let (id, newest) = (self.id(), None);
        self.arriving.push(Arriving {
            id,
            member,
            newest,
            wanted,
        });
        id
    }

    /// A request that arrives asks the store how far it is, and later is answered by a controller that knows as much.
    pub(super) fn take_in(&mut self) -> bool {
        if self.arriving.is_empty() {
            return false;
        }
        self.clock += 1;
        let at = self.dice.below(self.arriving.len());
        let arriving = &mut self.arriving[at];
        if self.members[arriving.member].cut {
            return false;
        }
        let careless = self.stale_readers && matches!(arriving.wanted, Wanted::Read(_));
        if !careless {
            let Some(newest) = arriving.newest else {
                let head = self.store.get(records::HEAD.as_bytes()).unwrap();
                arriving.newest = Some(head.map_or(0, |head| head.modified));
                return true;
            };
            if self.members[arriving.member].core.revision() < newest {
                return false;
            }
        }
        let Arriving {
            id, member, wanted, ..
        } = self.arriving.swap_remove(at);
        match wanted {
            Wanted::Write(asked) => self.write_as(id, member, asked.0, asked.1),
            Wanted::Read(project) => {
                let core = &self.members[member].core;
                let networks = core.intent().networks_of(&project);
                let found = Found {
                    at: self.clock,
                    revision: core.project_revision(&project),
                    networks: networks.map(|(name, _)| name.name.clone()).collect(),
                };
                self.found.insert(id, found);
            }
        }
        true
    }
}
