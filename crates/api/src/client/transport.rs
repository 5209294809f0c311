//! Carrying one request: over a Unix socket, a loopback address, or TLS to a controller that the token
//! pins.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use coax_identity::tls::{self, Protocol};
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Client, ClientError};
use crate::endpoint::Endpoint;

/// What an answer says before its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// The revision of what is answered, where it has an entity tag.
    pub(super) revision: Option<u64>,
}

impl Client {
    /// Sends a request and hands on each piece of the answer until `take` says that it is enough.
    pub(super) async fn receive(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<Vec<u8>>,
        mut take: impl FnMut(StatusCode, &[u8]) -> bool,
    ) -> Answer<Head> {
        if let Some(recording) = &self.recording {
            let (status, answer) = recording.answer(&method, path);
            take(status, &answer);
            let revision = None;
            return Ok(Head { status, revision });
        }
        let unreachable = |source| ClientError::Unreachable {
            endpoint: self.endpoint.clone(),
            source,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "coax")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|_| ClientError::BadPath {
                path: path.to_owned(),
            })?;
        match &self.endpoint {
            Endpoint::Unix(socket) => {
                let stream = tokio::net::UnixStream::connect(socket)
                    .await
                    .map_err(unreachable)?;
                self.over(stream, request, take).await
            }
            Endpoint::Loopback(address) => {
                let stream = tokio::net::TcpStream::connect(address)
                    .await
                    .map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                self.over(stream, request, take).await
            }
            Endpoint::Tls(address) => {
                let token = self.token.as_ref().ok_or_else(|| ClientError::NoToken {
                    endpoint: self.endpoint.clone(),
                })?;
                let config = tls::pinned_client(token.pin, Protocol::Http1)
                    .map_err(|error| unreachable(io::Error::other(error)))?;
                let opened = crate::stream::open(address, Arc::new(config)).await;
                let stream = opened.map_err(|error| match is_other_authority(&error) {
                    true => ClientError::OtherAuthority {
                        endpoint: self.endpoint.clone(),
                    },
                    false => unreachable(error),
                })?;
                self.over(stream, request, take).await
            }
        }
    }

    /// The whole answer.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<Vec<u8>>,
    ) -> Answer<(StatusCode, Bytes)> {
        let mut whole = Vec::new();
        let head = self
            .receive(method, path, headers, body, |_, piece| {
                whole.extend_from_slice(piece);
                true
            })
            .await?;
        Ok((head.status, whole.into()))
    }

    /// An answer that comes in pieces, as long as `take` wants more.
    pub(super) async fn stream(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Answer<()> {
        let mut refused = Vec::new();
        let head = self
            .receive(Method::GET, path, &[], None, |status, piece| {
                if status.is_success() {
                    return take(piece);
                }
                refused.extend_from_slice(piece);
                true
            })
            .await?;
        if head.status.is_success() {
            Ok(())
        } else {
            Err(self.refusal(path, head.status, &refused))
        }
    }

    async fn over<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
        mut take: impl FnMut(StatusCode, &[u8]) -> bool,
    ) -> Answer<Head>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |source| ClientError::Transport {
            endpoint: self.endpoint.clone(),
            source,
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (status, revision) = (response.status(), tagged(response.headers()));
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                if let Some(piece) = frame?.data_ref()
                    && !take(status, piece)
                {
                    break;
                }
            }
            Ok(Head { status, revision })
        };
        // The connection only moves while it is polled. It ends by itself once the sender is gone,
        // and its error, if any, is also the exchange's.
        let driver = tokio::spawn(connection);
        let answer = exchange.await.map_err(broken);
        driver.abort();
        answer
    }
}

/// Whether a handshake failed because the server's certificate is of none of the authorities that are trusted.
fn is_other_authority(error: &io::Error) -> bool {
    let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let cause = error
        .get_ref()
        .and_then(|it| it.downcast_ref::<rustls::Error>());
    cause == Some(&unknown)
}

/// The revision that an entity tag is.
fn tagged(headers: &HeaderMap) -> Option<u64> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    tag.trim_start_matches("W/").trim_matches('"').parse().ok()
}
