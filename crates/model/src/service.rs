//! Services: what a firewall rule is about, `tcp/443`, `udp/53`, `icmp/8`. One form for people, one
//! ([`Service::matched`]) for those who look packets up.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::written::text_form;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Which packets, by protocol and destination port or ICMP type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// All of them: `any`.
    Any,
    /// TCP to these ports: `tcp`, `tcp/443`, `tcp/8000-8080`.
    Tcp(PortRange),
    /// UDP to these ports: `udp/53`.
    Udp(PortRange),
    /// ICMP, which is IPv4's alone: `icmp`, `icmp/8`, `icmp/3/4`.
    Icmp(IcmpKind),
    /// ICMP of IPv6: `icmpv6/128`.
    Icmpv6(IcmpKind),
    /// Another IP protocol by its number: `ip/47`. Never one of those above.
    Protocol(u8),
}

/// Destination ports from `first` to `last`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Messages of ICMP or ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IcmpKind {
    /// All of them.
    All,
    /// Those of one type.
    Type(u8),
    /// Those of one type and code.
    Code(u8, u8),
}

/// A service as packets are looked up by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceMatch {
    /// IP protocol, or next header behind the extension headers.
    pub protocol: u8,
    /// Destination ports; `type << 8 | code` for ICMP and ICMPv6; for protocols without ports
    /// everything, although only 0 occurs.
    pub numbers: RangeInclusive<u16>,
}

/// Why a text is no service.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServiceError {
    /// A word that names no protocol.
    #[error(
        "`{text}` is no service; write tcp/443, tcp/8000-8080, udp/53, icmp, icmp/8, icmpv6/128, ip/47 or any"
    )]
    Unknown {
        /// What was written.
        text: String,
    },
    /// A port that is none, or a range that ends before it starts.
    #[error("`{text}` has no port or range of ports from 0 to 65535 behind its `/`")]
    Ports {
        /// What was written.
        text: String,
    },
    /// A type, code or protocol that is none.
    #[error("`{text}` has a number behind its `/` that is not from 0 to 255")]
    Number {
        /// What was written.
        text: String,
    },
}

impl PortRange {
    /// All ports.
    pub const ALL: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// The ports from `first` to `last`, if there are any.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// One port.
    pub fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl Service {
    /// How packets of the service are recognised; nothing for [`Service::Any`].
    pub fn matched(self) -> Option<ServiceMatch> {
        let icmp = |kind| match kind {
            IcmpKind::All => 0..=u16::MAX,
            IcmpKind::Type(kind) => u16::from_be_bytes([kind, 0])..=u16::from_be_bytes([kind, 255]),
            IcmpKind::Code(kind, code) => {
                u16::from_be_bytes([kind, code])..=u16::from_be_bytes([kind, code])
            }
        };
        let (protocol, numbers) = match self {
            Self::Any => return None,
            Self::Tcp(ports) => (TCP, ports.first..=ports.last),
            Self::Udp(ports) => (UDP, ports.first..=ports.last),
            Self::Icmp(kind) => (ICMP, icmp(kind)),
            Self::Icmpv6(kind) => (ICMPV6, icmp(kind)),
            Self::Protocol(protocol) => (protocol, 0..=u16::MAX),
        };
        Some(ServiceMatch { protocol, numbers })
    }
}

impl FromStr for Service {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let (protocol, rest) = match text.split_once('/') {
            Some((protocol, rest)) => (protocol, Some(rest)),
            None => (text, None),
        };
        let unknown = || ServiceError::Unknown { text: text.into() };
        Ok(match (protocol, rest) {
            ("any", None) => Self::Any,
            ("tcp", rest) => Self::Tcp(ports(rest, text)?),
            ("udp", rest) => Self::Udp(ports(rest, text)?),
            ("icmp", rest) => Self::Icmp(icmp(rest, text)?),
            ("icmpv6", rest) => Self::Icmpv6(icmp(rest, text)?),
            ("ip", Some(rest)) => match number(rest, text)? {
                TCP => Self::Tcp(PortRange::ALL),
                UDP => Self::Udp(PortRange::ALL),
                ICMP => Self::Icmp(IcmpKind::All),
                ICMPV6 => Self::Icmpv6(IcmpKind::All),
                other => Self::Protocol(other),
            },
            _ => return Err(unknown()),
        })
    }
}

fn ports(rest: Option<&str>, text: &str) -> Result<PortRange, ServiceError> {
    let Some(rest) = rest else {
        return Ok(PortRange::ALL);
    };
    let (first, last) = rest.split_once('-').unwrap_or((rest, rest));
    let range = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => PortRange::new(first, last),
        _ => None,
    };
    range.ok_or_else(|| ServiceError::Ports { text: text.into() })
}

