//! What was asked, and what came of it: the labels of metrics, and what tests look at.

use std::fmt;

/// What a frame asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Request {
    /// A DHCPv4 message (RFC 2131).
    Dhcpv4(Dhcpv4Type),
    /// A DHCPv6 message (RFC 8415).
    Dhcpv6(Dhcpv6Type),
    /// A router solicitation (RFC 4861).
    RouterSolicitation,
    /// A DNS message (RFC 1035).
    Dns,
    /// Nothing that is answered here.
    Other,
}

/// Types of DHCPv4 messages that clients send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dhcpv4Type {
    /// "Who gives me an address?"
    Discover,
    /// "I take this one", or "may I keep it?"
    Request,
    /// "Somebody else has this address."
    Decline,
    /// "I do not need it any more."
    Release,
    /// "I have an address, tell me the rest."
    Inform,
    /// A message that clients do not send, or none at all.
    Other,
}

/// Types of DHCPv6 messages that clients send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dhcpv6Type {
    /// "Who gives me an address?"
    Solicit,
    /// "I take these."
    Request,
    /// "Am I still where my addresses belong?"
    Confirm,
    /// "May I keep them?", to the server that gave them.
    Renew,
    /// "May I keep them?", to any server.
    Rebind,
    /// "I do not need them any more."
    Release,
    /// "Somebody else has this address."
    Decline,
    /// "I have an address, tell me the rest."
    InformationRequest,
    /// A message that clients do not send, or none at all.
    Other,
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// The client got what it asked for.
    Answered,
    /// The client was told that it does not get it.
    Refused,
    /// DNS: the client was told that there is no such thing.
    Absent,
    /// The client told something that changes nothing.
    Noted,
    /// Nothing was said.
    Ignored(Reason),
    /// The message breaks the rules of its format.
    Malformed,
}

/// Why nothing was said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The network has this service switched off.
    Off,
    /// The client talks to another server.
    OtherServer,
    /// The client is not the port's own NIC: another MAC address, or a relay.
    OtherClient,
    /// The port has no address of this family.
    NoAddress,
    /// It is nothing that a server answers.
    NotARequest,
}

/// What came of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What it asked for.
    pub request: Request,
    /// What came of it.
    pub outcome: Outcome,
    /// The frame to send to the port, from the Ethernet header on.
    pub frame: Option<Vec<u8>>,
}

impl Answer {
    pub(crate) fn ignored(request: Request, reason: Reason) -> Self {
        Self::silent(request, Outcome::Ignored(reason))
    }

    pub(crate) fn malformed(request: Request) -> Self {
        Self::silent(request, Outcome::Malformed)
    }

    pub(crate) fn silent(request: Request, outcome: Outcome) -> Self {
        Self {
            request,
            outcome,
            frame: None,
        }
    }
}

impl Request {
    /// The protocol, as metrics call it.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Dhcpv4(_) => "dhcpv4",
            Self::Dhcpv6(_) => "dhcpv6",
            Self::RouterSolicitation => "router-solicitation",
            Self::Dns => "dns",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Request {
    /// The label `type` of metrics: `dhcpv4-discover`, `dns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service())?;
        match self {
            Self::Dhcpv4(message) => write!(f, "-{}", message.name()),
            Self::Dhcpv6(message) => write!(f, "-{}", message.name()),
            Self::RouterSolicitation | Self::Dns | Self::Other => Ok(()),
        }
    }
}

impl Dhcpv4Type {
    const fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Request => "request",
            Self::Decline => "decline",
            Self::Release => "release",
            Self::Inform => "inform",
            Self::Other => "other",
        }
    }
}

impl Dhcpv6Type {
    const fn name(self) -> &'static str {
        match self {
            Self::Solicit => "solicit",
            Self::Request => "request",
            Self::Confirm => "confirm",
            Self::Renew => "renew",
            Self::Rebind => "rebind",
            Self::Release => "release",
            Self::Decline => "decline",
            Self::InformationRequest => "information-request",
            Self::Other => "other",
        }
    }
}

impl Outcome {
    /// The label `outcome` of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Absent => "absent",
            Self::Noted => "noted",
            Self::Ignored(_) => "ignored",
            Self::Malformed => "malformed",
        }
    }
}
