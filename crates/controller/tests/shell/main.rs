//! A whole controller with its sockets and its store on disk, a client, and agents over gRPC.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod authority;
mod backup;
mod controller;
mod edge;
mod etcd;
mod events;
mod history;
mod identity;
mod roles;
mod schemathesis;
#[path = "../../../store/tests/server/mod.rs"]
mod server;

use std::time::{Duration, Instant};

use agent::Agent;
use coax_api::agent::controller_message::Body;
use coax_api::{Action, Client, Endpoint, PortState, StackOptions};
use controller::Controller;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

fn shop() -> serde_json::Value {
    json!({
        "version": 1, "project": "shop",
        "networks": { "web": { "subnets": ["10.10.1.0/24", "fd00:10:1::/64"] } },
        "ports": {
            "web-1": { "network": "web", "host": "hv1" },
            "web-2": { "network": "web" },
        },
    })
}

fn with_wait() -> StackOptions {
    StackOptions {
        dry_run: false,
        wait: Some(PATIENCE),
        ..StackOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_file_to_hosts_and_back() {
    let controller = Controller::start().await;
    let client = &controller.client;
    client.ready().await.unwrap();
    let mut hv1 = Agent::attach(&controller, "hv1", 1, &["shop/web-1"]).await;
    let mut hv2 = Agent::attach(&controller, "hv2", 2, &["shop/web-2"]).await;
    hv1.until_current().await;
    hv2.until_current().await;

    let options = StackOptions {
        dry_run: true,
        ..StackOptions::default()
    };
    let plan = client.put_stack("shop", &shop(), &options).await.unwrap();
    assert_eq!(plan.changes.len(), 3);
    assert!(
        plan.changes
            .iter()
            .all(|change| change.action == Action::Create)
    );
    assert!(
        client.projects().await.unwrap().is_empty(),
        "a dry run changes nothing"
    );

    let (hv1, hv2) = (tokio::spawn(hv1.keep_up()), tokio::spawn(hv2.keep_up()));
    let plan = client
        .put_stack("shop", &shop(), &with_wait())
        .await
        .unwrap();
    let realisation = plan.realisation.unwrap();
    assert!(realisation.done, "{realisation:?}");
    assert_eq!(realisation.realized, ["hv1", "hv2"]);

    let port = client.port("shop", "web-1").await.unwrap();
    assert_eq!(
        (port.state, port.host.as_deref()),
        (PortState::Active, Some("hv1"))
    );
    assert_eq!(port.prefixes, ["10.10.1.2/24", "fd00:10:1::2/64"]);
    assert_eq!(port.status.realized["hv2"], plan.revision);
    let again = client
        .put_stack("shop", &shop(), &with_wait())
        .await
        .unwrap();
    assert!(again.changes.is_empty());
    assert_eq!(again.revision, plan.revision);

    let exported = client.stack("shop").await.unwrap();
    assert_eq!(exported["ports"]["web-1"]["mac"], json!(port.mac));
    let same = client
        .put_stack("shop", &exported, &StackOptions::default())
        .await
        .unwrap();
    assert!(same.changes.is_empty(), "{:?}", same.sentences);

    check_lists(client).await;
    hv1.abort();
    hv2.abort();
}

async fn check_lists(client: &Client) {
    let status = client.status().await.unwrap();
    assert_eq!(
        (status.ports.active, status.hosts.current, status.generation),
        (2, 2, 1)
    );
    assert_eq!(client.networks(Some("shop")).await.unwrap()[0].ports, 2);
    assert!(client.networks(Some("bank")).await.unwrap().is_empty());
    assert_eq!(client.subnets(None).await.unwrap().len(), 2);
    assert_eq!(
        client.hosts().await.unwrap()[1].vtep_ipv4.as_deref(),
        Some("192.0.2.2")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_survives_a_restart() {
    let mut controller = Controller::start().await;
    let agent = Agent::attach(&controller, "hv1", 1, &["shop/web-1"]).await;
    let kept = tokio::spawn(agent.keep_up());
    let plan = controller
        .client
        .put_stack("shop", &shop(), &with_wait())
        .await
        .unwrap();
    let before = controller.client.ports(None).await.unwrap();
    kept.abort();

    controller.restart().await;
    let after = controller.client.ports(None).await.unwrap();
    let known = |ports: &[coax_api::Port]| {
        ports
            .iter()
            .map(|port| (port.mac.clone(), port.host.clone(), port.revision))
            .collect::<Vec<_>>()
    };
    assert_eq!(known(&before), known(&after));
    let status = controller.client.status().await.unwrap();
    assert_eq!(status.generation, 1);
    assert!(status.revision >= plan.revision);
    assert_eq!(status.conditions[0].code, "host-away");

    let mut agent = Agent::attach(&controller, "hv1", 1, &["shop/web-1"]).await;
    let messages = agent.until_current().await;
    assert!(matches!(messages[0], Body::Welcome(ref welcome) if welcome.generation == 1));
    assert!(
        messages
            .iter()
            .any(|body| matches!(body, Body::Snapshot(_)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_come_from_every_host_or_it_is_named() {
    let controller = Controller::start().await;
    let client = &controller.client;
    let hv1 = Agent::attach(&controller, "hv1", 1, &[]).await;
    let mut hv2 = Agent::attach(&controller, "hv2", 2, &[]).await;
    let hv1 = tokio::spawn(hv1.keep_up());
    // Attached, but it never answers a report.
    hv2.until_current().await;
    controller.until(|status| status.hosts.connected == 2).await;

    let drops = client.drops().await.unwrap();
    assert_eq!(drops.missing.len(), 1);
    assert_eq!(drops.missing[0].host, "hv2");
    assert_eq!(
        (drops.drops[0].host.as_str(), drops.drops[0].count),
        ("hv1", 3)
    );
    assert!(
        drops.drops[0].hint.contains("MTU"),
        "{}",
        drops.drops[0].hint
    );
    drop(hv2);
    controller.until(|status| status.hosts.connected == 1).await;
    let counters = client.counters().await.unwrap();
    assert!(counters.missing[0].reason.contains("not attached"));
    assert_eq!(counters.ports[0].counters.rx_frames, 7);

    let metrics = client.metrics().await.unwrap();
    for line in [
        "coax_hosts{state=\"attached\"} 1",
        "coax_host_report_missing{host=\"hv2\"} 1",
        "coax_drops_total{host=\"hv1\",direction=\"vm\",reason=\"too-big\"} 3",
        "coax_dhcp_requests_total{host=\"hv1\",type=\"dhcpv4-discover\",outcome=\"answered\"} 5",
        "coax_router_solicitations_total{host=\"hv1\",outcome=\"answered\"} 2",
        "coax_dns_queries_total{host=\"hv1\",outcome=\"answered\"} 9",
        "coax_controller_generation 1",
        "coax_store_commit_duration_seconds_count",
        "coax_api_request_duration_seconds_count{route=\"/v1/drops\",method=\"GET\",code=\"200\"}",
        "coax_build_info{version=",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    hv1.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let controller = Controller::start().await;
    let client = &controller.client;
    let refused = |error: coax_api::ClientError| error.problem().expect("a problem").clone();
    let options = StackOptions::default();

    let mut twice = shop();
    twice["ports"]["web-1"]["mac"] = json!("02:00:00:00:00:01");
    twice["ports"]["web-2"]["mac"] = json!("02:00:00:00:00:01");
    let problem = refused(
        client
            .put_stack("shop", &twice, &options)
            .await
            .unwrap_err(),
    );
    assert_eq!(problem.status, 422);
    assert!(
        problem.field.unwrap().starts_with("ports.web-"),
        "{}",
        problem.message
    );
    assert!(!problem.hint.is_empty());

    let problem = refused(
        client
            .put_stack("bank", &shop(), &options)
            .await
            .unwrap_err(),
    );
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (400, "other-project")
    );
    let problem = refused(
        client
            .put_stack("shop", &json!({"version": 1}), &options)
            .await
            .unwrap_err(),
    );
    assert_eq!((problem.code.as_str(), problem.line), ("bad-body", Some(1)));
    let problem = refused(client.port("shop", "web-9").await.unwrap_err());
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (404, "no-such-port")
    );
    let problem = refused(client.port("shop", "Web_9").await.unwrap_err());
    assert!(problem.hint.contains("web-9"), "{}", problem.hint);
    let problem = refused(client.wait(99, PATIENCE).await.unwrap_err());
    assert_eq!(problem.code, "no-such-revision");
    let problem = refused(client.stack("nobody").await.unwrap_err());
    assert_eq!(problem.code, "no-such-project");
    assert_eq!(client.openapi().await.unwrap()["info"]["title"], "Coax");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_socket_one_controller() {
    let controller = Controller::start().await;
    let second = Controller::options(controller.folder());
    let state = tempfile::tempdir().unwrap();
    coax_controller::Deployment::create(state.path(), std::time::SystemTime::now()).unwrap();
    let second = coax_controller::Options {
        state: state.path().into(),
        ..second
    };
    let result = coax_controller::run_until(second, std::future::pending(), |_| {}).await;
    assert!(
        matches!(result, Err(coax_controller::Error::ApiInUse { .. })),
        "{result:?}"
    );
    let nobody = Client::new(Endpoint::Unix(state.path().join("nobody.sock")));
    assert!(
        nobody
            .status()
            .await
            .unwrap_err()
            .to_string()
            .contains("cannot reach")
    );
}

/// From the API call to the delta at the agent. Printed; the bound is only there to notice sleeps
/// and polling.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_agents_at_once() {
    let controller = Controller::start().await;
    let client = &controller.client;
    client
        .put_stack("shop", &shop(), &StackOptions::default())
        .await
        .unwrap();
    let mut agent = Agent::attach(&controller, "hv1", 1, &["shop/web-1"]).await;
    agent.until_current().await;
    controller.until(|status| status.ports.active == 1).await;
    agent
        .until_revision(client.status().await.unwrap().revision)
        .await;

    let mut times = Vec::new();
    for round in 0..100 {
        let mut file = shop();
        file["ports"][format!("new-{round}")] = json!({ "network": "web" });
        let started = Instant::now();
        let options = StackOptions::default();
        let write = client.put_stack("shop", &file, &options);
        let (plan, seen) = tokio::join!(write, agent.until_delta());
        times.push(seen - started);
        agent.until_revision(plan.unwrap().revision).await;
    }
    times.sort();
    println!(
        "API call to delta at the agent: p50 {:?}, p99 {:?}",
        times[50], times[98]
    );
    assert!(times[50] < Duration::from_millis(100), "{:?}", times[50]);
}
