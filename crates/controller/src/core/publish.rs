//! From stored changes to what agents are told.
//!
//! Every slice and every delta is encoded once and its bytes are shared by all the messages that
//! carry it; the cost of a change is what it touches plus one small message per host that needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{Current, Delta, Forget, SliceKind, Snapshot};
use coax_compile::policy::{Policies, PolicyNews, PolicyStep};
use coax_compile::reach::{Needed, Turn};
use coax_compile::{Compiler, Steps};
use coax_model::{Change, HostName, Name, PortName};
use coax_store::Revision;
use prost::Message;

use super::Core;
use super::host::HostState;
use super::message::Command;

/// A slice, as messages name it.
pub(super) type SliceId = (SliceKind, u32);

/// Encoded slices, kept for a moment: after a restart of the controller every host asks for the same
/// ones.
#[derive(Debug, Default)]
pub(super) struct Snapshots(HashMap<SliceId, (Revision, Bytes)>);

impl Snapshots {
    fn get(&mut self, compiler: &Compiler, policies: &Policies, id: SliceId) -> Option<Bytes> {
        let newest = revision_of(compiler, policies, id)?;
        if let Some((revision, bytes)) = self.0.get(&id)
            && *revision == newest
        {
            return Some(bytes.clone());
        }
        let (kind, number) = id;
        let bytes = match kind {
            SliceKind::Network => compiler.slice(number)?.encode_to_vec(),
            SliceKind::Router => compiler.router(number)?.encode_to_vec(),
            SliceKind::Policy => policies.slice(number)?.encode_to_vec(),
        };
        let bytes = Bytes::from(bytes);
        self.0.insert(id, (newest, bytes.clone()));
        Some(bytes)
    }

    /// Gives the memory back.
    pub(super) fn forget(&mut self) {
        self.0 = HashMap::new();
    }
}

/// The revision of a slice's last change.
fn revision_of(
    compiler: &Compiler,
    policies: &Policies,
    (kind, number): SliceId,
) -> Option<Revision> {
    match kind {
        SliceKind::Network => compiler.revision(number),
        SliceKind::Router => compiler.router_revision(number),
        SliceKind::Policy => policies.revision(number),
    }
}

/// Policies come before the networks whose ports obey them, routers after the networks that they lead
/// into; what goes, goes in the opposite order.
fn rank((kind, _): SliceId) -> u32 {
    match kind {
        SliceKind::Policy => 0,
        SliceKind::Network => 1,
        SliceKind::Router => 2,
    }
}

/// What one host is to be told of one slice. The last word counts: a later one replaces it.
#[derive(Debug, Clone)]
enum News {
    Delta(Bytes),
    Whole,
    Forget,
}

/// What hosts are to be told.
type Mail = BTreeMap<HostName, BTreeMap<SliceId, News>>;

impl Core {
    /// Makes changes that are on disk exist: in the intent, in the slices, at the hosts.
    pub(super) fn publish(
        &mut self,
        revision: Revision,
        changes: &[Change],
        out: &mut Vec<Command>,
    ) {
        self.note_ports(revision, changes, out);
        let mut ports = BTreeSet::new();
        for change in changes {
            if let Change::PutHost { name, host } = change
                && self.presented.get(name) == Some(host)
            {
                self.presented.remove(name);
            }
            if let Change::DeleteHost { name } = change {
                self.forget_host(name, out);
            }
            ports.extend(port_of(change).cloned());
            self.intent.apply(change);
            self.revisions.note(change, revision);
        }
        self.revision = revision;
        let steps = self.compiler.apply(revision, changes);
        let policies = self.policies.apply(&self.intent, revision, changes);
        for port in &ports {
            self.watch_move(port, revision);
        }
        let mail = self.address(&steps, &policies);
        self.deliver(mail, out);
        for port in &ports {
            if self.shared {
                self.end_refusals(port);
            } else {
                self.say_refusals(port, out);
            }
        }
        if self.shared {
            let new = changes.iter().filter_map(|change| match change {
                Change::PutPort { name, .. } if self.grants(name) => Some(name.clone()),
                _ => None,
            });
            self.dirty.extend(new.collect::<Vec<_>>());
            // Another controller may be about to grant a claim, or decided about a host that obeys this one, which knows better.
            self.recheck_next.extend(ports);
        }
    }

