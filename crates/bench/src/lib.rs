//! Two hypervisors with a VM each, on one machine and without any manager.
//!
//! The self-test proves that the running kernel takes the programs and forwards through them; the
//! benchmarks run the same traffic over Coax and over what people use today, in turn.

pub mod bench;
pub mod error;
pub mod filter;
pub mod measure;
pub mod pair;
pub mod plan;
pub mod report;
pub mod routed;
pub mod rows;
pub mod selftest;
pub mod suite;
pub mod vm;

pub use error::Error;
