//! The label of a backup, as far as people read it.

use serde::{Deserialize, Serialize};

/// Number of the format.
pub(super) const FORMAT: u32 = 1;

/// What a backup says about itself without a passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Format of the file.
    pub format: u32,
    /// Version of the controller that made it.
    pub version: String,
    /// When, in RFC 3339.
    pub made: String,
    /// The SHA-256 of the authority's certificate, as join tokens carry it.
    pub authority: String,
    /// The generation of the store.
    pub generation: u64,
    /// The revision of the store.
    pub revision: u64,
    /// Records of the store.
    pub records: usize,
    /// Projects.
    pub projects: usize,
    /// Networks.
    pub networks: usize,
    /// Ports.
    pub ports: usize,
    /// Hosts.
    pub hosts: usize,
}

impl Contents {
    /// Of a backup that is made now, of which nothing is counted yet.
    pub(super) fn new(authority: String, generation: u64, made: String) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made,
            authority,
            generation,
            revision: 0,
            records: 0,
            projects: 0,
            networks: 0,
            ports: 0,
            hosts: 0,
        }
    }
}
