//! From host to host, as the packet goes.

use std::collections::BTreeMap;

use coax_api::question::{
    DecidingRule, Entering, HostAnswer, HostFault, HostQuestion, HostRun, HostVerdict,
};
use coax_api::{TraceHop, TraceLeg};
use coax_tables::DropReason;
use coax_wire::MacAddress;

use super::facts::{End, EndPort, Facts};
use super::frame::{self, Party, Talk};
use super::{Cause, Ending, Hosts, diagnosis, rules, underlay};

/// More vSwitches than a packet may pass: a straggler passes three.
const MOST_HOPS: usize = 6;

/// Drops that say that a VM sends what it must not, however the tables are.
const SENDER_FAULTS: [&str; 11] = [
    "forged-source",
    "forged-address",
    "forged-arp",
    "forged-neighbour",
    "rogue-server",
    "tagged-frame",
    "vlan-not-allowed",
    "bpdu",
    "storm",
    "loop",
    "header-chain",
];

/// A trace under way.
pub(super) struct Walk<'a, H> {
    pub(super) facts: &'a Facts,
    pub(super) hosts: &'a H,
    /// The vSwitches that were passed.
    pub(super) hops: Vec<TraceHop>,
    /// What else is worth knowing.
    pub(super) notes: Vec<String>,
    /// The packet arrived; what follows is about the answer.
    pub(super) reached: bool,
    /// The packet, once it is known where the sender sends it.
    pub(super) packet: Option<Vec<u8>>,
    /// What packet and answer say.
    talk: Talk,
    /// Packets are sent through the fabric, too.
    pub(super) asks_the_fabric: bool,
    /// Whom policy was asked by about the packet or its answer, and the rule that it named.
    pub(super) judged: Vec<(String, DecidingRule)>,
    /// What each host saw of the conversation so far: connections depend on it.
    earlier: BTreeMap<String, Vec<Entering>>,
    /// What the sender's port dropped so far.
    sender_drops: Vec<(String, u64)>,
}

/// A frame on its way from one end to the other.
#[derive(Clone, Copy)]
pub(super) struct Journey<'a> {
    pub(super) leg: TraceLeg,
    pub(super) from: &'a End,
    pub(super) to: &'a End,
}

impl<'a, H: Hosts> Walk<'a, H> {
    pub(super) fn new(facts: &'a Facts, hosts: &'a H, talk: Talk) -> Self {
        Self {
            facts,
            hosts,
            talk,
            asks_the_fabric: true,
            judged: Vec::new(),
            hops: Vec::new(),
            notes: Vec::new(),
            reached: false,
            packet: None,
            earlier: BTreeMap::new(),
            sender_drops: Vec::new(),
        }
    }

    /// There and back.
    pub(super) async fn whole(&mut self) -> Result<(), Ending> {
        let (source, destination) = (&self.facts.source, &self.facts.destination);
        let there = Journey {
            leg: TraceLeg::Packet,
            from: source,
            to: destination,
        };
        let (from, to) = self.parties(TraceLeg::Resolution, there).await?;
        let packet = frame::packet(from, to, &self.talk);
        self.packet = Some(packet.clone());
        self.follow(there, packet).await?;
        self.reached = true;
        if self.can_answer() && self.talk.answer.is_some() {
            let back = Journey {
                leg: TraceLeg::Answer,
                from: destination,
                to: source,
            };
            let (from, to) = self.parties(TraceLeg::AnswerResolution, back).await?;
            if let Some(answer) = frame::reply(from, to, &self.talk) {
                self.follow(back, answer).await?;
            }
        }
        self.what_the_sender_really_sends()
    }

    /// Whether the receiver's host can be asked about the answer.
    fn can_answer(&self) -> bool {
        let host = self.facts.destination.host();
        let host = host.and_then(|host| self.facts.hosts.get(host));
        host.is_some_and(|host| host.connected)
    }

