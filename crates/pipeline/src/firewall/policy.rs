//! What policy says of a packet that belongs to no connection: classes of both addresses and of the
//! service, then the first rule that names them.

use crate::{Meta, Tables};
use coax_tables::{ClassKey, ClassRow, DomainRow, PolicyKey, PolicyRow, ServiceKey};
use coax_wire::words;

/// Decides by the policy of the domain in `meta`. The answer is left in `meta.tracking`, because a
/// kernel's subprogram returns one register.
#[inline(never)]
pub(crate) fn decide<T: Tables>(tables: &T, meta: &mut Meta, domain: &DomainRow) {
    let (source, destination) = if meta.tracking.reversed != 0 {
        (&meta.destination, &meta.source)
    } else {
        (&meta.source, &meta.destination)
    };
    let source = address_class(tables, domain.table, meta.scope, source);
    let destination = address_class(tables, domain.table, meta.scope, destination);
    let key = ServiceKey::new(domain.table, meta.protocol, meta.tracking.service, 16);
    let service = tables
        .service(&key)
        .map_or(ClassRow::OTHER, |row| row.class);
    let tracking = &mut meta.tracking;
    tracking.order = u32::MAX;
    tracking.action = domain.default_action;
    tracking.flags = domain.flags;
    tracking.rule = PolicyRow::NO_RULE;
    for kind in 0..PolicyKey::KINDS {
        if domain.kinds >> kind & 1 == 0 {
            continue;
        }
        let named = |bit, class| if kind & bit == 0 { 0 } else { class };
        let key = PolicyKey {
            table: domain.table,
            source: named(PolicyKey::SOURCE, source),
            destination: named(PolicyKey::DESTINATION, destination),
            service: named(PolicyKey::SERVICE, service),
        };
        if let Some(row) = tables.policy(&key)
            && row.order < tracking.order
        {
            tracking.order = row.order;
            tracking.action = row.action;
            tracking.flags = row.flags;
            tracking.rule = row.rule;
        }
    }
}

/// The class of an address.
#[inline(never)]
fn address_class<T: Tables>(tables: &T, table: u32, scope: u32, address: &[u8; 16]) -> u32 {
    let mut key = ClassKey::new(table, scope, [0; 16], 128);
    words::copy(address, &mut key.address);
    tables.class(&key).map_or(ClassRow::OTHER, |row| row.class)
}
