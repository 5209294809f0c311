//! The trait between the agent and what forwards frames.

use crate::{Connection, ConnectionCopy, Flows, Punts, RowOperation, Rows, Table};
use coax_tables::{Counters, DomainId, DropReason, RuleCounters, ShutRow};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// On which side of the vSwitch a device is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Attachment {
    /// A VM's device: frames enter from the VM.
    Port,
    /// An uplink: tunnel frames enter from the fabric, all else goes on to the host.
    Uplink,
}

/// Why a data plane could not do what was asked.
#[derive(Debug, Error)]
pub enum DataPlaneError {
    /// A table has no room for another row.
    #[error(
        "table `{table}` is full ({capacity} rows): raise it with `--capacity {table}=…` and restart the agent; nothing that was there has been removed"
    )]
    TableFull {
        /// The table.
        table: Table,
        /// Its capacity in rows.
        capacity: u32,
    },
    /// The device is not there (any more).
    #[error("no device with index {ifindex}")]
    NoDevice {
        /// Kernel index that was asked for.
        ifindex: u32,
    },
    /// Pinned maps were made by a version with another layout.
    #[error(
        "the maps pinned in {path} have layout {found}, this agent needs {wanted}: start it with `--take-over-layout` to switch to new maps without a gap, or run the agent version that made them"
    )]
    Layout {
        /// Folder of the pins.
        path: String,
        /// Layout found there.
        found: u32,
        /// Layout of this version.
        wanted: u32,
    },
    /// Pinned maps have another size.
    #[error(
        "the pinned map {map} has room for {found} rows, {wanted} are wanted: start the agent with `--take-over-layout` to switch to new maps without a gap, or with the old `--capacity`"
    )]
    Capacity {
        /// Name of the map.
        map: String,
        /// Rows that it has room for.
        found: u32,
        /// Rows that are wanted.
        wanted: u32,
    },
    /// The kernel refused something.
    #[error("{what}: {source}")]
    Kernel {
        /// What was tried.
        what: String,
        /// What the kernel or the loader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Counters of one slot with its drops.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SlotCounters {
    /// Frames and bytes.
    pub counters: Counters,
    /// Drops by reason; reasons without a drop are absent.
    pub drops: Vec<(DropReason, u64)>,
}

/// How full a table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableUsage {
    /// The table.
    pub table: Table,
    /// Rows in it.
    pub entries: u32,
    /// Rows that fit.
    pub capacity: u32,
}

/// What carries out row operations: the kernel, or memory in tests.
pub trait DataPlane: Send {
    /// Carries out one operation. A full table leaves everything as it was.
    ///
    /// # Errors
    /// `TableFull`, or `Kernel` with the reason.
    fn apply(&mut self, operation: &RowOperation) -> Result<(), DataPlaneError>;

    /// Everything that is in the tables now.
    ///
    /// # Errors
    /// `Kernel` when a table cannot be read.
    fn rows(&self) -> Result<Rows, DataPlaneError>;

    /// Attaches the program for `side` to the device, or replaces the one that is there without a
    /// gap. Repeating it is harmless.
    ///
    /// # Errors
    /// `NoDevice`, or `Kernel` with the reason.
    fn attach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError>;

    /// Takes the program off the device; one that is gone already is no error.
    ///
    /// # Errors
    /// `Kernel` with the reason.
    fn detach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError>;

    /// Devices that have a program, by kernel index.
    ///
    /// # Errors
    /// `Kernel` when the attachments cannot be read.
    fn attached(&self) -> Result<Vec<(u32, Attachment)>, DataPlaneError>;

    /// Counters of `slot`.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn counters(&self, slot: u32) -> Result<SlotCounters, DataPlaneError>;

    /// Frames that entered by the port with the counters `slot`.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn received(&self, slot: u32) -> Result<u64, DataPlaneError>;

    /// Those of them that were dropped for one reason.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn dropped(&self, slot: u32, reason: DropReason) -> Result<u64, DataPlaneError>;

    /// Whether a guard has shut the port with the counters `slot`.
    ///
    /// # Errors
    /// `Kernel` when it cannot be read.
    fn shut(&self, slot: u32) -> Result<ShutRow, DataPlaneError>;

    /// Shuts or opens the port with the counters `slot`.
    ///
    /// # Errors
    /// `Kernel` when it cannot be written.
    fn set_shut(&mut self, slot: u32, row: &ShutRow) -> Result<(), DataPlaneError>;

    /// What ports ask of the agent. There is one reader: the second call gives nothing.
    fn take_punts(&mut self) -> Option<Box<dyn Punts>>;

    /// What the firewall decides. There is one reader: the second call gives nothing.
    fn take_flows(&mut self) -> Option<Box<dyn Flows>>;

    /// Sets the counters and limits of `slot` to zero and forgets what its guards remember, before
    /// another port gets it.
    ///
    /// # Errors
    /// `Kernel` when they cannot be written.
    fn reset_counters(&mut self, slot: u32) -> Result<(), DataPlaneError>;

    /// Makes frames that are sent by this device with the mark N enter the vSwitch by the device with
    /// index N, as if its VM had sent them.
    ///
    /// # Errors
    /// `Kernel` with the reason.
    fn prepare_injection(&mut self, device: &str) -> Result<(), DataPlaneError>;

    /// Counters of firewall rules by the number that policy rows give them. A rule that never
    /// decided anything is absent.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn rule_counters(&self) -> Result<BTreeMap<u32, RuleCounters>, DataPlaneError>;

    /// Removes the counters of a rule that is gone, before another one gets its number.
    ///
    /// # Errors
    /// `Kernel` when they cannot be removed.
    fn forget_rule(&mut self, rule: u32) -> Result<(), DataPlaneError>;

    /// All connections of the firewall. Programs go on while they are read, so each is as it was at some
    /// moment, and not all at the same one.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn connections(&self) -> Result<Vec<Connection>, DataPlaneError>;

    /// How many connections there are, and for how many there is room.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn connections_used(&self) -> Result<(u64, u64), DataPlaneError>;

    /// How large the table of connections is, and those of its buckets that are wanted.
    ///
    /// # Errors
    /// `Kernel` when they cannot be read.
    fn connection_buckets(&self, wanted: &BTreeSet<u32>) -> Result<ConnectionCopy, DataPlaneError>;

    /// Ends the connections that `wanted` accepts; says how many.
    ///
    /// # Errors
    /// `Kernel` when they cannot be changed.
    fn end_connections(
        &mut self,
        wanted: &dyn Fn(&Connection) -> bool,
    ) -> Result<usize, DataPlaneError>;

    /// Takes connections of another host over, whose port has moved here, for the policy of `domain`. Those
    /// that are here already or find no room are left out; says how many were taken. Policy judges each
    /// when its next packet comes.
    ///
    /// # Errors
    /// `Kernel` when they cannot be written.
    fn adopt_connections(
        &mut self,
        connections: &[Connection],
        domain: DomainId,
    ) -> Result<usize, DataPlaneError>;

    /// How full each table is.
    ///
    /// # Errors
    /// `Kernel` when a table cannot be read.
    fn usage(&self) -> Result<Vec<TableUsage>, DataPlaneError>;
}
