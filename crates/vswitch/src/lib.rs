//! A host's data plane behind one trait.
//!
//! The agent speaks in row operations and device attachments; what carries them out is the kernel
//! (`kernel`) or plain memory (`memory`, for tests and simulation).

pub mod capacity;
pub mod connection_copy;
pub mod connections;
pub mod data_plane;
pub mod flow;
pub mod kernel;
pub mod memory;
pub mod punt;
pub mod rows;

pub use capacity::{Capacity, ParseCapacityError};
pub use connection_copy::ConnectionCopy;
pub use connections::{Connection, ConnectionMemory, End};
pub use data_plane::{Attachment, DataPlane, DataPlaneError, SlotCounters, TableUsage};
pub use flow::{FlowSender, Flows, FlowsClosed, MemoryFlows};
pub use kernel::{KernelDataPlane, KernelOptions};
pub use memory::MemoryDataPlane;
pub use punt::{MemoryPunts, Punt, PuntSender, Punts, PuntsClosed};
pub use rows::{Row, RowKey, RowOperation, Rows, Table};
