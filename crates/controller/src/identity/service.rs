//! What machines call: join and renew. Both are answered from the store, by whichever controller is
//! asked.

use std::sync::Arc;
use std::time::SystemTime;

use coax_api::membership::identity_server::Identity;
use coax_api::membership::{JoinRequest, Membership as Answer, RenewRequest};
use coax_api::stream::Peer;
use coax_identity::{Certificate, HostIdentity, Secret};
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::{Identities, IdentityError, JoinError, NotJoined};
use crate::metrics::{Metrics, OutcomeLabels};

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

    fn answer(&self, certificate: &Certificate) -> Response<Answer> {
        Response::new(Answer {
            certificate: certificate.to_vec().into(),
            authority: self.identities.authority().certificate().to_vec().into(),
        })
    }
}

/// Who calls: the host of its certificate, if that counts. Counts those who are refused.
pub async fn joined<T>(
    request: &Request<T>,
    identities: &Arc<Identities>,
    metrics: &Metrics,
) -> Result<HostIdentity, Status> {
    let refused = |outcome| {
        metrics
            .agents_refused
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    };
    let peer = request.extensions().get::<Peer>();
    let Some(identity) = peer.and_then(|peer| peer.host.clone()) else {
        refused("no-certificate");
        return Err(Status::unauthenticated(
            "the machine has not joined: it showed no certificate",
        ));
    };
    let (identities, asked) = (identities.clone(), identity.clone());
    let admitted = spawn_blocking(move || identities.admit(&asked, SystemTime::now())).await;
    match admitted.map_err(|_| unavailable())?.map_err(failed)? {
        Ok(()) => Ok(identity),
        Err(reason) => {
            warn!(host = %identity.host, %reason, "an agent is refused");
            refused(reason.outcome());
            Err(Status::permission_denied(reason.to_string()))
        }
    }
}

fn unavailable() -> Status {
    Status::unavailable("the controller is stopping")
}

fn failed(error: IdentityError) -> Status {
    warn!(%error, "an identity could not be looked up");
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl Identity for Membership {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<Answer>, Status> {
        let address = request.extensions().get::<Peer>().map(|peer| peer.address);
        let asked = request.into_inner();
        let identities = self.identities.clone();
        let host = asked.host.clone();
        let result = spawn_blocking(move || {
            let host = asked
                .host
                .parse()
                .map_err(|_| NotJoined::BadName(asked.host.clone()))?;
            let secret: [u8; Secret::LENGTH] = asked
                .secret
                .as_ref()
                .try_into()
                .map_err(|_| NotJoined::Unknown)?;
            let secret = Secret::from_bytes(secret);
            let request = &asked.certificate_request;
            identities.join(&secret, &host, request, SystemTime::now())
        });
        let result = result.await.map_err(|_| unavailable())?;
        let outcome = match &result {
            Ok(_) => "joined",
            Err(JoinError::Refused(reason)) => reason.outcome(),
            Err(JoinError::Failed(_)) => "failed",
        };
        self.metrics
            .joins
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
        match result {
            Ok(certificate) => {
                info!(host, ?address, "a host joined");
                Ok(self.answer(&certificate))
            }
            Err(JoinError::Refused(reason)) => {
                warn!(host, ?address, %reason, "a machine may not join");
                Err(Status::permission_denied(reason.to_string()))
            }
            Err(JoinError::Failed(error)) => Err(failed(error)),
        }
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
}
