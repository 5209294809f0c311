//! What only shows when hosts stand side by side.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api::Finding;
use coax_api::finding::Examination;

/// From here on logs and flows of hosts cannot be put in order, in milliseconds.
const NOTED: u64 = 2_000;
/// From here on certificates may not be valid yet, or no more: they begin an hour early.
const WRONG: u64 = 30 * 60_000;

/// What a host said, and when it was asked and answered by the controller's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub host: String,
    pub examination: Examination,
    pub asked: (u64, u64),
}

/// What is wrong with hosts beside each other. `vteps`: where tunnels to a host end.
pub fn compare<'a>(answered: &[Answered], vteps: impl Fn(&str) -> &'a [IpAddr]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = answered.iter().filter_map(clock).collect();
    findings.extend(shared_addresses(answered, vteps));
    findings.extend(shared_macs(answered));
    findings
}

/// The clock was read between question and answer.
fn clock(answered: &Answered) -> Option<Finding> {
    let Answered {
        host,
        examination,
        asked: (before, after),
    } = answered;
    let clock = examination.clock;
    let (offset, way) = if clock < *before {
        (before - clock, "behind")
    } else {
        (clock.saturating_sub(*after), "ahead of")
    };
    let code = match offset {
        0..NOTED => return None,
        NOTED..WRONG => "clock-offset",
        _ => "clock-wrong",
    };
    let comes = match code {
        "clock-offset" => "flows and logs of hosts cannot be put in order",
        _ => "certificates are not valid yet, or no more: the agent loses its controller",
    };
    Some(Finding::new(
        host,
        code,
        "clock",
        format!(
            "the clock of {host} is {} s {way} the controller's: {comes}",
            offset / 1000
        ),
        "timedatectl set-ntp true; see `timedatectl timesync-status`, on host and controller",
    ))
}

/// A tunnel endpoint's address that another host has on a device, too.
fn shared_addresses<'a>(
    answered: &[Answered],
    vteps: impl Fn(&str) -> &'a [IpAddr],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in answered {
        for vtep in vteps(&owner.host) {
            let others = answered.iter().filter(|it| it.host != owner.host);
            for other in others.filter(|it| it.examination.addresses.contains(vtep)) {
                findings.push(Finding::new(
                    &other.host,
                    "vtep-duplicate",
                    vtep.to_string(),
                    format!(
                        "{vtep} is the tunnel endpoint of {}, and {} has the address too: tunnel packets go to the one \
                         or the other",
                        owner.host, other.host
                    ),
                    format!("ip address show to {vtep}; then `ip address del {vtep} dev …`"),
                ));
            }
        }
    }
    findings
}

/// Uplinks with the same MAC address: cloned machines. Switches send to one of them at a time.
fn shared_macs(answered: &[Answered]) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for one in answered {
        for (device, mac) in &one.examination.uplinks {
            owners.entry(mac).or_default().push((&one.host, device));
        }
    }
    let mut findings = Vec::new();
    for (mac, owners) in owners {
        let Some(((first, _), rest)) = owners.split_first() else {
            continue;
        };
        // Members of a bond have one address on purpose.
        for (host, device) in rest.iter().filter(|(host, _)| host != first) {
            findings.push(Finding::new(
                host,
                "mac-duplicate",
                *device,
                format!(
                    "the uplink {device} of {host} has the MAC address {mac}, which {first} has too"
                ),
                format!("ip link set {device} address …, with an address of its own"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, last: u8) -> Answered {
        Answered {
            host: name.into(),
            examination: Examination {
                clock: 1_000_500,
                addresses: vec![[10, 0, 0, last].into()],
                uplinks: vec![("eth0".into(), format!("02:00:00:00:00:0{last}"))],
                ..Examination::default()
            },
            asked: (1_000_000, 1_001_000),
        }
    }

    fn codes(answered: &[Answered]) -> Vec<(String, String)> {
        let (one, two) = ([IpAddr::from([10, 0, 0, 1])], [IpAddr::from([10, 0, 0, 2])]);
        let vteps = |host: &str| if host == "hv1" { &one[..] } else { &two[..] };
        let found = compare(answered, vteps);
        found.into_iter().map(|it| (it.host, it.code)).collect()
    }

    fn is(host: &str, code: &str) -> Vec<(String, String)> {
        vec![(host.to_owned(), code.to_owned())]
    }

    #[test]
    fn hosts_that_differ_are_well() {
        assert_eq!(codes(&[host("hv1", 1), host("hv2", 2)]), []);
    }

    #[test]
    fn clocks_are_compared_with_what_the_question_took() {
        for (clock, code) in [
            (1_000_000 - 1_999, None),
            (1_001_000 + 1_999, None),
            (1_000_000 - 2_000, Some("clock-offset")),
            (1_001_000 + 60_000, Some("clock-offset")),
            (1_001_000 + 30 * 60_000, Some("clock-wrong")),
        ] {
            let mut hv1 = host("hv1", 1);
            hv1.examination.clock = clock;
            let expected = code.map_or(Vec::new(), |code| is("hv1", code));
            assert_eq!(codes(&[hv1, host("hv2", 2)]), expected, "{clock}");
        }
    }

    #[test]
    fn addresses_that_two_have_are_found_at_the_second() {
        let mut hv2 = host("hv2", 2);
        hv2.examination.addresses.push([10, 0, 0, 1].into());
        assert_eq!(codes(&[host("hv1", 1), hv2]), is("hv2", "vtep-duplicate"));
        let mut hv2 = host("hv2", 2);
        hv2.examination.uplinks[0].1 = "02:00:00:00:00:01".into();
        assert_eq!(codes(&[host("hv1", 1), hv2]), is("hv2", "mac-duplicate"));
    }
}
