//! Machines that become controllers: their invitations, and what they are given.
//!
//! They are given everything. Whoever has the authority's key may speak for every host and pass for every controller, until the
//! authority is renewed. So an invitation has a key space of its own, where no host's token leads, is made by admins of the whole
//! deployment only, and counts for minutes. Controllers that keep their store in a file make none: a second one would have
//! the key and nothing to share.

use std::time::SystemTime;

use coax_api::InvitationKind;
use coax_identity::Secret;
use coax_store::{EtcdAccess, Outcome, Transaction};

use super::record::{self, Invitation, NotJoined};
use super::{
    ATTEMPTS, Identities, IdentityError, JoinError, invitation_key, invitation_name, read,
};
use crate::audit::{Recording, put, unchanged};
use crate::etcd_access::EtcdSecrets;
use crate::etcd_addresses::is_complete;
use crate::run::Options;

/// An address is a name or an address of IP, and a port.
const LONGEST_ADDRESS: usize = 255;

/// What all controllers of a deployment are told alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// The store that they share, and how this one gets in.
    pub etcd: EtcdAccess,
    /// Settings, by the names of their flags.
    pub settings: Vec<(&'static str, String)>,
}

impl Common {
    /// The flags whose settings a controller is told by another one.
    pub const SETTINGS: [&str; 4] = ["underlay-mtu", "certificates", "history", "history-size"];

    /// What a controller that was started like this shares with others; nothing if it keeps its store in a file.
    pub fn of(options: &Options, etcd: Option<EtcdAccess>) -> Option<Self> {
        let values = [
            options.underlay_mtu.to_string(),
            options.certificates.to_string(),
            options.history.to_string(),
            options.history_size.to_string(),
        ];
        Some(Self {
            etcd: etcd?,
            settings: Self::SETTINGS.into_iter().zip(values).collect(),
        })
    }
}

/// An etcd, for a machine that is to reach it as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEtcd {
    /// Its members.
    pub members: Vec<String>,
    /// With what it gets in; none: there is no TLS.
    pub secrets: Option<EtcdSecrets>,
}

impl FoundEtcd {
    fn read(access: &EtcdAccess) -> Result<Self, coax_identity::Error> {
        let credentials = access.credentials.as_ref();
        Ok(Self {
            members: access.members.clone(),
            secrets: credentials.map(EtcdSecrets::read).transpose()?,
        })
    }
}

impl Identities {
    /// The same identities, of a controller that shares its store.
    #[must_use]
    pub fn sharing(mut self, common: Option<Common>) -> Self {
        self.common = common;
        self
    }

    /// What this controller shares with others; none: it keeps its store in a file.
    pub fn common(&self) -> Option<&Common> {
        self.common.as_ref()
    }

    /// Where the store is, and how to get in, for a machine with a token that counts. The token is not used up. Who is
    /// given credentials is in the log.
    pub fn find_store(
        &self,
        secret: &Secret,
        from: &str,
        now: SystemTime,
    ) -> Result<FoundEtcd, JoinError> {
        let common = self.common().ok_or(NotJoined::Unknown)?;
        let key = invitation_key(InvitationKind::Controller, secret);
        let recording = Recording::of_join(&invitation_name(secret), from, "etcd", now);
        for _ in 0..ATTEMPTS {
            let invited = self.get(&key)?;
            let invitation = invited.as_ref().map(read::<Invitation>).transpose()?;
            record::usable(invitation.as_ref(), now)?;
            let found = FoundEtcd::read(&common.etcd).map_err(IdentityError::from)?;
            if found.secrets.is_none() {
                return Ok(found);
            }
            let transaction = Transaction {
                compares: vec![unchanged(&key, invited.as_ref())],
                operations: Vec::new(),
            };
            let sentence = "is given what controllers get into etcd with".to_owned();
            if let Outcome::Done(_) = self.change(&transaction, sentence, &recording)? {
                return Ok(found);
            }
        }
        Err(IdentityError::Contended.into())
    }

    /// Uses a token up. Whoever brought it is to be given the authority's key, and becomes the controller at `address`.
    pub fn become_controller(
        &self,
        secret: &Secret,
        address: &str,
        from: &str,
        now: SystemTime,
    ) -> Result<&Common, JoinError> {
        let common = self.common().ok_or(NotJoined::Unknown)?;
        if !is_printable(address) {
            return Err(NotJoined::BadAddress.into());
        }
        let key = invitation_key(InvitationKind::Controller, secret);
        let name = format!("controller {address}");
        let recording = Recording::of_join(&invitation_name(secret), from, &name, now);
        for _ in 0..ATTEMPTS {
            let invited = self.get(&key)?;
            let invitation = invited.as_ref().map(read::<Invitation>).transpose()?;
            let used = record::usable(invitation.as_ref(), now)?.used_by(name.clone());
            let transaction = Transaction {
                compares: vec![unchanged(&key, invited.as_ref())],
                operations: vec![put(&key, &used)],
            };
            let sentence = format!("{name} joins, and is given the authority's key");
            if let Outcome::Done(_) = self.change(&transaction, sentence, &recording)? {
                return Ok(common);
            }
        }
        Err(IdentityError::Contended.into())
    }
}

