//! Where a port is: decided from what the user wants, what was decided before and which hosts say
//! that they have its device. Pure, and the only place that knows these rules.
//!
//! - A port that nobody holds goes to the host that claims it, if that is the wanted one or none is.
//! - A port on its way (`moving_to`) arrives when its target claims it; the host that had it is
//!   remembered (`moved_from`) so that it forwards stragglers.
//! - A host that is not attached keeps what it holds: its data plane still forwards. Only when it is
//!   away for long and another permitted host claims the port, that one gets it.
//! - A port whose device is unplugged is nowhere, unless it is on its way: then the source stays
//!   until the target claims it, as in a cold migration.

use coax_model::{Binding, HostName};

/// What is known of a host's device for one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The host is attached and has the device.
    Plugged,
    /// The host is attached and does not have the device.
    Unplugged,
    /// The host was attached a moment ago, or may be soon.
    Unknown,
    /// The host is away for long.
    Lost,
}

/// The facts about one port.
pub struct Facts<'a> {
    /// The host that the user wants, if he said so.
    pub wish: Option<&'a HostName>,
    /// What was decided before.
    pub now: Option<&'a Binding>,
    /// The attached hosts that have a device for the port, sorted.
    pub claimants: Vec<&'a HostName>,
    /// What is known of the host that the port is bound to.
    pub holder: Hold,
}

impl Facts<'_> {
    fn claims(&self, host: &HostName) -> bool {
        self.claimants.contains(&host)
    }

    /// The host that may have the port now, of those that claim it.
    fn successor(&self) -> Option<&HostName> {
        match self.wish {
            Some(wish) => self.claims(wish).then_some(wish),
            None => self.claimants.first().copied(),
        }
    }
}

