//! What is said of ways that lose packets, on hosts that are there, busy, or gone.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::super::Patient;
use super::*;

fn way() -> Way {
    Way {
        from: "hv1".into(),
        to: "hv2".into(),
        ends: Ends {
            from: [10, 0, 0, 1].into(),
            to: [10, 0, 0, 2].into(),
        },
        length: 1600,
        markers: (0..4u8).map(|flow| [[flow; 8], [flow + 100; 8]]).collect(),
    }
}

#[test]
fn one_flow_of_several_is_enough() {
    let fault = |lost: &dyn Fn(&[u8; 8]) -> bool, named| {
        let way = way();
        let all = way.markers.iter().flatten();
        let seen = all.filter(|marker| !lost(marker)).copied().collect();
        judge(&way, &seen, named)
    };
    assert_eq!(fault(&|_| false, false), None);
    assert_eq!(fault(&|it| it[0] == 2, false), Some((Fault::Blocked, 1)));
    assert_eq!(fault(&|_| true, false), Some((Fault::Blocked, 4)));
    assert_eq!(fault(&|it| it[0] == 102, false), Some((Fault::Mtu, 1)));
    let large = |it: &[u8; 8]| it[0] >= 100;
    assert_eq!(fault(&large, false), Some((Fault::Mtu, 4)));
    assert_eq!(fault(&large, true), None, "the uplink was named");
}

#[test]
fn ways_that_fail_alike_are_one_finding() {
    let way = way();
    let lost = vec![(&way, 4); 6];
    let said = finding("hv1", Fault::Blocked, &lost).unwrap().cause;
    assert!(said.ends_with("and on 2 more ways"), "{said}");
    let said = finding("hv1", Fault::Mtu, &[(&way, 1)]).unwrap().cause;
    assert!(said.contains("hv2 (10.0.0.2) on 1 of 4 flows"), "{said}");
}

/// Hosts whose watchers miss everything so many times, and then watch no more if they are `gone`; or that cannot send.
struct Busy {
    misses: AtomicUsize,
    gone: bool,
    mute: bool,
    marked: AtomicU64,
}

impl Hosts for Busy {
    async fn ask(&self, _: &str, question: HostQuestion) -> Result<HostAnswer, String> {
        let HostQuestion::Watch { markers, .. } = question else {
            return match self.mute {
                true => Err("no such device".to_owned()),
                false => Ok(HostAnswer::Sent),
            };
        };
        let one_less = |left: usize| left.checked_sub(1);
        let misses = self.misses.fetch_update(Relaxed, Relaxed, one_less).is_ok();
        if !misses && self.gone {
            return Err("it is gone".to_owned());
        }
        Ok(HostAnswer::Watched {
            seen: vec![!misses; markers.len()],
        })
    }

    fn marker(&self) -> [u8; 8] {
        self.marked.fetch_add(1, Relaxed).to_be_bytes()
    }

    async fn pause(&self) {}
}

#[tokio::test]
async fn what_arrives_the_second_time_is_no_finding() {
    let patient = |number: u8| Patient {
        vteps: vec![[10, 0, 0, number].into()],
        attached: true,
    };
    let patients = Patients {
        hosts: (1..=2).map(|it| (format!("hv{it}"), patient(it))).collect(),
        largest: 1550,
        only: None,
    };
    let cases = [
        (0, false, false, 2, 0),
        (2, false, false, 2, 0),
        (4, false, false, 2, 2),
        (2, true, false, 2, 2),
        (4, false, true, 0, 0),
    ];
    for (misses, gone, mute, looked_at, named) in cases {
        let hosts = Busy {
            misses: misses.into(),
            gone,
            mute,
            marked: 0.into(),
        };
        let (probed, findings) = probe(&patients, &hosts, &[]).await;
        assert_eq!((probed, findings.len()), (looked_at, named), "{findings:?}");
    }
}

#[test]
fn every_way_is_in_exactly_one_round() {
    let patient = |number: u8| Patient {
        vteps: vec![[10, 0, 0, number].into()],
        attached: number != 7,
    };
    let hosts = (1..=40).map(|number| (format!("hv{number:02}"), patient(number)));
    let mut patients = Patients {
        hosts: hosts.collect(),
        largest: 1550,
        only: None,
    };
    let ways: Vec<_> = rounds(&patients).into_iter().flatten().collect();
    let pairs: BTreeSet<_> = ways.iter().map(|(from, to, _)| (from, to)).collect();
    assert_eq!((pairs.len(), ways.len()), (39 * 38, 39 * 38));
    for round in rounds(&patients) {
        let to_first = round.iter().filter(|(_, to, _)| to == "hv01").count();
        assert!(to_first <= 2 * AT_ONCE, "{to_first}");
    }
    patients.only = Some("hv03".into());
    let ways: Vec<_> = rounds(&patients).into_iter().flatten().collect();
    assert_eq!(ways.len(), 2 * 38);
}
