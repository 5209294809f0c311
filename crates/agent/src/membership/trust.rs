//! Which authorities a host trusts. It is told by its controllers, each of which proves itself with one that the host trusts already,
//! and moves to the newest by having its certificate renewed.
//!
//! What is told replaces what was known. Once an authority is given up, no connection that was opened before counts: whoever is
//! at the other end has to prove himself anew. So a machine that has a key which counts no more can neither be listened to any
//! longer nor name authorities.

use std::future::pending;
use std::time::Duration;

use coax_api::membership::identity_client::IdentityClient;
use coax_api::membership::{Authorities, FollowAuthoritiesRequest};
use coax_api::stream::with_causes;
use coax_identity::{Certificate, Credentials, Pin, tls};
use tonic::Code;
use tonic::transport::Channel;

use super::{Connection, Membership};

/// The pause after a call that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// No deployment has more authorities at a time.
const MOST: usize = 8;

/// How connections end when an authority is given up.
const GIVEN_UP: &str = "an authority counts no more: the controller has to prove itself anew";

impl Membership {
    /// Does what this controller says of authorities, until one is given up: then the connection counts no more, and this says why.
    pub(crate) async fn follow(&self, connection: &Connection) -> String {
        let mut given_up = self.given_up.subscribe();
        tokio::select! {
            _ = given_up.wait_for(|count| *count != connection.given_up) => GIVEN_UP.to_owned(),
            () = self.hear(connection) => GIVEN_UP.to_owned(),
        }
    }

