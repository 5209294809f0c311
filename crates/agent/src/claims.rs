//! Which device claims to be which port.
//!
//! A device whose alias is `coax:PROJECT/PORT` claims that port. The alias stays with the device, so claims survive a restart
//! of the agent, work for veth and TAP devices alike, and anyone who may administer links can make them. If
//! several devices claim one port, the first one has it until it goes; the others wait, and are reported.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::Device;

/// What an alias starts with that makes a device a port.
const PREFIX: &str = "coax:";

/// All devices of the host and their claims.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    devices: BTreeMap<u32, Device>,
    /// For each port the device that has it.
    holders: BTreeMap<String, u32>,
}

/// What a device event changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimChange {
    /// Ports that have a device now, or another one than before, or whose device changed.
    pub plugged: BTreeSet<String>,
    /// Ports that have no device any more.
    pub unplugged: BTreeSet<String>,
}

impl Claims {
    /// A device appeared or changed.
    pub fn update(&mut self, device: Device) -> ClaimChange {
        let ifindex = device.ifindex;
        if self.devices.get(&ifindex) == Some(&device) {
            return ClaimChange::default();
        }
        let before = self.devices.insert(ifindex, device);
        let mut change = ClaimChange::default();
        let port = self.port_claimed_by(ifindex);
        let former = before.as_ref().and_then(claimed_port);
        if let Some(former) = former.filter(|former| Some(*former) != port.as_deref()) {
            self.let_go(former, ifindex, &mut change);
        }
        if let Some(port) = port {
            let holder = *self.holders.entry(port.clone()).or_insert(ifindex);
            if holder == ifindex {
                change.plugged.insert(port);
            }
        }
        change
    }

    /// A device is gone.
    pub fn remove(&mut self, ifindex: u32) -> ClaimChange {
        let mut change = ClaimChange::default();
        if let Some(device) = self.devices.remove(&ifindex)
            && let Some(port) = claimed_port(&device)
        {
            self.let_go(port, ifindex, &mut change);
        }
        change
    }

    /// Of several devices that claim the same port, gives it to this one.
    pub fn prefer(&mut self, ifindex: u32) {
        if let Some(port) = self.port_claimed_by(ifindex) {
            self.holders.insert(port, ifindex);
        }
    }

    /// All devices that claim a port, whether they have it or not.
    pub fn claimants(&self) -> impl Iterator<Item = (&str, u32)> {
        self.devices
            .values()
            .filter_map(|device| Some((claimed_port(device)?, device.ifindex)))
    }

    /// The device that has the port.
    pub fn device_of(&self, port: &str) -> Option<&Device> {
        self.holders
            .get(port)
            .and_then(|ifindex| self.devices.get(ifindex))
    }

    /// Ports with the device that has them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Device)> {
        self.holders.iter().filter_map(|(port, ifindex)| {
            self.devices
                .get(ifindex)
                .map(|device| (port.as_str(), device))
        })
    }

    /// True if the device has a port.
    pub fn holds_port(&self, ifindex: u32) -> bool {
        let port = self.devices.get(&ifindex).and_then(claimed_port);
        port.is_some_and(|port| self.holders.get(port) == Some(&ifindex))
    }

    /// The device of that name.
    pub fn device_named(&self, name: &str) -> Option<&Device> {
        self.devices.values().find(|device| device.name == name)
    }

    /// Claims that cannot be granted: the object they are about, and why.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for device in self.devices.values() {
            let name = &device.name;
            match (claimed_port(device), claim_text(device)) {
                (Some(port), _) if self.holders.get(port) != Some(&device.ifindex) => {
                    let holder = self.device_of(port).map_or("another", |device| &device.name);
                    problems.push((
                        port.to_owned(),
                        format!("device {name} claims this port, but device {holder} has it"),
                    ));
                }
                (None, Some(text)) => problems.push((
                    format!("device {name}"),
                    format!("its alias claims `{text}`, which is not a port's full name like `shop/web-1`"),
                )),
                _ => {}
            }
        }
        problems
    }

    fn port_claimed_by(&self, ifindex: u32) -> Option<String> {
        self.devices
            .get(&ifindex)
            .and_then(claimed_port)
            .map(str::to_owned)
    }

    /// The device does not claim the port any more; another one that does may have it now.
    fn let_go(&mut self, port: &str, ifindex: u32, change: &mut ClaimChange) {
        if self.holders.get(port) != Some(&ifindex) {
            return;
        }
        let next = self
            .devices
            .values()
            .find(|device| claimed_port(device) == Some(port));
        match next.map(|device| device.ifindex) {
            Some(next) => {
                self.holders.insert(port.to_owned(), next);
                change.plugged.insert(port.to_owned());
            }
            None => {
                self.holders.remove(port);
                change.unplugged.insert(port.to_owned());
            }
        }
    }
}