/// What a machine says of itself is shown in logs and lists.
fn is_printable(address: &str) -> bool {
    let plain = address.chars().all(|c| c.is_ascii_graphic());
    plain && address.len() <= LONGEST_ADDRESS && is_complete(address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use coax_api::AuditEntry;
    use coax_identity::{Authority, CertificateRequest};
    use coax_store::Memory;

    use super::super::Invitee;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const ADDRESS: &str = "192.0.2.2:7450";

    fn at(minutes: u32) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + MINUTE * minutes
    }

    fn identities(etcd: Option<&str>) -> Identities {
        let authority = Authority::create(at(0)).unwrap();
        let store = Arc::new(Memory::new());
        let common = etcd.map(|etcd| Common {
            etcd: EtcdAccess::plain(vec![etcd.to_owned()]),
            settings: Vec::new(),
        });
        Identities::new(store, authority, MINUTE).sharing(common)
    }

    fn invite(identities: &Identities) -> Secret {
        let recording = Recording::new(AuditEntry::default());
        let invited = identities.invite(&Invitee::Controller, at(30), at(0), &recording);
        invited.unwrap().secret
    }

    fn outcome<T>(result: Result<T, JoinError>) -> &'static str {
        match result {
            Ok(_) => "joined",
            Err(JoinError::Refused(reason)) => reason.outcome(),
            Err(JoinError::Failed(_)) => "failed",
        }
    }

    #[test]
    fn a_token_makes_one_controller_in_time() {
        let identities = identities(Some("127.0.0.1:2379"));
        let secret = invite(&identities);
        let ask = |secret: &Secret, address: &str, minutes| {
            outcome(identities.become_controller(secret, address, "10.0.0.1:1", at(minutes)))
        };
        let find = |secret: &Secret, minutes| {
            outcome(identities.find_store(secret, "10.0.0.1:1", at(minutes)))
        };
        assert_eq!(find(&Secret::from_bytes([1; 16]), 1), "unknown");
        assert_eq!(find(&secret, 29), "joined");
        assert_eq!(find(&secret, 30), "expired");
        for address in ["", "a", "a b:1", "a\n:1", "ä:1"] {
            assert_eq!(ask(&secret, address, 1), "bad-request", "{address}");
        }
        assert_eq!(ask(&secret, ADDRESS, 30), "expired");
        // Looking and being refused used nothing up.
        assert_eq!(ask(&secret, ADDRESS, 29), "joined");
        assert_eq!(ask(&secret, ADDRESS, 29), "used");
        assert_eq!(find(&secret, 29), "used");
        let log = identities.entries(10).unwrap();
        let shown: Vec<(&str, &str)> = log.iter().map(|it| (&*it.method, &*it.path)).collect();
        assert_eq!(shown, [("", ""), ("JOIN", "controller 192.0.2.2:7450")]);
        assert!(log[0].changes[0].ends_with(&log[1].who), "{log:?}");
    }

    #[test]
    fn a_token_of_a_host_is_none_of_a_controller_and_the_reverse() {
        let identities = identities(Some("127.0.0.1:2379"));
        let recording = Recording::new(AuditEntry::default());
        let host = identities.invite(&Invitee::Host(None), at(30), at(0), &recording);
        let taken = identities.become_controller(&host.unwrap().secret, ADDRESS, "", at(1));
        assert_eq!(outcome(taken), "unknown");
        let secret = invite(&identities);
        let request = CertificateRequest::new().unwrap();
        let name = "hv1".parse().unwrap();
        let taken = identities.join(&secret, &name, request.der(), "", at(1));
        assert_eq!(outcome(taken), "unknown");
    }

    #[test]
    fn whoever_is_given_what_gets_into_etcd_is_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = EtcdSecrets {
            cacert: b"a".to_vec(),
            cert: b"b".to_vec(),
            key: b"PRIVATE".to_vec(),
            login: Some(("coax".to_owned(), b"SECRET".to_vec())),
        };
        let common = Common {
            etcd: EtcdAccess {
                members: vec!["192.0.2.9:2379".to_owned()],
                credentials: Some(secrets.keep(folder.path()).unwrap()),
            },
            settings: Vec::new(),
        };
        let identities = identities(None).sharing(Some(common));
        let secret = invite(&identities);
        let unknown = identities.find_store(&Secret::from_bytes([1; 16]), "10.0.0.1:1", at(1));
        assert_eq!(outcome(unknown), "unknown");
        let found = identities.find_store(&secret, "10.0.0.2:1", at(1)).unwrap();
        assert_eq!(found.secrets, Some(secrets));
        let log = identities.entries(10).unwrap();
        let last = log.last().unwrap();
        assert_eq!(
            (log.len(), &*last.method, &*last.from),
            (2, "JOIN", "10.0.0.2:1")
        );
        let shown = format!("{log:?}");
        assert!(
            !shown.contains("PRIVATE") && !shown.contains("SECRET"),
            "{shown}"
        );
        assert!(log[0].changes[0].ends_with(&last.who), "{shown}");
    }

    #[test]
    fn nobody_joins_a_store_in_a_file() {
        let shared = identities(Some("127.0.0.1:2379"));
        let secret = invite(&shared);
        let alone = shared.sharing(None);
        assert_eq!(outcome(alone.find_store(&secret, "", at(1))), "unknown");
        let taken = alone.become_controller(&secret, ADDRESS, "", at(1));
        assert_eq!(outcome(taken), "unknown");
    }
}
