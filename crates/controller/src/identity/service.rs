//! What machines call: join as a host, renew, join as a controller. All are answered from the store, by whichever
//! controller is asked.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use coax_api::membership::identity_server::Identity;
use coax_api::membership::{
    Authorities, BecomeControllerRequest, Controllership, EtcdCredentials, FindStoreRequest,
    FollowAuthoritiesRequest, FoundStore, JoinRequest, Membership as Answer, RenewRequest,
};
use coax_api::stream::Peer;
use coax_identity::{Certificate, HostIdentity, Secret};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::{Common, Custody, Identities, IdentityError, JoinError, NotJoined};
use crate::metrics::{Metrics, OutcomeLabels, Outcomes};

/// Serves [`Identity`].
pub struct Membership {
    identities: Arc<Identities>,
    metrics: Arc<Metrics>,
}

impl Membership {
    /// Over these.
    pub fn new(identities: Arc<Identities>, metrics: Arc<Metrics>) -> Self {
        Self {
            identities,
            metrics,
        }
    }

    /// What a machine that became a controller is given.
    fn controllership(&self, common: &Common) -> Controllership {
        let custody = self.identities.custody();
        let authority = custody.authority();
        let former = custody
            .keys()
            .next()
            .filter(|it| it.pin() != authority.pin());
        let settings = common.settings.iter();
        Controllership {
            authority: authority.certificate_pem(),
            authority_key: authority.key_pem(),
            former_authority: former.map(|it| it.certificate_pem()).unwrap_or_default(),
            former_authority_key: former.map(|it| it.key_pem()).unwrap_or_default(),
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }

    fn answer(&self, certificate: &Certificate) -> Response<Answer> {
        let custody = self.identities.custody();
        let authorities = custody.trusted().iter();
        let authorities: Vec<Bytes> = authorities.map(|it| it.to_vec().into()).collect();
        Response::new(Answer {
            certificate: certificate.to_vec().into(),
            authority: authorities.first().cloned().unwrap_or_default(),
            authorities,
        })
    }
}

/// What a host is told of the authorities that count.
fn told(custody: &Custody) -> Authorities {
    let authorities = custody.trusted().iter();
    Authorities {
        authorities: authorities.map(|it| it.to_vec().into()).collect(),
        signs: custody.has_newest(),
    }
}

/// Who calls: the host of its certificate, if that counts. Counts those who are refused.
pub async fn joined<T>(
    request: &Request<T>,
    identities: &Arc<Identities>,
    metrics: &Metrics,
) -> Result<HostIdentity, Status> {
    let refused = |outcome| count(&metrics.agents_refused, outcome);
    let peer = request.extensions().get::<Peer>();
    let shown = peer.and_then(|peer| Some((peer.host.clone()?, peer.certificate.clone()?)));
    let Some((identity, certificate)) = shown else {
        refused("no-certificate");
        return Err(Status::unauthenticated(
            "the machine has not joined: it showed no certificate",
        ));
    };
    let (identities, asked) = (identities.clone(), identity.clone());
    let admitted =
        spawn_blocking(move || identities.admit(&asked, &certificate, SystemTime::now())).await;
    match admitted.map_err(|_| unavailable())?.map_err(failed)? {
        Ok(()) => Ok(identity),
        Err(reason) => {
            warn!(host = %identity.host, %reason, "an agent is refused");
            refused(reason.outcome());
            Err(Status::permission_denied(reason.to_string()))
        }
    }
}

/// Where a call comes from.
fn address<T>(request: &Request<T>) -> String {
    let peer = request.extensions().get::<Peer>();
    peer.map_or("unknown".to_owned(), |peer| peer.address.to_string())
}

fn count(counted: &Outcomes, outcome: &'static str) {
    counted.get_or_create(&OutcomeLabels { outcome }).inc();
}

/// Counts who does not get in, and says why.
fn not_joined(counted: &Outcomes, who: &str, address: &str, error: JoinError) -> Status {
    match error {
        JoinError::Refused(reason) => {
            count(counted, reason.outcome());
            warn!(who, address, %reason, "a machine may not join");
            Status::permission_denied(reason.to_string())
        }
        JoinError::Failed(error) => {
            count(counted, "failed");
            failed(error)
        }
    }
}

/// The secret in a call.
fn secret(bytes: &[u8]) -> Result<Secret, NotJoined> {
    let bytes = bytes.try_into().map_err(|_| NotJoined::Unknown)?;
    Ok(Secret::from_bytes(bytes))
}

fn unavailable() -> Status {
    Status::unavailable("the controller is stopping")
}

fn failed(error: IdentityError) -> Status {
    warn!(%error, "an identity could not be looked up");
    Status::unavailable(error.to_string())
}

/// Answers until the host goes or the controller stops.
type Followed = ReceiverStream<Result<Authorities, Status>>;

#[tonic::async_trait]
impl Identity for Membership {
    type FollowAuthoritiesStream = Followed;

