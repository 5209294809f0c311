//! Rows and frames that are played on the stand.

use coax_pipeline::{Stage, Verdict};
use coax_tables::Limit;
use std::time::Duration;

use crate::{AccountingError, Device, Host, Operation, Outcome, Side, SimRows, SimTables, Stand};

/// Largest frame that the kernel takes for a test-run: less than a page.
const MOST_IN_TEST_RUN: usize = 3000;

/// A frame and the place where it enters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enters {
    /// The device.
    pub device: Device,
    /// The side that its program is for.
    pub side: Side,
    /// The frame.
    pub bytes: Vec<u8>,
    /// Payload of each segment, for a frame that stands for several; else 0.
    pub segment_payload: u32,
    /// Time that passes before it enters.
    pub after: Duration,
}

impl Enters {
    /// A frame by a device, whose name says on which side it is.
    pub const fn new(device: Device, bytes: Vec<u8>) -> Self {
        Self {
            device,
            side: if device.is_uplink() {
                Side::Uplink
            } else {
                Side::Port
            },
            bytes,
            segment_payload: 0,
            after: Duration::ZERO,
        }
    }

    /// The frame stands for segments of `payload` bytes each.
    #[must_use]
    pub const fn of_segments(mut self, payload: u32) -> Self {
        self.segment_payload = payload;
        self
    }

    /// The frame enters when so much time has passed.
    #[must_use]
    pub const fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Why the kernel cannot have this frame for a test-run of a program, when it cannot.
    pub fn why_no_test_run(&self) -> Option<&'static str> {
        let least = match self.bytes.get(12..14) {
            Some([0x08, 0x00]) => 34,
            Some([0x86, 0xdd]) => 54,
            _ => 14,
        };
        if self.bytes.len() < least {
            Some("a test-run takes no frame without whole Ethernet and IP headers")
        } else if self.bytes.len() > MOST_IN_TEST_RUN {
            Some("a test-run takes less than a page")
        } else if self.segment_payload > 0 {
            Some("a test-run's frame has no kind of segments")
        } else {
            None
        }
    }
}

impl Enters {
    /// Why the frame cannot be sent as a real packet that ends as `outcome`, when it cannot.
    pub fn why_no_packet(&self, outcome: &Outcome) -> Option<&'static str> {
        let tagged = matches!(self.bytes.get(12..14), Some([0x81, 0] | [0x88, 0xa8]));
        if self.bytes.len() < 14 {
            Some("the kernel sends no frame without a whole Ethernet header")
        } else if !self.device.is_up() {
            Some("the frame enters by a device that is down")
        } else if outcome.verdict == Verdict::SendUnresolved {
            Some("the host finds the next hop before it sends")
        } else if tagged && self.bytes.len() < 20 {
            Some("the kernel drops half a tag before any program sees it")
        } else if outcome.stages.last() == Some(&Stage::Mtu) && self.has_extension_header() {
            Some("the kernel cuts no packet inside of its extension headers")
        } else {
            None
        }
    }

    /// True for IPv6, behind any tags, with something between its header and the transport's.
    fn has_extension_header(&self) -> bool {
        let mut at = 12;
        while let Some([0x81, 0] | [0x88, 0xa8]) = self.bytes.get(at..at + 2) {
            at += 4;
        }
        let next = self.bytes.get(at + 8);
        self.bytes.get(at..at + 2) == Some(&[0x86, 0xdd])
            && matches!(next, Some(0 | 43 | 44 | 51 | 60))
    }
}

/// Rows, and frames one after the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scenario {
    /// The rows of the host.
    pub rows: SimRows,
    /// The frames.
    pub frames: Vec<Enters>,
    /// What ports, by their counters, may not do any more: they did it too often.
    pub exhausted: Vec<(u32, Limit)>,
}

impl Scenario {
    /// The host before the first frame.
    pub fn host(&self, stand: &Stand) -> Host {
        let tables = SimTables {
            rows: self.rows.clone(),
            underlay: stand.underlay(),
            ..SimTables::default()
        };
        let host = Host::new(tables, stand.sending());
        for (slot, limit) in &self.exhausted {
            host.sink.exhaust(*slot, *limit);
        }
        host
    }

    /// Plays all frames, and checks the counters after each.
    ///
    /// # Errors
    /// When a frame is not accounted for.
    pub fn play(&self, stand: &Stand) -> Result<(Host, Vec<Outcome>), AccountingError> {
        self.play_refusing(stand, None)
    }

    /// As `play`, on a host whose frames refuse an operation.
    ///
    /// # Errors
    /// When a frame is not accounted for.
    pub fn play_refusing(
        &self,
        stand: &Stand,
        refused: Option<Operation>,
    ) -> Result<(Host, Vec<Outcome>), AccountingError> {
        let mut host = self.host(stand);
        host.refused = refused;
        let mut outcomes = Vec::new();
        for frame in &self.frames {
            let ifindex = stand.index(frame.device);
            host.tables.now += frame.after.as_nanos() as u64;
            outcomes.push(host.frame(frame.side, ifindex, &frame.bytes, frame.segment_payload));
            host.check_accounting()?;
        }
        Ok((host, outcomes))
    }
}
