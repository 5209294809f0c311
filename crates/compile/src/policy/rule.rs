//! What a policy says: rules in written order, and who the groups are that they name.
//!
//! A policy does not depend on the host that reads it. Addresses are meant in an *address plan* (a
//! scope): the same address is two different machines in two networks that no router joins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use coax_tables::PolicyRow;
use coax_wire::ip;

/// Names a group or a rule; copies share one text.
pub type Label = Arc<str>;

/// One of two address families, as the first part of [`AddressPrefix`]: a prefix of one family never
/// encloses a prefix of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A prefix of IP addresses without host bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressPrefix {
    family: AddressFamily,
    /// The address, left-aligned.
    bits: u128,
    length: u8,
}

impl AddressPrefix {
    /// The first `length` bits of `address`. `None` when the address does not have that many.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let host = Self::host(address);
        let kept = u128::MAX.checked_shl(128 - u32::from(length.min(128)));
        (length <= host.length).then_some(Self {
            bits: host.bits & kept.unwrap_or(0),
            length,
            ..host
        })
    }

    /// The prefix that holds just this address.
    pub fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self {
                family: AddressFamily::Ipv4,
                bits: u128::from(u32::from(address)) << 96,
                length: 32,
            },
            IpAddr::V6(address) => Self {
                family: AddressFamily::Ipv6,
                bits: address.into(),
                length: 128,
            },
        }
    }

    /// Its family.
    pub const fn family(&self) -> AddressFamily {
        self.family
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        match self.family {
            AddressFamily::Ipv4 => {
                let [a, b, c, d, ..] = self.bits.to_be_bytes();
                IpAddr::from([a, b, c, d])
            }
            AddressFamily::Ipv6 => IpAddr::from(self.bits.to_be_bytes()),
        }
    }

    /// Its first address, left-aligned.
    pub const fn bits(&self) -> u128 {
        self.bits
    }

    /// How many bits count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it holds exactly one address.
    pub const fn is_host(&self) -> bool {
        self.length
            == match self.family {
                AddressFamily::Ipv4 => 32,
                AddressFamily::Ipv6 => 128,
            }
    }

    /// Its address as tables have it, IPv4 in mapped form, and how many bits of that count.
    pub fn mapped(&self) -> ([u8; 16], u32) {
        match self.family {
            AddressFamily::Ipv4 => {
                let [a, b, c, d, ..] = self.bits.to_be_bytes();
                (ip::mapped([a, b, c, d]), u32::from(self.length) + 96)
            }
            AddressFamily::Ipv6 => (self.bits.to_be_bytes(), self.length.into()),
        }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}

impl fmt::Debug for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom a rule names at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// The members of a group.
    Group(Label),
    /// The addresses of a prefix, in every address plan.
    Prefix(AddressPrefix),
}

/// Destination ports of one protocol; types and codes for ICMP and ICMPv6 (the type is the upper
/// byte); 0 to 65535 stands for the protocol as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRange {
    /// IP protocol, or next header.
    pub protocol: u8,
    /// First port.
    pub first: u16,
    /// Last port; not below `first`, otherwise the range is empty.
    pub last: u16,
}

/// Some things, or everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<T> {
    /// Everything.
    Any,
    /// What one of these names; an empty list names nothing.
    OneOf(Vec<T>),
}

/// What happens to a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is admitted.
    Allow,
    /// Its packets are dropped.
    Deny,
    /// Its packets are answered with a reset or an ICMP error.
    Reject,
}

impl Action {
    /// The action's number in tables.
    pub const fn code(self) -> u8 {
        match self {
            Self::Allow => PolicyRow::ALLOW,
            Self::Deny => PolicyRow::DENY,
            Self::Reject => PolicyRow::REJECT,
        }
    }
}

/// What happens to what matches, and what is said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What happens.
    pub action: Action,
    /// Every match is reported.
    pub log: bool,
    /// What would be denied is admitted and reported.
    pub audit: bool,
}

impl Verdict {
    /// The bits of `PolicyRow` flags.
    pub const fn flags(self) -> u8 {
        let log = if self.log { PolicyRow::LOG } else { 0 };
        let audit = if self.audit { PolicyRow::AUDIT } else { 0 };
        log | audit
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the policy, rails included.
    pub name: Label,
    /// Its place in written order: the smallest that matches decides. No two rules have the same.
    pub order: u32,
    /// Who opens the connection.
    pub from: Match<Selector>,
    /// To whom.
    pub to: Match<Selector>,
    /// To which service.
    pub services: Match<ServiceRange>,
    /// What happens then.
    pub verdict: Verdict,
}

/// Some addresses of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// The address plan in which they are meant; `None`: in every one.
    pub scope: Option<u32>,
    /// The addresses.
    pub prefix: AddressPrefix,
}

/// What holds for the whole policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What happens where no rule matches.
    pub default: Verdict,
    /// Connections that ports under the policy may have on one host.
    pub quota: u32,
}

/// A policy: the operator's rails, then the project's own rules, and the groups that they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What holds for the whole policy.
    pub settings: Settings,
    /// Rules by name.
    pub rules: BTreeMap<Label, Arc<Rule>>,
    /// Groups by name. A group that is not here has no members.
    pub groups: BTreeMap<Label, BTreeSet<Element>>,
}
