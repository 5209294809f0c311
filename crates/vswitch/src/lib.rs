//! A host's data plane behind one trait.
//!
//! The agent speaks in row operations and device attachments; what carries them out is the kernel
//! (`kernel`) or plain memory (`memory`, for tests and simulation).

pub mod data_plane;
pub mod memory;
pub mod rows;

pub use data_plane::{Attachment, DataPlane, DataPlaneError, SlotCounters, TableUsage};
pub use memory::MemoryDataPlane;
pub use rows::{Row, RowKey, RowOperation, Rows, Table};
