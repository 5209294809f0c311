//! Firewall policy as a vSwitch looks it up: addresses and services become classes, a pair of classes
//! and a service become a rule. The number of lookups depends neither on the number of rules nor on
//! the number of members.
//!
//! A *policy table* is one consistent set of class, service and policy rows under one number. Whoever
//! changes more than one verdict at a time writes a new table first and changes the domain's row last,
//! so that every packet meets the old policy or the new one, never a mixture.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Names a policy domain (a project with a firewall) inside one vSwitch; 0: no firewall. The domain
/// table is an array, so numbers are given from 1 on, the smallest free one first.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct DomainId(pub u32);

/// What the vSwitch knows of a policy domain.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DomainRow {
    /// The policy table that is valid now.
    pub table: u32,
    /// Grows with every change of a verdict: connections admitted under an older number are judged
    /// again when their next packet comes.
    pub generation: u32,
    /// Connections that the domain may have on this host.
    pub quota: u32,
    /// Which kinds of policy keys the table has: bit `PolicyKey::kind`.
    pub kinds: u32,
    /// What happens where no rule matches: an action of `PolicyRow`.
    pub default_action: u8,
    /// Bits of the `PolicyRow::…` flags, for where no rule matches.
    pub flags: u8,
    /// Always zero.
    pub zero: [u8; 2],
}

/// A prefix of addresses in a policy table. Longest match.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct ClassKey {
    /// Bits that count, of what follows: 64 for `table` and `scope`, then those of the address.
    pub prefix_length: u32,
    /// The policy table, in network byte order.
    pub table: [u8; 4],
    /// The address plan that the address is meant in (`PortRow::scope`), in network byte order.
    pub scope: [u8; 4],
    /// The address, IPv4 in mapped form.
    pub address: [u8; 16],
}

impl ClassKey {
    /// Bits in front of the address.
    pub const SCOPE_BITS: u32 = 64;

    /// The key of the prefix of `bits` bits of `address` (an IPv4 prefix has 96 more).
    #[inline(always)]
    pub const fn new(table: u32, scope: u32, address: [u8; 16], bits: u32) -> Self {
        Self {
            prefix_length: Self::SCOPE_BITS + bits,
            table: table.to_be_bytes(),
            scope: scope.to_be_bytes(),
            address,
        }
    }
}

/// The class of all addresses that the same selectors of a policy table name.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ClassRow {
    /// From 1. Addresses without a row have class `ClassRow::OTHER`.
    pub class: u32,
}

impl ClassRow {
    /// The class of addresses and services that no rule names.
    pub const OTHER: u32 = 1;
}

/// A prefix of (protocol, port) in a policy table. Longest match.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct ServiceKey {
    /// Bits that count, of what follows: 32 for `table`, 8 for the protocol, up to 16 for the port.
    pub prefix_length: u32,
    /// The policy table, in network byte order.
    pub table: [u8; 4],
    /// IP protocol, or next header.
    pub protocol: u8,
    /// Destination port in network byte order; type and code for ICMP and ICMPv6; zero for others.
    pub port: [u8; 2],
    /// Always zero.
    pub zero: u8,
}

impl ServiceKey {
    /// Bits in front of the port.
    pub const PROTOCOL_BITS: u32 = 40;

    /// The key of the prefix of `bits` bits of `port`.
    #[inline(always)]
    pub const fn new(table: u32, protocol: u8, port: u16, bits: u32) -> Self {
        Self {
            prefix_length: Self::PROTOCOL_BITS + bits,
            table: table.to_be_bytes(),
            protocol,
            port: port.to_be_bytes(),
            zero: 0,
        }
    }
}

/// A pair of address classes and a service class. Zero stands for "any".
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct PolicyKey {
    /// The policy table.
    pub table: u32,
    /// Class of the side that opens the connection, or 0.
    pub source: u32,
    /// Class of the other side, or 0.
    pub destination: u32,
    /// Class of the service, or 0.
    pub service: u32,
}

impl PolicyKey {
    /// The source is named, not "any".
    pub const SOURCE: u32 = 1;
    /// The destination is named.
    pub const DESTINATION: u32 = 2;
    /// The service is named.
    pub const SERVICE: u32 = 4;
    /// Kinds of keys by what they name.
    pub const KINDS: u32 = 8;

    /// What the key names: a sum of the bits above.
    pub const fn kind(&self) -> u32 {
        named(self.source, Self::SOURCE)
            | named(self.destination, Self::DESTINATION)
            | named(self.service, Self::SERVICE)
    }
}

const fn named(class: u32, bit: u32) -> u32 {
    if class == 0 { 0 } else { bit }
}

/// The first rule, in written order, that names a key. Of all keys that fit a packet the row with the
/// smallest `order` decides.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PolicyRow {
    /// Place of the rule in written order: smaller decides.
    pub order: u32,
    /// Number of the rule on this host: its counters and its name in flows.
    pub rule: u32,
    /// `PolicyRow::ALLOW`, `DENY` or `REJECT`.
    pub action: u8,
    /// Bits of the `PolicyRow::…` flags.
    pub flags: u8,
    /// Always zero.
    pub zero: [u8; 2],
}

impl PolicyRow {
    /// The connection is admitted.
    pub const ALLOW: u8 = 1;
    /// Its packets are dropped.
    pub const DENY: u8 = 2;
    /// Its packets are answered with a reset or an ICMP error.
    pub const REJECT: u8 = 3;

    /// Every match is reported as a flow.
    pub const LOG: u8 = 1;
    /// What would be denied is admitted and reported.
    pub const AUDIT: u8 = 2;

    /// Number of the rule where no rule matched.
    pub const NO_RULE: u32 = 0;
}

/// Counters of a rule, by its number on this host.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RuleCounters {
    /// Connections, and packets outside connections, that the rule decided.
    pub hits: u64,
    /// When it last did, in nanoseconds of the monotonic clock.
    pub last_hit: u64,
}
