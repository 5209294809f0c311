//! The controller.

pub mod core;
pub mod records;
