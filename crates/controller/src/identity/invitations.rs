//! Invitations: tokens by which one machine becomes a host or a controller, once. They are made, listed and withdrawn here.
//!
//! Each kind has a folder of its own, so that no token of one kind leads to what the other is given. A record is named by the
//! beginning of its secret's hash, in lists as in the audit log: that tells it from all others, and nothing of the secret.

use std::time::SystemTime;

use coax_api::{InvitationKind, ListedInvitation};
use coax_identity::{Pin, Secret};
use coax_model::HostName;
use coax_store::{KeyValue, Outcome, Transaction};

use super::record::Invitation;
use super::{ATTEMPTS, Identities, IdentityError, read};
use crate::audit::{Recording, put, unchanged};

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

/// What became of an invitation that was to be withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawn {
    /// It counts no more.
    Done(ListedInvitation),
    /// A machine was faster.
    Used {
        /// The host or controller that it became.
        by: String,
    },
    /// There is none of that name.
    Unknown,
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
        let by = &recording.entry().who;
        let invitation = Invitation::new(invitee.host(), expires, by);
        let key = invitation_key(invitee.kind(), &secret);
        transaction.operations.push(put(&key, &invitation));
        let about = about(invitee.kind(), invitee.host().map(HostName::as_str));
        let sentence = format!("invites {about}: {}", invitation_name(&secret));
        self.change(&transaction, sentence, recording)?;
        let pin = self.authority().pin();
        Ok(Invited { secret, pin })
    }

    /// All invitations of a kind that are remembered, those that expire first at the beginning.
    pub fn invitations(
        &self,
        kind: InvitationKind,
        now: SystemTime,
    ) -> Result<Vec<ListedInvitation>, IdentityError> {
        let items = self.range(folder(kind))?;
        let listed = items.iter().map(|item| listed(kind, item, now));
        let mut listed = listed.collect::<Result<Vec<_>, _>>()?;
        listed.sort_by(|one, other| (one.expires, &one.name).cmp(&(other.expires, &other.name)));
        Ok(listed)
    }

    /// Takes an invitation back. One that was used is not to be had back: who came with it is removed otherwise.
    pub fn withdraw(
        &self,
        kind: InvitationKind,
        name: &str,
        now: SystemTime,
        recording: &Recording,
    ) -> Result<Withdrawn, IdentityError> {
        for _ in 0..ATTEMPTS {
            let items = self.range(folder(kind))?;
            let found = items
                .into_iter()
                .find(|item| self::name(kind, item) == name);
            let Some(item) = found else {
                return Ok(Withdrawn::Unknown);
            };
            let invitation = listed(kind, &item, now)?;
            if let Some(by) = invitation.used_by {
                return Ok(Withdrawn::Used { by });
            }
            let about = about(kind, invitation.host.as_deref());
            let sentence = format!("withdraws invitation {name} of {about}");
            let unchanged = unchanged(&item.key, Some(&item));
            let transaction = Transaction::new().when(unchanged).delete(item.key);
            if let Outcome::Done(_) = self.change(&transaction, sentence, recording)? {
                return Ok(Withdrawn::Done(invitation));
            }
        }
        Err(IdentityError::Contended)
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

/// What lists call a record of an invitation.
fn name(kind: InvitationKind, item: &KeyValue) -> String {
    let hash = item.key.get(folder(kind).len()..).unwrap_or_default();
    let hash = String::from_utf8_lossy(hash);
    hash.chars().take(DIGITS).collect()
}

fn about(kind: InvitationKind, host: Option<&str>) -> String {
    match (kind, host) {
        (InvitationKind::Controller, _) => "a controller".to_owned(),
        (InvitationKind::Host, None) => "any host".to_owned(),
        (InvitationKind::Host, Some(host)) => format!("host {host}"),
    }
}

fn listed(
    kind: InvitationKind,
    item: &KeyValue,
    now: SystemTime,
) -> Result<ListedInvitation, IdentityError> {
    let invitation: Invitation = read(item)?;
    Ok(invitation.view(kind, name(kind, item), now))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use coax_api::AuditEntry;
    use coax_identity::{Authority, CertificateRequest};
    use coax_store::Memory;

    use super::super::{JoinError, NotJoined};
    use super::*;

    fn at(hours: u32) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_secs(3600) * hours
    }

    fn recording(who: &str) -> Recording {
        Recording::new(AuditEntry {
            who: who.to_owned(),
            ..AuditEntry::default()
        })
    }

    #[test]
    fn an_invitation_is_seen_by_its_name_and_counts_until_it_is_withdrawn() {
        let authority = Authority::create(at(0)).unwrap();
        let identities = Identities::new(
            Arc::new(Memory::new()),
            authority,
            Duration::from_secs(3600),
        );
        let anna = recording("anna");
        let host: HostName = "hv1".parse().unwrap();
        let invite = |invitee: Invitee, hours| {
            let made = identities.invite(&invitee, at(hours), at(0), &anna);
            made.unwrap().secret
        };
        let later = invite(Invitee::Host(None), 48);
        let named = invite(Invitee::Host(Some(host.clone())), 24);
        let controller = invite(Invitee::Controller, 1);
        let list = |kind, hours| identities.invitations(kind, at(hours)).unwrap();
        let hosts = list(InvitationKind::Host, 24);
        let shown: Vec<_> = hosts
            .iter()
            .map(|it| (it.host.as_deref(), it.expired, it.created_by.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                (Some("hv1"), true, Some("anna")),
                (None, false, Some("anna"))
            ]
        );
        assert!(invitation_name(&named).ends_with(&hosts[0].name));
        let controllers = list(InvitationKind::Controller, 0);
        assert!(invitation_name(&controller).ends_with(&controllers[0].name));

        let withdraw = |kind, name: &str| identities.withdraw(kind, name, at(1), &recording("ben"));
        // A controller's is not to be had by who may take back hosts'.
        let other = withdraw(InvitationKind::Host, &controllers[0].name).unwrap();
        assert_eq!(other, Withdrawn::Unknown);
        let done = withdraw(InvitationKind::Host, &hosts[0].name).unwrap();
        assert!(matches!(done, Withdrawn::Done(it) if it.host.as_deref() == Some("hv1")));
        let again = withdraw(InvitationKind::Host, &hosts[0].name).unwrap();
        assert_eq!(again, Withdrawn::Unknown);
        let request = CertificateRequest::new().unwrap();
        let join = |secret| identities.join(secret, &host, request.der(), "", at(1));
        let refused = join(&named);
        assert!(
            matches!(refused, Err(JoinError::Refused(NotJoined::Unknown))),
            "{refused:?}"
        );
        join(&later).unwrap();
        let used = withdraw(InvitationKind::Host, &hosts[1].name).unwrap();
        assert_eq!(used, Withdrawn::Used { by: "hv1".into() });
        let log = identities.entries(10).unwrap();
        let entry = log.iter().find(|entry| entry.who == "ben").unwrap();
        let expected = format!("withdraws invitation {} of host hv1", hosts[0].name);
        assert_eq!(entry.changes, [expected]);
    }
}
