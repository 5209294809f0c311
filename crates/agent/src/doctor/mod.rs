//! What may be wrong with this host: gathered as it is, judged without looking at anything else, and probed where only a packet
//! tells.
//!
//! | module | holds |
//! | --- | --- |
//! | [`facts`] | what the kernel says |
//! | [`judge`] | what follows from it; a pure function |
//! | `paths` | packets that cross the fabric in one piece |
//!
//! The agent looks at its start and every [`AGAIN`] at what costs little, and reports what blocks. A controller that examines
//! its hosts asks for the rest: offloads, filters, ways to other hosts.

pub mod facts;
pub mod judge;
mod paths;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coax_api::Finding;
use coax_api::finding::{Ends, Examination};
use coax_netlink::Netlink;

use self::facts::{Depth, Facts};
pub use self::judge::judge;
pub(crate) use self::paths::send;
use crate::input::Config;

/// How often an agent looks.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);

/// What is to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name of the host.
    pub host: String,
    /// Devices that lead to the fabric.
    pub uplinks: Vec<String>,
    /// Where tunnels to it end.
    pub vteps: Vec<IpAddr>,
    /// Ways to other hosts.
    pub ways: Vec<Ends>,
    /// Bytes of the largest tunnel packet, from its IP header on; 0: not known.
    pub needed: u32,
}

impl Subject {
    pub(crate) fn of(config: &Config) -> Self {
        let ipv4 = config.vtep_ipv4.map(IpAddr::from);
        let ipv6 = config.vtep_ipv6.map(IpAddr::from);
        Self {
            host: config.host.clone(),
            uplinks: config.uplinks.clone(),
            vteps: ipv4.into_iter().chain(ipv6).collect(),
            ..Self::default()
        }
    }
}

/// What an agent finds by itself, again and again.
pub(crate) async fn look(
    netlink: &Netlink,
    subject: &Subject,
) -> Result<Vec<Finding>, coax_netlink::Error> {
    let facts = Facts::gather(netlink, subject, Depth::Shallow).await?;
    Ok(judge(subject, &facts))
}

/// Everything that can be seen from here.
pub async fn examine(
    netlink: &Netlink,
    subject: &Subject,
) -> Result<Examination, coax_netlink::Error> {
    let facts = Facts::gather(netlink, subject, Depth::Whole).await?;
    let mac = |name: &String| {
        facts
            .devices
            .get(name)
            .and_then(|device| device.mac.clone())
    };
    let uplinks = subject.uplinks.iter();
    let uplinks = uplinks.filter_map(|name| Some((name.clone(), mac(name)?)));
    let uplinks = uplinks.collect();
    let findings = judge(subject, &facts);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(Examination {
        findings,
        clock: u64::try_from(clock.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        addresses: facts.addresses,
        uplinks,
    })
}
