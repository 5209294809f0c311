//! From stored changes to what agents are told.
//!
//! Every slice and every delta is encoded once and its bytes are shared by all the messages that
//! carry it; the cost of a change is what it touches plus one small message per host that needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{Current, Delta, Forget, Snapshot};
use coax_compile::{Compiler, SliceDelta};
use coax_model::{Change, HostName, NetworkName, PortName};
use coax_store::Revision;
use prost::Message;

use super::Core;
use super::message::Command;
use super::subscription::Turn;

/// Encoded slices, kept for a moment: after a restart of the controller every host asks for the same
/// ones.
#[derive(Debug, Default)]
pub(super) struct Snapshots(HashMap<u32, (Revision, Bytes)>);

impl Snapshots {
    fn get(&mut self, compiler: &Compiler, network: u32) -> Option<Bytes> {
        let newest = compiler.revision(network)?;
        if let Some((revision, bytes)) = self.0.get(&network)
            && *revision == newest
        {
            return Some(bytes.clone());
        }
        let bytes = Bytes::from(compiler.slice(network)?.encode_to_vec());
        self.0.insert(network, (newest, bytes.clone()));
        Some(bytes)
    }

    /// Gives the memory back.
    pub(super) fn forget(&mut self) {
        self.0 = HashMap::new();
    }
}

/// What one host is to be told of one network. The last word counts: a later one replaces it.
#[derive(Debug, Clone)]
enum News {
    Delta(Bytes),
    Whole,
    Forget,
}

/// What hosts are to be told, by host and by the network's number.
type Mail = BTreeMap<HostName, BTreeMap<u32, News>>;

impl Core {
    /// Makes changes that are on disk exist: in the intent, in the slices, at the hosts.
    pub(super) fn publish(
        &mut self,
        revision: Revision,
        changes: &[Change],
        out: &mut Vec<Command>,
    ) {
        let mut old_names = BTreeMap::new();
        let mut ports = BTreeSet::new();
        for change in changes {
            if let Some((number, name)) = self.number_of(change) {
                // Another network may have taken the number over already.
                if self.names.get(&number) == Some(&name) {
                    self.names.remove(&number);
                }
                old_names.insert(number, name);
            }
            if let Change::PutNetwork { name, network } = change {
                self.names.insert(network.vni.get(), name.clone());
            }
            if let Change::PutHost { name, host } = change
                && self.presented.get(name) == Some(host)
            {
                self.presented.remove(name);
            }
            ports.extend(port_of(change).cloned());
            self.intent.apply(change);
            self.revisions.note(change, revision);
        }
        self.revision = revision;
        let deltas = self.compiler.apply(revision, changes);
        let mut turns = Vec::new();
        for port in &ports {
            turns.extend(self.subscribe(port));
            self.watch_move(port, revision);
        }
        let mail = self.address(&deltas, &turns, &old_names);
        self.deliver(mail, out);
        for port in &ports {
            self.say_refusals(port, out);
        }
    }

    /// The number under which agents know a network that a change is about.
    fn number_of(&self, change: &Change) -> Option<(u32, NetworkName)> {
        let (Change::PutNetwork { name, .. } | Change::DeleteNetwork { name }) = change else {
            return None;
        };
        let network = self.intent.networks.get(name)?;
        Some((network.vni.get(), name.clone()))
    }

    /// Notes which hosts a port names.
    pub(super) fn subscribe(&mut self, port: &PortName) -> Vec<Turn> {
        let named = self.intent.ports.get(port).map(|object| {
            let network = NetworkName::new(port.project.clone(), object.network.clone());
            let binding = self.intent.bindings.get(port);
            (
                network,
                binding
                    .into_iter()
                    .flat_map(|binding| binding.hosts().cloned())
                    .collect(),
            )
        });
        self.subscriptions.set(port, named)
    }

    /// Notes whether a port's old host is to be released once everybody knows of the move.
    pub(super) fn watch_move(&mut self, port: &PortName, revision: Revision) {
        let binding = self.intent.bindings.get(port);
        if binding.is_some_and(|binding| binding.moved_from.is_some()) {
            self.moves.insert(port.clone(), revision);
        } else {
            self.moves.remove(port);
        }
    }