    /// MAC addresses of the sender and of its next hop, which the sender asks for.
    async fn parties(
        &mut self,
        leg: TraceLeg,
        journey: Journey<'_>,
    ) -> Result<(Party, Party), Ending> {
        let Journey { from, to, .. } = journey;
        let Some(port) = &from.port else {
            // Only ports send.
            return Err(diagnosis::not_followed(&from.name));
        };
        let own = Party {
            mac: port.mac,
            address: from.address,
        };
        let on_link = is_on_link(port, to);
        let next_hop = match port.gateway {
            Some(gateway) if !on_link => gateway,
            _ => to.address,
        };
        let question = Entering {
            port: Some(from.name.clone()),
            frame: frame::question(own, next_hop),
        };
        let asking = Journey { leg, ..journey };
        let run = self.run(asking, host_of(from), question).await?;
        let owner = to.port.as_ref().filter(|_| on_link).map(|port| port.mac);
        let mac = match (run.verdict, &run.answer, owner) {
            (HostVerdict::Answer, Some(answer), _) => frame::answered_mac(&answer.frame)
                .ok_or_else(|| diagnosis::not_followed(&from.name))?,
            (HostVerdict::Drop, ..) => {
                return Err(diagnosis::dropped(self.facts, asking, host_of(from), &run));
            }
            // The question reaches the owner of the address, who answers by himself.
            (_, _, Some(mac)) if self.reaches(to, &run) => mac,
            _ => {
                return Err(diagnosis::unanswered(
                    self.facts,
                    asking,
                    host_of(from),
                    &run,
                ));
            }
        };
        if let Some(owner) = owner.filter(|owner| *owner != mac) {
            return Err(diagnosis::stale_address(from, to, mac, owner));
        }
        let next = Party {
            mac,
            address: to.address,
        };
        Ok((own, next))
    }

    /// Follows a frame until it is where it is to go.
    async fn follow(&mut self, journey: Journey<'_>, frame: Vec<u8>) -> Result<(), Ending> {
        let Journey { from, to, .. } = journey;
        let mut host = host_of(from).to_owned();
        let mut entering = Entering {
            port: Some(from.name.clone()),
            frame,
        };
        for _ in 0..MOST_HOPS {
            let run = self.run(journey, &host, entering.clone()).await?;
            if entering.port.is_some() && journey.leg == TraceLeg::Packet {
                self.sender_drops.clone_from(&run.drops);
            }
            let seen = self.earlier.entry(host.clone()).or_default();
            seen.push(entering.clone());
            if let (Some(rule), true) = (&run.rule, run.verdict != HostVerdict::Drop) {
                // What leaves is not the packet but word to its sender.
                let reason = DropReason::Rejected;
                return Err(rules::refused(self.facts, &host, reason, rule));
            }
            let packet = match run.verdict {
                HostVerdict::Deliver | HostVerdict::Flood if run.ports.contains(&to.name) => {
                    return Ok(());
                }
                HostVerdict::Send | HostVerdict::SendUnresolved => run.packets.first(),
                // Of the copies, the one that may reach the receiver counts.
                HostVerdict::Flood => {
                    let mut packets = run.packets.iter();
                    packets.find(|packet| self.leads_to(to, &packet.path.to))
                }
                _ => None,
            };
            let Some(packet) = packet.cloned() else {
                return Err(diagnosis::ended(self.facts, journey, &host, &run));
            };
            let next = diagnosis::next_host(self.facts, journey, &host, &packet)?;
            let unresolved = run.verdict == HostVerdict::SendUnresolved;
            let unresolved = unresolved.then_some(&entering);
            if self.asks_the_fabric {
                underlay::check(self, journey, (&host, &next), &packet, unresolved).await?;
            }
            entering = Entering {
                port: None,
                frame: packet.packet,
            };
            host = next;
        }
        Err(Ending::lost(
            Cause::Loop,
            format!("goes from host to host without an end: {MOST_HOPS} so far"),
            "compare `coax port show` with the hops below and report it",
        ))
    }

    /// Whether a frame, or a copy of it, goes to where an end is.
    fn reaches(&self, to: &End, run: &HostRun) -> bool {
        let mut packets = run.packets.iter();
        run.ports.contains(&to.name) || packets.any(|packet| self.leads_to(to, &packet.path.to))
    }

    /// Whether a tunnel endpoint may lead to an end.
    fn leads_to(&self, to: &End, vtep: &str) -> bool {
        let host = self.facts.host_with(vtep).map(|host| host.name.as_str());
        match &to.port {
            Some(_) => host.is_some() && host == to.host(),
            None => host.is_none(),
        }
    }

