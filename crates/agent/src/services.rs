//! What the core keeps for DHCP, router advertisements and DNS: no leases, only whose turn it is, what has been asked, and
//! which address is whose name.

pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use coax_api::RequestCount;
use coax_compile::{Member, NetworkSlice};
use coax_services::{Answer, Request, Schedule};
use coax_tables::PortKey;

use view::address;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Services {
    /// Ports that are sent router advertisements.
    pub(crate) schedule: Schedule<PortKey>,
    /// Ports whose rows have come, changed or gone since the schedule was made.
    pub(crate) changed: BTreeSet<PortKey>,
    /// Networks that say something new of themselves, once their rows are in place.
    pub(crate) stale: BTreeSet<u32>,
    counts: BTreeMap<(Request, &'static str), u64>,
    indexes: HashMap<u32, Index>,
}

/// Which member of a slice has which address: places in its list, good for one revision.
#[derive(Debug)]
struct Index {
    revision: u64,
    members: HashMap<IpAddr, usize>,
}

impl Services {
    /// Counts what came of a request.
    pub(crate) fn count(&mut self, answer: &Answer) {
        let key = (answer.request, answer.outcome.name());
        *self.counts.entry(key).or_insert(0) += 1;
    }

    /// What was asked since the agent started.
    pub(crate) fn counts(&self) -> Vec<RequestCount> {
        let counts = self.counts.iter();
        counts
            .map(|((request, outcome), count)| RequestCount {
                request: request.to_string(),
                outcome: (*outcome).to_owned(),
                count: *count,
            })
            .collect()
    }

    /// Brings the index of a slice up to date. Whoever asks for names again and again pays for it once per change.
    pub(crate) fn index(&mut self, slice: &NetworkSlice) {
        let known = self.indexes.get(&slice.network_id);
        if known.is_some_and(|index| index.revision == slice.revision) {
            return;
        }
        let members = slice.members.iter().enumerate();
        let members = members.flat_map(|(place, member)| {
            let addresses = member.addresses.iter().filter_map(|bytes| address(bytes));
            addresses.map(move |address| (address, place))
        });
        let index = Index {
            revision: slice.revision,
            members: members.collect(),
        };
        self.indexes.insert(slice.network_id, index);
    }

    /// The name of the port that has an address, from an index that is up to date.
    pub(crate) fn holder<'a>(&self, slice: &'a NetworkSlice, address: IpAddr) -> Option<&'a str> {
        let member = self.member(slice, address)?;
        Some(view::short_name(&member.port))
    }

    /// The port that has an address, likewise.
    pub(crate) fn member<'a>(
        &self,
        slice: &'a NetworkSlice,
        address: IpAddr,
    ) -> Option<&'a Member> {
        let index = self.indexes.get(&slice.network_id)?;
        slice.members.get(*index.members.get(&address)?)
    }

    /// Forgets a network that is not here any more.
    pub(crate) fn forget(&mut self, network: u32) {
        self.indexes.remove(&network);
    }
}
