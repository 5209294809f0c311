//! Which packets put a check to the proof on real hosts. Not every pair of ports: so many pairs that
//! every port of both sides is in one, because what breaks on real hosts breaks for a port or a host.

use std::collections::BTreeSet;

use super::Check;
use crate::intent::Intent;
use crate::name::{Name, PortName};
use crate::port::Port;
use crate::service::{IcmpKind, PortRange, Service};

/// What kind of packet a probe sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeTraffic {
    /// The first segment of a connection to this TCP port.
    Tcp(u16),
    /// A datagram to this UDP port.
    Udp(u16),
    /// An echo request.
    Echo,
}

/// One packet of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Who sends it.
    pub from: PortName,
    /// Whom it is for.
    pub to: PortName,
    /// Over which IP family.
    pub ipv6: bool,
    /// What it is.
    pub traffic: ProbeTraffic,
}

/// The packets of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// The packets.
    pub probes: Vec<Probe>,
    /// What is not probed, in sentences.
    pub notes: Vec<String>,
}

/// A port with its name.
type Named<'a> = (&'a PortName, &'a Port);

impl Check {
    /// The packets that put the check to the proof, at most `most`.
    pub fn probes(&self, project: &Name, intent: &Intent, most: usize) -> Probes {
        let mut found = Probes::default();
        let mut side = |sides| {
            let ports = Check::ports(sides, project, intent);
            let (trunks, plain): (Vec<_>, Vec<_>) = ports
                .into_iter()
                .partition(|(_, port)| !port.trunk.is_empty());
            let names: Vec<&str> = trunks.iter().map(|(name, _)| name.name.as_str()).collect();
            if !names.is_empty() {
                let sentence = format!("not probed: {}, whose frames carry tags", names.join(", "));
                found.notes.push(sentence);
            }
            plain
        };
        let (from, to) = (side(&self.from), side(&self.to));
        let mut kinds = BTreeSet::new();
        for service in &self.services {
            let of_service: Vec<(bool, ProbeTraffic)> = [false, true]
                .into_iter()
                .flat_map(|ipv6| {
                    traffic(*service, ipv6)
                        .into_iter()
                        .map(move |it| (ipv6, it))
                })
                .collect();
            if of_service.is_empty() {
                found
                    .notes
                    .push(format!("not probed: {service}, which has no probe"));
            }
            kinds.extend(of_service);
        }
        let mut probes = Vec::new();
        for (from, to) in pairs(&from, &to) {
            for (ipv6, traffic) in &kinds {
                let has = |port: &Port| port.addresses.iter().any(|it| it.is_ipv6() == *ipv6);
                if has(from.1) && has(to.1) {
                    probes.push(Probe {
                        from: from.0.clone(),
                        to: to.0.clone(),
                        ipv6: *ipv6,
                        traffic: *traffic,
                    });
                }
            }
        }
        if probes.len() > most {
            let all = probes.len();
            found
                .notes
                .push(format!("{most} of {all} probes were sent"));
            probes.truncate(most);
        }
        found.probes = probes;
        found
    }
}

/// Pairs of which every port of both sides is in one, but for a port with itself.
fn pairs<'a>(from: &[Named<'a>], to: &[Named<'a>]) -> Vec<(Named<'a>, Named<'a>)> {
    let mut pairs = Vec::new();
    let count = if from.is_empty() || to.is_empty() {
        0
    } else {
        from.len().max(to.len())
    };
    for number in 0..count {
        let own = from.get(number % from.len());
        // Two sides with the same ports: each port with the next one.
        let others = [number, number + 1].map(|it| to.get(it % to.len()));
        let mut others = others.into_iter().flatten();
        let other = own.and_then(|own| others.find(|other| other.0 != own.0));
        pairs.extend(own.copied().zip(other.copied()));
    }
    pairs
}

