//! One member of an etcd: the channel to it, and what is asked there.

use std::sync::Arc;
use std::time::Duration;

use tonic::Request;
use tonic::transport::{Channel, Endpoint, Uri};

use super::access::{AccessError, EtcdCredentials, is_loopback};
use super::login::Token;
use super::tls;
use super::wire::kv_client::KvClient;
use super::wire::lease_client::LeaseClient;
use super::wire::watch_client::WatchClient;
use crate::StoreError;

/// How long one member may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// Silence on a connection after which it is probed, and how long the answer may take.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// A member of a cluster.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) channel: Channel,
}

impl Member {
    pub(super) fn new(
        address: &str,
        credentials: Option<Arc<EtcdCredentials>>,
    ) -> Result<Self, StoreError> {
        let wrong = || StoreError::Address {
            address: address.to_owned(),
        };
        let uri = |scheme| Uri::try_from(format!("{scheme}://{address}")).map_err(|_| wrong());
        let endpoint = Endpoint::from(uri("http")?)
            .connect_timeout(ANSWER)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE);
        let channel = match credentials {
            None if !is_loopback(address) => {
                let address = address.to_owned();
                return Err(AccessError::Plain { address }.into());
            }
            None => endpoint.connect_lazy(),
            Some(credentials) => {
                // etcd looks at certificates where a call says that it came over TLS.
                let endpoint = endpoint.origin(uri("https")?);
                tls::channel(&endpoint, address, credentials)
            }
        };
        Ok(Self { channel })
    }
}

/// A member, and what makes it let us in.
pub(super) struct Door {
    pub(super) channel: Channel,
    pub(super) token: Option<Token>,
}

impl Door {
    /// Asks for keys and values, however large.
    pub(super) fn keys(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    /// Follows them.
    pub(super) fn watcher(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub(super) fn leases(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    /// What says who asks.
    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Says who asks.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}
