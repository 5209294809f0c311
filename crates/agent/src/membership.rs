//! Belonging to a deployment: joining it with a token, being known to its controllers, and renewing
//! the certificate before it runs out.
//!
//! The key is made here and stays here. A renewed one replaces it in the state folder and in memory at
//! the same time; the present stream goes on with the old one, the next stream shows the new one.
//!
//! Which authorities this host trusts it is told by controllers that prove themselves with one of them ([`trust`]).

mod trust;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use coax_api::membership::identity_client::IdentityClient;
use coax_api::membership::{JoinRequest, Membership as Answer, RenewRequest};
use coax_api::stream::{with_causes, with_token};
use coax_identity::{
    Certificate, CertificateRequest, Credentials, HostIdentity, JoinToken, Pin, Validity, tls,
};
use coax_model::HostName;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, JoinError};

/// The longest time without looking at the clock, which may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// The pause after a renewal that failed, unless the certificate has less time left.
const RETRY: Duration = Duration::from_secs(300);
/// Renewals are never tried more often.
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);

/// Joins the deployment that `token` is for, and writes what the host proves itself with into `state`.
/// The host's name is the token's, or `own_name` if the token leaves that open.
pub async fn join(token: &JoinToken, own_name: &HostName, state: &Path) -> Result<HostName, Error> {
    let host = token.host.clone().unwrap_or_else(|| own_name.clone());
    std::fs::create_dir_all(state).map_err(|source| Error::State {
        path: state.to_owned(),
        source,
    })?;
    let request = CertificateRequest::new()?;
    let channel = reach(token).await?;
    let asked = JoinRequest {
        secret: token.secret.as_bytes().to_vec().into(),
        host: host.to_string(),
        certificate_request: request.der().to_vec().into(),
    };
    let answer = IdentityClient::new(channel)
        .join(asked)
        .await
        .map_err(|status| JoinError::Refused(status.message().to_owned()))?
        .into_inner();
    let authorities = authorities(&answer);
    if !authorities.iter().any(|it| Pin::of(it) == token.pin) {
        return Err(JoinError::OtherDeployment.into());
    }
    let credentials = request.complete(answer.certificate.to_vec().into(), authorities)?;
    if credentials.identity().host != host {
        return Err(JoinError::OtherDeployment.into());
    }
    credentials.save(state)?;
    Ok(host)
}

/// The authorities that an answer names: all that count, or the one that older controllers know.
fn authorities(answer: &Answer) -> Vec<Certificate> {
    let named = match answer.authorities.as_slice() {
        [] => std::slice::from_ref(&answer.authority),
        named => named,
    };
    let named = named.iter();
    named.map(|it| Certificate::from(it.to_vec())).collect()
}

/// The first of the token's controllers that answers.
async fn reach(token: &JoinToken) -> Result<Channel, Error> {
    let config = Arc::new(tls::joining_client(token.pin)?);
    let mut reasons = Vec::new();
    for controller in &token.controllers {
        let endpoint = crate::stream::endpoint(controller)?;
        match coax_api::stream::connect(&endpoint, config.clone()).await {
            Ok(channel) => return Ok(channel),
            Err(error) => reasons.push(format!("{controller}: {}", with_token(&error))),
        }
    }
    Err(JoinError::Unreachable(reasons.join("; ")).into())
}

/// What this host proves itself with, now.
pub(crate) struct Membership {
    folder: PathBuf,
    present: RwLock<Arc<Credentials>>,
    /// Who changes them holds this meanwhile.
    changing: tokio::sync::Mutex<()>,
    /// How often an authority was given up. Connections are of the count at which they were opened.
    given_up: watch::Sender<u64>,
}

/// A connection to a controller.
pub(crate) struct Connection {
    /// It.
    pub(crate) channel: Channel,
    /// How often an authority had been given up when it was opened.
    given_up: u64,
}