    fn address(
        &self,
        deltas: &[SliceDelta],
        turns: &[Turn],
        old_names: &BTreeMap<u32, NetworkName>,
    ) -> Mail {
        let mut mail = Mail::new();
        let mut tell = |host: &HostName, number: u32, news: News| {
            mail.entry(host.clone()).or_default().insert(number, news);
        };
        let number_of = |name: &NetworkName| {
            let network = self.intent.networks.get(name);
            network.map(|network| network.vni.get())
        };
        for turn in turns.iter().filter(|turn| !turn.needs) {
            // Under the number that the host knows, if that changed at the same time.
            let old = old_names.iter().filter(|(_, name)| **name == turn.network);
            for number in old
                .map(|(number, _)| *number)
                .chain(number_of(&turn.network))
            {
                tell(&turn.host, number, News::Forget);
            }
        }
        for delta in deltas {
            let number = delta.network_id;
            let names = if delta.deleted {
                old_names
            } else {
                &self.names
            };
            let Some(name) = names.get(&number) else {
                continue;
            };
            let news = if delta.deleted {
                News::Forget
            } else if delta.from_revision == 0 {
                News::Whole
            } else {
                News::Delta(Bytes::from(delta.encode_to_vec()))
            };
            for host in self.subscriptions.hosts(name) {
                tell(host, number, news.clone());
            }
        }
        for turn in turns.iter().filter(|turn| turn.needs) {
            if let Some(number) = number_of(&turn.network) {
                tell(&turn.host, number, News::Whole);
            }
        }
        mail
    }

    fn deliver(&mut self, mail: Mail, out: &mut Vec<Command>) {
        for (host, networks) in mail {
            let revision = self.revision;
            let Some(state) = self.hosts.get_mut(&host) else {
                continue;
            };
            state.owed = revision;
            if !state.ready {
                continue;
            }
            // What takes away comes last: make before break.
            let (breaks, makes): (Vec<_>, Vec<_>) = networks
                .into_iter()
                .partition(|(_, news)| matches!(news, News::Forget));
            for (number, news) in makes.into_iter().chain(breaks) {
                self.tell(&host, number, news, out);
            }
            self.send(&host, ToAgent::Current(Current { revision }), out);
        }
    }

    fn tell(&mut self, host: &HostName, number: u32, news: News, out: &mut Vec<Command>) {
        let body = match news {
            News::Delta(delta) => ToAgent::Delta(Delta { delta }),
            News::Forget => ToAgent::Forget(Forget { network_id: number }),
            News::Whole => match self.snapshots.get(&self.compiler, number) {
                Some(slice) => ToAgent::Snapshot(Snapshot { slice }),
                None => return,
            },
        };
        self.send(host, body, out);
    }

    /// Sends a host that just attached all that it needs and does not have.
    pub(super) fn catch_up(&mut self, host: &HostName, out: &mut Vec<Command>) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let have = std::mem::take(&mut state.have);
        state.owed = self.revision;
        let networks = self.subscriptions.networks(host);
        let needed = networks.filter_map(|name| self.intent.networks.get(name));
        let needed: BTreeSet<u32> = needed.map(|network| network.vni.get()).collect();
        for number in &needed {
            let held = have.get(number).copied();
            if held.is_none() || held != self.compiler.revision(*number) {
                self.tell(host, *number, News::Whole, out);
            }
        }
        for number in have.keys().filter(|number| !needed.contains(number)) {
            self.tell(host, *number, News::Forget, out);
        }
        let revision = self.revision;
        self.send(host, ToAgent::Current(Current { revision }), out);
    }
}

/// The port whose place or network a change is about.
fn port_of(change: &Change) -> Option<&PortName> {
    match change {
        Change::PutPort { name: port, .. }
        | Change::DeletePort { name: port }
        | Change::PutBinding { port, .. }
        | Change::DeleteBinding { port } => Some(port),
        _ => None,
    }
}
