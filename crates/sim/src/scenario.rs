//! Rows and frames that are played on the stand.

use crate::{AccountingError, Device, Host, Operation, Outcome, Side, SimRows, SimTables, Stand};

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
        }
    }

    /// The frame stands for segments of `payload` bytes each.
    #[must_use]
    pub const fn of_segments(mut self, payload: u32) -> Self {
        self.segment_payload = payload;
        self
    }
}

/// Rows, and frames one after the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scenario {
    /// The rows of the host.
    pub rows: SimRows,
    /// The frames.
    pub frames: Vec<Enters>,
}

impl Scenario {
    /// The host before the first frame.
    pub fn host(&self, stand: &Stand) -> Host {
        let tables = SimTables {
            rows: self.rows.clone(),
            underlay: stand.underlay(),
        };
        Host::new(tables, stand.sending())
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
            outcomes.push(host.frame(frame.side, ifindex, &frame.bytes, frame.segment_payload));
            host.check_accounting()?;
        }
        Ok((host, outcomes))
    }
}