/// What a packet of a service looks like over a family; nothing if it cannot be made.
fn traffic(service: Service, ipv6: bool) -> Vec<ProbeTraffic> {
    let port = |ports: PortRange, usual: u16| match ports {
        ports if ports == PortRange::ALL => usual,
        ports => ports.first(),
    };
    // An echo request is of type 8, over IPv6 of type 128 (RFC 792, RFC 4443).
    let echoes = |kind, request| match kind {
        IcmpKind::All => true,
        IcmpKind::Type(kind) => kind == request,
        IcmpKind::Code(kind, code) => (kind, code) == (request, 0),
    };
    match service {
        Service::Any => vec![
            ProbeTraffic::Echo,
            ProbeTraffic::Tcp(80),
            ProbeTraffic::Udp(80),
        ],
        Service::Tcp(ports) => vec![ProbeTraffic::Tcp(port(ports, 80))],
        Service::Udp(ports) => vec![ProbeTraffic::Udp(port(ports, 80))],
        Service::Icmp(kind) if !ipv6 && echoes(kind, 8) => vec![ProbeTraffic::Echo],
        Service::Icmpv6(kind) if ipv6 && echoes(kind, 128) => vec![ProbeTraffic::Echo],
        Service::Icmp(_) | Service::Icmpv6(_) | Service::Protocol(_) => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::file::StackFile;
    use crate::plan::plan;

    const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.1.0.0/24, \"fd00:1::/64\"] }
  db: { subnets: [10.2.0.0/24] }
ports:
  web-1: { network: web }
  web-2: { network: web }
  web-3: { network: web }
  db-1: { network: db }
  fw: { network: web, trunk: { 7: db } }
groups:
  web: { match: { vm: \"web-*\" } }
checks:
";

    fn probed(check: &str, most: usize) -> (Vec<String>, Vec<String>) {
        let text = format!("{SHOP}  - {check}\n");
        let mut intent = Intent::default();
        let file = StackFile::parse(&text).unwrap();
        for change in plan(&file, &intent).unwrap().changes() {
            intent.apply(&change);
        }
        let check = &file.checks[0];
        let found = check.probes(&file.project, &intent, most);
        let probes = found.probes.iter().map(|it| {
            let family = if it.ipv6 { 6 } else { 4 };
            format!("{} {} {family} {:?}", it.from.name, it.to.name, it.traffic)
        });
        (probes.collect(), found.notes)
    }

    #[test]
    fn every_port_is_in_a_probe_over_each_family() {
        let (probes, notes) = probed(
            "{ from: group/web, to: group/web, port: tcp/8080-8090, expect: allow }",
            100,
        );
        let expected = [
            "web-1 web-2 4 Tcp(8080)",
            "web-1 web-2 6 Tcp(8080)",
            "web-2 web-3 4 Tcp(8080)",
            "web-2 web-3 6 Tcp(8080)",
            "web-3 web-1 4 Tcp(8080)",
            "web-3 web-1 6 Tcp(8080)",
        ];
        assert_eq!(probes, expected);
        assert_eq!(notes, [""; 0]);
        let (probes, _) = probed(
            "{ from: group/web, to: port/db-1, port: [icmp/8, icmpv6], expect: deny }",
            100,
        );
        let expected = [
            "web-1 db-1 4 Echo",
            "web-2 db-1 4 Echo",
            "web-3 db-1 4 Echo",
        ];
        assert_eq!(probes, expected);
    }

    #[test]
    fn what_is_not_probed_is_said() {
        let check = "{ from: group/web, to: network/db, port: [tcp/80, ip/47], expect: deny }";
        let (probes, notes) = probed(check, 2);
        assert_eq!(probes.len(), 2);
        let expected = [
            "not probed: fw, whose frames carry tags",
            "not probed: ip/47, which has no probe",
            "2 of 3 probes were sent",
        ];
        assert_eq!(notes, expected);
        let (probes, _) = probed(
            "{ from: port/web-1, to: port/web-1, port: any, expect: deny }",
            9,
        );
        assert_eq!(probes, [""; 0]);
    }
}
