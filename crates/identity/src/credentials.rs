//! What a host proves itself with: its key, its certificate, and the authorities that it trusts. They
//! lie in one file, so that a renewed key and its certificate replace the old ones together.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coax_model::HostName;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::authority::Authority;
use crate::certificate::{Enrolment, HostIdentity};
use crate::file::{self, Readers};
use crate::{Certificate, Error, tls};

/// The file in an agent's state folder.
pub const FILE: &str = "identity.pem";

/// A new key and the request to have it signed.
pub struct CertificateRequest {
    key: KeyPair,
    request: Vec<u8>,
}

impl CertificateRequest {
    /// Makes a key.
    pub fn new() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        let request = request.der().to_vec();
        Ok(Self { key, request })
    }

    /// The request in DER (RFC 2986).
    pub fn der(&self) -> &[u8] {
        &self.request
    }

    /// The key with what was signed for it.
    pub fn complete(
        self,
        certificate: Certificate,
        authorities: Vec<Certificate>,
    ) -> Result<Credentials, Error> {
        Credentials::new(self.key.serialize_der(), certificate, authorities)
    }
}

/// Key, certificate and authorities of a host: one authority, or more while the deployment's is being renewed.
#[derive(Debug)]
pub struct Credentials {
    key: PrivateKeyDer<'static>,
    certificate: Certificate,
    authorities: Vec<Certificate>,
    identity: HostIdentity,
}

impl Credentials {
    fn new(
        key: Vec<u8>,
        certificate: Certificate,
        authorities: Vec<Certificate>,
    ) -> Result<Self, Error> {
        let key = PrivateKeyDer::try_from(key)
            .map_err(|_| Error::Certificate("its key is not in PKCS #8"))?;
        let identity = HostIdentity::of(&certificate)?;
        Ok(Self {
            key,
            certificate,
            authorities,
            identity,
        })
    }

    /// Makes a key and signs it at once: for hosts whose folder is on the authority's machine.
    pub fn issue(
        authority: &Authority,
        host: &HostName,
        enrolment: Enrolment,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let certificate = authority.sign_key(&key, host, enrolment, now, lifetime)?;
        let authorities = vec![authority.certificate().clone()];
        Self::new(key.serialize_der(), certificate, authorities)
    }

    /// Reads the file in an agent's state folder.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let content = file::read(&path)?;
        let wrong = |wanted| Error::Content {
            path: path.clone(),
            wanted,
        };
        let key = PrivateKeyDer::from_pem_slice(&content).map_err(|_| wrong("a private key"))?;
        let mut certificates = Certificate::pem_slice_iter(&content);
        let mut next = |wanted| match certificates.next() {
            Some(Ok(certificate)) => Ok(certificate),
            _ => Err(wrong(wanted)),
        };
        let certificate = next("the host's certificate")?;
        let mut authorities = vec![next("the authority's certificate")?];
        for authority in certificates {
            authorities.push(authority.map_err(|_| wrong("certificates of authorities"))?);
        }
        Self::new(key.secret_der().to_vec(), certificate, authorities)
    }

    /// Writes the file into an agent's state folder.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let mut text = pem("PRIVATE KEY", self.key.secret_der());
        for certificate in std::iter::once(&self.certificate).chain(&self.authorities) {
            text.push_str(&pem("CERTIFICATE", certificate));
        }
        file::write(&folder.join(FILE), text.as_bytes(), Readers::Owner)
    }

    /// Who it is.
    pub fn identity(&self) -> &HostIdentity {
        &self.identity
    }

    /// The certificates of the authorities that are trusted, the newest last.
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// The same host, that trusts these authorities.
    #[must_use]
    pub fn trusting(&self, authorities: Vec<Certificate>) -> Self {
        Self {
            key: self.key(),
            certificate: self.certificate.clone(),
            authorities,
            identity: self.identity.clone(),
        }
    }

    /// The authority that signed the host's certificate, if it is one of these.
    pub fn signed_by<'a>(&self, authorities: &'a [Certificate]) -> Option<&'a Certificate> {
        let mut authorities = authorities.iter();
        authorities.find(|authority| tls::is_signed_by(&self.certificate, authority))
    }

    /// The host's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The key.
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

/// DER as text (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::slice;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::authority::HOST_LIFETIME;

    #[test]
    fn credentials_come_back_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::create(now).unwrap();
        let (host, enrolment) = ("hv1".parse().unwrap(), Enrolment::random().unwrap());
        let made = Credentials::issue(&authority, &host, enrolment, now, HOST_LIFETIME).unwrap();
        made.save(folder.path()).unwrap();
        let read = Credentials::load(folder.path()).unwrap();
        assert_eq!(read.identity(), made.identity());
        assert_eq!(read.certificate(), made.certificate());
        assert_eq!(read.authorities(), slice::from_ref(authority.certificate()));
        assert_eq!(read.key().secret_der(), made.key().secret_der());
    }

    #[test]
    fn a_host_may_trust_two_authorities() {
        let folder = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let [old, new] = [(); 2].map(|()| Authority::create(now).unwrap());
        let both = vec![old.certificate().clone(), new.certificate().clone()];
        let (host, enrolment) = ("hv1".parse().unwrap(), Enrolment::random().unwrap());
        let made = Credentials::issue(&old, &host, enrolment, now, HOST_LIFETIME).unwrap();
        made.trusting(both.clone()).save(folder.path()).unwrap();
        let read = Credentials::load(folder.path()).unwrap();
        assert_eq!(read.authorities(), both);
        assert_eq!(read.signed_by(&both), Some(old.certificate()));
        assert_eq!(read.signed_by(&both[1..]), None);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "nothing").unwrap();
        let error = Credentials::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }
}
