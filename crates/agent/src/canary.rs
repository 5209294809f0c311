//! Canaries: once a second a frame of the host leaves by every port whose guards may shut it. A VM that
//! bridges two ports sends it back by the other one, where the data plane knows it and shuts the port
//! without asking anybody (`pipeline::guard::canary`). This thread only sends.

use std::hash::Hasher;
use std::sync::mpsc;

use coax_netlink::PacketSender;
use coax_tables::{PortKey, PortRow};
use coax_wire::canary::Canary;
use coax_wire::{EtherType, VlanTag};
use zerocopy::IntoBytes;

use crate::error::Error;

/// How often each port gets one. Two lost in a row are still noticed within three seconds.
pub(crate) const PERIOD: std::time::Duration = std::time::Duration::from_millis(900);

/// One frame to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// The port's device.
    pub(crate) ifindex: u32,
    /// The frame.
    pub(crate) frame: Vec<u8>,
}

/// The canaries of a host whose ports are these.
pub(crate) fn canaries<'a>(
    secret: u64,
    ports: impl Iterator<Item = (&'a PortKey, &'a PortRow)>,
) -> Vec<Sending> {
    ports
        .filter(|(_, row)| row.shut_seconds > 0)
        .map(|(key, row)| Sending {
            ifindex: key.ifindex,
            frame: frame(secret, row.slot, key.vlan),
        })
        .collect()
}

fn frame(secret: u64, slot: u32, vlan: u32) -> Vec<u8> {
    let canary = Canary::new(secret, slot);
    let mut frame = canary.as_bytes().to_vec();
    // The VLAN of a trunk has twelve bits.
    if let Some(vlan) = u16::try_from(vlan).ok().filter(|vlan| *vlan != 0) {
        let [high, low] = vlan.to_be_bytes();
        let EtherType([first, second]) = EtherType::VLAN;
        let place = 12;
        frame.splice(place..place, [first, second, high, low]);
        debug_assert_eq!(frame.len(), 60 + VlanTag::LENGTH as usize);
    }
    frame
}

/// The secret of this host's canaries: the same for as long as the host is up, another on every host.
pub(crate) fn secret(host: &str) -> u64 {
    // Without it the secret is the same after every boot, which harms nobody: whoever sends a canary
    // shuts only his own port.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(boot.trim().as_bytes());
    hasher.write(host.as_bytes());
    hasher.finish() | 1
}

/// The way to the thread that sends.
pub(crate) struct CanaryThread {
    sendings: mpsc::SyncSender<Vec<Sending>>,
}

impl CanaryThread {
    /// Starts the thread, which ends when this value is dropped.
    pub(crate) fn start() -> Result<Self, Error> {
        let (sendings, receiver) = mpsc::sync_channel::<Vec<Sending>>(1);
        let mut sender = PacketSender::open()?;
        let work = move || {
            for sending in receiver.iter().flatten() {
                // A device that is down or gone has nothing that could come back.
                if let Err(error) = sender.send(sending.ifindex, &sending.frame) {
                    tracing::debug!(%error, "a canary was not sent");
                }
            }
        };
        std::thread::Builder::new()
            .name("canary".into())
            .spawn(work)
            .map_err(|source| Error::System {
                what: "start the canaries' thread",
                source,
            })?;
        Ok(Self { sendings })
    }

    /// Sends, unless the thread is still at the ones before.
    pub(crate) fn send(&self, sendings: Vec<Sending>) {
        let _ = self.sendings.try_send(sendings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_watched_get_one_each_in_their_vlan() {
        let row = |slot, shut_seconds| PortRow {
            slot,
            shut_seconds,
            ..PortRow::default()
        };
        let ports = [
            (
                PortKey {
                    ifindex: 7,
                    vlan: 0,
                },
                row(1, 300),
            ),
            (
                PortKey {
                    ifindex: 7,
                    vlan: 10,
                },
                row(2, 300),
            ),
            (
                PortKey {
                    ifindex: 8,
                    vlan: 0,
                },
                row(3, 0),
            ),
        ];
        let sent = canaries(5, ports.iter().map(|(key, row)| (key, row)));
        let devices: Vec<u32> = sent.iter().map(|it| it.ifindex).collect();
        assert_eq!(devices, [7, 7]);
        assert_eq!(sent[0].frame, Canary::new(5, 1).as_bytes());
        assert_eq!(sent[1].frame[12..16], [0x81, 0, 0, 10]);
        assert_eq!(sent[1].frame[16..18], Canary::ETHERTYPE.0);
    }

    #[test]
    fn a_host_keeps_its_secret_and_shares_it_with_no_other() {
        assert_eq!(secret("hv1"), secret("hv1"));
        assert_ne!(secret("hv1"), secret("hv2"));
    }
}
