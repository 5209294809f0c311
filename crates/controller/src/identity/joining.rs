//! Making this machine another controller of a deployment, with a token that one of its controllers made.
//!
//! The token is used up last: first the folder is made and the deployment's store is reached, so that what is amiss on this
//! machine costs no token. That the store is the right one is known by what only it holds, the record of this very token.
//!
//! A machine that is a controller of the deployment already joins again when the deployment's authority is renewed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coax_api::InvitationKind;
use coax_api::membership::identity_client::IdentityClient;
use coax_api::membership::{BecomeControllerRequest, FindStoreRequest, FoundStore};
use coax_api::stream::{self, with_causes, with_token};
use coax_identity::{Authority, ControllerToken, Secret, tls};
use coax_store::{Etcd, EtcdAccess, Store, StoreError};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::deployment::{Deployment, DeploymentError, keep_access, prepare};
use super::invitation_key;
use crate::Error;
use crate::etcd_access::{EtcdFlags, EtcdSecrets};
use crate::etcd_addresses::EtcdAddresses;

/// Where in its state folder a controller that joins again has what it is handed for the store, as long as it joins.
const AGAIN: &str = "joining";

/// How long a controller may take to answer: it waits for its etcd itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a machine did not become a controller.
#[derive(Debug, thiserror::Error)]
pub enum JoiningError {
    /// No controller answers, or none that the token is for.
    #[error("no controller of the token's deployment answers: {0}")]
    Unreachable(String),
    /// The controller says no, and why.
    #[error("{0}")]
    Refused(String),
    /// The controller's answer is not what the token promises.
    #[error("the controller that answered is not of the token's deployment")]
    OtherDeployment,
    /// The deployment's store is out of reach.
    #[error("this machine does not reach the deployment's store at {etcd}: {source}")]
    NoStore {
        /// Where it was looked for.
        etcd: EtcdAddresses,
        /// What came of it.
        source: Box<StoreError>,
    },
    /// Something else answers there.
    #[error("the store at {etcd}, as this machine reaches it, is not the deployment's")]
    OtherStore {
        /// Where it was looked for.
        etcd: EtcdAddresses,
    },
}

/// What a machine that became a controller is to run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The store, as this machine reaches it, with files in its state folder.
    pub etcd: EtcdAccess,
    /// What all controllers of the deployment are told alike, by the names of their flags.
    pub settings: BTreeMap<String, String>,
}

/// How a machine that joins reaches the store, if that is not how the others do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnWay {
    /// Where it is.
    pub etcd: Option<EtcdAddresses>,
    /// With what it gets in.
    pub flags: EtcdFlags,
}

/// Makes `state` the state folder of another controller, which hosts reach at `address`.
pub async fn join(
    token: &ControllerToken,
    address: &str,
    own: &OwnWay,
    state: &Path,
) -> Result<Joined, Error> {
    let present = match Authority::is_in(state) {
        true => Some(Deployment::open(state)?),
        false => None,
    };
    if present.is_none() {
        prepare(state)?;
    }
    let mut client = IdentityClient::new(reach(token).await?);
    let asked = FindStoreRequest {
        secret: secret(token),
    };
    let found = client.find_store(asked).await.map_err(refused)?;
    let found = found.into_inner();
    if let Some(present) = &present {
        let own = present.authority().pin();
        // Whoever is of another deployment does not leave it by mistake.
        if !found.authorities.iter().any(|pin| **pin == own.0) {
            let folder = state.to_owned();
            return Err(DeploymentError::Exists { folder }.into());
        }
    }
    // A controller that joins again goes on getting into etcd as it does, maybe with a certificate of its own.
    let place = match &present {
        Some(_) => state.join(AGAIN),
        None => state.to_owned(),
    };
    let Way { etcd, is_handed } = way(found, own, &place)?;
    let become_one = async {
        look_at(&etcd, &token.secret).await?;
        become_controller(&mut client, token, address, state).await
    };
    let settings = become_one.await;
    // What gets into etcd stays on no machine that did not become a controller.
    if present.is_some() || is_handed && settings.is_err() {
        EtcdSecrets::forget(&place);
    }
    if present.is_some() {
        // Where it stays, it is empty.
        let _ = std::fs::remove_dir(&place);
    }
    let settings = settings?;
    Ok(Joined { etcd, settings })
}

/// How the machine that joins gets to the store.
struct Way {
    etcd: EtcdAccess,
    /// Whether that is with what it was handed.
    is_handed: bool,
}

