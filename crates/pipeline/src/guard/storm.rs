//! Storm control: how many frames per second a port may send to everybody, to groups and to addresses
//! that nobody has.
//!
//! The limit holds for every second, not only on average: a tenth of it may come at once, nine tenths
//! are spread over the second. Questions that the host answers itself (ARP, neighbour discovery, DHCP)
//! reach nobody else and do not count, unless they do reach others: then `forward` counts them before
//! they are copied, together with floods of unknown addresses.

use super::port_row;
use crate::{Meta, Sink, Tables, Verdict};
use coax_tables::{DropReason, Limit, Rate};
use coax_wire::{EtherType, ip};

const SECOND: u64 = 1_000_000_000;

/// What `per_second` frames in any second mean to a bucket.
#[inline(always)]
pub(crate) const fn rate(per_second: u32) -> Rate {
    let burst = if per_second < 10 { 1 } else { per_second / 10 };
    // One in a second at least; and no division that could panic, which no kernel program may.
    let interval = match SECOND.checked_div(per_second.saturating_sub(burst) as u64) {
        Some(interval) => interval,
        None => SECOND,
    };
    Rate {
        interval,
        burst: burst as u64,
    }
}

/// True for frames that the host may answer itself.
#[inline(always)]
pub(crate) fn is_question(meta: &Meta) -> bool {
    if !meta.is(Meta::IP) {
        return meta.ethernet.ethertype == EtherType::ARP;
    }
    match meta.protocol {
        ip::protocol::ICMPV6 => true,
        ip::protocol::UDP => {
            let port = u16::from_be_bytes([meta.ports[2], meta.ports[3]]);
            matches!(port, 67 | 547)
        }
        _ => false,
    }
}

/// Counts the frame against the limit of its kind and drops what is beyond it.
#[inline(never)]
pub(crate) fn admit<T: Tables, S: Sink>(tables: &T, sink: &S, meta: &mut Meta) -> Verdict {
    meta.flags |= Meta::METERED;
    let Some(row) = port_row(tables, meta) else {
        return Verdict::Next;
    };
    let destination = meta.ethernet.destination;
    let (limit, per_second) = if meta.is(Meta::UNKNOWN_UNICAST) {
        (Limit::Unknown, row.unknown_rate)
    } else if destination.is_broadcast() {
        (Limit::Broadcast, row.broadcast_rate)
    } else {
        (Limit::Multicast, row.multicast_rate)
    };
    if per_second == 0 || sink.permit(limit, meta.slot, &rate(per_second), tables.now()) {
        Verdict::Next
    } else {
        meta.drop(DropReason::Storm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_limit_and_an_even_stream_nearly_as_much() {
        for per_second in [1, 2, 9, 10, 19, 100, 500, 2000] {
            let rate = rate(per_second);
            let (mut word, mut sent) = (0, Vec::new());
            // A port that tries twenty times as often as it may.
            let step = SECOND / u64::from(per_second) / 20;
            for moment in (0..3 * SECOND).step_by(step as usize) {
                if let Some(after) = rate.spend(word, SECOND + moment) {
                    word = after;
                    sent.push(moment);
                }
            }
            let in_second = |start: &u64| {
                let second = *start..*start + SECOND;
                sent.iter().filter(|it| second.contains(it)).count() as u32
            };
            let most = sent.iter().map(in_second).max().unwrap_or_default();
            assert!(most <= per_second.max(2), "{most} of {per_second}");
            let spread = per_second - (per_second / 10).max(1);
            // It tries at fixed moments, so a little is lost between them.
            assert!(sent.len() as u32 * 10 >= 27 * spread.max(1), "{per_second}");
        }
    }
}
