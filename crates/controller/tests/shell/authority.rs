//! The authority is renewed: who moves goes on, who has only the old one is out, whatever he has of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coax_api::membership::identity_client::IdentityClient;
use coax_api::membership::{Authorities, FollowAuthoritiesRequest, RenewRequest};
use coax_api::stream::with_causes;
use coax_api::{AuthorityStatus, ClientError, FinishAuthorityRequest, RenewAuthorityRequest};
use coax_api::{Client, Endpoint, Role, TokenRequest};
use coax_controller::{Deployment, Error, IdentityError, OwnWay};
use coax_identity::authority::HOST_LIFETIME;
use coax_identity::tls::{self, PresentCertificate, TrustedAuthorities};
use coax_identity::{Authority, Certificate, CertificateRequest, Credentials, Pin, UserToken};
use tonic::transport::Endpoint as Address;

use super::PATIENCE;
use super::agent::{Agent, connect};
use super::controller::{BESIDE, Controller, store_in};
use super::server::Server;

async fn renew(controller: &Controller) -> Result<AuthorityStatus, String> {
    let request = RenewAuthorityRequest::default();
    code(controller.client.renew_authority(&request).await)
}

async fn finish(controller: &Controller, without: &[&str]) -> Result<AuthorityStatus, String> {
    let request = FinishAuthorityRequest {
        without: without.iter().map(|it| (*it).to_owned()).collect(),
        force: false,
    };
    code(controller.client.finish_authority(&request).await)
}

fn code(answer: Result<AuthorityStatus, ClientError>) -> Result<AuthorityStatus, String> {
    answer.map_err(|error| error.problem().unwrap().code.clone())
}