    async fn follow_authorities(
        &self,
        request: Request<FollowAuthoritiesRequest>,
    ) -> Result<Response<Followed>, Status> {
        let identity = joined(&request, &self.identities, &self.metrics).await?;
        let mut custody = self.identities.watch_custody();
        let (identities, asked) = (self.identities.clone(), request.into_inner());
        let said = spawn_blocking(move || identities.host_says(&identity, &asked.signed_by));
        said.await.map_err(|_| unavailable())?.map_err(failed)?;
        let (answers, answer) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let present = custody.borrow_and_update().clone();
                if present.is_closed() || answers.send(Ok(told(&present))).await.is_err() {
                    return;
                }
                tokio::select! {
                    changed = custody.changed() => if changed.is_err() { return },
                    () = answers.closed() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<Answer>, Status> {
        let address = address(&request);
        let asked = request.into_inner();
        let identities = self.identities.clone();
        let (host, from) = (asked.host.clone(), address.clone());
        let result = spawn_blocking(move || {
            let host = asked
                .host
                .parse()
                .map_err(|_| NotJoined::BadName(asked.host.clone()))?;
            let secret = secret(&asked.secret)?;
            let request = &asked.certificate_request;
            identities.join(&secret, &host, request, &from, SystemTime::now())
        });
        let result = result.await.map_err(|_| unavailable())?;
        let certificate = result.map_err(|error| {
            let who = format!("host {host}");
            not_joined(&self.metrics.joins, &who, &address, error)
        })?;
        count(&self.metrics.joins, "joined");
        info!(host, address, "a host joined");
        Ok(self.answer(&certificate))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<Answer>, Status> {
        let identity = joined(&request, &self.identities, &self.metrics).await?;
        let asked = request.into_inner();
        let renewed =
            self.identities
                .renew(&identity, &asked.certificate_request, SystemTime::now());
        match renewed {
            Ok(certificate) => {
                info!(host = %identity.host, "a certificate is renewed");
                Ok(self.answer(&certificate))
            }
            Err(_) => Err(Status::invalid_argument(
                "the certificate request cannot be used",
            )),
        }
    }

    async fn find_store(
        &self,
        request: Request<FindStoreRequest>,
    ) -> Result<Response<FoundStore>, Status> {
        let address = address(&request);
        let asked = request.into_inner();
        let identities = self.identities.clone();
        let from = address.clone();
        let found = spawn_blocking(move || -> Result<_, JoinError> {
            let secret = secret(&asked.secret)?;
            let found = identities.find_store(&secret, &from, SystemTime::now())?;
            Ok((found, identities.pins()?))
        });
        let found = found.await.map_err(|_| unavailable())?;
        let counted = &self.metrics.controller_joins;
        let (found, pins) =
            found.map_err(|error| not_joined(counted, "a controller", &address, error))?;
        let credentials = found.secrets.map(|secrets| {
            let (user, password) = secrets.login.unwrap_or_default();
            EtcdCredentials {
                cacert: secrets.cacert.into(),
                cert: secrets.cert.into(),
                key: secrets.key.into(),
                user,
                password: password.into(),
            }
        });
        Ok(Response::new(FoundStore {
            etcd: found.members,
            credentials,
            authorities: pins.iter().map(|pin| pin.to_vec().into()).collect(),
        }))
    }

    async fn become_controller(
        &self,
        request: Request<BecomeControllerRequest>,
    ) -> Result<Response<Controllership>, Status> {
        let address = address(&request);
        let asked = request.into_inner();
        let (identities, from) = (self.identities.clone(), address.clone());
        let joined = spawn_blocking(move || {
            let secret = secret(&asked.secret)?;
            let now = SystemTime::now();
            let joined = identities.become_controller(&secret, &asked.address, &from, now);
            joined.cloned()
        });
        let joined = joined.await.map_err(|_| unavailable())?;
        let counted = &self.metrics.controller_joins;
        let common =
            joined.map_err(|error| not_joined(counted, "a controller", &address, error))?;
        count(counted, "joined");
        info!(address, "a controller joined");
        Ok(Response::new(self.controllership(&common)))
    }
}
