//! Steps that fit and steps that do not.

use super::*;

fn member(port: &str, host: &str) -> Member {
    Member {
        port: port.into(),
        host: host.into(),
        ..Member::default()
    }
}

fn step(from_revision: u64, to_revision: u64) -> SliceDelta {
    SliceDelta {
        network_id: 7,
        from_revision,
        to_revision,
        ..SliceDelta::default()
    }
}

fn slice() -> NetworkSlice {
    let mut slice = NetworkSlice::empty(7);
    let upsert_members = vec![member("p/a", "hv1"), member("p/c", "hv1")];
    slice
        .apply(&SliceDelta {
            upsert_members,
            ..step(0, 5)
        })
        .unwrap();
    slice
}

#[test]
fn members_stay_sorted() {
    let mut slice = slice();
    let upsert_members = vec![member("p/b", "hv2"), member("p/c", "hv3")];
    let remove_members = vec!["p/a".into(), "p/unknown".into()];
    let delta = SliceDelta {
        upsert_members,
        remove_members,
        ..step(5, 6)
    };
    slice.apply(&delta).unwrap();
    assert_eq!(slice.members, [member("p/b", "hv2"), member("p/c", "hv3")]);
    assert_eq!(slice.member("p/c").unwrap().host, "hv3");
    assert_eq!((slice.revision, slice.member("p/a")), (6, None));
}

#[test]
fn steps_that_do_not_fit_change_nothing() {
    let mut changed = slice();
    let (network_id, have) = (7, 5);
    for (delta, error) in [
        (
            step(5, 5),
            DeltaError::Older {
                network_id,
                have,
                to: 5,
            },
        ),
        (
            step(0, 4),
            DeltaError::Older {
                network_id,
                have,
                to: 4,
            },
        ),
        (
            step(6, 7),
            DeltaError::Gap {
                network_id,
                have,
                from: 6,
            },
        ),
        (
            step(4, 6),
            DeltaError::Gap {
                network_id,
                have,
                from: 4,
            },
        ),
        (
            SliceDelta {
                network_id: 8,
                ..step(5, 6)
            },
            DeltaError::OtherNetwork { network_id, got: 8 },
        ),
    ] {
        assert_eq!(changed.apply(&delta), Err(error));
        assert_eq!(changed, slice());
    }
}

#[test]
fn a_complete_step_replaces_everything() {
    let mut changed = slice();
    let upsert_members = vec![member("p/z", "hv9")];
    changed
        .apply(&SliceDelta {
            upsert_members,
            ..step(0, 9)
        })
        .unwrap();
    assert_eq!(changed.members, [member("p/z", "hv9")]);
    changed
        .apply(&SliceDelta {
            deleted: true,
            ..step(9, 10)
        })
        .unwrap();
    assert_eq!(changed, NetworkSlice::empty(7));
}
