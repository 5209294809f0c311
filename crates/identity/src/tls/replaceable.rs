//! What a controller shows and whom it lets in. Both are replaced while it runs: its certificates run out, and its deployment's
//! authority may be renewed.

use std::fmt;
use std::slice;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::UnixTime;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::{Der, crypto, name_of, roots};
use crate::authority::ServerCertificate;
use crate::certificate::Validity;
use crate::token::Pin;
use crate::{Certificate, Error};

/// The certificates that a controller shows now, one for each authority whose key it has; replaced while it runs.
pub struct PresentCertificate(RwLock<Vec<Shown>>);

/// A certificate, and what clients call its authority.
struct Shown {
    authority: Option<DistinguishedName>,
    certified: Arc<CertifiedKey>,
}

impl PresentCertificate {
    /// Shows these: the first to clients that ask for none.
    pub fn new(certificates: Vec<ServerCertificate>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self(RwLock::new(shown(certificates)?))))
    }

    /// From now on shows these.
    pub fn replace(&self, certificates: Vec<ServerCertificate>) -> Result<(), Error> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shown(certificates)?;
        Ok(())
    }
}

fn shown(certificates: Vec<ServerCertificate>) -> Result<Vec<Shown>, Error> {
    let shown = certificates.into_iter().map(|certificate| {
        let key = crypto().key_provider.load_private_key(certificate.key)?;
        let authority = certificate.chain.last().map(Pin::of).map(name_of);
        Ok(Shown {
            authority,
            certified: Arc::new(CertifiedKey::new(certificate.chain, key)),
        })
    });
    shown.collect()
}

impl fmt::Debug for PresentCertificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PresentCertificate")
    }
}

impl ResolvesServerCert for PresentCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let present = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = hello.certificate_authorities().unwrap_or_default();
        let is_wanted = |shown: &&Shown| {
            let own = shown.authority.as_ref().map(DistinguishedName::as_ref);
            own.is_some_and(|own| wanted.iter().any(|it| it.as_ref() == own))
        };
        let shown = present.iter().find(is_wanted).or(present.first());
        shown.map(|shown| shown.certified.clone())
    }
}

/// The authorities whose hosts a controller lets in; replaced while it runs.
#[derive(Debug)]
pub struct TrustedAuthorities(RwLock<Arc<dyn ClientCertVerifier>>);

impl TrustedAuthorities {
    /// Trusts these.
    pub fn new(authorities: &[Certificate]) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self(RwLock::new(verifier(authorities)?))))
    }

    /// From now on trusts these. Connections that are open stay so: whoever serves them asks [`Self::accepts`].
    pub fn replace(&self, authorities: &[Certificate]) -> Result<(), Error> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = verifier(authorities)?;
        Ok(())
    }

    /// Whether one of them signed a host's certificate, and it counts at that time.
    pub fn accepts(&self, certificate: &Certificate, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(now);
        self.verify_client_cert(certificate, &[], now).is_ok()
    }

    fn present(&self) -> Arc<dyn ClientCertVerifier> {
        let present = self.0.read();
        present.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether an authority signed a host's certificate, also one that has run out.
pub fn is_signed_by(certificate: &Certificate, authority: &Certificate) -> bool {
    let Ok(validity) = Validity::of(certificate) else {
        return false;
    };
    TrustedAuthorities::new(slice::from_ref(authority))
        .is_ok_and(|trusted| trusted.accepts(certificate, validity.not_before))
}

fn verifier(authorities: &[Certificate]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    WebPkiClientVerifier::builder_with_provider(roots(authorities)?, crypto())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::Authority(error.to_string()))
}

impl ClientCertVerifier for TrustedAuthorities {
    fn client_auth_mandatory(&self) -> bool {
        self.present().client_auth_mandatory()
    }

    /// None: a host has one certificate, and shows that.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &Der<'_>,
        intermediates: &[Der<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let present = self.present();
        present.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &Der<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let present = self.present();
        present.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &Der<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let present = self.present();
        present.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.present().supported_verify_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authority::HOST_LIFETIME;
    use crate::{Authority, Credentials, Enrolment};

    #[test]
    fn what_one_authority_signed_is_nothing_to_another() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let [old, new] = [(); 2].map(|()| Authority::create(now).unwrap());
        let (host, enrolment) = ("hv1".parse().unwrap(), Enrolment::random().unwrap());
        let issued = Credentials::issue(&old, &host, enrolment, now, HOST_LIFETIME).unwrap();
        let certificate = issued.certificate();
        let late = now + HOST_LIFETIME + Duration::from_secs(1);
        assert!(is_signed_by(certificate, old.certificate()));
        assert!(!is_signed_by(certificate, new.certificate()));

        let both = [old.certificate().clone(), new.certificate().clone()];
        let trusted = TrustedAuthorities::new(&both).unwrap();
        assert!(trusted.accepts(certificate, now) && !trusted.accepts(certificate, late));
        trusted.replace(&both[1..]).unwrap();
        assert!(!trusted.accepts(certificate, now));
        // A server's certificate is none of a host.
        let server = new.server(&[], now).unwrap();
        assert!(!trusted.accepts(&server.chain[0], now));
        assert!(TrustedAuthorities::new(&[]).is_err());
    }
}
