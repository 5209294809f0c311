//! The law that no frame vanishes, checked from the outside by the counters that everybody can read:
//! on every host, frames in plus copies made = frames out + frames flooded + frames
//! punted to the agent + drops by reason.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coax_api::{Client, Counters};
use serde::Serialize;

use crate::error::Error;

/// Name of a host's fabric side among its ports.
pub const FABRIC: &str = "fabric";
/// Why a frame is dropped that comes from a VM's device without a port.
const UNKNOWN_PORT: &str = "unknown-port";
/// Between two looks at counters that are still moving.
const POLL: Duration = Duration::from_millis(50);

/// The books of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Frames in, from all VMs and the fabric.
    pub received: u64,
    /// Copies made of flooded frames.
    pub copies: u64,
    /// Frames out, to all VMs and the fabric.
    pub sent: u64,
    /// Frames that were replaced by their copies.
    pub flooded: u64,
    /// Frames that the agent got to answer.
    pub punted: u64,
    /// Frames dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Of `received`: from the fabric.
    pub from_fabric: u64,
    /// Of `sent`: to the fabric.
    pub to_fabric: u64,
}

impl Books {
    /// What is missing: positive if frames vanished, negative if they came from nowhere.
    pub fn difference(&self) -> i128 {
        let wide = i128::from;
        let dropped: i128 = self.drops.values().copied().map(wide).sum();
        wide(self.received) + wide(self.copies)
            - wide(self.sent)
            - wide(self.flooded)
            - wide(self.punted)
            - dropped
    }
}

/// The books of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// By host.
    pub hosts: BTreeMap<String, Books>,
    /// Hosts that did not tell, and why.
    pub missing: BTreeMap<String, String>,
}

impl Ledger {
    /// Adds up counters.
    pub fn of(counters: &Counters) -> Self {
        let mut ledger = Self::default();
        for port in &counters.ports {
            let books = ledger.hosts.entry(port.host.clone()).or_default();
            let count = &port.counters;
            books.received += count.rx_frames;
            books.copies += count.copies;
            books.sent += count.tx_frames;
            books.flooded += count.flooded;
            books.punted += count.punted;
            for drop in &count.drops {
                *books.drops.entry(drop.reason.clone()).or_default() += drop.count;
            }
            if count.port == FABRIC {
                // A frame from a device that is no port (any more) has no other place in the books.
                let strangers = count
                    .drops
                    .iter()
                    .filter(|drop| drop.reason == UNKNOWN_PORT);
                let strangers: u64 = strangers.map(|drop| drop.count).sum();
                books.from_fabric += count.rx_frames.saturating_sub(strangers);
                books.to_fabric += count.tx_frames;
            }
        }
        let missing = counters
            .missing
            .iter()
            .map(|m| (m.host.clone(), m.reason.clone()));
        ledger.missing = missing.collect();
        ledger
    }

    /// Whether every host's books are balanced and known.
    pub fn is_balanced(&self) -> bool {
        self.missing.is_empty() && self.hosts.values().all(|books| books.difference() == 0)
    }

    /// Tunnel frames that were sent and never arrived. Foreign endpoints, which have no books, make it
    /// negative or positive by what they sent and got.
    pub fn lost_in_fabric(&self) -> i128 {
        let sent: i128 = self
            .hosts
            .values()
            .map(|books| i128::from(books.to_fabric))
            .sum();
        let got: i128 = self
            .hosts
            .values()
            .map(|books| i128::from(books.from_fabric))
            .sum();
        sent - got
    }

    /// All drops of one reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        self.hosts
            .values()
            .filter_map(|books| books.drops.get(reason))
            .sum()
    }
}

/// Reads the books when nothing moves any more: twice the same, and balanced if they ever will be.
pub async fn settled(client: &Client, limit: Duration) -> Result<Ledger, Error> {
    let end = Instant::now() + limit;
    let mut before = Ledger::of(&client.counters().await?);
    loop {
        tokio::time::sleep(POLL).await;
        let now = Ledger::of(&client.counters().await?);
        if (now == before && now.is_balanced()) || Instant::now() >= end {
            return Ok(now);
        }
        before = now;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use coax_api::{DropCount, HostPortCounters, PortReport};

    fn port(port: &str, rx_frames: u64, tx_frames: u64) -> HostPortCounters {
        HostPortCounters {
            host: "hv1".into(),
            counters: PortReport {
                port: port.into(),
                rx_frames,
                tx_frames,
                ..PortReport::default()
            },
        }
    }

    #[test]
    fn a_missing_frame_shows() {
        let mut counters = Counters {
            ports: vec![port("shop/web-1", 10, 4), port(FABRIC, 4, 9)],
            ..Counters::default()
        };
        counters.ports[0].counters.drops = vec![DropCount {
            reason: "too-big".into(),
            count: 2,
        }];
        counters.ports[0].counters.flooded = 1;
        counters.ports[0].counters.copies = 2;
        counters.ports[0].counters.rx_frames += 1;
        counters.ports[0].counters.punted = 1;
        let ledger = Ledger::of(&counters);
        assert!(ledger.is_balanced(), "{ledger:?}");
        assert_eq!((ledger.dropped("too-big"), ledger.lost_in_fabric()), (2, 5));
        counters.ports[1].counters.tx_frames = 8;
        let ledger = Ledger::of(&counters);
        assert_eq!(ledger.hosts["hv1"].difference(), 1);
        assert!(!ledger.is_balanced());
    }
}
