//! TLS configurations: TLS 1.3 (RFC 8446) with certificates of the deployment's authority, at both
//! ends. There is no other configuration.

mod replaceable;

use std::slice;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore,
    ServerConfig, SignatureScheme,
};

pub use self::replaceable::{PresentCertificate, TrustedAuthorities, is_signed_by};
use crate::authority::CONTROLLER_NAME;
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

fn roots(authorities: &[Certificate]) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    Ok(Arc::new(roots))
}

/// The name that controllers are verified by.
pub fn controller_name() -> ServerName<'static> {
    // The constant is a DNS name; an address that nobody has would fail every handshake.
    ServerName::try_from(CONTROLLER_NAME).unwrap_or(ServerName::IpAddress(
        std::net::IpAddr::from([0, 0, 0, 0]).into(),
    ))
}

/// A host that has joined: proves who it is, and trusts its authorities.
pub fn host_client(credentials: &Credentials) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(credentials.authorities())?);
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
        wanted: [name_of(pin)],
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
    /// What it tells a server that has certificates of several authorities.
    wanted: [DistinguishedName; 1],
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
        let roots = roots(slice::from_ref(&authority)).map_err(|_| unknown())?;
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

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.wanted)
    }
}

/// The name by which a client that has but a pin asks for the certificate of one authority (RFC 8446 section 4.2.4): a common
/// name of the pin's digits. The names in certificates of authorities may be the same, and who has a pin does not know them.
fn name_of(pin: Pin) -> DistinguishedName {
    const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    const UTF8_STRING: u8 = 0x0c;
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    // Lengths below 128 are one byte (X.690 section 8.1.3), and 64 digits stay below that.
    let der = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[tag, length], content].concat()
    };
    let value = der(UTF8_STRING, pin.to_string().as_bytes());
    let attribute = der(SEQUENCE, &[&COMMON_NAME, value.as_slice()].concat());
    DistinguishedName::in_sequence(&der(SET, &attribute))
}

type Der<'a> = rustls::pki_types::CertificateDer<'a>;

/// A controller's agents' side. A client without a certificate gets in, and may do nothing but join;
/// one with a certificate of another authority, or one that has run out, does not get in.
pub fn agents_server(
    trusted: Arc<TrustedAuthorities>,
    present: Arc<PresentCertificate>,
) -> Result<ServerConfig, Error> {
    let config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(trusted)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_pin_is_a_common_name() {
        use x509_parser::prelude::FromDer;
        let name = name_of(Pin([0xab; 32]));
        let (rest, read) = x509_parser::x509::X509Name::from_der(name.as_ref()).unwrap();
        assert!(rest.is_empty());
        assert_eq!(read.to_string(), format!("CN={}", "ab".repeat(32)));
    }
}
