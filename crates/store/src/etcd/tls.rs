//! Connections over TLS 1.3 (RFC 8446), with certificates at both ends.
//!
//! Whatever is wrong with a certificate is found while a connection is opened, and is the cause of the error of whoever wanted it
//! opened ([`cause`]). In TLS 1.3 a client is done before the server has looked at the client's certificate, so
//! we wait for etcd's first bytes, which are those of HTTP/2 or those of a refusal.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use coax_identity::{Certificate, Validity};
use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, SignatureScheme};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use super::access::{AccessError, EtcdCredentials, host};

/// How long etcd may take to say its first word; one that says nothing is heard later.
const GREETING: Duration = Duration::from_secs(1);

/// Why a connection is not opened.
enum Obstacle {
    Network(io::Error),
    Access(AccessError),
}

impl From<AccessError> for Obstacle {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}

/// A channel that opens connections to a member as they are needed.
pub(super) fn channel(
    endpoint: &Endpoint,
    address: &str,
    credentials: Arc<EtcdCredentials>,
) -> Channel {
    let address: Arc<str> = address.into();
    let open = tower::service_fn(move |_: Uri| {
        let (address, credentials) = (address.clone(), credentials.clone());
        async move {
            match dial(&address, &credentials).await {
                Ok(stream) => Ok(TokioIo::new(stream)),
                Err(Obstacle::Network(error)) => Err(error),
                Err(Obstacle::Access(error)) => Err(io::Error::other(error)),
            }
        }
    });
    endpoint.connect_with_connector_lazy(open)
}

/// Why no connection was opened for a call, if that is about who is who: then the call was not made.
pub(super) fn cause(status: &Status) -> Option<AccessError> {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>();
        let inner = inner.and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|it| it.downcast_ref::<AccessError>()) {
            return Some(found.clone());
        }
        cause = error.source();
    }
    None
}

async fn dial(
    address: &str,
    credentials: &EtcdCredentials,
) -> Result<TlsStream<TcpStream>, Obstacle> {
    let shown = Shown::load(credentials)?;
    let config = configuration(credentials, shown.clone())?;
    let name = ServerName::try_from(host(address).to_owned());
    let name = name.map_err(|error| AccessError::Untrusted {
        address: address.to_owned(),
        reason: format!("{error}"),
    })?;
    let stream = TcpStream::connect(address)
        .await
        .map_err(Obstacle::Network)?;
    stream.set_nodelay(true).map_err(Obstacle::Network)?;
    let failed = |error| met(error, address, credentials, &shown);
    let opened = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut stream = opened.await.map_err(failed)?;
    if !shown.asked_for.load(Ordering::Relaxed) {
        let address = address.to_owned();
        return Err(AccessError::Unguarded { address }.into());
    }
    if let Ok(greeting) = tokio::time::timeout(GREETING, stream.fill_buf()).await {
        greeting.map(drop).map_err(failed)?;
    }
    Ok(stream)
}

/// What we show, and whether anybody asked for it.
#[derive(Debug)]
struct Shown {
    certificate: Arc<CertifiedKey>,
    asked_for: AtomicBool,
}

impl Shown {
    fn load(credentials: &EtcdCredentials) -> Result<Arc<Self>, AccessError> {
        let chain = certificates(&credentials.cert)?;
        let wrong = |reason: &str| unusable(&credentials.key, reason);
        let key = PrivateKeyDer::from_pem_slice(&read(&credentials.key)?);
        let key = key.map_err(|_| wrong("there is no private key in it that is not encrypted"))?;
        let certificate = CertifiedKey::from_der(chain, key, &crypto()).map_err(|error| {
            let reason = match error {
                rustls::Error::InconsistentKeys(_) => {
                    format!("the key is not that of {}", credentials.cert.display())
                }
                other => other.to_string(),
            };
            wrong(&reason)
        })?;
        Ok(Arc::new(Self {
            certificate: Arc::new(certificate),
            asked_for: AtomicBool::new(false),
        }))
    }

    /// Whether it has run out.
    fn is_over(&self) -> bool {
        let own = self.certificate.cert.first();
        let validity = own.and_then(|own| Validity::of(own).ok());
        validity.is_some_and(|validity| validity.is_over(SystemTime::now()))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked_for.store(true, Ordering::Relaxed);
        Some(self.certificate.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn crypto() -> CryptoProvider {
    provider::default_provider()
}

fn configuration(
    credentials: &EtcdCredentials,
    shown: Arc<Shown>,
) -> Result<ClientConfig, AccessError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&credentials.cacert)? {
        let added = roots.add(authority);
        added.map_err(|error| unusable(&credentials.cacert, &error.to_string()))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable(&credentials.cacert, &error.to_string()))?;
    let mut config = config
        .with_root_certificates(roots)
        .with_client_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would not be verified again.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn unusable(path: &Path, reason: &str) -> AccessError {
    AccessError::File {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A small file, which is read wherever it is needed.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AccessError> {
    std::fs::read(path).map_err(|error| unusable(path, &error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, AccessError> {
    let content = read(path)?;
    let found: Result<Vec<Certificate>, _> = Certificate::pem_slice_iter(&content).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable(path, "there is no certificate in PEM in it")),
    }
}

/// What a failed handshake says about certificates.
fn met(error: io::Error, address: &str, credentials: &EtcdCredentials, shown: &Shown) -> Obstacle {
    let inner = error.get_ref().and_then(|it| it.downcast_ref());
    let Some(inner) = inner else {
        return Obstacle::Network(match error.kind() {
            // It may also just be ending, so it is tried again.
            io::ErrorKind::UnexpectedEof => {
                io::Error::other("it hangs up where TLS begins; is it started with --cert-file?")
            }
            _ => error,
        });
    };
    let untrusted = |reason: String| {
        let address = address.to_owned();
        Obstacle::Access(AccessError::Untrusted { address, reason })
    };
    match inner {
        rustls::Error::InvalidCertificate(wrong) => untrusted(fault(wrong, credentials)),
        rustls::Error::InvalidMessage(_) => untrusted("it does not speak TLS".to_owned()),
        rustls::Error::AlertReceived(alert) => {
            let reason = match shown.is_over() {
                true => "it has run out".to_owned(),
                false => format!("it answers {alert:?}"),
            };
            Obstacle::Access(AccessError::NotTrusted {
                address: address.to_owned(),
                path: credentials.cert.clone(),
                reason,
            })
        }
        other => untrusted(other.to_string()),
    }
}

/// What is wrong with etcd's certificate.
fn fault(wrong: &CertificateError, credentials: &EtcdCredentials) -> String {
    match wrong {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "its certificate is not signed by any in {}",
            credentials.cacert.display()
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has run out".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate does not count yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is not for this address; it has to be among the subject alternative names".to_owned()
        }
        other => other.to_string(),
    }
}
