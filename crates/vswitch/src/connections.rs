//! Connections of the firewall as values: to be listed, to be ended, and to go along with a port that
//! moves to another host.

use coax_tables::connection::{WAYS, buckets};
use coax_tables::{
    ConnectionBucket, ConnectionKey, ConnectionState, ConnectionTraits, ConnectionWords, DomainId,
    NetworkId, Tag,
};
use coax_wire::ip::protocol;
use nix::time::ClockId;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;
use zerocopy::IntoBytes;

/// Nanoseconds in a tick of the connections' time.
pub(crate) const TICK: u64 = 1 << 27;

/// Words of a connection.
const WORDS: usize = 12;

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// Its address.
    pub address: IpAddr,
    /// Its port; for ICMP the identifier of its echoes; 0 for protocols without ports.
    pub port: u16,
}

/// A connection as it stood in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Network of the local port.
    pub network: NetworkId,
    /// IP protocol.
    pub protocol: u8,
    /// Who opened it.
    pub originator: End,
    /// The other end.
    pub responder: End,
    /// A state of `ConnectionState`.
    pub state: u8,
    /// Time until it is forgotten if no packet comes.
    pub expires_in: Duration,
    /// Whose policy admitted it.
    pub domain: DomainId,
    /// By which rule; 0: none.
    pub rule: u32,
    /// Everything that is known of it, for another host.
    pub memory: ConnectionMemory,
}

impl Connection {
    /// One that another host remembers; nothing: nobody has a connection in that state. It is not remembered for longer than one
    /// that has just had a packet.
    pub fn remembered(memory: ConnectionMemory, state: u8, left: Duration) -> Option<Self> {
        let kind = state & ConnectionState::KIND;
        if matches!(kind, ConnectionState::EMPTY | ConnectionState::BUSY) {
            return None;
        }
        let protocol = key(&memory.0).protocol as u8;
        let icmp = matches!(protocol, protocol::ICMP | protocol::ICMPV6);
        let longest = ConnectionState::lifetime(state, icmp);
        let ticks = u32::try_from(left.as_nanos() / u128::from(TICK)).unwrap_or(u32::MAX);
        let tag = Tag::new(0, state, ticks.min(longest));
        Some(connection(memory.0, tag, 0))
    }

    /// The name of its state.
    pub const fn state_name(&self) -> &'static str {
        ConnectionState::name(self.state)
    }

    /// By what it is found.
    pub(crate) fn key(&self) -> ConnectionKey {
        key(&self.memory.0)
    }

    /// The policy that admitted it: nothing of its domain's rules has changed since if it is the same. 0: it has come from
    /// another host, and policy has not judged it here yet.
    pub const fn generation(&self) -> u32 {
        let [.., judged, _] = self.memory.0;
        (judged >> 32) as u32
    }

    /// TCP: the sequence numbers behind the last byte that originator and responder have sent; of an end that was not heard
    /// yet, because the connection was found in its midst, behind the last byte that the other one has acknowledged.
    pub const fn sent(&self) -> [u32; 2] {
        let [.., low, high, by_low, by_high, _, rule] = self.memory.0;
        let traits = rule as u32;
        let low = if traits & ConnectionTraits::SENT != 0 {
            low
        } else {
            by_high
        };
        let high = if traits & ConnectionTraits::SENT << 1 != 0 {
            high
        } else {
            by_low
        };
        let (low, high) = ((low >> 32) as u32, (high >> 32) as u32);
        if traits & ConnectionTraits::HIGH_ORIGINATES != 0 {
            [high, low]
        } else {
            [low, high]
        }
    }

    /// Time since its last packet, to a second: it is not written for each.
    pub fn idle(&self) -> Duration {
        let icmp = matches!(self.protocol, protocol::ICMP | protocol::ICMPV6);
        let whole = u64::from(ConnectionState::lifetime(self.state, icmp)) * TICK;
        Duration::from_nanos(whole).saturating_sub(self.expires_in)
    }

    /// One of its ends has the address.
    pub fn has_end(&self, address: IpAddr) -> bool {
        self.originator.address == address || self.responder.address == address
    }
}

/// The words of a connection. They mean the same on every host, but for the domain and the rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionMemory(pub [u64; WORDS]);

/// How the memory of the connection table is used from outside of programs.
pub(crate) struct ConnectionTable<'a> {
    pub buckets: &'a [ConnectionBucket],
    /// Connections by number of the domain.
    pub usage: &'a [AtomicU64],
    /// The time of the monotonic clock in ticks.
    pub now: u32,
}

