//! Who etcd takes us for, where that is said by a user and a password: etcd gives a token for them, which goes with each call.
//!
//! A token counts until nobody has used it for some minutes, or its member forgets it by being started again. etcd looks at it before
//! it does anything, so a call that is refused for its token has not happened, and is made again with another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use super::access::{AccessError, EtcdLogin};
use super::link::Failure;
use super::tls::read;
use super::wire;
use super::wire::auth_client::AuthClient;

/// How long etcd may take to compare a password: it is slow on purpose.
const ANSWER: Duration = Duration::from_secs(4);

/// What etcd says of a token that counts no more, or was given before rights changed.
const STALE: [&str; 2] = ["invalid auth token", "revision of auth store is old"];

/// What goes with each call.
pub(super) type Token = MetadataValue<Ascii>;

/// A user of etcd, and the token that counts now.
pub(super) struct Login {
    login: EtcdLogin,
    token: RwLock<Option<Token>>,
    /// Whether etcd ever took the password.
    taken: AtomicBool,
    /// Whoever asks for a new one, alone.
    asking: tokio::sync::Mutex<()>,
}

impl Login {
    pub(super) fn new(login: EtcdLogin) -> Arc<Self> {
        Arc::new(Self {
            login,
            token: RwLock::new(None),
            taken: AtomicBool::new(false),
            asking: tokio::sync::Mutex::new(()),
        })
    }

    pub(super) fn user(&self) -> &str {
        &self.login.user
    }

    fn present(&self) -> Option<Token> {
        let token = self.token.read();
        token.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A token that counted when it was last used, or a new one of this member.
    pub(super) async fn token(&self, channel: Channel) -> Result<Token, Failure> {
        if let Some(token) = self.present() {
            return Ok(token);
        }
        let _alone = self.asking.lock().await;
        if let Some(token) = self.present() {
            return Ok(token);
        }
        let token = self.ask(channel).await?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    /// Counts no more; whoever comes next gets another.
    pub(super) fn forget(&self, stale: &Token) {
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        if token.as_ref() == Some(stale) {
            *token = None;
        }
    }

    async fn ask(&self, channel: Channel) -> Result<Token, Failure> {
        let EtcdLogin { user, password } = &self.login;
        let content = read(password).map_err(Failure::Denied)?;
        let unusable = |reason: &str| {
            let (path, reason) = (password.clone(), reason.to_owned());
            Failure::Denied(AccessError::File { path, reason })
        };
        let text = String::from_utf8(content).map_err(|_| unusable("it is not UTF-8"))?;
        let first = text.lines().next().filter(|line| !line.is_empty());
        let request = wire::AuthenticateRequest {
            name: user.clone(),
            password: first
                .ok_or_else(|| unusable("its first line is empty"))?
                .to_owned(),
        };
        let mut client = AuthClient::new(channel);
        let answer = tokio::time::timeout(ANSWER, client.authenticate(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        let answer = answer.map_err(|status| self.refused(status))?;
        let mut token = Token::try_from(answer.into_inner().token)
            .map_err(|_| Failure::Refused(Status::internal("etcd's token is no text")))?;
        token.set_sensitive(true);
        self.taken.store(true, Ordering::Relaxed);
        Ok(token)
    }

    fn refused(&self, status: Status) -> Failure {
        let user = || self.login.user.clone();
        let said = status.message();
        if said.contains("invalid user ID or password") {
            let error = AccessError::Password {
                user: user(),
                path: self.login.password.clone(),
            };
            // Who changes a password changes it here and there, one after the other.
            return match self.taken.load(Ordering::Relaxed) {
                true => Failure::Locked(error),
                false => Failure::Denied(error),
            };
        }
        if said.contains("authentication is not enabled") {
            return Failure::Denied(AccessError::NoUsers { user: user() });
        }
        Failure::of(status)
    }
}

/// Whether a call was refused for its token.
pub(super) fn is_stale(status: &Status) -> bool {
    STALE.iter().any(|it| status.message().contains(it))
}
