//! What the host answers in the name of a network: DHCPv4, DHCPv6, router solicitations and DNS.
//!
//! [`answer`] is a pure function. A frame that a VM sent and what is known of its port go in; the frame to send back to this
//! very port comes out, and what was made of the request. There is no socket, no clock and no state: a port's addresses are
//! in the intent, so a lease is the same whoever is asked, on whichever host, before and after any restart. A DECLINE or a
//! RELEASE changes nothing for the same reason.
//!
//! | module | holds |
//! | --- | --- |
//! | `settings` | what is known of the port that asks and of its network |
//! | `packet` | headers of frames, in and out |
//! | `dhcpv4`, `dhcpv6` | leases |
//! | `advertisement`, `schedule` | router advertisements, asked for and unasked |
//! | `dns`, `zone` | names of ports and networks |
//! | `outcome` | what was asked, and what came of it |
//! | `stand`, `noise` | a project and hostile bytes, for tests, judges and fuzz targets |
//!
//! Invariants:
//!
//! - An answer goes to the port that asked, and to nobody else. So there is nobody to flood with somebody else's questions.
//! - Whatever the bytes: no panic, and time linear in their number. Parsers of libraries get to see only what
//!   was checked before (`screen` in `dhcpv4` and `dhcpv6`; one question in `dns`).
//! - Transport checksums of requests are not verified: the frame has not left the memory of this host, and where the VM
//!   leaves checksums to its device the field holds only the sum of the pseudo header. Answers have full checksums.

mod advertisement;
mod dhcpv4;
mod dhcpv6;
mod dns;
pub mod noise;
mod outcome;
mod packet;
mod schedule;
mod settings;
pub mod stand;
mod zone;

pub use advertisement::advertise;
pub use outcome::{Answer, Dhcpv4Type, Dhcpv6Type, Outcome, Reason, Request};
pub use schedule::Schedule;
pub use settings::{
    Asker, Dhcp, Dns, Holder, LINK_LOCAL_SERVER, Names, Network, Port, Route, Subnet, domain,
    link_local_of,
};

use packet::{Body, Packet};

/// What `frame`, sent by a VM and beginning with its Ethernet header, is answered with.
pub fn answer(frame: &[u8], asker: &Asker<'_>) -> Answer {
    let Some(packet) = Packet::read(frame) else {
        return Answer::malformed(Request::Other);
    };
    match packet.body {
        Body::Udp {
            destination: dhcpv4::SERVER_PORT,
            payload,
            ..
        } => dhcpv4::answer(&packet, payload, asker),
        Body::Udp {
            destination: dhcpv6::SERVER_PORT,
            payload,
            ..
        } => dhcpv6::answer(&packet, payload, asker),
        Body::Udp {
            source,
            destination: dns::PORT,
            payload,
        } => dns::answer(&packet, source, payload, asker),
        Body::Icmpv6 { message } => advertisement::answer(&packet, message, asker),
        Body::Udp { .. } => Answer::ignored(Request::Other, Reason::NotARequest),
    }
}
