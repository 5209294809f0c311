//! The deployment's certification authority: one key on the controller's disk that signs who hosts
//! and controllers are.
//!
//! What is asked for in a certificate request does not count, except for the key: what a certificate
//! says is decided here.

use std::fs::DirBuilder;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coax_model::HostName;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};

use crate::certificate::{self, Enrolment, HostIdentity, Validity};
use crate::file::{self, Readers};
use crate::secret::{hex, random};
use crate::token::Pin;
use crate::{Certificate, Error};

/// The name by which every controller of a deployment is verified, wherever it is reached.
pub const CONTROLLER_NAME: &str = "controller.coax";
/// How long a host's certificate counts, unless the controller is told otherwise.
pub const HOST_LIFETIME: Duration = Duration::from_secs(90 * 86_400);

/// How long a controller's certificate counts; it makes a new one when it starts, and in time.
const CONTROLLER_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// How long the authority counts: `coax authority renew` replaces it before.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);
/// Clocks of hosts may be wrong by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// File of the authority's key.
const KEY_FILE: &str = "authority.key";
/// File of the authority's certificate.
const CERTIFICATE_FILE: &str = "authority.pem";

/// A key with its certificates, as a TLS server needs them.
#[derive(Debug)]
pub struct ServerCertificate {
    /// The server's certificate, then the authority's: a client with a pin needs to see that.
    pub chain: Vec<Certificate>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
    /// When it counts.
    pub validity: Validity,
}

/// The authority.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority, in memory.
    pub fn create(now: SystemTime) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        // Each has a name of its own: of two with one name, what the other signed looks forged and not foreign.
        let name = format!("Coax deployment {}", hex(&random::<4>()?));
        let mut params = params(&name, now, AUTHORITY_LIFETIME)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(params, key);
        Ok(Self {
            certificate,
            issuer,
        })
    }

    /// Writes key and certificate into a folder.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let key = self.key_pem();
        file::write(&folder.join(KEY_FILE), key.as_bytes(), Readers::Owner)?;
        let certificate = self.certificate_pem();
        file::write(
            &folder.join(CERTIFICATE_FILE),
            certificate.as_bytes(),
            Readers::Everybody,
        )
    }

    /// The same, into a folder that is made for it and that nobody else reads.
    pub fn save_apart(&self, folder: &Path) -> Result<(), Error> {
        let failed = |source| Error::File {
            what: "make",
            path: folder.to_owned(),
            source,
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed)?;
        self.save(folder)
    }

    /// Whether a folder holds an authority.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(KEY_FILE).exists() && folder.join(CERTIFICATE_FILE).exists()
    }

    /// Reads it from the folder that [`Authority::save`] wrote.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let [key, certificate] = [folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE)];
        Self::from_pem(
            (&file::read(&key)?, &key),
            (&file::read(&certificate)?, &certificate),
        )
    }

    /// Reads it from key and certificate as text, each with the name of where it comes from.
    pub fn from_pem(key: (&[u8], &Path), certificate: (&[u8], &Path)) -> Result<Self, Error> {
        let wrong = |path: &Path, wanted| Error::Content {
            path: path.to_owned(),
            wanted,
        };
        let pair = std::str::from_utf8(key.0)
            .ok()
            .and_then(|text| KeyPair::from_pem(text).ok())
            .ok_or_else(|| wrong(key.1, "a private key in PEM"))?;
        let authority = Certificate::from_pem_slice(certificate.0)
            .map_err(|_| wrong(certificate.1, "a certificate in PEM"))?;
        if public_key(&authority)? != pair.subject_public_key_info() {
            return Err(wrong(key.1, "the key of the authority's certificate"));
        }
        let issuer = Issuer::from_ca_cert_der(&authority, pair)?;
        Ok(Self {
            certificate: authority,
            issuer,
        })
    }

    /// Its key as text: whoever has it may speak for every host.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its certificate as text.
    pub fn certificate_pem(&self) -> String {
        certificate::to_pem(&self.certificate)
    }

    /// When it counts. Whoever trusts it does not look at that; it says until when it should be renewed.
    pub fn validity(&self) -> Result<Validity, Error> {
        Validity::of(&self.certificate)
    }

    /// What join tokens carry of it.
    pub fn pin(&self) -> Pin {
        Pin::of(&self.certificate)
    }

    /// Signs a host's key. The request proves that its sender has the key; what else it says is
    /// ignored.
    pub fn sign_host(
        &self,
        request: &[u8],
        host: &HostName,
        enrolment: Enrolment,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Certificate, Error> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let request = CertificateSigningRequestParams::from_der(&request)?;
        self.sign_key(&request.public_key, host, enrolment, now, lifetime)
    }

    /// Signs a key that its owner holds in this very process.
    pub(crate) fn sign_key(
        &self,
        key: &impl PublicKeyData,
        host: &HostName,
        enrolment: Enrolment,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Certificate, Error> {
        let mut params = params(&format!("Coax host {host}"), now, lifetime)?;
        let uri = HostIdentity::uri(host, enrolment);
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A host cannot pass for a controller.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }

    /// Makes a key and a certificate for a controller that is reached at these names and addresses.
    pub fn server(&self, names: &[String], now: SystemTime) -> Result<ServerCertificate, Error> {
        let key = KeyPair::generate()?;
        let mut params = params("Coax controller", now, CONTROLLER_LIFETIME)?;
        let known = [CONTROLLER_NAME.to_owned()];
        let names = known
            .iter()
            .chain(names.iter().filter(|name| *name != CONTROLLER_NAME));
        params.subject_alt_names = names
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => Ok(SanType::DnsName(name.as_str().try_into()?)),
            })
            .collect::<Result<_, rcgen::Error>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let validity = Validity::of(&certificate)?;
        Ok(ServerCertificate {
            chain: vec![certificate, self.certificate.clone()],
            key: PrivateKeyDer::try_from(key.serialize_der())
                .map_err(|_| Error::Certificate("its key is not in PKCS #8"))?,
            validity,
        })
    }
}