fn claim_text(device: &Device) -> Option<&str> {
    device
        .alias
        .as_deref()
        .and_then(|alias| alias.strip_prefix(PREFIX))
}

fn claimed_port(device: &Device) -> Option<&str> {
    claim_text(device).filter(|text| match text.split_once('/') {
        Some((project, port)) => !project.is_empty() && !port.is_empty() && !port.contains('/'),
        None => false,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn device(ifindex: u32, alias: &str) -> Device {
        Device {
            ifindex,
            name: format!("tap{ifindex}"),
            alias: (!alias.is_empty()).then(|| alias.to_owned()),
            mtu: 1500,
            veth_into_namespace: false,
        }
    }

    fn names(ports: &BTreeSet<String>) -> Vec<&str> {
        ports.iter().map(String::as_str).collect()
    }

    #[test]
    fn an_alias_plugs_and_unplugs() {
        let mut claims = Claims::default();
        assert_eq!(claims.update(device(1, "")), ClaimChange::default());
        let change = claims.update(device(1, "coax:p/a"));
        assert_eq!(
            (names(&change.plugged), names(&change.unplugged)),
            (vec!["p/a"], vec![])
        );
        assert_eq!(claims.update(device(1, "coax:p/a")), ClaimChange::default());
        let change = claims.update(device(1, "coax:p/b"));
        assert_eq!(
            (names(&change.plugged), names(&change.unplugged)),
            (vec!["p/b"], vec!["p/a"])
        );
        let change = claims.remove(1);
        assert_eq!(
            (names(&change.plugged), names(&change.unplugged)),
            (vec![], vec!["p/b"])
        );
        assert_eq!(claims.remove(1), ClaimChange::default());
    }

    #[test]
    fn the_first_device_has_the_port_and_the_next_one_waits() {
        let mut claims = Claims::default();
        claims.update(device(5, "coax:p/a"));
        assert_eq!(claims.update(device(3, "coax:p/a")), ClaimChange::default());
        assert_eq!(claims.device_of("p/a").unwrap().ifindex, 5);
        assert!(claims.holds_port(5) && !claims.holds_port(3));
        let problems = claims.problems();
        assert_eq!(problems[0].0, "p/a");
        assert!(problems[0].1.contains("tap3") && problems[0].1.contains("tap5"));
        let change = claims.remove(5);
        assert_eq!(
            (names(&change.plugged), names(&change.unplugged)),
            (vec!["p/a"], vec![])
        );
        assert_eq!(claims.device_of("p/a").unwrap().ifindex, 3);
        assert!(claims.problems().is_empty());
    }

    #[test]
    fn an_alias_that_is_no_port_name_is_reported() {
        for alias in ["coax:", "coax:x", "coax:/x", "coax:x/", "coax:a/b/c"] {
            let mut claims = Claims::default();
            assert_eq!(
                claims.update(device(1, alias)),
                ClaimChange::default(),
                "{alias}"
            );
            assert_eq!(claims.problems()[0].0, "device tap1", "{alias}");
        }
        let mut claims = Claims::default();
        claims.update(device(1, "uplink to the rack switch"));
        assert!(claims.problems().is_empty());
    }
}