    async fn hear(&self, connection: &Connection) {
        let mut client = IdentityClient::new(connection.channel.clone());
        loop {
            match client.follow_authorities(self.own_authority()).await {
                Ok(answer) => {
                    let mut told = answer.into_inner();
                    while let Ok(Some(authorities)) = told.message().await {
                        match self.take_in(&authorities, connection).await {
                            // It is to hear of it.
                            Ok(true) => break,
                            Ok(false) => {}
                            Err(reason) => {
                                tracing::warn!(reason, "the new authority is not taken up yet");
                                tokio::time::sleep(PAUSE).await;
                                break;
                            }
                        }
                    }
                }
                // A controller of an older version: it renews no authority.
                Err(status) if status.code() == Code::Unimplemented => pending().await,
                Err(status) => {
                    let reason = with_causes(&status);
                    tracing::debug!(
                        reason,
                        "the controller does not say which authorities count"
                    );
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// What a controller is told of this host's certificate.
    fn own_authority(&self) -> FollowAuthoritiesRequest {
        let present = self.present();
        let signed_by = present.signed_by(present.authorities());
        let pin = signed_by.map(|authority| Pin::of(authority).0.to_vec());
        FollowAuthoritiesRequest {
            signed_by: pin.unwrap_or_default().into(),
        }
    }

    /// Trusts the authorities that a controller names, and has the certificate renewed if it is not of the newest. Says whether
    /// the certificate is another one now.
    async fn take_in(&self, told: &Authorities, connection: &Connection) -> Result<bool, String> {
        let named = named(told)?;
        let _alone = self.changing.lock().await;
        if *self.given_up.borrow() != connection.given_up {
            return Err(GIVEN_UP.to_owned());
        }
        let present = self.present();
        let is_newest = present.signed_by(&named) == named.last();
        let mut moved = false;
        if !is_newest && told.signs {
            let renewed = self.move_to(&named, connection.channel.clone());
            match renewed.await {
                Ok(()) => moved = true,
                // What is trusted does not depend on it.
                Err(reason) => tracing::warn!(reason, "no certificate of the new authority yet"),
            }
        }
        if present.authorities() != named {
            if !moved {
                self.replace(present.trusting(named.clone()))?;
            }
            let pins: Vec<String> = named.iter().map(|it| Pin::of(it).to_string()).collect();
            tracing::info!(authorities = pins.join(", "), "other authorities count");
        }
        if present.authorities().iter().any(|it| !named.contains(it)) {
            self.given_up.send_modify(|count| *count += 1);
        }
        match is_newest || moved || !told.signs {
            true => Ok(moved),
            false => Err("the controller did not renew the certificate".to_owned()),
        }
    }

    /// Has a certificate of the newest made, over this connection.
    async fn move_to(&self, named: &[Certificate], channel: Channel) -> Result<(), String> {
        let present = self.present();
        let renewed = self.renewed(channel, &present, named.to_vec()).await?;
        if renewed.signed_by(named) != named.last() {
            return Err("the controller signed with another authority".to_owned());
        }
        let identity = self.replace(renewed)?;
        tracing::info!(host = %identity.host, "the host has a certificate of the new authority");
        Ok(())
    }
}

/// The certificates that a controller names: usable ones, and not too many.
fn named(told: &Authorities) -> Result<Vec<Certificate>, String> {
    let named = told.authorities.iter();
    let named: Vec<Certificate> = named.map(|it| it.to_vec().into()).collect();
    if named.len() > MOST {
        return Err(format!("the controller names {} authorities", named.len()));
    }
    match tls::TrustedAuthorities::new(&named) {
        Ok(_) => Ok(named),
        Err(error) => Err(error.to_string()),
    }
}

const JOIN_AGAIN: &str = "if the deployment's authority was renewed while this host was away, `coax host invite` on a controller and \
     `coax join --again TOKEN` here let it in again; its ports go on forwarding";

/// What a failed connection means, where it means something else than that nobody is there.
pub(super) fn explained(reason: String) -> String {
    match reason.contains("UnknownIssuer") {
        true => format!(
            "{reason}: the controller proves itself with an authority that this host does not trust. Either another machine answers \
             there, or: {JOIN_AGAIN}"
        ),
        false => reason,
    }
}

/// Why a host does not even try: no controller would say why it refuses, since there is no room for that in TLS.
pub(super) fn without_authority(present: &Credentials) -> Option<String> {
    let signed_by = present.signed_by(present.authorities());
    signed_by.is_none().then(|| {
        format!("this host's certificate is of an authority that counts no more: {JOIN_AGAIN}")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use coax_identity::authority::HOST_LIFETIME;
    use coax_identity::{Authority, Enrolment};

    use super::*;

    #[tokio::test]
    async fn a_host_that_was_left_behind_is_told_how_to_come_back() {
        let reason = "invalid peer certificate: UnknownIssuer";
        let told = explained(reason.to_owned());
        let how = "`coax join --again TOKEN` here";
        assert!(told.starts_with(reason) && told.contains(how), "{told}");
        assert_eq!(explained("refused".to_owned()), "refused");

        let now = SystemTime::now();
        let [old, new] = [(); 2].map(|()| Authority::create(now).unwrap());
        let (host, enrolment) = ("hv1".parse().unwrap(), Enrolment::random().unwrap());
        let issued = Credentials::issue(&old, &host, enrolment, now, HOST_LIFETIME).unwrap();
        assert_eq!(without_authority(&issued), None);
        let folder = tempfile::tempdir().unwrap();
        let behind = issued.trusting(vec![new.certificate().clone()]);
        behind.save(folder.path()).unwrap();
        let membership = Membership::load(folder.path(), "hv1").unwrap();
        let endpoint = crate::stream::endpoint("127.0.0.1:1").unwrap();
        let Err(told) = membership.connect(&endpoint).await else {
            unreachable!("nobody is there");
        };
        assert!(told.contains(how), "{told}");
    }

    #[test]
    fn what_names_no_authority_is_not_taken_in() {
        let told = |authorities: Vec<Bytes>| {
            named(&Authorities {
                authorities,
                signs: true,
            })
        };
        assert!(told(Vec::new()).is_err());
        assert!(told(vec![Bytes::from_static(b"none")]).is_err());
        assert!(told(vec![Bytes::new(); MOST + 1]).is_err());
    }
}
