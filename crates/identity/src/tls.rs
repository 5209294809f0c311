//! TLS configurations: TLS 1.3 (RFC 8446) with certificates of the deployment's authority, at both
//! ends. There is no other configuration.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::authority::{CONTROLLER_NAME, ServerCertificate};
use crate::credentials::Credentials;
use crate::token::Pin;
use crate::{Certificate, Error};

/// What is spoken inside TLS (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2: agents.
    Http2,
    /// HTTP/1.1: users.
    Http1,
}

impl Protocol {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2 => vec![b"h2".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
        }
    }
}

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

fn roots(authority: &Certificate) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    Ok(Arc::new(roots))
}

/// The name that controllers are verified by.
pub fn controller_name() -> ServerName<'static> {
    // The constant is a DNS name; an address that nobody has would fail every handshake.
    ServerName::try_from(CONTROLLER_NAME).unwrap_or(ServerName::IpAddress(
        std::net::IpAddr::from([0, 0, 0, 0]).into(),
    ))
}

/// A host that has joined: proves who it is, and trusts its authority.
pub fn host_client(credentials: &Credentials) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(credentials.authority())?);
    let chain = vec![credentials.certificate().clone()];
    let config = builder.with_client_auth_cert(chain, credentials.key())?;
    Ok(finish(config, Protocol::Http2))
}

/// A machine that is about to join: trusts whom its token pins.
pub fn joining_client(pin: Pin) -> Result<ClientConfig, Error> {
    pinned_client(pin, Protocol::Http2)
}

/// A client that has nothing but a pin.
pub fn pinned_client(pin: Pin, protocol: Protocol) -> Result<ClientConfig, Error> {
    let crypto = crypto();
    let verifier = Arc::new(Pinned {
        pin,
        crypto: crypto.clone(),
    });
    let config = ClientConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(finish(config, protocol))
}

fn finish(mut config: ClientConfig, protocol: Protocol) -> ClientConfig {
    config.alpn_protocols = protocol.names();
    // A resumed session would not be verified again.
    config.resumption = Resumption::disabled();
    config
}

/// Accepts a server whose chain holds the certificate with this pin and is signed by it.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &Der<'_>,
        intermediates: &[Der<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .find(|certificate| Pin::of(certificate) == self.pin)
            .ok_or_else(unknown)?;
        let roots = roots(&authority).map_err(|_| unknown())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, self.crypto.clone())
            .build()
            .map_err(|_| unknown())?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &Der<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &Der<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

type Der<'a> = rustls::pki_types::CertificateDer<'a>;

/// The certificate that a controller shows now; replaced while it runs.
pub struct PresentCertificate(RwLock<Arc<CertifiedKey>>);

impl PresentCertificate {
    /// Shows this one.
    pub fn new(certificate: ServerCertificate) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self(RwLock::new(certified(certificate)?))))
    }

    /// From now on shows this one.
    pub fn replace(&self, certificate: ServerCertificate) -> Result<(), Error> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified(certificate)?;
        Ok(())
    }
}

fn certified(certificate: ServerCertificate) -> Result<Arc<CertifiedKey>, Error> {
    let key = crypto().key_provider.load_private_key(certificate.key)?;
    Ok(Arc::new(CertifiedKey::new(certificate.chain, key)))
}

impl fmt::Debug for PresentCertificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PresentCertificate")
    }
}

impl ResolvesServerCert for PresentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let present = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(present.clone())
    }
}

/// A controller's agents' side. A client without a certificate gets in, and may do nothing but join;
/// one with a certificate of another authority, or one that has run out, does not get in.
pub fn agents_server(
    authority: &Certificate,
    present: Arc<PresentCertificate>,
) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority)?, crypto())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::Authority(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(present);
    Ok(without_resumption(config, Protocol::Http2))
}

/// A controller's users' side: users prove who they are inside, with a token.
pub fn users_server(present: Arc<PresentCertificate>) -> Result<ServerConfig, Error> {
    let config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(present);
    Ok(without_resumption(config, Protocol::Http1))
}

fn without_resumption(mut config: ServerConfig, protocol: Protocol) -> ServerConfig {
    config.alpn_protocols = protocol.names();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}
