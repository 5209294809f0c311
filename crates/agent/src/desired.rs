//! What follows from the configuration alone: the host's own row, and the host as row-making sees it.

use coax_compile::rows::{Here, Underlay};
use coax_tables::HostRow;
use coax_wire::vxlan::Vxlan;

use crate::input::Config;

/// The host's own row.
pub fn host_row(config: &Config) -> HostRow {
    HostRow {
        vtep_ipv6: config.vtep_ipv6.map_or([0; 16], |address| address.octets()),
        vtep_ipv4: config.vtep_ipv4.map_or([0; 4], |address| address.octets()),
        udp_port: Vxlan::PORT.to_be_bytes(),
        flags: 0,
        canary: config.canary,
        ..HostRow::default()
    }
}

/// The host for which rows are made.
pub fn here(config: &Config) -> Here {
    Here {
        host: config.host.clone(),
        ipv4: config.vtep_ipv4.is_some(),
        ipv6: config.vtep_ipv6.is_some(),
        prefer: match config.prefer_ipv6 {
            true => Underlay::Ipv6,
            false => Underlay::Ipv4,
        },
    }
}
