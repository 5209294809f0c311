//! What controllers that share a store tell each other through it, beside what users want.
//!
//! ```text
//! /coax/v1/doubt/hv1      a controller does not hear hv1, and asks whether anybody does
//! ```

use coax_model::HostName;
use coax_store::{KeyValue, Operation};

use super::ROOT;
use super::codec::named;

/// One record of this kind, as it is from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Whether it is asked if anybody hears a host. Whoever does takes the question back.
    Doubt {
        /// The host.
        host: HostName,
        /// Whether the question stands.
        stands: bool,
    },
}

impl Notice {
    /// The records of this kind, by what their keys begin with.
    pub(super) const KINDS: [&str; 1] = ["doubt/"];

    /// What stores it.
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Doubt { host, stands } => {
                let key = format!("{ROOT}doubt/{host}").into_bytes();
                match stands {
                    true => Operation::Put {
                        key,
                        value: b"{}".to_vec(),
                    },
                    false => Operation::Delete { key },
                }
            }
        }
    }

    /// Understands a record or its end; `None`: it is of another kind.
    pub(super) fn read(
        kind: &str,
        name: &str,
        item: Option<&KeyValue>,
    ) -> Result<Option<Self>, String> {
        Ok(match kind {
            "doubt" => Some(Self::Doubt {
                host: named(name)?,
                stands: item.is_some(),
            }),
            _ => None,
        })
    }
}
