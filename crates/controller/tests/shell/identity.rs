//! Who gets in: joining, speaking for a host, renewing, being removed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use coax_agent::JoinError;
use coax_api::membership::RenewRequest;
use coax_api::membership::identity_client::IdentityClient;
use coax_api::{InvitationKind, InvitationRequest};
use coax_identity::authority::HOST_LIFETIME;
use coax_identity::secret::hex;
use coax_identity::{
    Authority, CertificateRequest, Credentials, Enrolment, HostIdentity, JoinToken, Pin, Secret,
    tls,
};
use tonic::Code;
use tonic::transport::Endpoint;

use super::PATIENCE;
use super::agent::{Agent, connect};
use super::controller::Controller;

/// What a machine that calls itself `name` is told.
async fn refused(token: &JoinToken, name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let joined = coax_agent::join(token, &name.parse().unwrap(), folder.path()).await;
    let Err(coax_agent::Error::Join(error)) = joined else {
        panic!("joined: {joined:?}");
    };
    match error {
        JoinError::Refused(reason) => reason,
        other => other.to_string(),
    }
}

async fn counted(controller: &Controller, series: &str) -> bool {
    let metrics = controller.client.metrics().await.unwrap();
    metrics.lines().any(|line| line == series)
}

/// Who joined is in the log, with the invitation that somebody made.
async fn its_join_is_in_the_log(controller: &Controller) {
    let log = controller.client.audit_log(10).await.unwrap();
    assert_eq!(
        (log[1].method.as_str(), log[1].path.as_str()),
        ("JOIN", "host hv1")
    );
    assert!(log[1].from.starts_with("127.0.0.1:"), "{log:?}");
    assert_eq!(
        log[0].changes,
        [format!("invites host hv1: {}", log[1].who)]
    );
    assert_eq!(log[1].changes, ["host hv1 joins"]);
    assert_eq!(
        log.len(),
        3,
        "refused machines are counted, and fill no log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_one_machine_in_once_and_says_why_not() {
    let controller = Controller::start().await;
    let token = controller.invite(Some("hv1")).await;
    let other = JoinToken {
        host: Some("hv2".parse().unwrap()),
        ..token.clone()
    };
    assert!(
        refused(&other, "hv2")
            .await
            .contains("is for hv1, not for hv2")
    );
    let folder = tempfile::tempdir().unwrap();
    let name = "ignored".parse().unwrap();
    let host = coax_agent::join(&token, &name, folder.path())
        .await
        .unwrap();
    assert_eq!(host.as_str(), "hv1");
    // Replayed.
    assert!(refused(&token, "hv1").await.contains("hv1 joined with it"));
    let forged = JoinToken {
        secret: Secret::from_bytes([1; Secret::LENGTH]),
        ..token.clone()
    };
    assert!(
        refused(&forged, "hv1")
            .await
            .contains("not made by this deployment")
    );
    // Another deployment at the same address: the secret is not even said.
    let foreign = JoinToken {
        pin: Pin([1; 32]),
        ..token
    };
    assert!(refused(&foreign, "hv1").await.contains("no controller"));
    let request = InvitationRequest {
        host: None,
        expires_in: Some("1s".into()),
    };
    let invitation = controller.client.invite(&request).await.unwrap();
    let open: JoinToken = invitation.token.parse().unwrap();
    assert!(
        refused(&open, "hv1")
            .await
            .contains("there is a host hv1 already")
    );
    let expired = tokio::time::timeout(super::PATIENCE, async {
        while !refused(&open, "hv1").await.contains("expired") {}
    });
    expired.await.unwrap();
    its_join_is_in_the_log(&controller).await;
    for series in [
        "coax_joins_total{outcome=\"joined\"} 1",
        "coax_joins_total{outcome=\"used\"} 1",
        "coax_joins_total{outcome=\"unknown\"} 1",
        "coax_joins_total{outcome=\"other-name\"} 1",
        "coax_joins_total{outcome=\"expired\"} 1",
    ] {
        assert!(counted(&controller, series).await, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_speaks_for_the_host_of_its_certificate_only() {
    let controller = Controller::start().await;
    let hv1 = controller.join("hv1").await;
    let mut agent = Agent::attach_with(&controller, &hv1, "hv2", 1, &[])
        .await
        .unwrap();
    let reason = agent.until_refused().await;
    assert!(reason.contains("cannot speak for hv2"), "{reason}");
    agent.until_ended().await;
    assert!(controller.client.hosts().await.unwrap().is_empty());
    let series = "coax_agents_refused_total{outcome=\"other-host\"} 1";
    assert!(counted(&controller, series).await);
    let mut agent = Agent::attach_with(&controller, &hv1, "hv1", 1, &[])
        .await
        .unwrap();
    agent.until_current().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_removed_or_joined_again_is_kept_out() {
    let controller = Controller::start().await;
    let old = controller.join("hv1").await;
    let mut agent = Agent::attach_with(&controller, &old, "hv1", 1, &[])
        .await
        .unwrap();
    agent.until_current().await;
    let attached = controller.client.remove_host("hv1", false).await;
    assert!(attached.unwrap_err().to_string().contains("attached"));
    controller.client.remove_host("hv1", true).await.unwrap();
    agent.until_ended().await;
    let again = async |credentials: &Credentials| {
        let attached = Agent::attach_with(&controller, credentials, "hv1", 1, &[]).await;
        attached.map(drop)
    };
    let status = again(&old).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("removed"), "{status}");
    assert!(controller.client.hosts().await.unwrap().is_empty());
    // Invited anew it is another host of the same name, and the old key stays out.
    let new = controller.join("hv1").await;
    again(&new).await.unwrap();
    assert_eq!(
        again(&old).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_and_those_that_ran_out_do_not_get_in() {
    let controller = Controller::start().await;
    let now = SystemTime::now();
    let authority = Authority::load(&controller.folder().join("state")).unwrap();
    let stranger = Authority::create(now).unwrap();
    let host = "hv1".parse().unwrap();
    let issue = |authority: &Authority, now| {
        let enrolment = Enrolment::random().unwrap();
        Credentials::issue(authority, &host, enrolment, now, HOST_LIFETIME).unwrap()
    };
    let forged = {
        // Signed by another authority, but trusting this one.
        let request = CertificateRequest::new().unwrap();
        let enrolment = Enrolment::random().unwrap();
        let signed = stranger.sign_host(request.der(), &host, enrolment, now, HOST_LIFETIME);
        request
            .complete(signed.unwrap(), vec![authority.certificate().clone()])
            .unwrap()
    };
    let outdated = issue(&authority, now - HOST_LIFETIME - Duration::from_secs(3600));
    for credentials in [&forged, &outdated] {
        // TLS 1.3 tells a client about its certificate only with the first answer.
        let attached = Agent::attach_with(&controller, credentials, "hv1", 1, &[]).await;
        assert!(attached.is_err());
    }
    // The client knows first.
    let series = "coax_agents_refused_total{outcome=\"handshake\"} ";
    let handshakes = async || {
        let metrics = controller.client.metrics().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    let end = Instant::now() + PATIENCE;
    while handshakes().await < 2 {
        assert!(Instant::now() < end, "{}", handshakes().await);
    }
    // The right authority, but never joined.
    let unknown = issue(&authority, now);
    let attached = Agent::attach_with(&controller, &unknown, "hv1", 1, &[]).await;
    assert_eq!(
        attached.map(drop).unwrap_err().code(),
        Code::PermissionDenied
    );
    // A controller of another deployment is not believed.
    let believer = issue(&stranger, now);
    let address = format!("http://{}", controller.addresses.agents);
    let endpoint = Endpoint::from_shared(address).unwrap();
    let config = Arc::new(tls::host_client(&believer).unwrap());
    coax_api::stream::connect(&endpoint, config)
        .await
        .unwrap_err();
    // Nobody speaks without TLS.
    let plain = format!("http://{}", controller.addresses.agents);
    let plain = Endpoint::from_shared(plain).unwrap().connect_lazy();
    let request = RenewRequest::default();
    IdentityClient::new(plain).renew(request).await.unwrap_err();
    let series = "coax_agents_refused_total{outcome=\"revoked\"} 1";
    assert!(counted(&controller, series).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_with_itself_for_the_same_host() {
    let controller = Controller::start().await;
    let hv1 = controller.join("hv1").await;
    let mut client = IdentityClient::new(connect(&controller, &hv1).await);
    let request = CertificateRequest::new().unwrap();
    let asked = RenewRequest {
        certificate_request: request.der().to_vec().into(),
    };
    let answer = client.renew(asked).await.unwrap().into_inner();
    let renewed = request
        .complete(
            answer.certificate.to_vec().into(),
            hv1.authorities().to_vec(),
        )
        .unwrap();
    let (before, after): (&HostIdentity, _) = (hv1.identity(), renewed.identity());
    assert_eq!(
        (&before.host, before.enrolment),
        (&after.host, after.enrolment)
    );
    assert_ne!(hv1.certificate(), renewed.certificate());
    let mut agent = Agent::attach_with(&controller, &renewed, "hv1", 1, &[])
        .await
        .unwrap();
    agent.until_current().await;
    // Without a certificate there is nothing to renew.
    let config = Arc::new(tls::joining_client(controller.invite(None).await.pin).unwrap());
    let address = format!("http://{}", controller.addresses.agents);
    let endpoint = Endpoint::from_shared(address).unwrap();
    let channel = coax_api::stream::connect(&endpoint, config).await.unwrap();
    let refused = IdentityClient::new(channel)
        .renew(RenewRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_seen_and_withdrawn_before_a_machine_comes_with_it() {
    let controller = Controller::start().await;
    let client = &controller.client;
    let (lost, used) = (
        controller.invite(Some("hv1")).await,
        controller.join("hv2").await,
    );
    let listed = client.invitations(InvitationKind::Host).await.unwrap();
    let by = |by: Option<&str>| {
        listed
            .iter()
            .find(|it| it.used_by.as_deref() == by)
            .unwrap()
    };
    let (open, joined) = (by(None), by(Some("hv2")));
    assert!(open.is_open() && !joined.is_open());
    assert!(!format!("{listed:?}").contains(&hex(lost.secret.as_bytes())));
    let withdraw = async |name: &str| {
        let withdrawn = client.withdraw_invitation(InvitationKind::Host, name).await;
        withdrawn.map_err(|error| error.problem().unwrap().code.clone())
    };
    let code = |code: &str| Err(code.to_owned());
    assert_eq!(
        withdraw(&joined.name).await.map(drop),
        code("invitation-used")
    );
    let withdrawn = withdraw(&open.name).await.unwrap();
    assert_eq!(withdrawn.host.as_deref(), Some("hv1"));
    assert_eq!(
        withdraw(&open.name).await.map(drop),
        code("no-such-invitation")
    );
    assert!(refused(&lost, "hv1").await.contains("withdrawn"));
    // Who joined stays.
    Agent::attach_with(&controller, &used, "hv2", 1, &[])
        .await
        .unwrap();
    let log = client.audit_log(10).await.unwrap();
    let sentence = format!("withdraws invitation {} of host hv1", open.name);
    assert!(
        log.iter().any(|it| it.changes == [sentence.as_str()]),
        "{log:?}"
    );
}