fn icmp(rest: Option<&str>, text: &str) -> Result<IcmpKind, ServiceError> {
    let Some(rest) = rest else {
        return Ok(IcmpKind::All);
    };
    Ok(match rest.split_once('/') {
        Some((kind, code)) => IcmpKind::Code(number(kind, text)?, number(code, text)?),
        None => IcmpKind::Type(number(rest, text)?),
    })
}

fn number(digits: &str, text: &str) -> Result<u8, ServiceError> {
    digits
        .parse()
        .map_err(|_| ServiceError::Number { text: text.into() })
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Tcp(ports) => write!(f, "tcp{ports}"),
            Self::Udp(ports) => write!(f, "udp{ports}"),
            Self::Icmp(kind) => write!(f, "icmp{kind}"),
            Self::Icmpv6(kind) => write!(f, "icmpv6{kind}"),
            Self::Protocol(number) => write!(f, "ip/{number}"),
        }
    }
}

/// What follows the name of the protocol.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => Ok(()),
            Self { first, last } if first == last => write!(f, "/{first}"),
            Self { first, last } => write!(f, "/{first}-{last}"),
        }
    }
}

/// What follows the name of the protocol.
impl fmt::Display for IcmpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Type(kind) => write!(f, "/{kind}"),
            Self::Code(kind, code) => write!(f, "/{kind}/{code}"),
        }
    }
}

text_form!(Service);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matched(text: &str) -> (u8, RangeInclusive<u16>) {
        let matched = text.parse::<Service>().unwrap().matched().unwrap();
        (matched.protocol, matched.numbers)
    }

    #[test]
    fn services_are_numbers_of_a_protocol() {
        assert_eq!(matched("tcp/443"), (6, 443..=443));
        assert_eq!(matched("tcp/8000-8080"), (6, 8000..=8080));
        assert_eq!(matched("udp"), (17, 0..=65535));
        assert_eq!(matched("icmp/8"), (1, 0x0800..=0x08ff));
        assert_eq!(matched("icmp/3/4"), (1, 0x0304..=0x0304));
        assert_eq!(matched("icmpv6/128"), (58, 0x8000..=0x80ff));
        assert_eq!(matched("ip/47"), (47, 0..=65535));
        assert_eq!("any".parse::<Service>().unwrap().matched(), None);
    }

    #[test]
    fn one_service_has_one_form() {
        let shown = |text: &str| text.parse::<Service>().unwrap().to_string();
        assert_eq!(shown("ip/6"), "tcp");
        assert_eq!(shown("ip/58"), "icmpv6");
        assert_eq!(shown("tcp/80-80"), "tcp/80");
        assert_eq!(shown("udp/0-65535"), "udp");
    }

    #[test]
    fn what_is_no_service_says_so() {
        let error = |text: &str| text.parse::<Service>().unwrap_err();
        for text in ["http", "tcp4/80", "any/1", "ip", "80", ""] {
            assert!(
                matches!(error(text), ServiceError::Unknown { .. }),
                "{text}"
            );
        }
        for text in ["tcp/", "tcp/http", "tcp/90-80", "udp/65536", "tcp/1-2-3"] {
            assert!(matches!(error(text), ServiceError::Ports { .. }), "{text}");
        }
        for text in ["ip/256", "icmp/echo", "icmp/3/4/5", "ip/"] {
            assert!(matches!(error(text), ServiceError::Number { .. }), "{text}");
        }
    }

    fn services() -> impl Strategy<Value = Service> {
        let ports = (any::<u16>(), any::<u16>())
            .prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
        let kind = prop_oneof![
            Just(IcmpKind::All),
            any::<u8>().prop_map(IcmpKind::Type),
            any::<(u8, u8)>().prop_map(|(kind, code)| IcmpKind::Code(kind, code)),
        ];
        let other = any::<u8>().prop_filter("it has a name", |number| {
            ![ICMP, TCP, UDP, ICMPV6].contains(number)
        });
        prop_oneof![
            Just(Service::Any),
            ports.clone().prop_map(Service::Tcp),
            ports.prop_map(Service::Udp),
            kind.clone().prop_map(Service::Icmp),
            kind.prop_map(Service::Icmpv6),
            other.prop_map(Service::Protocol),
        ]
    }

    proptest! {
        #[test]
        fn services_survive_text_and_json(service in services()) {
            prop_assert_eq!(service.to_string().parse::<Service>().unwrap(), service);
            let json = serde_json::to_string(&service).unwrap();
            prop_assert_eq!(serde_json::from_str::<Service>(&json).unwrap(), service);
        }

        #[test]
        fn noise_is_refused_or_understood(text in "[a-z0-9/-]{0,16}") {
            if let Ok(service) = text.parse::<Service>() {
                prop_assert_eq!(service.to_string().parse::<Service>().unwrap(), service);
            }
        }
    }
}
