//! From facts to findings.

use std::collections::BTreeSet;

use coax_api::Finding;

use super::Subject;
use super::facts::Facts;

/// The oldest kernel: what the programs use is there since.
const OLDEST: (u32, u32) = (6, 1);

/// What is wrong with the host that these are the facts of.
pub fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let judge = Judge { subject, facts };
    let mut findings = judge.kernel();
    findings.extend(judge.uplinks());
    findings.extend(judge.addresses());
    findings.extend(judge.ways());
    findings.extend(judge.several_uplinks());
    findings.extend(judge.speed());
    findings
}

struct Judge<'a> {
    subject: &'a Subject,
    facts: &'a Facts,
}

impl Judge<'_> {
    fn finding(
        &self,
        code: &'static str,
        about: impl Into<String>,
        cause: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding::new(&self.subject.host, code, about, cause, mend)
    }

    fn kernel(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let release = &self.facts.kernel;
        let mut parts = release.split(|c: char| !c.is_ascii_digit());
        let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
        // A release that is not understood is not called too old.
        if let (Some(major), Some(minor)) = (number(), number())
            && (major, minor) < OLDEST
        {
            findings.push(self.finding(
                "kernel-too-old",
                release,
                format!(
                    "the kernel is {release}; the programs of the vSwitch need {}.{} or later",
                    OLDEST.0, OLDEST.1
                ),
                "apt install linux-image-amd64 && reboot",
            ));
        }
        if !self.facts.bpffs {
            findings.push(self.finding(
                "no-bpffs",
                "/sys/fs/bpf",
                "no bpf file system is mounted at /sys/fs/bpf: tables and programs would not outlive the agent",
                "mount -t bpf bpf /sys/fs/bpf",
            ));
        }
        if !self.facts.jit {
            findings.push(self.finding(
                "bpf-jit-off",
                "net.core.bpf_jit_enable",
                "the kernel interprets programs instead of compiling them: every packet costs many times as much",
                "sysctl -w net.core.bpf_jit_enable=1",
            ));
        }
        findings
    }

    fn uplinks(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let uplinks = &self.subject.uplinks;
        let is_up = |name: &&String| self.facts.devices.get(*name).is_some_and(|it| it.up);
        let up = uplinks.iter().filter(is_up).count();
        for name in uplinks.iter().filter(|name| !is_up(name)) {
            let present = self.facts.devices.contains_key(name);
            let what = match present {
                true => format!("the uplink {name} is down"),
                false => format!("the uplink {name} does not exist"),
            };
            let mend = match present {
                true => format!(
                    "ip link set {name} up; see whether its cable leads to a leaf that is up"
                ),
                false => "ip link; then name the right device as `uplink` in /etc/coax/agent.yaml"
                    .to_owned(),
            };
            let (code, cause) = match up {
                0 => (
                    "uplinks-down",
                    format!("{what}, and no other one is up: no packet leaves the host"),
                ),
                _ => (
                    "uplink-down",
                    format!("{what}: the others carry its packets, without redundancy"),
                ),
            };
            findings.push(self.finding(code, name, cause, mend));
        }
        let needed = self.subject.needed;
        for (name, device) in &self.facts.devices {
            if device.mtu < needed {
                findings.push(self.finding(
                    "uplink-mtu",
                    name,
                    format!(
                        "the uplink {name} carries packets of {} bytes, the largest network needs {needed}: \
                         its full packets are lost",
                        device.mtu
                    ),
                    format!("ip link set {name} mtu {needed}"),
                ));
            }
        }
        findings
    }

    fn addresses(&self) -> Vec<Finding> {
        let vteps = self.subject.vteps.iter();
        let absent = vteps.filter(|vtep| !self.facts.addresses.contains(vtep));
        let found = absent.map(|vtep| {
            let bits = if vtep.is_ipv4() { 32 } else { 128 };
            self.finding(
                "vtep-missing",
                vtep.to_string(),
                format!(
                    "no device has the tunnel endpoint's address {vtep}: nobody answers for it"
                ),
                format!("ip address add {vtep}/{bits} dev lo"),
            )
        });
        found.collect()
    }

    fn ways(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (to, by) in &self.facts.ways {
            if by.is_empty() {
                findings.push(self.finding(
                    "vtep-unreachable",
                    to.to_string(),
                    format!("no route leads to the tunnel endpoint {to}"),
                    format!("ip route get {to}"),
                ));
            }
            let elsewhere: Vec<&String> = by
                .iter()
                .filter(|name| !self.subject.uplinks.contains(name))
                .collect();
            if let Some(device) = elsewhere.first() {
                findings.push(self.finding(
                    "path-elsewhere",
                    to.to_string(),
                    format!(
                        "the way to the tunnel endpoint {to} leads by {device}, which is no uplink: what comes \
                         back by it is not taken out of its tunnel"
                    ),
                    format!("ip route get {to}; or name {device} as `uplink` in /etc/coax/agent.yaml"),
                ));
            }
        }
        findings
    }

    /// What only matters where packets have a choice.
    fn several_uplinks(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.subject.uplinks.len() < 2 {
            return findings;
        }
        let used: BTreeSet<&String> = self.facts.ways.iter().flat_map(|(_, by)| by).collect();
        let by_ports = self.facts.multipath_by_ports;
        let families = [("ipv4", by_ports[0]), ("ipv6", by_ports[1])];
        let has = [
            self.subject.vteps.iter().any(|vtep| vtep.is_ipv4()),
            self.subject.vteps.iter().any(|vtep| vtep.is_ipv6()),
        ];
        let mut hashed = true;
        for ((family, by_ports), _) in families.iter().zip(has).filter(|(_, has)| *has) {
            if *by_ports {
                continue;
            }
            hashed = false;
            findings.push(self.finding(
                "multipath-hash",
                format!("net.{family}.fib_multipath_hash_policy"),
                "equal-cost paths are chosen by addresses alone: everything between two hosts takes one of them",
                format!("sysctl -w net.{family}.fib_multipath_hash_policy=1"),
            ));
        }
        for (name, device) in &self.facts.devices {
            // With the wrong hash few hosts would leave uplinks idle by chance.
            if hashed && device.up && !self.facts.ways.is_empty() && !used.contains(name) {
                findings.push(self.finding(
                    "uplink-unused",
                    name,
                    format!(
                        "no packet to another host leaves by the uplink {name}, although it is up: the routes have \
                         no equal-cost path there"
                    ),
                    format!("ip route; add a next hop by {name} to the route to the other hosts"),
                ));
            }
            if device.rp_filter == 1 {
                findings.push(self.finding(
                    "rp-filter",
                    name,
                    format!(
                        "strict reverse path filtering on {name} drops what comes by another uplink than the \
                         answer would leave by: the agent's stream, and errors of the fabric"
                    ),
                    format!(
                        "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=2"
                    ),
                ));
            }
        }
        findings
    }

    fn speed(&self) -> Vec<Finding> {
        let devices = self.facts.devices.iter();
        let slow = devices.filter(|(_, device)| !device.offloads_off.is_empty());
        let mut findings: Vec<Finding> = slow
            .map(|(name, device)| {
                let off = device.offloads_off.join(", ");
                let on: Vec<String> = device
                    .offloads_off
                    .iter()
                    .map(|offload| format!("{offload} on"))
                    .collect();
                self.finding(
                    "offload-off",
                    name,
                    format!("{off} of {name} is off: large sends of VMs are cut into single packets early"),
                    format!("ethtool -K {name} {}", on.join(" ")),
                )
            })
            .collect();
        findings.extend(self.facts.filter_rules.iter().map(|rule| {
            self.finding(
                "filter-rule",
                "nftables",
                format!(
                    "a rule of nftables drops tunnel packets: `{rule}`. The vSwitch passes it by, but the hosts' \
                     own tools and other tunnels do not"
                ),
                "nft -a list ruleset; then `nft delete rule …` with its handle",
            )
        }));
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Uplink;
    use super::*;

    fn healthy() -> (Subject, Facts) {
        let subject = Subject {
            host: "hv1".into(),
            uplinks: vec!["eth0".into(), "eth1".into()],
            vteps: vec![[10, 0, 0, 1].into()],
            needed: 1600,
            ..Subject::default()
        };
        let uplink = Uplink {
            up: true,
            mtu: 1600,
            ..Uplink::default()
        };
        let both: BTreeSet<String> = ["eth0".into(), "eth1".into()].into();
        let facts = Facts {
            kernel: "6.1.0-13-amd64".into(),
            bpffs: true,
            jit: true,
            devices: [("eth0".into(), uplink.clone()), ("eth1".into(), uplink)].into(),
            addresses: vec![[10, 0, 0, 1].into()],
            multipath_by_ports: [true, false],
            ways: vec![([10, 0, 0, 2].into(), both)],
            filter_rules: Vec::new(),
        };
        (subject, facts)
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong() {
        let (subject, facts) = healthy();
        assert_eq!(judge(&subject, &facts), []);
    }

    #[test]
    fn each_fault_is_named_and_nothing_else() {
        type Fault = fn(&mut Facts);
        fn way(facts: &mut Facts) -> &mut BTreeSet<String> {
            &mut facts.ways[0].1
        }
        fn uplink(facts: &mut Facts) -> &mut Uplink {
            facts.devices.entry("eth1".into()).or_default()
        }
        let faults: [(&[&str], Fault); 14] = [
            (&["kernel-too-old"], |it| it.kernel = "5.10.0".into()),
            (&["no-bpffs"], |it| it.bpffs = false),
            (&["bpf-jit-off"], |it| it.jit = false),
            (&["uplink-down"], |it| uplink(it).up = false),
            (&["uplinks-down", "uplinks-down"], |it| it.devices.clear()),
            (&["uplink-mtu"], |it| uplink(it).mtu = 1500),
            (&["vtep-missing"], |it| it.addresses.clear()),
            (
                &["vtep-unreachable", "uplink-unused", "uplink-unused"],
                |it| way(it).clear(),
            ),
            (&["path-elsewhere"], |it| way(it).extend(["mgmt".into()])),
            (&["uplink-unused"], |it| {
                way(it).retain(|name| name != "eth1")
            }),
            (&["multipath-hash"], |it| it.multipath_by_ports[0] = false),
            (&["rp-filter"], |it| uplink(it).rp_filter = 1),
            (&["offload-off"], |it| {
                uplink(it).offloads_off = vec!["gro".into()]
            }),
            (&["filter-rule"], |it| {
                it.filter_rules = vec!["udp dport 4789 drop".into()]
            }),
        ];
        for (expected, fault) in faults {
            let (subject, mut facts) = healthy();
            fault(&mut facts);
            let found = judge(&subject, &facts);
            let codes: Vec<&str> = found.iter().map(|it| it.code.as_str()).collect();
            assert_eq!(codes, expected, "{found:?}");
            assert!(
                found
                    .iter()
                    .all(|it| !it.mend.is_empty() && it.host == "hv1")
            );
        }
    }

    #[test]
    fn later_kernels_are_not_too_old() {
        let (subject, mut facts) = healthy();
        for release in ["6.1", "6.18.5", "7.0-rc1", "10.2.1", "unknown"] {
            facts.kernel = release.into();
            assert_eq!(judge(&subject, &facts), [], "{release}");
        }
    }
}
