//! Connections of ports that move: from the agent of the host that had the port to that of the host that has it or gets it.
//! Nothing is kept here.

use coax_api::agent::Connections;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_model::{Binding, HostName, PortName};

use super::Core;
use super::message::Command;

impl Core {
    pub(super) fn pass_connections(
        &mut self,
        from: &HostName,
        connections: Connections,
        out: &mut Vec<Command>,
    ) {
        let port = connections.port.parse::<PortName>().ok();
        let binding = port.and_then(|port| self.intent.bindings.get(&port));
        if let Some(to) = binding.and_then(|binding| heir(binding, from)) {
            let to = to.clone();
            self.send(&to, ToAgent::Connections(connections), out);
        }
    }
}

/// The host that may learn of the port's connections from `from`; nothing: the port is not leaving that host.
fn heir<'a>(binding: &'a Binding, from: &HostName) -> Option<&'a HostName> {
    let heir = if binding.host.as_ref() == Some(from) {
        binding.moving_to.as_ref()
    } else if binding.moved_from.as_ref() == Some(from) {
        binding.host.as_ref()
    } else {
        None
    };
    heir.filter(|heir| *heir != from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_that_leaves_a_host_has_an_heir_there() {
        let host = |name: &str| (!name.is_empty()).then(|| name.parse::<HostName>().unwrap());
        let heir_of = |at: &str, to: &str, from: &str| {
            let binding = Binding {
                host: host(at),
                moving_to: host(to),
                moved_from: host(from),
            };
            heir(&binding, &host("hv1").unwrap()).map(ToString::to_string)
        };
        assert_eq!(heir_of("hv1", "hv2", ""), Some("hv2".to_owned()));
        assert_eq!(heir_of("hv2", "", "hv1"), Some("hv2".to_owned()));
        assert_eq!(heir_of("hv1", "", "hv2"), None);
        assert_eq!(heir_of("hv2", "hv1", ""), None);
        assert_eq!(heir_of("hv2", "", "hv3"), None);
    }
}
