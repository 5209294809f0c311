//! Invitations: tokens by which one machine becomes a host or a controller, once. They are made here.
//!
//! Each kind has a folder of its own, so that no token of one kind leads to what the other is given. The audit log names
//! one by the beginning of its secret's hash, which tells it from all others, and nothing of the secret.

use std::time::SystemTime;

use coax_api::InvitationKind;
use coax_identity::{Pin, Secret};
use coax_model::HostName;
use coax_store::Transaction;

use super::record::Invitation;
use super::{Identities, IdentityError, read};
use crate::audit::{Recording, put};

/// Digits of an invitation's hash that tell it from all others of a deployment.
const DIGITS: usize = 12;

/// Whom an invitation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitee {
    /// A machine that becomes this host; any that no host is called like, if there is no name.
    Host(Option<HostName>),
    /// A machine that becomes a controller.
    Controller,
}

impl Invitee {
    fn kind(&self) -> InvitationKind {
        match self {
            Self::Host(_) => InvitationKind::Host,
            Self::Controller => InvitationKind::Controller,
        }
    }

    fn host(&self) -> Option<&HostName> {
        match self {
            Self::Host(host) => host.as_ref(),
            Self::Controller => None,
        }
    }
}

/// What a token is made of, beside the controllers' addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// What the controllers know it by.
    pub secret: Secret,
    /// The authority of the deployment.
    pub pin: Pin,
}

impl Identities {
    /// Makes an invitation that counts once, until `expires`, and forgets those that nobody can learn anything from any more.
    pub fn invite(
        &self,
        invitee: &Invitee,
        expires: SystemTime,
        now: SystemTime,
        recording: &Recording,
    ) -> Result<Invited, IdentityError> {
        let secret = Secret::random()?;
        let folder = folder(invitee.kind());
        let mut transaction = Transaction::new();
        for item in self.range(folder)? {
            if read::<Invitation>(&item)?.is_outdated(now) {
                transaction = transaction.delete(item.key);
            }
        }
        let invitation = Invitation::new(invitee.host().cloned(), expires);
        let key = invitation_key(invitee.kind(), &secret);
        transaction.operations.push(put(&key, &invitation));
        let about = about(invitee.kind(), invitee.host().map(HostName::as_str));
        let sentence = format!("invites {about}: {}", invitation_name(&secret));
        self.change(&transaction, sentence, recording)?;
        let pin = self.authority.pin();
        Ok(Invited { secret, pin })
    }
}

/// Where invitations of a kind are kept, by the SHA-256 of their secrets.
pub(crate) fn folder(kind: InvitationKind) -> &'static str {
    match kind {
        InvitationKind::Host => "/coax/identity/v1/invitation/",
        InvitationKind::Controller => "/coax/identity/v1/controller-invitation/",
    }
}

/// Where an invitation is kept.
pub(super) fn invitation_key(kind: InvitationKind, secret: &Secret) -> String {
    format!("{}{}", folder(kind), secret.hash())
}

/// What the audit log calls an invitation.
pub(super) fn invitation_name(secret: &Secret) -> String {
    let hash = secret.hash().to_string();
    format!("invitation {}", &hash[..DIGITS])
}

fn about(kind: InvitationKind, host: Option<&str>) -> String {
    match (kind, host) {
        (InvitationKind::Controller, _) => "a controller".to_owned(),
        (InvitationKind::Host, None) => "any host".to_owned(),
        (InvitationKind::Host, Some(host)) => format!("host {host}"),
    }
}
