//! Controllers that store in etcd.

use coax_api::{HistoryOptions, StackOptions};
use coax_controller::EtcdAddresses;
use coax_identity::Credentials;

use super::agent::Agent;
use super::controller::Controller;
use super::server::Server;
use super::{shop, with_wait};

#[tokio::test(flavor = "multi_thread")]
async fn etcd_dies_and_comes_back_and_everything_is_there() {
    let mut server = Server::start();
    let address = server.address();
    let mut controller = Controller::start_with(|options| {
        options.store = Some(EtcdAddresses(vec![address]));
    })
    .await;
    let client = controller.client.clone();
    let options = StackOptions::default();
    let plan = client.put_stack("shop", &shop(), &options).await.unwrap();

    server.kill();
    // Reading does not need it; writing waits until it is back.
    assert_eq!(client.ports(Some("shop")).await.unwrap().len(), 2);
    let writer = client.clone();
    let write = tokio::spawn(async move { writer.delete_stack("shop", &options).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.run();
    let gone = write.await.unwrap().unwrap();
    assert!(gone.revision > plan.revision);

    controller.restart().await;
    let client = controller.client.clone();
    let history = client.revisions(&HistoryOptions::default()).await.unwrap();
    let revisions: Vec<u64> = history.iter().map(|it| it.revision).collect();
    assert_eq!(revisions, [gone.revision, plan.revision]);
    let options = StackOptions::default();
    let again = client.put_stack("shop", &shop(), &options).await.unwrap();
    assert!(again.revision > gone.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_over_one_etcd_are_one_to_everybody() {
    let mut server = Server::start();
    let address = server.address();
    let one = Controller::start_with(|options| {
        options.store = Some(EtcdAddresses(vec![address]));
    })
    .await;
    let two = one.start_beside().await;
    let credentials = one.join("hv1").await;
    let ports = &["shop/web-1"];
    let hv1 = Agent::attach_with(&two, &credentials, "hv1", 1, ports).await;
    let mut hv1 = hv1.unwrap();
    hv1.until_current().await;

    // What one stores the other knows at once, and tells its agents.
    let options = StackOptions::default();
    let plan = one.client.put_stack("shop", &shop(), &options).await;
    let plan = plan.unwrap();
    assert_eq!(two.client.ports(Some("shop")).await.unwrap().len(), 2);
    hv1.until_revision(plan.revision + 1).await;
    let port = one.client.port("shop", "web-1").await.unwrap();
    assert_eq!(port.host.as_deref(), Some("hv1"));

    both_take_changes_at_once(&one, &two).await;

    // An agent that goes over to the other is told nothing older, and the same file is the same there.
    let newest = hv1.newest;
    drop(hv1);
    let hv1 = Agent::attach_with(&one, &credentials, "hv1", 1, ports).await;
    let mut hv1 = hv1.unwrap();
    hv1.until_current().await;
    assert!(hv1.newest >= newest);
    for controller in [&one, &two] {
        let address = controller.addresses.agents.to_string();
        assert!(hv1.controllers.contains(&address), "{:?}", hv1.controllers);
    }
    let hv1 = tokio::spawn(hv1.keep_up());
    let again = one.client.put_stack("shop", &shop(), &with_wait()).await;
    assert!(again.unwrap().realisation.unwrap().done);
    both_know_how_it_is(&two, &credentials).await;

    // etcd is away for longer than one attempt: the write is done when it is back, and once.
    server.kill();
    let file = serde_json::json!({
        "version": 1, "project": "c", "networks": { "net": { "subnets": ["10.0.0.0/8"] } },
    });
    let client = two.client.clone();
    let write = tokio::spawn(async move {
        let options = StackOptions::default();
        client.put_stack("c", &file, &options).await
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.run();
    let revision = write.await.unwrap().unwrap().revision;
    let record = one.client.revision(revision).await.unwrap();
    assert_eq!(record.project.as_deref(), Some("c"));
    hv1.abort();
}

/// The controller that the host does not obey waits for it, and asks it, as its own does.
async fn both_know_how_it_is(other: &Controller, credentials: &Credentials) {
    let ports = &["shop/web-1"];
    let standby = Agent::attach_standby(other, credentials, "hv1", 1, ports).await;
    let standby = tokio::spawn(standby.keep_up());
    let again = other.client.put_stack("shop", &shop(), &with_wait()).await;
    assert!(again.unwrap().realisation.unwrap().done);
    let hosts = other.client.hosts().await.unwrap();
    assert!(hosts[0].connected && hosts[0].lag == 0, "{hosts:?}");
    let counters = other.client.counters().await.unwrap();
    assert!(!counters.ports.is_empty() && counters.missing.is_empty());
    standby.abort();
}

async fn both_take_changes_at_once(one: &Controller, two: &Controller) {
    let write = |client: coax_api::Client, project: String| async move {
        let mut revisions = Vec::new();
        for vlan in 0..15 {
            let file = serde_json::json!({
                "version": 1, "project": project,
                "networks": { "net": { "subnets": [format!("10.{vlan}.0.0/16")] } },
            });
            let options = StackOptions::default();
            let plan = client.put_stack(&project, &file, &options).await.unwrap();
            revisions.push(plan.revision);
        }
        revisions
    };
    let (first, second) = tokio::join!(
        tokio::spawn(write(one.client.clone(), "a".into())),
        tokio::spawn(write(two.client.clone(), "b".into())),
    );
    let mut acknowledged = [first.unwrap(), second.unwrap()].concat();
    acknowledged.sort_unstable();
    for controller in [one, two] {
        let history = controller
            .client
            .revisions(&HistoryOptions::default())
            .await;
        let mut found: Vec<u64> = history.unwrap().iter().map(|it| it.revision).collect();
        found.sort_unstable();
        assert_eq!(found[1..], acknowledged);
    }

    // The audit log is one chain, whoever appended to it.
    let verdict = two.client.verify_audit_log().await.unwrap();
    assert_eq!((verdict.broken_at, verdict.entries), (None, 32));
}
