//! The kernel takes the programs, and pins survive whoever made them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use coax_tables::{MacKey, MacRow, NetworkId};
use coax_vswitch::{
    Capacity, DataPlane, DataPlaneError, KernelDataPlane, KernelOptions, Row, RowOperation,
};
use coax_wire::MacAddress;
use std::path::PathBuf;

struct Pins(PathBuf);

impl Pins {
    fn new(name: &str) -> Self {
        Self(PathBuf::from(format!(
            "/sys/fs/bpf/coax-test-{name}-{}",
            std::process::id()
        )))
    }

    fn open(
        &self,
        capacity: Capacity,
        take_over_layout: bool,
    ) -> Result<KernelDataPlane, DataPlaneError> {
        KernelDataPlane::open(&KernelOptions {
            pins: self.0.clone(),
            capacity,
            take_over_layout,
        })
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        KernelDataPlane::remove(&self.0).expect("pins are removed");
    }
}

const SMALL: Capacity = Capacity {
    ports: 4,
    networks: 4,
    macs: 2,
    addresses: 4,
    tunnels: 4,
    replicas: 8,
    sources: 4,
    routes: 4,
};

fn mac(last: u8) -> RowOperation {
    RowOperation::Put(Row::Mac(
        MacKey::new(NetworkId(7), MacAddress([2, 0, 0, 0, 0, last])),
        MacRow {
            ifindex: last.into(),
            flags: MacRow::LOCAL,
            ..Default::default()
        },
    ))
}

#[test]
fn rows_survive_and_a_full_table_keeps_what_it_has() {
    let pins = Pins::new("rows");
    let mut plane = pins.open(SMALL, false).unwrap();
    let verified = plane.verified_instructions();
    assert!(verified.iter().all(|(_, instructions)| *instructions > 0));
    eprintln!("{verified:?}");
    plane.apply(&mac(1)).unwrap();
    plane.apply(&mac(2)).unwrap();
    let error = plane.apply(&mac(3)).unwrap_err();
    assert!(
        matches!(error, DataPlaneError::TableFull { capacity: 2, .. }),
        "{error}"
    );
    let before = plane.rows().unwrap();
    assert_eq!(before.macs.len(), 2);
    drop(plane);
    assert_eq!(pins.open(SMALL, false).unwrap().rows().unwrap(), before);
}

#[test]
fn other_sizes_are_refused_and_can_be_taken_over() {
    let pins = Pins::new("sizes");
    drop(pins.open(SMALL, false).unwrap());
    let larger = Capacity { macs: 3, ..SMALL };
    let error = pins.open(larger, false).unwrap_err();
    assert!(
        matches!(
            error,
            DataPlaneError::Capacity {
                found: 2,
                wanted: 3,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("--take-over-layout"));
    pins.open(larger, true).unwrap();
    pins.open(larger, false).unwrap();
}
