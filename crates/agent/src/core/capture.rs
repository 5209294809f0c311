//! Ports whose frames are being captured. Frames that are handed straight to a VM's end of a veth pair never pass the host's
//! end, where captures look; as long as a port is captured its frames take the longer way.

use std::time::Duration;

use super::Core;
use crate::input::Moment;

/// A capture that nobody reads for this time is over.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(5);

impl Core {
    /// Somebody reads what passes by the port.
    pub(super) fn port_is_captured(&mut self, port: &str, now: Moment) {
        let until = now + READ_WITHIN;
        if self.captured.insert(port.to_owned(), until).is_none() {
            self.make_rows_again(port);
        }
    }

    /// Forgets captures that are over.
    pub(super) fn end_captures(&mut self, now: Moment) {
        let ended: Vec<String> = self
            .captured
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(port, _)| port.clone())
            .collect();
        for port in ended {
            self.captured.remove(&port);
            self.make_rows_again(&port);
        }
    }

    fn make_rows_again(&mut self, port: &str) {
        let networks: Vec<u32> = self.slices.networks_of(port).collect();
        for network in networks {
            self.touch_port(network, port);
        }
    }
}