/// Where the port is to be; `None`: nowhere.
pub fn decide(facts: &Facts<'_>) -> Option<Binding> {
    let now = facts.now.cloned().unwrap_or_default();
    let target = match facts.wish {
        // Nobody has it: the wanted host gets it when it claims it.
        Some(_) if now.host.is_none() => None,
        Some(wish) => Some(wish.clone()),
        None => now.moving_to.clone(),
    };
    let target = target.filter(|target| now.host.as_ref() != Some(target));
    if let Some(target) = target.as_ref().filter(|target| facts.claims(target)) {
        return Some(Binding {
            host: Some(target.clone()),
            moving_to: None,
            moved_from: now.host.filter(|host| host != target),
        });
    }
    let keeps = match facts.holder {
        _ if now.host.is_none() => false,
        Hold::Plugged | Hold::Unknown => true,
        Hold::Unplugged => target.is_some(),
        Hold::Lost => facts.successor().is_none(),
    };
    let decided = if keeps {
        Binding {
            moving_to: target,
            ..now
        }
    } else {
        let host = facts.successor().cloned();
        // A lost host cannot forward stragglers; one that only lost the device can.
        let before = now.host.filter(|_| facts.holder == Hold::Unplugged);
        Binding {
            moving_to: target.filter(|target| Some(target) != host.as_ref()),
            moved_from: before.filter(|before| host.as_ref().is_some_and(|host| host != before)),
            host,
        }
    };
    (decided != Binding::default()).then_some(decided)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    fn binding(at: &str, to: &str, from: &str) -> Option<Binding> {
        let name = |name: &str| (!name.is_empty()).then(|| host(name));
        Some(Binding {
            host: name(at),
            moving_to: name(to),
            moved_from: name(from),
        })
    }

    fn decided(wish: &str, now: Option<Binding>, claims: &[&str], holder: Hold) -> Option<Binding> {
        let wish = (!wish.is_empty()).then(|| host(wish));
        let claims: Vec<HostName> = claims.iter().map(|name| host(name)).collect();
        decide(&Facts {
            wish: wish.as_ref(),
            now: now.as_ref(),
            claimants: claims.iter().collect(),
            holder,
        })
    }

    #[test]
    fn an_unbound_port_goes_to_its_claimant() {
        assert_eq!(decided("", None, &[], Hold::Lost), None);
        assert_eq!(decided("", None, &["b"], Hold::Lost), binding("b", "", ""));
        assert_eq!(decided("b", None, &["b"], Hold::Lost), binding("b", "", ""));
        assert_eq!(decided("a", None, &["b"], Hold::Lost), None);
        assert_eq!(
            decided("b", None, &["a", "b"], Hold::Lost),
            binding("b", "", "")
        );
    }

    #[test]
    fn a_bound_port_stays_while_others_claim_it() {
        let at_b = || binding("b", "", "");
        assert_eq!(decided("", at_b(), &["a", "b"], Hold::Plugged), at_b());
        assert_eq!(decided("", at_b(), &["a"], Hold::Unknown), at_b());
        assert_eq!(decided("b", at_b(), &["a", "b"], Hold::Plugged), at_b());
    }

    #[test]
    fn another_wish_is_a_move() {
        let moving = binding("a", "b", "");
        assert_eq!(
            decided("b", binding("a", "", ""), &["a"], Hold::Plugged),
            moving
        );
        assert_eq!(decided("b", moving.clone(), &["a"], Hold::Plugged), moving);
        assert_eq!(
            decided("b", moving.clone(), &["a", "b"], Hold::Plugged),
            binding("b", "", "a")
        );
        // Wanting it back where it is calls the move off.
        assert_eq!(
            decided("a", moving, &["a"], Hold::Plugged),
            binding("a", "", "")
        );
    }

    #[test]
    fn a_move_without_wish_ends_at_its_target() {
        let moving = binding("a", "b", "");
        assert_eq!(
            decided("", moving.clone(), &["a", "c"], Hold::Plugged),
            moving
        );
        assert_eq!(decided("", moving.clone(), &[], Hold::Unplugged), moving);
        assert_eq!(
            decided("", moving, &["b"], Hold::Unplugged),
            binding("b", "", "a")
        );
    }

    #[test]
    fn a_second_move_remembers_the_last_host_only() {
        let arrived = binding("b", "c", "a");
        assert_eq!(
            decided("", arrived, &["b", "c"], Hold::Plugged),
            binding("c", "", "b")
        );
    }

    #[test]
    fn an_unplugged_port_is_nowhere_or_with_the_next() {
        assert_eq!(
            decided("", binding("a", "", ""), &[], Hold::Unplugged),
            None
        );
        assert_eq!(
            decided("a", binding("a", "", ""), &["b"], Hold::Unplugged),
            None
        );
        let next = binding("b", "", "a");
        assert_eq!(
            decided("", binding("a", "", ""), &["b"], Hold::Unplugged),
            next
        );
    }

    #[test]
    fn a_host_away_keeps_its_ports_until_another_has_them() {
        let at_a = || binding("a", "", "");
        assert_eq!(decided("", at_a(), &[], Hold::Lost), at_a());
        assert_eq!(decided("", at_a(), &["b"], Hold::Unknown), at_a());
        assert_eq!(
            decided("", at_a(), &["b"], Hold::Lost),
            binding("b", "", "")
        );
        assert_eq!(decided("a", at_a(), &["b"], Hold::Lost), at_a());
    }

    #[test]
    fn deciding_twice_decides_the_same() {
        let names = ["", "a", "b", "c"];
        for wish in names {
            for (at, to, from) in itertools(&names) {
                for claims in [&[][..], &["a"], &["b"], &["a", "b"], &["c"]] {
                    for holder in [Hold::Plugged, Hold::Unplugged, Hold::Unknown, Hold::Lost] {
                        let first = decided(wish, binding(at, to, from), claims, holder);
                        let now_at = first.as_ref().and_then(|binding| binding.host.clone());
                        let same = now_at.as_ref().is_some_and(|now| now.as_str() == at);
                        let claimed = now_at.is_some_and(|now| claims.contains(&now.as_str()));
                        let holder = match holder {
                            _ if claimed => Hold::Plugged,
                            holder if same => holder,
                            _ => Hold::Unplugged,
                        };
                        let second = decided(wish, first.clone(), claims, holder);
                        assert_eq!(
                            first, second,
                            "{wish} {at}/{to}/{from} {claims:?} {holder:?}"
                        );
                    }
                }
            }
        }
    }

    fn itertools<'a>(names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let pairs = names
            .iter()
            .flat_map(|a| names.iter().map(move |b| (*a, *b)));
        pairs.flat_map(|(a, b)| names.iter().map(move |c| (a, b, *c)))
    }
}
