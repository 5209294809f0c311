//! Carrying one request: over a Unix socket, a loopback address, or TLS to a controller that the token
//! pins.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use coax_identity::tls::{self, Protocol};
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Client, ClientError};
use crate::endpoint::Endpoint;

impl Client {
    /// Sends a request and hands on each piece of the answer until `take` says that it is enough.
    pub(super) async fn receive(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<Vec<u8>>,
        mut take: impl FnMut(StatusCode, &[u8]) -> bool,
    ) -> Answer<StatusCode> {
        if let Some(recording) = &self.recording {
            let (status, answer) = recording.answer(&method, path);
            take(status, &answer);
            return Ok(status);
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
                let stream = crate::stream::open(address, Arc::new(config))
                    .await
                    .map_err(unreachable)?;
                self.over(stream, request, take).await
            }
        }
    }

    async fn over<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
        mut take: impl FnMut(StatusCode, &[u8]) -> bool,
    ) -> Answer<StatusCode>
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
            let (status, mut body) = (response.status(), response.into_body());
            while let Some(frame) = body.frame().await {
                if let Some(piece) = frame?.data_ref()
                    && !take(status, piece)
                {
                    break;
                }
            }
            Ok(status)
        };
        // The connection only moves while it is polled. It ends by itself once the sender is gone,
        // and its error, if any, is also the exchange's.
        let driver = tokio::spawn(connection);
        let answer = exchange.await.map_err(broken);
        driver.abort();
        answer
    }
}