impl ConnectionTable<'_> {
    /// All connections that are alive.
    pub(crate) fn all(&self) -> Vec<Connection> {
        let mut all = Vec::new();
        for bucket in self.buckets {
            for way in 0..WAYS {
                all.extend(self.read(bucket, way));
            }
        }
        all
    }

    /// How many are alive, and for how many there is room.
    pub(crate) fn used(&self) -> (u64, u64) {
        let tags = self.buckets.iter().flat_map(|bucket| &bucket.tags);
        let alive = tags.filter(|tag| Tag(tag.load(Relaxed)).is_alive(self.now));
        (alive.count() as u64, (self.buckets.len() * WAYS) as u64)
    }

    fn read(&self, bucket: &ConnectionBucket, way: usize) -> Option<Connection> {
        let before = Tag(bucket.tags[way].load(Acquire));
        if !before.is_alive(self.now) {
            return None;
        }
        let mut words = [0; WORDS];
        for (word, from) in words.iter_mut().zip(bucket.places[way].words()) {
            *word = from.load(Relaxed);
        }
        let after = Tag(bucket.tags[way].load(Acquire));
        after
            .is_alive(self.now)
            .then(|| connection(words, after, self.now))
    }

    /// Ends every connection that `wanted` accepts; says how many. The next packet of each is judged as if
    /// it were the first one.
    pub(crate) fn end(&self, wanted: &dyn Fn(&Connection) -> bool) -> usize {
        let mut ended = 0;
        for bucket in self.buckets {
            for way in 0..WAYS {
                let tag = Tag(bucket.tags[way].load(Acquire));
                let Some(connection) = self.read(bucket, way) else {
                    continue;
                };
                if wanted(&connection) {
                    let over = tag.with(tag.state(), self.now);
                    let done = bucket.tags[way].compare_exchange(tag.0, over.0, AcqRel, Relaxed);
                    ended += usize::from(done.is_ok());
                }
            }
        }
        ended
    }

    /// Takes a connection of another host over, for a domain of this one, which may have `quota` of them. Its policy judges it with
    /// the next packet. False: it is here already, or there is no room.
    pub(crate) fn adopt(
        &self,
        connection: &Connection,
        domain: DomainId,
        quota: u32,
        seed: u64,
    ) -> bool {
        let words = connection.memory.0;
        let key = key(&words);
        let hash = key.hash(seed);
        let mask = self.buckets.len() as u32 - 1;
        let candidates = buckets(hash, mask).map(|index| &self.buckets[index as usize]);
        let same = |place: &ConnectionWords| {
            place
                .words()
                .take(5)
                .zip(words)
                .all(|(word, own)| word.load(Relaxed) == own)
                && place.protocol.load(Relaxed) >> 32 == words[5] >> 32
        };
        let is_here = candidates.iter().any(|bucket| {
            (0..WAYS).any(|way| {
                let tag = Tag(bucket.tags[way].load(Acquire));
                tag.may_be(hash) && tag.is_alive(self.now) && same(&bucket.places[way])
            })
        });
        let Some(used) = self.usage.get(domain.0 as usize).filter(|_| !is_here) else {
            return false;
        };
        if used.load(Relaxed) as u32 >= quota {
            return false;
        }
        for bucket in candidates {
            for way in 0..WAYS {
                let old = Tag(bucket.tags[way].load(Acquire));
                let busy = Tag::new(0, ConnectionState::BUSY, self.now.wrapping_add(8));
                if !old.is_free(self.now)
                    || bucket.tags[way]
                        .compare_exchange(old.0, busy.0, AcqRel, Relaxed)
                        .is_err()
                {
                    continue;
                }
                let place = &bucket.places[way];
                if old.state() != ConnectionState::EMPTY {
                    let domain = place.judged.load(Relaxed) as u32;
                    if let Some(used) = self.usage.get(domain as usize) {
                        used.fetch_sub(1, Relaxed);
                    }
                }
                for (word, value) in place.words().zip(words) {
                    word.store(value, Relaxed);
                }
                // No generation is zero, so the connection is judged when its next packet comes.
                place.judged.store(domain.0.into(), Relaxed);
                place.rule.store(words[11] & u64::from(u32::MAX), Relaxed);
                used.fetch_add(1, Relaxed);
                let left = connection.expires_in.as_nanos() / u128::from(TICK);
                let deadline = self.now.wrapping_add(left as u32);
                let tag = Tag::new(hash, connection.state, deadline);
                bucket.tags[way].store(tag.0, Release);
                return true;
            }
        }
        false
    }
}

fn key(words: &[u64; WORDS]) -> ConnectionKey {
    let [a, b, c, d, ports, protocol, ..] = *words;
    ConnectionKey {
        low: [a, b],
        high: [c, d],
        low_port: ports as u16,
        high_port: (ports >> 16) as u16,
        network: (ports >> 32) as u32,
        protocol: (protocol >> 32) as u32,
        zero: 0,
    }
}

fn end(address: [u64; 2], port: u16) -> End {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(address.as_bytes());
    End {
        address: Ipv6Addr::from(bytes).to_canonical(),
        // Ports stand in memory as on the wire.
        port: u16::from_be(port),
    }
}

fn connection(words: [u64; WORDS], tag: Tag, now: u32) -> Connection {
    let key = key(&words);
    let low = end(key.low, key.low_port);
    let high = end(key.high, key.high_port);
    let [.., judged, rule] = words;
    let high_originates = rule as u32 & ConnectionTraits::HIGH_ORIGINATES != 0;
    let (originator, responder) = if high_originates {
        (high, low)
    } else {
        (low, high)
    };
    let left = u64::try_from(tag.left(now)).unwrap_or(0);
    Connection {
        network: NetworkId(key.network),
        protocol: key.protocol as u8,
        originator,
        responder,
        state: tag.state(),
        expires_in: Duration::from_nanos(left * TICK),
        domain: DomainId(judged as u32),
        rule: (rule >> 32) as u32,
        memory: ConnectionMemory(words),
    }
}

/// The time of the monotonic clock that programs read too, in ticks.
pub(crate) fn now() -> u32 {
    // A clock that every kernel has.
    let time = ClockId::CLOCK_MONOTONIC_COARSE.now();
    let nanoseconds = time.map_or(0, |time| Duration::from(time).as_nanos() as u64);
    coax_tables::connection::ticks(nanoseconds)
}
