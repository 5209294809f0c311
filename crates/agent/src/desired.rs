//! What follows from the configuration alone: the host's own row, and the host as row-making sees it.

use coax_compile::rows::{Here, Underlay};
use coax_tables::{DomainId, HostRow};
use coax_wire::vxlan::Vxlan;

use crate::input::Config;

/// The host's own row.
pub fn host_row(config: &Config) -> HostRow {
    HostRow {
        vtep_ipv6: config.vtep_ipv6.map_or([0; 16], |address| address.octets()),
        vtep_ipv4: config.vtep_ipv4.map_or([0; 4], |address| address.octets()),
        udp_port: Vxlan::PORT.to_be_bytes(),
        flags: 0,
        seed: config.secret,
        canary: config.canary,
    }
}

/// The secret of the hash tables in a data plane whose own row is `found`: the one that it has, since with another
/// nothing in the tables would be found; `drawn` if it has none yet.
pub fn secret(found: &HostRow, drawn: u64) -> u64 {
    match found.seed {
        0 => drawn,
        seed => seed,
    }
}

/// The host for which rows are made, in a network whose ports obey this domain's policy.
pub fn here(config: &Config, policy: DomainId) -> Here {
    Here {
        host: config.host.clone(),
        ipv4: config.vtep_ipv4.is_some(),
        ipv6: config.vtep_ipv6.is_some(),
        prefer: match config.prefer_ipv6 {
            true => Underlay::Ipv6,
            false => Underlay::Ipv4,
        },
        policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_drawn_once() {
        let none = HostRow::default();
        assert_eq!(secret(&none, 3), 3);
        assert_eq!(secret(&HostRow { seed: 2, ..none }, 3), 2);
    }
}
