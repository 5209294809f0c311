//! What controllers that share a store tell each other through it, beside what users want.
//!
//! ```text
//! /coax/v1/doubt/hv1                  a controller does not hear hv1, and asks whether anybody does
//! /coax/v1/controller/10.0.0.1:7450   where hosts reach a controller
//! ```

use coax_model::HostName;
use coax_store::{KeyValue, Operation};
use serde::{Deserialize, Serialize};

use super::ROOT;
use super::codec::{json, named, value};

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
    /// A controller, or that there is none any more.
    Controller {
        /// The first of its addresses.
        name: String,
        /// The rest.
        registration: Option<Registration>,
    },
}

/// What a controller says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its run.
    pub run: u64,
    /// Where hosts reach it, `ADDRESS:PORT` each.
    pub addresses: Vec<String>,
    /// When it said so, in milliseconds since 1970.
    pub at: u64,
}

impl Notice {
    /// The records of this kind, by what their keys begin with.
    pub(super) const KINDS: [&str; 2] = ["doubt/", "controller/"];

    /// What stores it.
    pub(super) fn operation(&self) -> Operation {
        let (key, value) = match self {
            Self::Doubt { host, stands } => {
                (format!("doubt/{host}"), stands.then(|| b"{}".to_vec()))
            }
            Self::Controller { name, registration } => {
                let value = registration.as_ref();
                // Plain values always encode.
                let value = value.map(|it| serde_json::to_vec(it).unwrap_or_default());
                (format!("controller/{name}"), value)
            }
        };
        let key = format!("{ROOT}{key}").into_bytes();
        match value {
            Some(value) => Operation::Put { key, value },
            None => Operation::Delete { key },
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
            "controller" => Some(Self::Controller {
                name: name.to_owned(),
                registration: item.map(|item| value(&mut json(item))).transpose()?,
            }),
            _ => None,
        })
    }
}
