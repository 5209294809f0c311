//! Which flows somebody wants to see.

use coax_api::flows::{Choice, FlowFilter, FlowPlace};
use ipnet::IpNet;

use super::entry::{Entry, Named, address, protocol_name};

/// A filter with its prefixes read.
#[derive(Clone, Debug)]
pub(crate) struct FlowMatcher {
    filter: FlowFilter,
    from: Choice<Place>,
    to: Choice<Place>,
}

#[derive(Clone, Debug)]
enum Place {
    Port(String),
    Network(String),
    Prefix(IpNet),
}

impl FlowMatcher {
    /// Reads a filter; the error says what cannot be read in it.
    pub(crate) fn new(filter: FlowFilter) -> Result<Self, String> {
        Ok(Self {
            from: places(&filter.from)?,
            to: places(&filter.to)?,
            filter,
        })
    }

    /// Whether the flow is wanted.
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        let filter = &self.filter;
        let (key, names) = (&entry.key, &entry.names);
        let protocol = || protocol_name(key.protocol);
        entry.last >= filter.since
            && filter.verdict.takes(|wanted| *wanted == key.verdict())
            && filter.port.takes(|wanted| *wanted == key.port())
            && filter.protocol.takes(|wanted| *wanted == protocol())
            && filter.reason.takes(|wanted| wanted == key.reason())
            && filter.rule.takes(|wanted| *wanted == names.rule)
            && filter.project.takes(|wanted| *wanted == names.project)
            && self.from.takes(|place| place.is(&key.source, &names.from))
            && self.to.takes(|place| place.is(&key.destination, &names.to))
    }
}

fn places(choice: &Choice<FlowPlace>) -> Result<Choice<Place>, String> {
    let read = |places: &[FlowPlace]| places.iter().map(Place::read).collect::<Result<_, _>>();
    Ok(Choice {
        only: read(&choice.only)?,
        not: read(&choice.not)?,
    })
}

impl Place {
    fn read(place: &FlowPlace) -> Result<Self, String> {
        Ok(match place {
            FlowPlace::Port(name) => Self::Port(name.clone()),
            FlowPlace::Network(name) => Self::Network(name.clone()),
            FlowPlace::Prefix(text) => {
                let prefix = text.parse().map_err(|_| format!("`{text}` is no prefix"))?;
                Self::Prefix(prefix)
            }
        })
    }

    fn is(&self, bytes: &[u8; 16], named: &Named) -> bool {
        match self {
            Self::Port(name) => named.port == *name,
            Self::Network(name) => named.network == *name,
            Self::Prefix(prefix) => address(bytes).is_some_and(|address| prefix.contains(&address)),
        }
    }
}
