//! The kernel takes the programs, and pins survive whoever made them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use aya::maps::{Array, Map, MapData};
use coax_netlink::ScopedNamespace;
use coax_pipeline::Continuation;
use coax_tables::{MacKey, MacRow, NetworkId};
use coax_vswitch::{
    Attachment, Capacity, DataPlane, DataPlaneError, KernelDataPlane, KernelOptions, Row,
    RowOperation,
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
    classes: 4,
    services: 4,
    policies: 4,
    domains: 4,
    connections: 128,
    fragments: 32,
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

/// The programs that those attached to the loopback device can call, by their place; 0: none. There is one list of them.
fn called(pins: &Pins) -> Vec<u32> {
    let folder = pins.0.join("programs/port-1");
    let arrays: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    let [array] = &arrays[..] else {
        panic!("{arrays:?}");
    };
    let array = MapData::from_pin(array.as_ref().unwrap().path()).unwrap();
    // The kernel tells the programs' numbers as if they were the values of an ordinary array.
    let array = Array::<_, u32>::try_from(Map::Array(array)).unwrap();
    let places = Continuation::ALL.iter();
    places
        .map(|place| array.get(&(*place as u32), 0).unwrap_or_default())
        .collect()
}

#[test]
fn programs_keep_those_that_they_call_while_they_are_attached() {
    let namespace = ScopedNamespace::create("coax-stand-called").unwrap();
    let run = || {
        let pins = Pins::new("called");
        let mut plane = pins.open(SMALL, false).unwrap();
        plane.attach(1, Attachment::Port).unwrap();
        drop(plane);
        let before = called(&pins);
        assert!(before.iter().all(|program| *program > 0), "{before:?}");
        let mut plane = pins.open(SMALL, false).unwrap();
        assert_eq!(called(&pins), before);
        plane.attach(1, Attachment::Port).unwrap();
        let after = called(&pins);
        let both = before.iter().zip(&after);
        assert!(
            both.clone().all(|(old, new)| *new > 0 && new != old),
            "{after:?}"
        );
        plane.detach(1, Attachment::Port).unwrap();
        assert!(!pins.0.join("programs/port-1").exists());
    };
    namespace.run(run).unwrap();
}