impl Membership {
    /// Reads it from the state folder.
    pub(crate) fn load(folder: &Path, host: &str) -> Result<Arc<Self>, Error> {
        if !folder.join(coax_identity::credentials::FILE).exists() {
            return Err(Error::NotJoined {
                state: folder.to_owned(),
            });
        }
        let credentials = Credentials::load(folder)?;
        let identity = credentials.identity();
        if identity.host.as_str() != host {
            return Err(Error::OtherHost {
                host: host.to_owned(),
                certificate: identity.host.to_string(),
            });
        }
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            present: RwLock::new(Arc::new(credentials)),
            changing: tokio::sync::Mutex::default(),
            given_up: watch::Sender::new(0),
        }))
    }

    fn present(&self) -> Arc<Credentials> {
        let present = self.present.read();
        present.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens a connection to a controller.
    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, String> {
        let given_up = *self.given_up.borrow();
        let present = self.present();
        if present.identity().validity.is_over(SystemTime::now()) {
            return Err(
                "this host's certificate has run out: `coax host invite` on the controller and \
                 `coax join TOKEN` here give it a new one"
                    .to_owned(),
            );
        }
        if let Some(reason) = trust::without_authority(&present) {
            return Err(reason);
        }
        let config = tls::host_client(&present).map_err(|error| error.to_string())?;
        let channel = coax_api::stream::connect(endpoint, Arc::new(config)).await;
        let channel = channel.map_err(|error| trust::explained(with_causes(&error)))?;
        Ok(Connection { channel, given_up })
    }

    /// Renews the certificate over this connection whenever it is time, for ever.
    pub(crate) async fn keep(&self, channel: Channel) {
        loop {
            let validity = self.present().identity().validity;
            let due = due_in(&validity, SystemTime::now());
            if !due.is_zero() {
                tokio::time::sleep(due.min(LONGEST_SLEEP)).await;
                continue;
            }
            let pause = match self.renew(channel.clone()).await {
                Ok(identity) => {
                    tracing::info!(host = %identity.host, "the host's certificate is renewed");
                    SHORTEST_SLEEP
                }
                Err(reason) => {
                    tracing::warn!(reason, "the host's certificate is not renewed");
                    retry_in(&validity, SystemTime::now())
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew(&self, channel: Channel) -> Result<HostIdentity, String> {
        let _alone = self.changing.lock().await;
        let present = self.present();
        // The authorities are those that this host trusts: who answers does not change them.
        let renewed = self.renewed(channel, &present, present.authorities().to_vec());
        let renewed = renewed.await?;
        let newest = present.authorities().last();
        let is_newest = |it: &Credentials| it.signed_by(present.authorities()) == newest;
        if is_newest(&present) && !is_newest(&renewed) {
            return Err("this controller does not have the new authority's key".to_owned());
        }
        self.replace(renewed)
    }

    /// A new key with a certificate for this host, that trusts `authorities`.
    async fn renewed(
        &self,
        channel: Channel,
        present: &Credentials,
        authorities: Vec<Certificate>,
    ) -> Result<Credentials, String> {
        let request = CertificateRequest::new().map_err(|error| error.to_string())?;
        let certificate_request = request.der().to_vec().into();
        let asked = RenewRequest {
            certificate_request,
        };
        let Answer { certificate, .. } = IdentityClient::new(channel)
            .renew(asked)
            .await
            .map_err(|status| with_causes(&status))?
            .into_inner();
        let renewed = request
            .complete(certificate.to_vec().into(), authorities)
            .map_err(|error| error.to_string())?;
        if renewed.identity().host != present.identity().host {
            return Err("the controller answered for another host".to_owned());
        }
        Ok(renewed)
    }

    /// From now on these count, on disk and in memory.
    fn replace(&self, credentials: Credentials) -> Result<HostIdentity, String> {
        let saved = credentials.save(&self.folder);
        saved.map_err(|error| error.to_string())?;
        let identity = credentials.identity().clone();
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
        Ok(identity)
    }
}

/// How long until a certificate should be renewed.
fn due_in(validity: &Validity, now: SystemTime) -> Duration {
    let due = validity.renewal().duration_since(now);
    due.unwrap_or_default()
}

/// How long to wait after a renewal that failed: often enough that several tries fit into what is left.
fn retry_in(validity: &Validity, now: SystemTime) -> Duration {
    let left = validity.not_after.duration_since(now).unwrap_or_default();
    RETRY.min(left / 8).max(SHORTEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn validity() -> Validity {
        Validity {
            not_before: UNIX_EPOCH,
            not_after: UNIX_EPOCH + 30 * HOUR,
        }
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
        assert_eq!(due_in(&validity(), UNIX_EPOCH + 5 * HOUR), 15 * HOUR);
        assert_eq!(due_in(&validity(), UNIX_EPOCH + 20 * HOUR), Duration::ZERO);
        assert_eq!(due_in(&validity(), UNIX_EPOCH + 40 * HOUR), Duration::ZERO);
    }

    #[test]
    fn tries_come_closer_as_the_end_does() {
        assert_eq!(retry_in(&validity(), UNIX_EPOCH + 20 * HOUR), RETRY);
        let late = retry_in(&validity(), UNIX_EPOCH + 30 * HOUR - RETRY);
        assert!(late < RETRY && late >= SHORTEST_SLEEP, "{late:?}");
        assert_eq!(
            retry_in(&validity(), UNIX_EPOCH + 31 * HOUR),
            SHORTEST_SLEEP
        );
    }
}