    /// Lets a host play a frame, and notes the hop.
    pub(super) async fn run(
        &mut self,
        journey: Journey<'_>,
        host: &str,
        entering: Entering,
    ) -> Result<HostRun, Ending> {
        let port = entering.port.clone().unwrap_or_default();
        let mut frames = self.earlier.get(host).cloned().unwrap_or_default();
        frames.push(entering);
        let answer = self.hosts.ask(host, HostQuestion::Run { frames }).await;
        let run = match answer {
            Ok(HostAnswer::Ran(run)) => *run,
            Ok(HostAnswer::Failed { reason }) | Err(reason) => {
                return Err(self.silent(host, &reason));
            }
            Ok(_) => return Err(self.silent(host, "it answers another question")),
        };
        self.hops.push(TraceHop {
            leg: journey.leg,
            host: host.to_owned(),
            device: run.device.clone(),
            port,
            outcome: run.outcome(),
            stages: run.stages.clone(),
            underlay: run
                .packets
                .first()
                .map(|packet| packet.path.clone())
                .or(run.path.clone()),
        });
        let conversation = matches!(journey.leg, TraceLeg::Packet | TraceLeg::Answer);
        if let Some(rule) = run.judged.clone().filter(|_| conversation) {
            self.judged.push((host.to_owned(), rule));
        }
        match &run.fault {
            Some(fault) => Err(self.faulty(journey, host, fault)),
            None => Ok(run),
        }
    }

    fn silent(&self, host: &str, reason: &str) -> Ending {
        let known = self.facts.hosts.get(host);
        let before = match self.hops.last() {
            Some(hop) => format!("{} sends the packet to {host}, but ", hop.host),
            None => String::new(),
        };
        let hint = format!("see whether {host} is up and its agent runs: `coax host show {host}`");
        if known.is_some_and(|host| !host.connected) {
            let summary = format!(
                "{before}the agent of {host} is not attached to the controller, so nobody can tell what \
                 becomes of it there; {host} forwards by what it had"
            );
            return Ending::unknown(Cause::HostAway, summary, hint);
        }
        let summary = format!("{before}{host} cannot be asked: {reason}");
        Ending::unknown(Cause::HostSilent, summary, hint)
    }

    fn faulty(&self, journey: Journey<'_>, host: &str, fault: &HostFault) -> Ending {
        let at_port = self.hops.last().is_some_and(|hop| !hop.port.is_empty());
        let what = if at_port {
            format!("{}'s device", journey.from.name)
        } else {
            "the uplink".to_owned()
        };
        match fault {
            HostFault::NoDevice => Ending::lost(
                Cause::PortDown,
                format!("{what} is not there on {host}"),
                format!("`ip link` on {host} shows what is"),
            ),
            HostFault::DeviceDown { device } => Ending::lost(
                Cause::DeviceDown,
                format!("{what} {device} on {host} is down"),
                format!("`ip link set {device} up` on {host}, and see what is plugged in"),
            ),
            HostFault::NoProgram { device } => Ending::lost(
                Cause::NoProgram,
                format!(
                    "{what} {device} on {host} has no vSwitch program, so the host's own stack gets its frames"
                ),
                format!("`coax host show {host}` shows what the agent could not do; restart it"),
            ),
        }
    }

    /// The tables let the packet pass; what the VM sends may be something else.
    fn what_the_sender_really_sends(&self) -> Result<(), Ending> {
        let mut faults = self.sender_drops.iter();
        let fault =
            faults.find(|(reason, count)| *count > 0 && SENDER_FAULTS.contains(&reason.as_str()));
        let Some((reason, count)) = fault else {
            return Ok(());
        };
        let host = host_of(&self.facts.source);
        let summary = format!(
            "{host} drops what the VM of {} really sends: {count} frames so far as {reason}",
            self.facts.source.name
        );
        let hint = format!("`coax explain {reason}`");
        Err(Ending {
            verdict: coax_api::TraceVerdict::Delivered,
            ..Ending::lost(Cause::SenderDrops, summary, hint)
        })
    }
}

/// Whether the sender looks for the receiver in its own network.
pub(super) fn is_on_link(port: &EndPort, to: &End) -> bool {
    match &to.port {
        Some(other) => other.network == port.network,
        None => port.peer_on_link,
    }
}

/// Where an end is; ends whose host is not known are not followed.
pub(super) fn host_of(end: &End) -> &str {
    end.host().unwrap_or_default()
}

/// Two MAC addresses side by side, for sentences.
pub(super) fn instead(wrong: MacAddress, right: MacAddress) -> String {
    format!("{wrong} instead of {right}")
}
