//! One simulated vSwitch.

use crate::{Operation, Punt, SimFrame, SimSink, SimTables};
use coax_pipeline::{Meta, Sink, Stage, Tables, Verdict, finish, from_port, from_uplink};
use coax_tables::DropReason;
use std::collections::BTreeSet;
use thiserror::Error;

/// On which side of the vSwitch a frame enters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// From a VM.
    Port,
    /// From the fabric.
    Uplink,
}

/// What became of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it was dropped, when it was.
    pub reason: Option<DropReason>,
    /// The device by which the frame itself leaves, when it does.
    pub device: Option<u32>,
    /// The frame as it leaves, or as it passes on to the host.
    pub frame: Option<Vec<u8>>,
    /// Copies that left before, with their devices.
    pub copies: Vec<(u32, Vec<u8>)>,
    /// What the agent got of it.
    pub punt: Option<Punt>,
    /// The stages that the frame entered, in order.
    pub stages: Vec<Stage>,
}

impl Outcome {
    /// Every frame that left, with its device: the copies, then the frame itself.
    pub fn sent(&self) -> Vec<(u32, &[u8])> {
        let mut sent: Vec<(u32, &[u8])> = self
            .copies
            .iter()
            .map(|(device, bytes)| (*device, bytes.as_slice()))
            .collect();
        if let (Some(device), Some(frame)) = (self.device, &self.frame) {
            sent.push((device, frame));
        }
        sent
    }
}

/// The counters of a host contradict each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{entered} frames entered or were copied, {left} left, were flooded, punted or dropped")]
pub struct AccountingError {
    /// Frames received, and copies made.
    pub entered: u64,
    /// Frames sent, flooded, punted and dropped.
    pub left: u64,
}

/// One vSwitch.
#[derive(Clone, Debug)]
pub struct Host {
    /// Rows and routes.
    pub tables: SimTables,
    /// Counters.
    pub sink: SimSink,
    /// Devices that can send.
    pub devices: BTreeSet<u32>,
    /// What frames refuse to do.
    pub refused: Option<Operation>,
    /// Used again for every frame, as in the kernel.
    meta: Meta,
}

impl Host {
    /// A vSwitch with these rows, whose devices in `devices` can send.
    pub fn new(tables: SimTables, devices: impl IntoIterator<Item = u32>) -> Self {
        Self {
            tables,
            sink: SimSink::default(),
            devices: devices.into_iter().collect(),
            refused: None,
            meta: Meta::new(0),
        }
    }

    /// A VM sent the frame through the device `ifindex`.
    pub fn port(&mut self, ifindex: u32, bytes: &[u8]) -> Outcome {
        self.frame(Side::Port, ifindex, bytes, 0)
    }

    /// The frame came from the fabric through the device `ifindex`.
    pub fn uplink(&mut self, ifindex: u32, bytes: &[u8]) -> Outcome {
        self.frame(Side::Uplink, ifindex, bytes, 0)
    }

    /// A frame that stands for segments of `segment_payload` bytes each; 0 for an ordinary one.
    pub fn frame(
        &mut self,
        side: Side,
        ifindex: u32,
        bytes: &[u8],
        segment_payload: u32,
    ) -> Outcome {
        let Self {
            tables, sink, meta, ..
        } = self;
        sink.take_stages();
        let frame = SimFrame::new(bytes.to_vec(), segment_payload, &self.devices);
        let frame = frame.refusing(self.refused);
        let mut outcome = play(frame, (side, ifindex), tables, sink, meta);
        outcome.stages = sink.take_stages();
        tables.take_notes();
        outcome
    }

    /// As `frame` for an ordinary frame, but rows are looked up and counters moved through `around`.
    pub(crate) fn frame_through<A: Tables + Sink>(
        &self,
        side: Side,
        ifindex: u32,
        bytes: &[u8],
        around: &A,
    ) -> Outcome {
        let frame = SimFrame::new(bytes.to_vec(), 0, &self.devices).refusing(self.refused);
        let mut meta = self.meta;
        self.sink.take_stages();
        let mut outcome = play(frame, (side, ifindex), around, around, &mut meta);
        outcome.stages = self.sink.take_stages();
        outcome
    }

    /// Checks the law of the counters: every frame in is a frame out or a named drop.
    ///
    /// # Errors
    /// Both sides of the law when they differ.
    pub fn check_accounting(&self) -> Result<(), AccountingError> {
        let balance = self.sink.balance();
        if balance.entered == balance.left {
            Ok(())
        } else {
            Err(AccountingError {
                entered: balance.entered,
                left: balance.left,
            })
        }
    }
}

/// Lets the pipeline have a frame and says what became of it, but for the stages.
fn play<T: Tables, S: Sink>(
    mut frame: SimFrame<'_>,
    (side, ifindex): (Side, u32),
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Outcome {
    let verdict = match side {
        Side::Port => from_port(&mut frame, tables, sink, meta, ifindex),
        Side::Uplink => from_uplink(&mut frame, tables, sink, meta, ifindex),
    };
    let verdict = finish(verdict, &mut frame, tables, sink, meta);
    let punt = frame.take_punt();
    let (bytes, copies) = frame.into_parts();
    let leaves = matches!(
        verdict,
        Verdict::Deliver | Verdict::Send | Verdict::SendUnresolved | Verdict::Answer
    );
    Outcome {
        verdict,
        reason: (verdict == Verdict::Drop).then_some(meta.reason),
        device: leaves.then_some(meta.out_ifindex),
        frame: (leaves || verdict == Verdict::Pass).then_some(bytes),
        copies,
        punt,
        stages: Vec::new(),
    }
}
