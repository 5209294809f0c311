//! Controllers that store in etcd.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use coax_api::{ControllerInvitationRequest, HistoryOptions, StackOptions};
use coax_controller::{Deployment, DeploymentError, Error, EtcdAddresses, JoiningError, OwnWay};
use coax_identity::{Authority, ControllerToken, Credentials, Pin, Secret};
use coax_store::{Etcd, EtcdAccess, Store};

use super::agent::Agent;
use super::controller::{BESIDE, Controller, store_in};
use super::server::Server;
use super::server::certificates::Certificates;
use super::{shop, with_wait};

/// What a machine is told that says no address of its own.
const BAD_ADDRESS: &str =
    "hosts cannot reach a controller there: the address is to be ADDRESS:PORT";

#[tokio::test(flavor = "multi_thread")]
async fn etcd_dies_and_comes_back_and_everything_is_there() {
    let mut server = Server::start();
    let mut controller =
        Controller::start_with(|options| store_in(options, &server.access())).await;
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
    let certificates = Certificates::new();
    let mut server = Server::start_secured(&certificates);
    server.open();
    server.ask_for_users("password", "/coax/");
    let coax = server.access_with(certificates.login("coax", "coax", "password"));
    let one = Controller::start_with(|options| store_in(options, &coax)).await;
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

    // Whom one takes in, the other knows: they have one authority.
    let hv2 = two.join("hv2").await;
    let taken = Agent::attach_with(&one, &hv2, "hv2", 2, &[]).await;
    taken.unwrap().until_current().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_one_controller_and_says_why_not_another() {
    let server = Server::start();
    let access = server.access();
    let one = Controller::start_with(|options| store_in(options, &access)).await;
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name);
    let token = one.invite_controller("30m").await;

    // Nothing that is amiss on the new machine uses the token up.
    let other = Server::start();
    let elsewhere = OwnWay {
        etcd: Some(EtcdAddresses::from(&other.access())),
        ..OwnWay::default()
    };
    let joined = coax_controller::join(&token, BESIDE, &elsewhere, &state("a")).await;
    assert!(
        matches!(joined, Err(Error::Joining(JoiningError::OtherStore { .. }))),
        "{joined:?}"
    );
    assert_eq!(refused(&token, "nowhere", &state("b")).await, BAD_ADDRESS);
    let foreign = ControllerToken {
        pin: Pin([1; 32]),
        ..token.clone()
    };
    assert!(
        refused(&foreign, BESIDE, &state("c"))
            .await
            .contains("no controller")
    );

    // It works once. What comes is the authority, in files that nobody else reads.
    let own = OwnWay::default();
    let joined = coax_controller::join(&token, BESIDE, &own, &state("two")).await;
    assert_eq!(joined.unwrap().etcd, access);
    for (file, mode) in [
        ("", 0o700),
        ("authority.key", 0o600),
        ("authority.pem", 0o644),
    ] {
        let found = std::fs::metadata(state("two").join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    let [own, given] = [one.state(), state("two")].map(|it| Authority::load(&it).unwrap());
    assert_eq!(own.pin(), given.pin());
    let used = refused(&token, BESIDE, &state("d")).await;
    assert!(
        used.contains("controller 192.0.2.2:7450 joined with it"),
        "{used}"
    );
    let forged = ControllerToken {
        secret: Secret::from_bytes([1; Secret::LENGTH]),
        ..token
    };
    let unknown = refused(&forged, BESIDE, &state("e")).await;
    assert!(unknown.contains("not made by this deployment"), "{unknown}");
    let brief = one.invite_controller("1s").await;
    let expired = tokio::time::timeout(super::PATIENCE, async {
        // Looking for a store that is not there uses nothing up either.
        while !matches!(
            coax_controller::join(&brief, BESIDE, &elsewhere, &state("f")).await,
            Err(Error::Joining(JoiningError::Refused(reason))) if reason.contains("expired")
        ) {}
    });
    expired.await.unwrap();
    assert!(!Authority::is_in(&state("f")));
    it_is_counted_and_in_the_log(&one).await;
    a_store_has_one_deployment(&access, &other.access(), &state("g"));
}

/// Machines that became controllers, and those that did not.
async fn it_is_counted_and_in_the_log(one: &Controller) {
    let metrics = one.client.metrics().await.unwrap();
    for outcome in ["joined", "used", "unknown", "bad-request", "expired"] {
        let series = format!("coax_controller_joins_total{{outcome=\"{outcome}\"}} 1");
        assert!(metrics.lines().any(|line| line == series), "{series}");
    }
    let log = one.client.audit_log(10).await.unwrap();
    assert_eq!(
        (log[1].method.as_str(), log[1].path.as_str()),
        ("JOIN", "controller 192.0.2.2:7450")
    );
    assert!(log[0].changes[0].ends_with(&log[1].who), "{log:?}");
    assert!(!format!("{log:?}").contains("PRIVATE"), "{log:?}");
}

/// An etcd with a deployment takes no other; one without takes its hosts, too.
fn a_store_has_one_deployment(taken: &EtcdAccess, free: &EtcdAccess, state: &Path) {
    let now = SystemTime::now();
    let refused = Deployment::create_with(state, Some(taken), now).map(drop);
    assert!(
        matches!(refused, Err(DeploymentError::StoreTaken { .. })),
        "{refused:?}"
    );
    let made = Deployment::create_with(state, Some(free), now).unwrap();
    made.enrol(&["hv1".parse().unwrap()], now).unwrap();
    let store = Etcd::open(free).unwrap();
    assert_eq!(store.range(b"/coax/").unwrap().items.len(), 2);
    // Hosts of another deployment that join this one compare nothing with what they were told there.
    let generation = coax_controller::records::generation(&store).unwrap();
    assert!(generation > 1_000_000_000, "{generation}");
}

/// What a machine is told that does not become a controller.
async fn refused(token: &ControllerToken, address: &str, state: &Path) -> String {
    let joined = coax_controller::join(token, address, &OwnWay::default(), state).await;
    joined.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_invited_to_share_a_store_in_a_file() {
    let controller = Controller::start().await;
    let ask = async |expires_in: Option<&str>| {
        let expires_in = expires_in.map(str::to_owned);
        let request = ControllerInvitationRequest { expires_in };
        let refused = controller.client.invite_controller(&request).await;
        refused.unwrap_err().problem().unwrap().code.clone()
    };
    assert_eq!(ask(None).await, "embedded-store");
    assert_eq!(ask(Some("2d")).await, "bad-timeout");
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
    assert_eq!((verdict.broken_at, verdict.entries), (None, 36));
}