/// The store, with what gets in copied into the state folder.
fn way(found: FoundStore, own: &OwnWay, state: &Path) -> Result<Way, Error> {
    let handed = found.credentials;
    let addresses = own.etcd.clone().unwrap_or_else(|| EtcdAddresses {
        members: found.etcd,
        secured: handed.is_some(),
    });
    match handed {
        Some(handed) if addresses.secured && own.flags.first().is_none() => {
            let login = Some((handed.user, handed.password.to_vec()));
            let secrets = EtcdSecrets {
                cacert: handed.cacert.to_vec(),
                cert: handed.cert.to_vec(),
                key: handed.key.to_vec(),
                login: login.filter(|(user, _)| !user.is_empty()),
            };
            let etcd = EtcdAccess {
                members: addresses.members,
                credentials: Some(secrets.keep(state)?),
            };
            let is_handed = true;
            Ok(Way { etcd, is_handed })
        }
        _ => {
            let access = own.flags.access(Some(&addresses))?;
            let access = access.unwrap_or_else(|| EtcdAccess::plain(addresses.members));
            let etcd = keep_access(&access, state)?;
            let is_handed = false;
            Ok(Way { etcd, is_handed })
        }
    }
}

/// Uses the token up. The authority comes into the state folder; what is returned are settings.
async fn become_controller(
    client: &mut IdentityClient<Channel>,
    token: &ControllerToken,
    address: &str,
    state: &Path,
) -> Result<BTreeMap<String, String>, Error> {
    let asked = BecomeControllerRequest {
        secret: secret(token),
        address: address.to_owned(),
    };
    let given = client.become_controller(asked).await.map_err(refused)?;
    let given = given.into_inner();
    let newest = authority(&given.authority_key, &given.authority)?;
    let former = match given.former_authority_key.is_empty() {
        true => None,
        false => Some(authority(
            &given.former_authority_key,
            &given.former_authority,
        )?),
    };
    let mut pins = former.iter().chain([&newest]).map(Authority::pin);
    if !pins.any(|pin| pin == token.pin) {
        return Err(JoiningError::OtherDeployment.into());
    }
    Deployment::keep_given(state, former.as_ref(), &newest)?;
    Ok(given.settings.into_iter().collect())
}

fn secret(token: &ControllerToken) -> tonic::codegen::Bytes {
    token.secret.as_bytes().to_vec().into()
}

/// An authority from the controller's answer.
fn authority(key: &str, certificate: &str) -> Result<Authority, coax_identity::Error> {
    let inside = Path::new("the controller's answer");
    Authority::from_pem((key.as_bytes(), inside), (certificate.as_bytes(), inside))
}

fn refused(status: Status) -> JoiningError {
    match status.code() {
        Code::PermissionDenied => JoiningError::Refused(status.message().to_owned()),
        Code::Unimplemented => JoiningError::Refused(
            "the controller that answers is of an older version, which lets no others in"
                .to_owned(),
        ),
        _ => JoiningError::Unreachable(with_causes(&status)),
    }
}

/// The first of the token's controllers that answers.
async fn reach(token: &ControllerToken) -> Result<Channel, Error> {
    let config = Arc::new(tls::joining_client(token.pin)?);
    let mut reasons = Vec::new();
    for controller in &token.controllers {
        let endpoint = Endpoint::from_shared(format!("http://{controller}"));
        let reached = match endpoint {
            Ok(endpoint) => stream::connect(&endpoint.timeout(PATIENCE), config.clone()).await,
            Err(error) => Err(error),
        };
        match reached {
            Ok(channel) => return Ok(channel),
            Err(error) => reasons.push(format!("{controller}: {}", with_token(&error))),
        }
    }
    Err(JoiningError::Unreachable(reasons.join("; ")).into())
}

/// Whether the deployment's store is there.
async fn look_at(etcd: &EtcdAccess, secret: &Secret) -> Result<(), Error> {
    let (access, key) = (
        etcd.clone(),
        invitation_key(InvitationKind::Controller, secret),
    );
    let looked =
        tokio::task::spawn_blocking(move || Etcd::open(&access)?.get(key.as_bytes())).await;
    let etcd = EtcdAddresses::from(etcd);
    match looked.map_err(|_| Error::CoreStopped)? {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(JoiningError::OtherStore { etcd }.into()),
        Err(source) => {
            let source = Box::new(source);
            Err(JoiningError::NoStore { etcd, source }.into())
        }
    }
}
