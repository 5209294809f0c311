//! What the kernel says about this host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use coax_netlink::{Netlink, UdpFlow, read_sysctl};
use coax_wire::vxlan::Vxlan;
use nix::sys::statfs::{FsType, statfs};
use nix::sys::utsname::uname;
use tokio::process::Command;

use super::Subject;

/// Where tables and programs are pinned.
const BPFFS: &str = "/sys/fs/bpf";
/// Magic number of that file system (`BPF_FS_MAGIC`).
const BPFFS_MAGIC: FsType = FsType(0xcafe_4a11);
/// Flows whose ways are asked for, for each other host: enough to meet every path of a few.
const FLOWS: u16 = 32;
/// The first source port of theirs.
const FIRST_PORT: u16 = 49_152;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What costs a few system calls.
    Shallow,
    /// Programs too, and the ways to other hosts.
    Whole,
}

/// An uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uplink {
    /// Switched on, and something is plugged in.
    pub up: bool,
    /// Its MTU.
    pub mtu: u32,
    /// Its MAC address.
    pub mac: Option<String>,
    /// `rp_filter` as it counts: 0 off, 1 strict, 2 loose.
    pub rp_filter: u8,
    /// Offloads that are off and make tunnel packets slow.
    pub offloads_off: Vec<String>,
}

/// Everything that [`super::judge`] looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// As `uname -r` says.
    pub kernel: String,
    /// A bpffs is where tables are pinned.
    pub bpffs: bool,
    /// Programs are compiled.
    pub jit: bool,
    /// The uplinks that exist.
    pub devices: BTreeMap<String, Uplink>,
    /// All addresses of devices, but those of every machine.
    pub addresses: Vec<IpAddr>,
    /// Equal-cost paths are chosen by ports too, for IPv4 and IPv6.
    pub multipath_by_ports: [bool; 2],
    /// For each way that was asked for, the devices that the kernel would send by.
    pub ways: Vec<(IpAddr, BTreeSet<String>)>,
    /// Rules of nftables that drop tunnel packets.
    pub filter_rules: Vec<String>,
}

impl Facts {
    /// Asks the kernel.
    pub async fn gather(
        netlink: &Netlink,
        subject: &Subject,
        depth: Depth,
    ) -> Result<Self, coax_netlink::Error> {
        let names = netlink.links().await?;
        let known = |name: &str| names.iter().find(|link| link.name == *name);
        let mut devices = BTreeMap::new();
        for name in &subject.uplinks {
            let Some(link) = known(name) else { continue };
            let uplink = Uplink {
                // The operational state follows up to a second later.
                up: link.up && link.carrier,
                mtu: link.mtu,
                mac: link.mac.map(|mac| coax_wire::MacAddress(mac).to_string()),
                rp_filter: rp_filter(name),
                // Virtual devices have other ones, and none that costs.
                offloads_off: match (depth, &link.kind) {
                    (Depth::Whole, None) => offloads_off(name).await,
                    _ => Vec::new(),
                },
            };
            devices.insert(name.clone(), uplink);
        }
        let addresses = netlink.addresses(None).await?.into_iter();
        let addresses = addresses.map(|(_, net)| net.addr());
        let mut facts = Self {
            kernel: uname().map_or_else(
                |_| String::new(),
                |it| it.release().to_string_lossy().into_owned(),
            ),
            bpffs: statfs(Path::new(BPFFS)).is_ok_and(|it| it.filesystem_type() == BPFFS_MAGIC),
            // Kernels without the interpreter have no such setting.
            jit: read_sysctl("net.core.bpf_jit_enable").map_or(true, |value| value != "0"),
            devices,
            addresses: addresses
                .filter(|address| !is_everywhere(address))
                .collect(),
            multipath_by_ports: ["ipv4", "ipv6"].map(by_ports),
            ..Self::default()
        };
        if depth == Depth::Whole {
            for ends in &subject.ways {
                let mut by = BTreeSet::new();
                for port in FIRST_PORT..FIRST_PORT + FLOWS {
                    let flow = UdpFlow {
                        source: ends.from,
                        destination: ends.to,
                        source_port: port,
                        destination_port: Vxlan::PORT,
                    };
                    if let Some(path) = netlink.path_of(&flow).await? {
                        let link = names.iter().find(|link| link.index == path.link);
                        by.extend(link.map(|link| link.name.clone()));
                    }
                }
                facts.ways.push((ends.to, by));
            }
            facts.filter_rules = filter_rules().await;
        }
        Ok(facts)
    }
}