/// The public key in a certificate (RFC 5280 section 4.1.2.7).
fn public_key(certificate: &Certificate) -> Result<Vec<u8>, Error> {
    let (_, read) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| Error::Certificate("it is not in DER"))?;
    Ok(read.public_key().raw.to_vec())
}

/// What all certificates have.
fn params(name: &str, now: SystemTime, lifetime: Duration) -> Result<CertificateParams, Error> {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + since_epoch.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + since_epoch + lifetime;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Positive, as RFC 5280 section 4.1.2.2 wants it.
    let mut serial = random::<16>()?;
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::credentials::CertificateRequest;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_certificate_says_what_the_authority_decided() {
        let authority = Authority::create(now()).unwrap();
        let request = CertificateRequest::new().unwrap();
        let (host, enrolment) = ("hv1.rack2".parse().unwrap(), Enrolment::random().unwrap());
        let lifetime = Duration::from_secs(3600);
        let certificate = authority
            .sign_host(request.der(), &host, enrolment, now(), lifetime)
            .unwrap();
        let identity = HostIdentity::of(&certificate).unwrap();
        assert_eq!((identity.host, identity.enrolment), (host, enrolment));
        assert_eq!(identity.validity.not_after, now() + lifetime);
        assert_eq!(identity.validity.not_before, now() - CLOCK_SKEW);
    }

    #[test]
    fn a_request_for_a_key_that_its_sender_does_not_have_is_refused() {
        let authority = Authority::create(now()).unwrap();
        let request = CertificateRequest::new().unwrap();
        let mut forged = request.der().to_vec();
        // The signature is what the request ends with.
        *forged.last_mut().unwrap() ^= 1;
        let host = "hv1".parse().unwrap();
        let enrolment = Enrolment::random().unwrap();
        for bytes in [forged.as_slice(), b"", b"no request"] {
            authority
                .sign_host(bytes, &host, enrolment, now(), HOST_LIFETIME)
                .unwrap_err();
        }
    }

    #[test]
    fn an_authority_comes_back_from_its_folder_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Authority::is_in(folder.path()));
        let authority = Authority::create(now()).unwrap();
        authority.save(folder.path()).unwrap();
        let loaded = Authority::load(folder.path()).unwrap();
        assert_eq!(loaded.pin(), authority.pin());
        // Key and certificate of different authorities are none.
        let other = Authority::create(now()).unwrap();
        let at = Path::new("here");
        let (key, certificate) = (other.key_pem(), authority.certificate_pem());
        let mixed = Authority::from_pem((key.as_bytes(), at), (certificate.as_bytes(), at));
        assert!(matches!(mixed, Err(Error::Content { .. })));
        assert!(HostIdentity::of(&loaded.server(&[], now()).unwrap().chain[0]).is_err());
    }
}
