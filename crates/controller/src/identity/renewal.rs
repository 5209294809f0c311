//! Renewing the deployment's authority: making another one, moving to it, and giving the old one up.
//!
//! The new key is on disk before the record names its certificate, so a controller that dies in between leaves a key that nobody
//! trusts, and takes it up when it is asked again. When the renewal is finished the record changes first and the files after it:
//! a controller that dies in between finds its key beside the old one when it starts.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use coax_api::{AuthorityStatus, CountingAuthority};
use coax_identity::{Authority, HostIdentity, Pin};
use coax_store::{KeyValue, Outcome, Transaction};

use super::authorities::{Authorities, HOLDERS, Holder, RECORD, short, until};
use super::deployment::NEXT;
use super::{ATTEMPTS, HOSTS, HostRecord, Identities, IdentityError, host_key, read};
use crate::audit::{Recording, put, unchanged};

/// Why an authority is not renewed, or a renewal not finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRenewed {
    /// There are two already.
    #[error("a renewal is under way, and this controller {} the new key", has(.has_key))]
    UnderWay {
        /// Whether this controller has the newest key.
        has_key: bool,
    },
    /// As many keys were lost as the deployment bears.
    #[error("{0} authorities count already")]
    Full(usize),
    /// There is one.
    #[error("no renewal is under way")]
    NotUnderWay,
    /// Another controller has the key.
    #[error("this controller does not have the new authority's key")]
    KeyElsewhere {
        /// Those that have it.
        holders: Vec<String>,
    },
    /// Somebody would be cut off.
    #[error("{} would be cut off", all(.hosts, .controllers))]
    CutsOff {
        /// Hosts without a certificate of the new authority.
        hosts: Vec<String>,
        /// Controllers without its key.
        controllers: Vec<String>,
    },
}

fn has(has_key: &bool) -> &'static str {
    match has_key {
        true => "has",
        false => "does not have",
    }
}

fn all(hosts: &[String], controllers: &[String]) -> String {
    [hosts, controllers].concat().join(", ")
}

/// Why an authority is not renewed, or a renewal not finished.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] NotRenewed),
    /// It cannot be told.
    #[error(transparent)]
    Failed(#[from] IdentityError),
}

impl Identities {
    /// Makes a new authority, which counts beside the present one.
    pub fn renew_authority(
        &self,
        force: bool,
        now: SystemTime,
        recording: &Recording,
    ) -> Result<(), RenewalError> {
        for _ in 0..ATTEMPTS {
            let (found, record) = self.record_of_authorities()?;
            let has_key = self.has_key_of_newest(&record)?;
            if record.is_renewing() && (has_key || !force) {
                return Err(NotRenewed::UnderWay { has_key }.into());
            }
            if record.is_full() {
                let most = record.since().count();
                return Err(NotRenewed::Full(most).into());
            }
            let next = self.next_authority(&record, now)?;
            let pins: Vec<_> = record.certificates()?.iter().map(short).collect();
            let sentence = format!(
                "renews the authority: {} counts beside {}",
                short(next.certificate()),
                pins.join(", ")
            );
            let transaction = Transaction {
                compares: vec![unchanged(RECORD, found.as_ref())],
                operations: vec![put(RECORD, &record.with(&next, now))],
            };
            if let Outcome::Done(_) = self.change(&transaction, sentence, recording)? {
                return self.go_along(now);
            }
        }
        Err(IdentityError::Contended.into())
    }

    /// Does what was just stored. Where that fails it is stored all the same, and done when it is looked for the next time.
    fn go_along(&self, now: SystemTime) -> Result<(), RenewalError> {
        if let Err(error) = self.look_up(now) {
            tracing::warn!(%error, "what counts now is stored, and taken up later");
        }
        Ok(())
    }

