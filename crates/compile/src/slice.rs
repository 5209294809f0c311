//! Slices: what a host has to know of one network or router, the same bytes for every host that asks.
//!
//! A [`NetworkSlice`] is the whole, a [`SliceDelta`] the step from one revision to a later one. A
//! [`RouterSlice`] is always whole.
//! Both are protobuf messages derived in place, so that encoding needs no generated code. Addresses
//! travel as 4 or 16 bytes, MAC addresses as 6.

mod member;
mod params;
mod router;

use prost::Message;
use thiserror::Error;

pub use member::{AllowedAddress, ForeignVtep, HostVtep, Member};
pub use params::{DhcpParams, DhcpRoute, NetworkParams, SubnetParams};
pub use router::{Route, RouterSlice};

/// One network, whole.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NetworkSlice {
    /// Which network this is in the tables of a host.
    #[prost(uint32, tag = "1")]
    pub network_id: u32,
    /// The revision of its last change.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// What all members share.
    #[prost(message, optional, tag = "3")]
    pub params: Option<NetworkParams>,
    /// Its ports, sorted by name.
    #[prost(message, repeated, tag = "4")]
    pub members: Vec<Member>,
    /// The hosts that frames come from, sorted: those that its members name, and those that members of
    /// the other networks of its router name.
    #[prost(message, repeated, tag = "5")]
    pub hosts: Vec<HostVtep>,
    /// The foreign tunnel endpoints that are members, sorted by name.
    #[prost(message, repeated, tag = "6")]
    pub foreign: Vec<ForeignVtep>,
}

/// The step of one network from one revision to the next. `from_revision` 0 means that the step starts
/// from nothing and holds the whole network.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SliceDelta {
    /// Which network.
    #[prost(uint32, tag = "1")]
    pub network_id: u32,
    /// The revision that the receiver must have, or 0.
    #[prost(uint64, tag = "2")]
    pub from_revision: u64,
    /// The revision that the receiver has afterwards.
    #[prost(uint64, tag = "3")]
    pub to_revision: u64,
    /// What all members share, if it changed.
    #[prost(message, optional, tag = "4")]
    pub params: Option<NetworkParams>,
    /// New and changed ports, sorted by name.
    #[prost(message, repeated, tag = "5")]
    pub upsert_members: Vec<Member>,
    /// Names of ports that left.
    #[prost(string, repeated, tag = "6")]
    pub remove_members: Vec<String>,
    /// New and changed hosts, sorted by name.
    #[prost(message, repeated, tag = "7")]
    pub upsert_hosts: Vec<HostVtep>,
    /// Names of hosts that frames do not come from any more.
    #[prost(string, repeated, tag = "8")]
    pub remove_hosts: Vec<String>,
    /// New and changed foreign tunnel endpoints, sorted by name.
    #[prost(message, repeated, tag = "9")]
    pub upsert_foreign: Vec<ForeignVtep>,
    /// Names of foreign tunnel endpoints that left.
    #[prost(string, repeated, tag = "10")]
    pub remove_foreign: Vec<String>,
    /// The network is gone; nothing else in the message counts.
    #[prost(bool, tag = "11")]
    pub deleted: bool,
}

/// Why a step does not fit what the receiver has. The way out is always the same: ask for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeltaError {
    /// The step leads to a revision that the receiver has passed already.
    #[error("network {network_id}: the change leads to revision {to}, but revision {have} is here")]
    Older {
        /// Which network.
        network_id: u32,
        /// The revision here.
        have: u64,
        /// The revision that the step leads to.
        to: u64,
    },
    /// Steps in between are missing.
    #[error(
        "network {network_id}: the change starts at revision {from}, but revision {have} is here"
    )]
    Gap {
        /// Which network.
        network_id: u32,
        /// The revision here.
        have: u64,
        /// The revision that the step starts from.
        from: u64,
    },
    /// The step is for another network.
    #[error("the change is for network {got}, not for network {network_id}")]
    OtherNetwork {
        /// The network of the slice.
        network_id: u32,
        /// The network of the step.
        got: u32,
    },
}

/// A part of a slice that has a name and is kept sorted by it.
trait Named {
    fn name(&self) -> &str;
}

impl Named for Member {
    fn name(&self) -> &str {
        &self.port
    }
}

impl Named for HostVtep {
    fn name(&self) -> &str {
        &self.host
    }
}

impl Named for ForeignVtep {
    fn name(&self) -> &str {
        &self.name
    }
}

fn find<T: Named>(list: &[T], name: &str) -> Result<usize, usize> {
    list.binary_search_by(|item| item.name().cmp(name))
}

fn merge<T: Named + Clone>(list: &mut Vec<T>, upsert: &[T], remove: &[String]) {
    for name in remove {
        if let Ok(at) = find(list, name) {
            list.remove(at);
        }
    }
    for item in upsert {
        match find(list, item.name()) {
            Ok(at) => list[at] = item.clone(),
            Err(at) => list.insert(at, item.clone()),
        }
    }
}

impl NetworkSlice {
    /// A slice that knows nothing yet and takes any step that starts from nothing.
    pub fn empty(network_id: u32) -> Self {
        Self {
            network_id,
            ..Self::default()
        }
    }

    /// Takes one step. After a step with `deleted` the slice is empty again and is to be forgotten.
    pub fn apply(&mut self, delta: &SliceDelta) -> Result<(), DeltaError> {
        let network_id = self.network_id;
        if delta.network_id != network_id {
            return Err(DeltaError::OtherNetwork {
                network_id,
                got: delta.network_id,
            });
        }
        let have = self.revision;
        if delta.to_revision <= have {
            return Err(DeltaError::Older {
                network_id,
                have,
                to: delta.to_revision,
            });
        }
        if delta.from_revision == 0 || delta.deleted {
            *self = Self::empty(network_id);
        } else if delta.from_revision != have {
            return Err(DeltaError::Gap {
                network_id,
                have,
                from: delta.from_revision,
            });
        }
        if delta.deleted {
            return Ok(());
        }
        self.revision = delta.to_revision;
        if delta.params.is_some() {
            self.params.clone_from(&delta.params);
        }
        merge(
            &mut self.members,
            &delta.upsert_members,
            &delta.remove_members,
        );
        merge(&mut self.hosts, &delta.upsert_hosts, &delta.remove_hosts);
        merge(
            &mut self.foreign,
            &delta.upsert_foreign,
            &delta.remove_foreign,
        );
        Ok(())
    }

    /// The member with this full name.
    pub fn member(&self, port: &str) -> Option<&Member> {
        find(&self.members, port).ok().map(|at| &self.members[at])
    }

    /// The tunnel addresses of a host.
    pub fn host(&self, host: &str) -> Option<&HostVtep> {
        find(&self.hosts, host).ok().map(|at| &self.hosts[at])
    }

    /// The full name of the network, `shop/web`.
    pub fn full_name(&self) -> String {
        self.params.as_ref().map_or_else(String::new, |params| {
            format!("{}/{}", params.project, params.name)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
