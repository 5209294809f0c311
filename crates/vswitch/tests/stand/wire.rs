//! Plays scenarios with real packets: programs attached to devices, frames sent from the other end
//! of a veth pair, and what arrives at the other ends compared.
//!
//! This covers what a test-run cannot: tags beside the packet, segments, redirects, packets in
//! pieces. Sender, programs and receivers share one processor, so when a tap has seen a frame come
//! in, everything that it caused on the way there is over.

use super::executor::Executor;
use super::tap::{NEEDS_CHECKSUM, Seen, Tap};
use coax_pipeline::Verdict;
use coax_sim::{Device, Enters, Outcome, Side};
use coax_vswitch::{Attachment, DataPlane};

/// Executor, taps, and the far ends of the devices.
pub struct Wire<'a> {
    pub executor: &'a mut Executor,
    near: Tap,
    far: Tap,
    far_indices: Vec<(Device, u32)>,
}

impl<'a> Wire<'a> {
    /// Attaches the programs to all devices.
    pub fn new(executor: &'a mut Executor, far: Tap, far_indices: Vec<(Device, u32)>) -> Self {
        for device in Device::ALL {
            let side = match Enters::new(device, Vec::new()).side {
                Side::Port => Attachment::Port,
                Side::Uplink => Attachment::Uplink,
            };
            let index = executor.stand.index(device);
            executor.plane.attach(index, side).unwrap();
        }
        Self {
            executor,
            near: Tap::open(),
            far,
            far_indices,
        }
    }

    fn far_index(&self, device: Device) -> u32 {
        let mut ends = self.far_indices.iter();
        ends.find(|(own, _)| *own == device).unwrap().1
    }

    /// Why the frame cannot be sent as a packet, when it cannot.
    pub fn why_not(&self, enters: &Enters, expected: &Outcome) -> Option<&'static str> {
        if enters.side != Enters::new(enters.device, Vec::new()).side {
            return Some("the device has the other program");
        }
        let most = enters.device.mtu() as usize + 14;
        if enters.segment_payload == 0 && enters.bytes.len() > most {
            return Some("longer than the device takes");
        }
        enters.why_no_packet(expected)
    }

    /// Sends the frame, waits until it is over, and says how that differs from `expected`.
    pub fn play(&mut self, enters: &Enters, expected: &Outcome) -> Result<(), String> {
        self.executor.plane.age(enters.after);
        self.near.take();
        self.far.take();
        let index = self.executor.stand.index(enters.device);
        let offload = offload(enters);
        self.far
            .send(self.far_index(enters.device), offload, &enters.bytes)
            .map_err(|error| format!("cannot send: {error}"))?;
        self.near
            .wait_for(|seen| !seen.leaves && seen.index == index)
            .ok_or("the frame did not come in")?;
        if expected.verdict == Verdict::Pass {
            return Ok(());
        }
        let punt = self.executor.punt();
        if punt != expected.punt {
            return Err(format!("the agent got {punt:02x?}"));
        }
        let mut wanted: Vec<(Device, &[u8])> = Vec::new();
        for (index, bytes) in expected.sent() {
            let device = self.executor.stand.device(index);
            match device.ok_or("the frame leaves by no device of the stand")? {
                device if device.is_up() => wanted.push((device, bytes)),
                _ => {}
            }
        }
        let mut found: Vec<(Device, Seen)> = Vec::new();
        for _ in &wanted {
            let arrives = |seen: &Seen| !seen.leaves;
            match self.far.wait_for(arrives) {
                Some(seen) => found.push((self.device(&seen), seen)),
                None => return Err(format!("{} of {} arrived", found.len(), wanted.len())),
            }
        }
        let more = self.far.take().into_iter().filter(|seen| !seen.leaves);
        found.extend(more.map(|seen| (self.device(&seen), seen)));
        let same = found.len() == wanted.len()
            && found
                .iter()
                .zip(&wanted)
                .all(|((at, seen), (device, bytes))| at == device && seen.bytes == *bytes);
        if !same {
            return Err(format!("expected {wanted:02x?}\nfound {found:02x?}"));
        }
        let whole = matches!(expected.verdict, Verdict::Answer);
        for (_, seen) in &found {
            if whole && (seen.segment_payload > 0 || seen.needs_checksum) {
                return Err(format!(
                    "an answer with offloads of its question: {seen:02x?}"
                ));
            }
            if !whole && seen.segment_payload != enters.segment_payload {
                return Err(format!("segments of {} bytes", seen.segment_payload));
            }
        }
        Ok(())
    }

    fn device(&self, seen: &Seen) -> Device {
        let mut ends = self.far_indices.iter();
        ends.find(|(_, index)| *index == seen.index).unwrap().0
    }
}

impl Drop for Wire<'_> {
    fn drop(&mut self) {
        for (index, side) in self.executor.plane.attached().unwrap() {
            self.executor.plane.detach(index, side).unwrap();
        }
    }
}

/// What a VM's driver says of a frame: the checksum of TCP and UDP is left to the device, and a
/// large one is to be cut.
fn offload(enters: &Enters) -> [u8; 10] {
    let mut header = [0; 10];
    let byte = |at: usize| enters.bytes.get(at).copied().unwrap_or(0);
    let (network, protocol, kind) = match [byte(12), byte(13), byte(14)] {
        [0x08, 0x00, 0x45] => (20, byte(23), 1),
        [0x86, 0xdd, 0x60..=0x6f] => (40, byte(20), 4),
        _ => return header,
    };
    let (field, transport) = match protocol {
        6 => (16, 20),
        17 => (6, 8),
        _ => return header,
    };
    let start: u16 = 14 + network;
    let whole = enters.bytes.len() >= usize::from(start + transport);
    if enters.side != Side::Port || !whole {
        return header;
    }
    header[0] = NEEDS_CHECKSUM;
    header[6..8].copy_from_slice(&start.to_ne_bytes());
    header[8..10].copy_from_slice(&u16::to_ne_bytes(field));
    if enters.segment_payload > 0 {
        header[1] = kind;
        header[2..4].copy_from_slice(&(start + transport).to_ne_bytes());
        header[4..6].copy_from_slice(&(enters.segment_payload as u16).to_ne_bytes());
    }
    header
}