    /// The authority that is to be the next: on disk before anybody hears of it.
    fn next_authority(
        &self,
        record: &Authorities,
        now: SystemTime,
    ) -> Result<Arc<Authority>, IdentityError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = &self.folder else {
            let made = Arc::new(Authority::create(now)?);
            known.push(made.clone());
            return Ok(made);
        };
        let next = folder.join(NEXT);
        // One whose record may have been stored, or may be yet, without this controller being told.
        if let Ok(left) = Authority::load(&next)
            && !record.knows(left.pin())?
        {
            return Ok(Arc::new(left));
        }
        let made = Authority::create(now)?;
        made.save_apart(&next)?;
        Ok(Arc::new(made))
    }

    fn has_key_of_newest(&self, record: &Authorities) -> Result<bool, IdentityError> {
        let custody = self.custody();
        let newest = record.certificates()?.pop();
        Ok(newest.as_ref() == Some(custody.authority().certificate()))
    }

    /// Gives up all authorities but the newest. Of those who would be cut off, `without` are.
    pub fn finish_renewal(
        &self,
        registered: &[String],
        without: impl Fn(&str) -> bool,
        now: SystemTime,
        recording: &Recording,
    ) -> Result<(), RenewalError> {
        for _ in 0..ATTEMPTS {
            let (found, record) = self.record_of_authorities()?;
            if !record.is_renewing() {
                return Err(NotRenewed::NotUnderWay.into());
            }
            let status = self.status_of(&record, registered)?;
            if !self.has_key_of_newest(&record)? {
                let newest = status.authorities.into_iter().next_back();
                let holders = newest.map(|it| it.controllers).unwrap_or_default();
                return Err(NotRenewed::KeyElsewhere { holders }.into());
            }
            let kept = |names: Vec<String>| -> Vec<_> {
                names.into_iter().filter(|it| !without(it)).collect()
            };
            let hosts = kept(status.waiting_hosts);
            let controllers = kept(status.waiting_controllers);
            if !hosts.is_empty() || !controllers.is_empty() {
                return Err(NotRenewed::CutsOff { hosts, controllers }.into());
            }
            let finished = record.finished(now)?;
            let newest: Vec<_> = finished.certificates()?.iter().map(short).collect();
            let sentence = format!(
                "finishes the authority's renewal: only {} counts",
                newest.join(", ")
            );
            let transaction = Transaction {
                compares: vec![unchanged(RECORD, found.as_ref())],
                operations: vec![put(RECORD, &finished)],
            };
            if let Outcome::Done(_) = self.change(&transaction, sentence, recording)? {
                return self.go_along(now);
            }
        }
        Err(IdentityError::Contended.into())
    }

    /// Which authorities count, and who has moved to the newest. `registered` are the controllers that hosts are told of.
    pub fn authorities(&self, registered: &[String]) -> Result<AuthorityStatus, IdentityError> {
        let (_, record) = self.record_of_authorities()?;
        self.status_of(&record, registered)
    }

    fn status_of(
        &self,
        record: &Authorities,
        registered: &[String],
    ) -> Result<AuthorityStatus, IdentityError> {
        let mut holders = BTreeMap::new();
        for item in self.range(HOLDERS)? {
            holders.insert(name(HOLDERS, &item), read::<Holder>(&item)?.pins);
        }
        let mut hosts = BTreeMap::new();
        for item in self.range(HOSTS)? {
            hosts.insert(name(HOSTS, &item), read::<HostRecord>(&item)?.authority);
        }
        let mut authorities = Vec::new();
        for (certificate, since) in record.certificates()?.iter().zip(record.since()) {
            let pin = Pin::of(certificate).to_string();
            let of_it = hosts.values().filter(|it| it.as_ref() == Some(&pin));
            // Records of controllers that are gone stay.
            let is_here = |name: &String| registered.is_empty() || registered.contains(name);
            let with_key = holders
                .iter()
                .filter(|(name, pins)| is_here(name) && pins.contains(&pin));
            authorities.push(CountingAuthority {
                since,
                until: until(certificate)?,
                hosts: of_it.count(),
                controllers: with_key.map(|(name, _)| name.clone()).collect(),
                pin,
            });
        }
        let newest = authorities.last().filter(|_| record.is_renewing());
        let waiting_hosts = newest.map(|newest| {
            let waiting = hosts
                .iter()
                .filter(|(_, pin)| pin.as_ref() != Some(&newest.pin));
            waiting.map(|(name, _)| name.clone()).collect()
        });
        let waiting_controllers = newest.map(|newest| {
            let waiting = registered
                .iter()
                .filter(|it| !newest.controllers.contains(it));
            waiting.cloned().collect()
        });
        Ok(AuthorityStatus {
            waiting_hosts: waiting_hosts.unwrap_or_default(),
            waiting_controllers: waiting_controllers.unwrap_or_default(),
            former: record.former().to_vec(),
            authorities,
        })
    }

    /// Takes down which authority a host says that its certificate is of.
    pub fn host_says(
        &self,
        identity: &HostIdentity,
        signed_by: &[u8],
    ) -> Result<(), IdentityError> {
        let custody = self.custody();
        let mut trusted = custody.trusted().iter().map(Pin::of);
        let Some(pin) = trusted.find(|pin| pin.0 == signed_by) else {
            return Ok(());
        };
        if !custody.is_renewing() {
            return Ok(());
        }
        let key = host_key(&identity.host);
        let Some(item) = self.get(&key)? else {
            return Ok(());
        };
        let record: HostRecord = read(&item)?;
        let Some(record) = record.of_authority(identity.enrolment, &pin.to_string()) else {
            return Ok(());
        };
        let transaction = Transaction {
            compares: vec![unchanged(&key, Some(&item))],
            operations: vec![put(&key, &record)],
        };
        // Whoever changed it meanwhile is told by the host, too.
        self.with_store(|store| store.transact(&transaction))
            .map(drop)
    }

    /// The pins of all authorities that the deployment has or had, as far as they are remembered.
    pub(super) fn pins(&self) -> Result<Vec<[u8; 32]>, IdentityError> {
        let (_, record) = self.record_of_authorities()?;
        let trusted = record.certificates()?;
        let former = record.former().iter();
        let former = former.filter_map(|it| it.pin.parse::<Pin>().ok());
        let pins = trusted.iter().map(Pin::of).chain(former);
        Ok(pins.map(|pin| pin.0).collect())
    }
}

fn name(folder: &str, item: &KeyValue) -> String {
    String::from_utf8_lossy(item.key.get(folder.len()..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
