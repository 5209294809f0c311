//! The form in a golden file of what the agent gets, and of what ports may do only so often.

use super::text::{device_name, device_named};
use crate::{Punt, Stand};
use coax_tables::{Limit, NetworkId, PuntHeader, PuntKind};
use serde::{Deserialize, Serialize};

/// What a port may not do any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitText {
    /// The port's counters.
    pub slot: u32,
    /// The limit.
    pub limit: String,
}

impl LimitText {
    pub(super) fn of((slot, limit): &(u32, Limit)) -> Self {
        Self {
            slot: *slot,
            limit: limit.name().to_owned(),
        }
    }

    pub(super) fn exhausted(&self) -> Result<(u32, Limit), String> {
        let found = Limit::ALL
            .into_iter()
            .find(|limit| limit.name() == self.limit);
        let limit = found.ok_or_else(|| format!("no limit `{}`", self.limit))?;
        Ok((self.slot, limit))
    }
}

/// What the agent gets to know of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PuntText {
    /// Why it gets the frame.
    pub kind: String,
    /// The device of the port.
    pub device: String,
    /// The port's counters.
    pub slot: u32,
    /// The port's network.
    pub network: u32,
    /// The VLAN on a trunk.
    pub vlan: u32,
}

impl PuntText {
    pub(super) fn of(punt: &Punt, stand: &Stand) -> Self {
        let header = &punt.header;
        let kind = PuntKind::numbered(header.kind);
        Self {
            kind: kind.map_or_else(
                || format!("#{}", header.kind),
                |kind| kind.name().to_owned(),
            ),
            device: device_name(stand, header.ifindex),
            slot: header.slot,
            network: header.network.0,
            vlan: header.vlan,
        }
    }

    pub(super) fn punt(&self, frame: Vec<u8>, stand: &Stand) -> Result<Punt, String> {
        let found = PuntKind::ALL
            .into_iter()
            .find(|kind| kind.name() == self.kind);
        let kind = found.ok_or_else(|| format!("no kind of punt `{}`", self.kind))?;
        let header = PuntHeader {
            ifindex: stand.index(device_named(&self.device)?),
            slot: self.slot,
            network: NetworkId(self.network),
            kind: kind as u32,
            length: frame.len() as u32,
            vlan: self.vlan,
        };
        Ok(Punt { header, frame })
    }
}
