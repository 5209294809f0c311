//! Point 4: a VM moves to another hypervisor, ten times, while it receives a stream of datagrams and
//! holds a TCP session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::report::Checks;
use super::world::World;
use crate::error::Error;
use crate::measure::tcp;
use crate::measure::udp::{self, Stream};
use crate::migrate::{self, Migration};

/// Who sends and who moves.
const SENDER: &str = "shop/web-1";
const MOVER: &str = "shop/web-2";
/// Hosts in the order of the moves; the last is where the VM was at first.
const ROUTE: [&str; 10] = [
    "hv4", "hv6", "hv1", "hv3", "hv5", "hv2", "hv6", "hv4", "hv1", "hv2",
];
/// Datagrams per second.
const RATE: u32 = 1000;
/// Datagrams before and after a move.
const AROUND: u64 = 250;
const PORT: u16 = 5400;
const LIMIT: Duration = Duration::from_secs(10);
/// The longest silence that a move may cause.
const GAP_MS: f64 = 250.0;

/// One move and what became of the traffic.
#[derive(Debug, Clone, Serialize)]
pub struct Move {
    /// The move's own times.
    #[serde(flatten)]
    pub migration: Migration,
    /// Longest time without a datagram.
    pub gap_ms: f64,
    /// Datagrams lost.
    pub lost: u64,
    /// Datagrams that came twice.
    pub duplicated: u64,
    /// Datagrams that came late.
    pub reordered: u64,
}

/// All moves.
#[derive(Debug, Serialize)]
pub struct Moves {
    /// One by one.
    pub moves: Vec<Move>,
    /// The TCP session through all of them.
    pub session: tcp::SessionReport,
    /// Pairs of the network that did not reach each other at the end.
    pub silent_pairs: Vec<String>,
    /// Tables that do not hold as many rows as before the moves, with the number before and after.
    pub tables_changed: Vec<String>,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Moves, Error> {
    let (sender, mover) = (world.vm(SENDER)?, world.vm(MOVER)?);
    let tables = tables(world)?;
    let address = world.socket(MOVER, false, PORT)?;
    let session = tcp::session(&sender, &mover, address, Duration::from_millis(5))?;
    let mut moves = Vec::new();
    for host in ROUTE {
        moves.push(one_move(world, host)?);
    }
    let session = session.finish()?;
    let networks = world.networks()?;
    let web = networks.get("shop/web").map_or(&[][..], Vec::as_slice);
    let result = Moves {
        moves,
        session,
        silent_pairs: world.silent_pairs(web)?,
        tables_changed: changed_at_last(world, &tables),
    };
    tell(&result, checks);
    Ok(result)
}

fn one_move(world: &World, host: &str) -> Result<Move, Error> {
    let stream = Stream {
        to: world.socket(MOVER, false, PORT + 1)?,
        rate: RATE,
        size: 64,
        from_port: 0,
    };
    let flow = udp::flow(&world.vm(SENDER)?, &world.vm(MOVER)?, stream)?;
    flow.wait_for(AROUND, LIMIT);
    let migration = migrate::migrate(&world.site, &world.client, MOVER, host, LIMIT);
    let migration = world.wait(migration)?;
    flow.wait_for(AROUND, LIMIT);
    let report = flow.finish()?;
    Ok(Move {
        migration,
        gap_ms: report.longest_gap_ms,
        lost: report.lost,
        duplicated: report.duplicated,
        reordered: report.reordered,
    })
}

/// Rows in each table of each host.
type Tables = BTreeMap<(String, String), u64>;

/// What is different from `before` even after a while.
fn changed_at_last(world: &World, before: &Tables) -> Vec<String> {
    let mut changed = Vec::new();
    super::world::eventually(LIMIT, || {
        changed = match tables(world) {
            Ok(now) => differences(before, &now),
            Err(error) => vec![error.to_string()],
        };
        changed.is_empty()
    });
    changed
}

fn differences(before: &Tables, now: &Tables) -> Vec<String> {
    let keys: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let of = |tables: &Tables, key| tables.get(key).copied().unwrap_or(0);
    let changed = keys
        .into_iter()
        .filter(|key| of(before, key) != of(now, key));
    changed
        .map(|key| {
            format!(
                "{} {}: {} -> {}",
                key.0,
                key.1,
                of(before, key),
                of(now, key)
            )
        })
        .collect()
}

fn tables(world: &World) -> Result<Tables, Error> {
    let counters = world.wait(world.client.counters())?;
    let tables = counters.tables.into_iter();
    Ok(tables
        .map(|table| ((table.host, table.usage.name), table.usage.entries))
        .collect())
}

fn tell(result: &Moves, checks: &mut Checks) {
    let moves = &result.moves;
    for (number, one) in (1..).zip(moves) {
        let what = format!(
            "move {number}: {} to {}",
            one.migration.from, one.migration.to
        );
        let measured = format!(
            "gap {:.1} ms, lost {}, twice {} (switched in {:.1} ms)",
            one.gap_ms, one.lost, one.duplicated, one.migration.switch_ms
        );
        let good = one.gap_ms <= GAP_MS && one.duplicated == 0;
        checks.check(
            what,
            measured,
            format!("gap ≤ {GAP_MS:.0} ms, none twice"),
            good,
        );
    }
    if let [first, .., last] = moves.as_slice() {
        // A move is some milliseconds; twice the first and a little is still as good.
        let limit = first.gap_ms * 2.0 + 20.0;
        checks.at_most("the last gap, next to the first", last.gap_ms, limit, "ms");
    }
    let session = &result.session;
    let state = if session.alive { "alive" } else { "dead" };
    let measured = format!(
        "{state}, {} exchanges, longest silence {:.0} ms",
        session.exchanges, session.longest_silence_ms
    );
    checks.check(
        "the TCP session through all moves",
        measured,
        "alive",
        session.alive,
    );
    checks.equal(
        "pairs that are silent afterwards",
        result.silent_pairs.len(),
        0,
    );
    let changed = &result.tables_changed;
    let measured = match changed.is_empty() {
        true => "as before".to_owned(),
        false => changed.join(", "),
    };
    checks.check(
        "rows in all hosts' tables afterwards",
        measured,
        "as before",
        changed.is_empty(),
    );
}
