//! A whole agent on a real kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use coax_api::agent::agent_message::Body as Said;
use coax_api::agent::controller_message::Body as Answer;
use coax_api::agent::{Current, ReportRequest, Snapshot, Welcome};
use coax_vswitch::{Attachment, DataPlane};
use prost::Message;
use support::{Controller, PATIENCE, inside, rows_with_ports, slice};

#[test]
fn an_uplink_that_is_not_there_is_named_with_those_that_are() {
    inside(async |place| {
        place.prepare().await;
        let error = coax_agent::run(place.args("127.0.0.1:1", "eth7"))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("eth7") && text.contains("uplink"), "{text}");
        assert!(!place.pins.exists(), "nothing was made");
    });
}

#[test]
fn an_address_of_a_controller_that_is_none_is_refused_with_an_example() {
    inside(async |place| {
        for url in [
            "http://10.0.0.1:7481",
            "https://x:1",
            "x",
            "nonsense",
            ":1",
            "a@b:1",
        ] {
            let error = coax_agent::run(place.args(url, "uplink"))
                .await
                .unwrap_err();
            assert!(error.to_string().contains("10.0.0.1:7450"), "{error}");
        }
    });
}

#[test]
fn devices_become_ports_survive_the_agent_and_go_with_detach() {
    inside(async |place| {
        let netlink = place.prepare().await;
        let mut controller = Controller::start(None).await;
        let first = place.plug(&netlink, "tap0", "p/a").await;
        let agent = place.start(&controller);
        let Said::Hello(hello) = controller.hear().await else {
            panic!()
        };
        assert_eq!((hello.host.as_str(), hello.underlay_mtu), ("hv1", 1600));
        assert_eq!(hello.vtep_ipv4.as_ref(), [192, 0, 2, 1]);
        let Said::Claims(claims) = controller.hear().await else {
            panic!()
        };
        assert_eq!(claims.plugged[0].port, "p/a");
        controller
            .say(Answer::Welcome(Welcome {
                generation: 1,
                revision: 5,
                run: 1,
                ..Welcome::default()
            }))
            .await;
        let snapshot = Snapshot {
            slice: slice().encode_to_vec().into(),
            ..Snapshot::default()
        };
        controller.say(Answer::Snapshot(snapshot)).await;
        controller
            .say(Answer::Current(Current { revision: 5 }))
            .await;
        let Said::Realised(realised) = controller.hear().await else {
            panic!()
        };
        assert_eq!(
            (realised.revision, realised.problems.len()),
            (5, 0),
            "{realised:?}"
        );

        let plane = place.plane();
        let rows = plane.rows().unwrap();
        assert_eq!(rows.ports.len(), 1);
        assert!(rows.ports.keys().all(|key| key.ifindex == first));
        let uplink = netlink.link("uplink").await.unwrap().index;
        let mut attached = plane.attached().unwrap();
        attached.sort();
        assert_eq!(
            attached,
            [(uplink, Attachment::Uplink), (first, Attachment::Port)]
        );

        check_report(&mut controller).await;

        // Killed: everything stays.
        let before = rows_with_ports(&plane, 1).await;
        agent.abort();
        let _ = agent.await;
        assert_eq!(plane.rows().unwrap(), before);
        assert_eq!(plane.attached().unwrap().len(), 2);

        coax_agent::detach(&place.pins).unwrap();
        assert!(!place.pins.exists());
        assert_eq!(plane.attached().unwrap(), []);
        coax_agent::detach(&place.pins).unwrap();
    });
}

#[test]
fn a_rebooted_host_needs_no_controller() {
    inside(async |place| {
        let netlink = place.prepare().await;
        let mut controller = Controller::start(None).await;
        let agent = place.start(&controller);
        controller.teach(&slice()).await;
        // The cache is written soon after; its file says so.
        let cache = place.state.path().join("not/yet/there/agent.cache");
        let until = Instant::now() + PATIENCE;
        while !cache.exists() {
            assert!(Instant::now() < until, "no cache");
            tokio::task::yield_now().await;
        }
        agent.abort();
        let _ = agent.await;
        controller.server.abort();
        coax_agent::detach(&place.pins).unwrap();

        let device = place.plug(&netlink, "tap0", "p/a").await;
        let agent = place.start(&controller);
        let until = Instant::now() + PATIENCE;
        while !place.pins.join("links").exists() {
            assert!(Instant::now() < until, "no program attached");
            tokio::task::yield_now().await;
        }
        let rows = rows_with_ports(&place.plane(), 1).await;
        assert!(rows.ports.keys().all(|key| key.ifindex == device));
        assert_eq!(rows.macs.len(), 2, "p/a here and p/c there");
        agent.abort();
        let _ = agent.await;
    });
}

#[test]
fn an_agent_finds_a_controller_that_was_away_within_seconds() {
    inside(async |place| {
        place.prepare().await;
        let mut controller = Controller::start(None).await;
        let address = controller.url.parse().unwrap();
        let agent = place.start(&controller);
        controller.teach(&slice()).await;
        controller.server.abort();
        let _ = (&mut controller.server).await;
        let mut again = Controller::start(Some(address)).await;
        let began = Instant::now();
        again.teach(&slice()).await;
        println!("attached again after {:?}", began.elapsed());
        agent.abort();
        let _ = agent.await;
    });
}

async fn check_report(controller: &mut Controller) {
    controller
        .say(Answer::ReportRequest(ReportRequest { request_id: 3 }))
        .await;
    let report = loop {
        if let Said::Report(report) = controller.hear().await {
            break report;
        }
    };
    let report: coax_api::HostReport = serde_json::from_slice(&report.json).unwrap();
    assert_eq!((report.host.as_str(), report.revision), ("hv1", 5));
    assert!(report.ports.iter().any(|port| port.port == "p/a"));
    assert!(
        report
            .tables
            .iter()
            .any(|table| table.name == "macs" && table.entries == 2)
    );
}

#[test]
fn a_device_of_a_known_port_has_its_rows_within_milliseconds() {
    inside(async |place| {
        let netlink = place.prepare().await;
        let mut controller = Controller::start(None).await;
        let agent = place.start(&controller);
        controller.teach(&slice()).await;
        let plane = place.plane();
        // From the alias of a known port to its row in the kernel.
        let mut waits = Vec::new();
        for round in 0..20 {
            let began = Instant::now();
            let device = place.plug(&netlink, &format!("tap1-{round}"), "p/b").await;
            let plugged = began.elapsed();
            rows_with_ports(&plane, 1).await;
            waits.push(began.elapsed().saturating_sub(plugged));
            netlink.delete_link(device).await.unwrap();
            rows_with_ports(&plane, 0).await;
        }
        waits.sort();
        println!(
            "from `up` of a new device to its rows: median {:?}, worst {:?}",
            waits[10], waits[19]
        );
        // Far from what is reached, so that a busy machine does not fail it.
        assert!(waits[10] < Duration::from_millis(200));
        agent.abort();
        let _ = agent.await;
    });
}

#[test]
fn without_a_certificate_or_with_that_of_another_host_an_agent_does_not_run() {
    inside(async |place| {
        let args = || place.args("127.0.0.1:1", "uplink");
        let error = coax_agent::run(args()).await.unwrap_err();
        assert!(
            matches!(error, coax_agent::Error::NotJoined { .. }),
            "{error}"
        );
        place.join();
        let mut other = args();
        other.run.as_mut().unwrap().host = "hv2".into();
        let error = coax_agent::run(other).await.unwrap_err();
        assert!(
            matches!(error, coax_agent::Error::OtherHost { .. }),
            "{error}"
        );
    });
}