/// Addresses that many machines have.
fn is_everywhere(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// The kernel takes the larger one of that of the device and that of all.
fn rp_filter(device: &str) -> u8 {
    let read = |name: &str| {
        let value = read_sysctl(&format!("net/ipv4/conf/{name}/rp_filter"));
        value.ok().and_then(|value| value.parse::<u8>().ok())
    };
    let (all, own) = (read("all"), read(device));
    all.unwrap_or(0).max(own.unwrap_or(0))
}

/// Whether equal-cost paths are chosen by ports: policies 1 (ports) and 3 (a mask, taken for chosen with care).
fn by_ports(family: &str) -> bool {
    let policy = read_sysctl(&format!("net.{family}.fib_multipath_hash_policy"));
    // Kernels without equal-cost paths have no such setting.
    policy.map_or(true, |policy| policy == "1" || policy == "3")
}

/// Offloads that matter for tunnels, if `ethtool` is installed to tell.
async fn offloads_off(device: &str) -> Vec<String> {
    let output = Command::new("ethtool").args(["-k", device]).output().await;
    match output {
        Ok(output) if output.status.success() => {
            offloads_in(&String::from_utf8_lossy(&output.stdout))
        }
        _ => Vec::new(),
    }
}

/// Offloads that `ethtool -k` shows as off, although they could be on.
pub(super) fn offloads_in(text: &str) -> Vec<String> {
    const WANTED: [&str; 3] = [
        "generic-receive-offload",
        "tcp-segmentation-offload",
        "generic-segmentation-offload",
    ];
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let off = lines.filter(|(name, value)| WANTED.contains(&name.trim()) && value.trim() == "off");
    off.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Rules that drop tunnel packets, if `nft` is installed to tell.
async fn filter_rules() -> Vec<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().await;
    match output {
        Ok(output) if output.status.success() => rules_in(&String::from_utf8_lossy(&output.stdout)),
        _ => Vec::new(),
    }
}

/// Rules that name the port of tunnels and end in a refusal.
pub(super) fn rules_in(ruleset: &str) -> Vec<String> {
    let words = |line: &str| -> Vec<String> {
        let parts = line.split(|c: char| c.is_whitespace() || c == ',');
        parts.map(str::to_owned).collect()
    };
    let port = Vxlan::PORT.to_string();
    let refusals = ruleset.lines().filter(|line| {
        let words = words(line);
        let has = |word: &str| words.iter().any(|it| it == word);
        has(&port) && (has("drop") || has("reject"))
    });
    refusals.map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_drop_tunnels_are_found() {
        let ruleset = "table inet filter {\n\tchain output {\n\t\ttype filter hook output priority filter;\n\
                       \t\tudp dport 4789 counter packets 0 bytes 0 drop\n\t\tudp dport { 53, 4789 } reject\n\
                       \t\tudp dport 4789 accept\n\t\ttcp dport 22 drop\n\t\tudp dport 47890 drop\n\t}\n}\n";
        assert_eq!(rules_in(ruleset).len(), 2, "{:?}", rules_in(ruleset));
    }

    #[test]
    fn offloads_that_cannot_be_switched_on_are_left_alone() {
        let shown = "Features for eth0:\ntcp-segmentation-offload: off\n\ttx-tcp-segmentation: off\n\
                     generic-receive-offload: on\ngeneric-segmentation-offload: off [fixed]\n";
        assert_eq!(offloads_in(shown), ["tcp-segmentation-offload"]);
    }
}