/// Asks until it is as wanted.
async fn until(controller: &Controller, wanted: impl Fn(&AuthorityStatus) -> bool) {
    let waiting = async {
        while !wanted(&controller.client.authorities().await.unwrap()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

/// What a host is told when it says of which authority its certificate is.
async fn told(controller: &Controller, credentials: &Credentials) -> Authorities {
    let signed_by = credentials.signed_by(credentials.authorities()).unwrap();
    let asked = FollowAuthoritiesRequest {
        signed_by: Pin::of(signed_by).0.to_vec().into(),
    };
    let mut client = IdentityClient::new(connect(controller, credentials).await);
    let mut answers = client.follow_authorities(asked).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap()
}

/// A host that moves to the newest authority, as agents do.
async fn moved(controller: &Controller, credentials: &Credentials) -> Credentials {
    let told = told(controller, credentials).await;
    assert!(told.signs);
    let named = told.authorities.iter();
    let named: Vec<Certificate> = named.map(|it| it.to_vec().into()).collect();
    let request = CertificateRequest::new().unwrap();
    let asked = RenewRequest {
        certificate_request: request.der().to_vec().into(),
    };
    let mut client = IdentityClient::new(connect(controller, credentials).await);
    let answer = client.renew(asked).await.unwrap().into_inner();
    let moved = request.complete(answer.certificate.to_vec().into(), named.clone());
    let moved = moved.unwrap();
    assert_eq!(moved.signed_by(&named), named.last());
    self::told(controller, &moved).await;
    moved
}

async fn attaches(controller: &Controller, credentials: &Credentials) -> bool {
    let attached = Agent::attach_with(controller, credentials, "hv1", 1, &[]).await;
    match attached {
        Ok(mut agent) => {
            agent.until_current().await;
            true
        }
        Err(_) => false,
    }
}

/// What a controller says to be is not enough: a host that has moved does not take one with the old key for one.
async fn is_believed(authority: &Authority, host: &Credentials) -> bool {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = authority.server(&[], SystemTime::now()).unwrap();
    let present = PresentCertificate::new(vec![server]).unwrap();
    let trusted = TrustedAuthorities::new(&[authority.certificate().clone()]).unwrap();
    let tls = tls::agents_server(trusted, present).unwrap();
    let mut accepted = coax_api::stream::accept(listener, tls, |_, _| {});
    let serving = tokio::spawn(async move {
        use tokio_stream::StreamExt;
        accepted.next().await
    });
    let config = Arc::new(tls::host_client(host).unwrap());
    let endpoint = Address::from_shared(address).unwrap();
    let connected = coax_api::stream::connect(&endpoint, config).await;
    serving.abort();
    connected.is_ok()
}

async fn user_token(controller: &Controller, name: &str) -> UserToken {
    let request = TokenRequest {
        name: name.to_owned(),
        role: Role::Viewer,
        project: None,
        expires_in: None,
    };
    let issued = controller.client.create_token(&request).await.unwrap();
    issued.token.parse().unwrap()
}

async fn asks(controller: &Controller, token: &UserToken) -> Result<(), ClientError> {
    let remote = controller.addresses.users.unwrap();
    let endpoint: Endpoint = format!("https://{remote}").parse().unwrap();
    let client = Client::new(endpoint).with_token(token.clone());
    client.status().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_not_invited_again_is_out_and_nobody_else() {
    let server = Server::start();
    let one = Controller::start_with(|options| store_in(options, &server.access())).await;
    let kept = one.start_beside().await;
    let stolen = one.start_beside().await;
    let [kept_name, stolen_name] = [&kept, &stolen].map(|it| it.addresses.agents.to_string());
    let old = Authority::load(&stolen.state()).unwrap();
    let old_host = one.join("hv1").await;
    let old_invitation = one.invite(Some("hv9")).await;
    let old_token = user_token(&one, "old").await;
    assert_eq!(finish(&one, &[]).await, Err("no-renewal".to_owned()));

    let status = renew(&one).await.unwrap();
    assert_eq!(status.authorities.len(), 2);
    assert_eq!(status.waiting_hosts, ["hv1"]);
    until(&one, |status| {
        let waits = |name: &String| status.waiting_controllers.contains(name);
        waits(&kept_name) && waits(&stolen_name)
    })
    .await;
    assert_eq!(renew(&one).await, Err("renewal-under-way".to_owned()));
    assert_eq!(finish(&one, &[]).await, Err("renewal-cuts-off".to_owned()));
    // Both are good meanwhile, whatever is asked for.
    let new_token = user_token(&one, "new").await;
    assert_ne!(new_token.pin, old_token.pin);
    for token in [&old_token, &new_token] {
        asks(&one, token).await.unwrap();
    }
    let new_host = moved(&one, &old_host).await;
    until(&one, |status| status.waiting_hosts.is_empty()).await;
    for credentials in [&old_host, &new_host] {
        assert!(attaches(&one, credentials).await);
    }
    // One that has no new key lets those in that have moved, once it has heard of it, and signs nothing that is new.
    let heard = async { while !attaches(&kept, &new_host).await {} };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();
    assert!(!told(&kept, &new_host).await.signs);
    let elsewhere = finish(&kept, &[&kept_name, &stolen_name]).await;
    assert_eq!(elsewhere, Err("authority-key-elsewhere".to_owned()));

    // The other that is to stay joins again while it runs.
    let token = one.invite_controller("30m").await;
    coax_controller::join(&token, BESIDE, &OwnWay::default(), &kept.state())
        .await
        .unwrap();
    until(&one, |status| {
        status.waiting_controllers == [stolen_name.clone()]
    })
    .await;
    let status = finish(&one, &[&stolen_name]).await.unwrap();
    assert_eq!((status.authorities.len(), status.former.len()), (1, 1));

    // Who had the old key alone has stopped.
    let ended = stolen.ended().await;
    assert!(
        matches!(ended, Err(Error::Identities(IdentityError::GivenUp))),
        "{ended:?}"
    );
    what_the_old_key_signed_is_nothing([&one, &kept], &old, [&old_host, &new_host]).await;
    what_is_old_says_so(&one, &old_token, &new_token, &old_invitation).await;
    it_is_in_the_log(&one).await;
    the_key_is_where_the_old_one_was(one, &kept, &old).await;
}

async fn what_the_old_key_signed_is_nothing(
    controllers: [&Controller; 2],
    old: &Authority,
    [old_host, new_host]: [&Credentials; 2],
) {
    let identity = old_host.identity();
    let (host, enrolment) = (&identity.host, identity.enrolment);
    let forged = Credentials::issue(old, host, enrolment, SystemTime::now(), HOST_LIFETIME);
    let only_new = new_host.authorities()[1..].to_vec();
    let forged = forged.unwrap().trusting(only_new.clone());
    let old_certificate = old_host.trusting(new_host.authorities().to_vec());
    for controller in controllers {
        let heard = async { while attaches(controller, &old_certificate).await {} };
        tokio::time::timeout(PATIENCE, heard).await.unwrap();
        assert!(attaches(controller, new_host).await);
        assert!(!attaches(controller, &forged).await);
    }
    // By this word the agent knows what to say of it.
    let endpoint = format!("http://{}", controllers[0].addresses.agents);
    let config = Arc::new(tls::host_client(old_host).unwrap());
    let endpoint = Address::from_shared(endpoint).unwrap();
    let refused = coax_api::stream::connect(&endpoint, config).await;
    let refused = with_causes(&refused.unwrap_err());
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert!(is_believed(old, old_host).await);
    assert!(!is_believed(old, &new_host.trusting(only_new)).await);
}

async fn what_is_old_says_so(
    one: &Controller,
    old_token: &UserToken,
    new_token: &UserToken,
    old_invitation: &coax_identity::JoinToken,
) {
    let refused = asks(one, old_token).await.unwrap_err();
    assert!(
        matches!(refused, ClientError::OtherAuthority { .. }),
        "{refused}"
    );
    asks(one, new_token).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = "hv9".parse().unwrap();
    let refused = coax_agent::join(old_invitation, &name, folder.path()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("before the deployment's authority was renewed"),
        "{refused}"
    );
    // With the new authority in it, the same invitation is good: it was not withdrawn.
    let renewed = coax_identity::JoinToken {
        pin: new_token.pin,
        ..old_invitation.clone()
    };
    coax_agent::join(&renewed, &name, folder.path())
        .await
        .unwrap();
}

async fn it_is_in_the_log(one: &Controller) {
    let log = one.client.audit_log(100).await.unwrap();
    let changes: Vec<&String> = log.iter().flat_map(|it| &it.changes).collect();
    for words in [
        "renews the authority: ",
        "finishes the authority's renewal: ",
    ] {
        assert!(
            changes.iter().any(|it| it.starts_with(words)),
            "{changes:?}"
        );
    }
    assert!(!format!("{log:?}").contains("PRIVATE"));
}

/// On the disks of those that go on there is one authority, which they start with.
async fn the_key_is_where_the_old_one_was(mut one: Controller, kept: &Controller, old: &Authority) {
    for state in [one.state(), kept.state()] {
        let found = Authority::load(&state).unwrap();
        assert_ne!(found.pin(), old.pin());
        let pins = Deployment::open(&state).unwrap().pins();
        assert_eq!(pins, [found.pin()]);
    }
    one.restart().await;
    assert_eq!(one.client.authorities().await.unwrap().authorities.len(), 1);
    assert_eq!(finish(&one, &[]).await, Err("no-renewal".to_owned()));
}
