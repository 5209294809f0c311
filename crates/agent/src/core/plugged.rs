//! Which ports are plugged in here, and what of it each controller was told.

use std::collections::BTreeMap;

use coax_api::agent::{Claims, Plugged, agent_message};

use super::Core;

/// Devices of ports, as a controller was told.
pub(super) type ToldClaims = BTreeMap<String, (String, u32)>;

impl Core {
    /// Says which ports were plugged in or out since the last time.
    pub(super) fn tell_claims(&mut self) {
        if !self.session.is_open() && !self.peers.any_open() {
            return;
        }
        let present = self.claims_to_tell();
        self.tell_claims_to_standbys(&present);
        if !self.session.is_open() || present == self.told_claims {
            return;
        }
        let claims = difference(&self.told_claims, &present);
        self.told_claims = present;
        self.send(agent_message::Body::Claims(claims));
    }

    /// Tells the other controllers which ports are here, where that is different.
    fn tell_claims_to_standbys(&mut self, present: &ToldClaims) {
        let mut told = Vec::new();
        for standby in self.peers.standbys.values_mut() {
            if standby.session.is_open() && standby.told_claims != *present {
                let claims = difference(&standby.told_claims, present);
                standby.told_claims.clone_from(present);
                told.push((standby.session.stream(), claims));
            }
        }
        for (stream, claims) in told {
            self.send_to(stream, agent_message::Body::Claims(claims));
        }
    }

    pub(super) fn claims_to_tell(&self) -> ToldClaims {
        let claims = self.claims.iter();
        claims
            .map(|(port, device)| (port.to_owned(), (device.name.clone(), device.ifindex)))
            .collect()
    }
}

/// All of them.
pub(super) fn all_claims(present: &ToldClaims) -> Claims {
    Claims {
        full: true,
        plugged: present.iter().map(plugged).collect(),
        unplugged: Vec::new(),
    }
}

/// What is said to somebody who was told others.
fn difference(told: &ToldClaims, present: &ToldClaims) -> Claims {
    let new = present
        .iter()
        .filter(|(port, device)| told.get(*port) != Some(device));
    let gone = told.keys().filter(|port| !present.contains_key(*port));
    Claims {
        full: false,
        plugged: new.map(plugged).collect(),
        unplugged: gone.cloned().collect(),
    }
}

fn plugged((port, (device, ifindex)): (&String, &(String, u32))) -> Plugged {
    Plugged {
        port: port.clone(),
        device: device.clone(),
        ifindex: *ifindex,
    }
}
