//! What could not be done, in words that name the object and the reason.

use std::collections::BTreeSet;

use coax_api::Finding;
use coax_api::agent::Problem;
use coax_api::finding::Severity;

use super::Core;
use super::reconcile::Subject;

impl Core {
    /// All present problems, sorted.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<(String, String)> = self.claims.problems();
        for (subject, failing) in &self.failing {
            let object = self.subject_name(*subject);
            for (reason, steps) in &failing.reasons {
                problems.push((
                    object.clone(),
                    format!("{steps} changes not made: {reason}"),
                ));
            }
        }
        for (port, reason) in &self.refused {
            problems.push((port.clone(), format!("refused by the controller: {reason}")));
        }
        for port in &self.without_slot {
            let most = self.config.capacity.ports;
            let reason = format!(
                "table `ports` is full ({most} rows): raise it with `--capacity ports=…` and restart the agent"
            );
            problems.push((port.clone(), reason));
        }
        for (network, reasons) in &self.row_problems {
            let object = self.subject_name(Subject::Network(*network));
            problems.extend(
                reasons
                    .iter()
                    .map(|reason| (object.clone(), reason.clone())),
            );
        }
        for (project, reason) in self.policies.problems() {
            problems.push((format!("firewall {project}"), reason.to_string()));
        }
        for (subject, reason) in &self.behind {
            problems.push((self.subject_name(*subject), reason.clone()));
        }
        for name in &self.config.uplinks {
            if self.claims.device_named(name).is_none() {
                problems.push((format!("uplink {name}"), "there is no such device".into()));
            }
        }
        if let Some(reason) = &self.cache_problem {
            problems.push(("cache".into(), reason.clone()));
        }
        problems.extend(self.small_devices());
        problems.sort();
        let problems = problems.into_iter().map(|(object, reason)| Problem {
            object,
            reason,
            code: String::new(),
        });
        let found = self.findings.iter().map(|finding| Problem {
            object: finding.about.clone(),
            reason: format!("{}; `{}`", finding.cause, finding.mend),
            code: finding.code.clone(),
        });
        found.chain(self.guard_problems()).chain(problems).collect()
    }

    /// Notes what blocks; what is only a warning is told to those who ask.
    pub(super) fn examined(&mut self, findings: Vec<Finding>) {
        let blocking = |finding: &Finding| finding.severity == Severity::Blocking;
        let findings: Vec<Finding> = findings.into_iter().filter(blocking).collect();
        let known: BTreeSet<&str> = self.findings.iter().map(|it| it.code.as_str()).collect();
        for finding in &findings {
            if !known.contains(finding.code.as_str()) {
                let Finding {
                    code, cause, mend, ..
                } = finding;
                tracing::error!(code, cause, mend, "this host is not ready");
            }
        }
        self.findings = findings;
    }

    /// Devices that cannot take the largest packet of their network.
    fn small_devices(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.claims.iter().filter_map(|(port, device)| {
            let networks = self.slices.networks_of(port);
            let params = networks.filter_map(|network| self.slices.get(network)?.params.as_ref());
            let wanted = params.map(|params| params.mtu).max()?;
            (device.mtu < wanted).then(|| {
                let reason = format!(
                    "device {} has an MTU of {}, the network's is {wanted}: larger packets to this port are lost; \
                     `ip link set {} mtu {wanted}`",
                    device.name, device.mtu, device.name
                );
                (port.to_owned(), reason)
            })
        })
    }

    pub(super) fn subject_name(&self, subject: Subject) -> String {
        match subject {
            Subject::Host => "host".into(),
            Subject::Devices => "devices".into(),
            Subject::Leftovers => "policies".into(),
            Subject::Policy(number) => match self.policies.project(number) {
                Some(project) => format!("firewall {project}"),
                None => format!("firewall {number}"),
            },
            Subject::Network(network) | Subject::Members(network) => match self.slices.get(network)
            {
                Some(slice) => slice.full_name(),
                None => format!("network {network}"),
            },
            Subject::Router(number) => match self.slices.router(number) {
                Some(slice) => slice.full_name(),
                None => format!("router {number}"),
            },
        }
    }
}