    /// Whether a host that obeys this controller claims the port.
    fn grants(&self, port: &PortName) -> bool {
        let mut claimants = self.claimants.get(port).into_iter().flatten();
        claimants.any(|host| self.hosts.get(host).is_some_and(HostState::is_obedient))
    }

    /// Forgets a host that was removed, unless it came back meanwhile: then it is presented anew.
    fn forget_host(&mut self, name: &HostName, out: &mut Vec<Command>) {
        if self.hosts.get(name).is_some_and(HostState::is_obedient) {
            if let Some(host) = self.intent.hosts.get(name) {
                self.presented.insert(name.clone(), host.clone());
            }
            return;
        }
        self.presented.remove(name);
        let Some(state) = self.hosts.remove(name) else {
            return;
        };
        if state.noted_attached {
            Self::note_host(name, false, out);
        }
        for port in state.claims.keys() {
            if let Some(claimants) = self.claimants.get_mut(port) {
                claimants.remove(name);
                if claimants.is_empty() {
                    self.claimants.remove(port);
                }
            }
        }
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

    fn address(&self, steps: &Steps, policies: &[PolicyStep]) -> Mail {
        let mut mail = Mail::new();
        let mut tell = |host: &HostName, id: SliceId, news: News| {
            mail.entry(host.clone()).or_default().insert(id, news);
        };
        for turn in steps.turns.iter().filter(|turn| !turn.needs) {
            // Under the number that the host knows, if that changed at the same time.
            let ids = gone_under(steps, &turn.what).chain(self.id_of(&turn.what));
            for id in ids {
                tell(&turn.host, id, News::Forget);
            }
        }
        for step in &steps.networks {
            let news = if step.delta.deleted {
                News::Forget
            } else if step.delta.from_revision == 0 {
                News::Whole
            } else {
                News::Delta(Bytes::from(step.delta.encode_to_vec()))
            };
            for host in self.reach().hosts(&step.name) {
                tell(
                    host,
                    (SliceKind::Network, step.delta.network_id),
                    news.clone(),
                );
            }
        }
        for step in &steps.routers {
            let news = match step.slice {
                Some(_) => News::Whole,
                None => News::Forget,
            };
            for host in self.reach().hosts_of_router(&step.name) {
                tell(host, (SliceKind::Router, step.number), news.clone());
            }
        }
        for turn in steps.turns.iter().filter(|turn| turn.needs) {
            if let Some(id) = self.id_of(&turn.what) {
                tell(&turn.host, id, News::Whole);
            }
        }
        self.address_policies(steps, policies, &mut mail);
        mail
    }

    /// A host needs the policy of a project exactly while it needs a network of the project.
    fn address_policies(&self, steps: &Steps, policies: &[PolicyStep], mail: &mut Mail) {
        let mut turns: BTreeMap<(&HostName, &Name), Vec<&Turn>> = BTreeMap::new();
        for turn in &steps.turns {
            if let Needed::Network(network) = &turn.what {
                let pair = (&turn.host, &network.project);
                turns.entry(pair).or_default().push(turn);
            }
        }
        for step in policies {
            let id = (SliceKind::Policy, step.number);
            let news = match &step.news {
                PolicyNews::Whole => News::Whole,
                PolicyNews::Delta(delta) => News::Delta(Bytes::from(delta.encode_to_vec())),
                PolicyNews::Gone => News::Forget,
            };
            let networks = self.intent.networks_of(&step.project);
            for host in networks.flat_map(|(network, _)| self.reach().hosts(network)) {
                mail.entry(host.clone())
                    .or_default()
                    .insert(id, news.clone());
            }
            // Whoever needs nothing of the project any more has the policy still.
            for (host, _) in turns
                .keys()
                .filter(|(_, project)| **project == step.project)
            {
                if !self.needs_policy(host, &step.project) {
                    mail.entry((*host).clone())
                        .or_default()
                        .insert(id, News::Forget);
                }
            }
        }
        for ((host, project), turns) in turns {
            let Some(number) = self.policies.number(project) else {
                continue;
            };
            let needs = self.needs_policy(host, project);
            let gained = turns.iter().filter(|turn| turn.needs).count();
            let needed = gained < turns.len() || {
                let networks = self.reach().networks(host);
                networks
                    .filter(|network| network.project == *project)
                    .count()
                    > gained
            };
            let news = match (needed, needs) {
                (false, true) => News::Whole,
                (true, false) => News::Forget,
                _ => continue,
            };
            let slices = mail.entry(host.clone()).or_default();
            slices.insert((SliceKind::Policy, number), news);
        }
    }

    fn needs_policy(&self, host: &HostName, project: &Name) -> bool {
        let mut networks = self.reach().networks(host);
        networks.any(|network| network.project == *project)
    }

    /// The slice of something that a host needs, as messages name it.
    fn id_of(&self, what: &Needed) -> Option<SliceId> {
        match what {
            Needed::Network(name) => {
                let number = self.compiler.network_id(name);
                number.map(|number| (SliceKind::Network, number))
            }
            Needed::Router(name) => {
                let number = self.compiler.router_number_of(name);
                number.map(|number| (SliceKind::Router, number))
            }
        }
    }

    fn deliver(&mut self, mail: Mail, out: &mut Vec<Command>) {
        for (host, slices) in mail {
            let revision = self.revision;
            let Some(state) = self.hosts.get_mut(&host) else {
                continue;
            };
            state.owed = revision;
            if !state.ready || state.standby {
                continue;
            }
            let (mut breaks, mut makes): (Vec<_>, Vec<_>) = slices
                .into_iter()
                .partition(|(_, news)| matches!(news, News::Forget));
            makes.sort_by_key(|(id, _)| rank(*id));
            breaks.sort_by_key(|(id, _)| std::cmp::Reverse(rank(*id)));
            // Make before break.
            for (id, news) in makes.into_iter().chain(breaks) {
                self.tell(&host, id, news, out);
            }
            self.send(&host, ToAgent::Current(Current { revision }), out);
        }
    }

    fn tell(&mut self, host: &HostName, id: SliceId, news: News, out: &mut Vec<Command>) {
        let (kind, number) = (id.0.into(), id.1);
        let body = match news {
            News::Delta(delta) => ToAgent::Delta(Delta { delta, kind }),
            News::Forget => ToAgent::Forget(Forget { number, kind }),
            News::Whole => match self.snapshots.get(&self.compiler, &self.policies, id) {
                Some(slice) => ToAgent::Snapshot(Snapshot { slice, kind }),
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
        let networks = self.compiler.networks_of_host(host);
        let routers = self.compiler.routers_of_host(host);
        let projects = self.reach().networks(host).map(|network| &network.project);
        let projects: BTreeSet<&Name> = projects.collect();
        let policies = projects.into_iter();
        let policies = policies.filter_map(|project| self.policies.number(project));
        let needed: BTreeSet<SliceId> = networks
            .map(|number| (SliceKind::Network, number))
            .chain(routers.map(|number| (SliceKind::Router, number)))
            .chain(policies.map(|number| (SliceKind::Policy, number)))
            .collect();
        let mut makes: Vec<SliceId> = needed.iter().copied().collect();
        makes.sort_by_key(|id| rank(*id));
        for id in makes {
            let held = have.get(&id).copied();
            if held.is_none() || held != revision_of(&self.compiler, &self.policies, id) {
                self.tell(host, id, News::Whole, out);
            }
        }
        let gone = have.keys().copied().filter(|id| !needed.contains(id));
        let mut breaks: Vec<SliceId> = gone.collect();
        breaks.sort_by_key(|id| std::cmp::Reverse(rank(*id)));
        for id in breaks {
            self.tell(host, id, News::Forget, out);
        }
        let revision = self.revision;
        self.send(host, ToAgent::Current(Current { revision }), out);
    }
}

/// The numbers under which something ceased to be known.
fn gone_under<'a>(steps: &'a Steps, what: &'a Needed) -> impl Iterator<Item = SliceId> + 'a {
    let networks = steps.networks.iter().filter(move |step| {
        step.delta.deleted && matches!(what, Needed::Network(name) if *name == step.name)
    });
    let routers = steps.routers.iter().filter(move |step| {
        step.slice.is_none() && matches!(what, Needed::Router(name) if *name == step.name)
    });
    let networks = networks.map(|step| (SliceKind::Network, step.delta.network_id));
    networks.chain(routers.map(|step| (SliceKind::Router, step.number)))
}

/// The port whose place or network a change is about.
pub(super) fn port_of(change: &Change) -> Option<&PortName> {
    match change {
        Change::PutPort { name: port, .. }
        | Change::DeletePort { name: port }
        | Change::PutBinding { port, .. }
        | Change::DeleteBinding { port } => Some(port),
        _ => None,
    }
}
