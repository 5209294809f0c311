//! Which authorities count in the deployment, and which of their keys this controller has.
//!
//! ```text
//!   no record ──renew──► old, new ──finish──► new ──renew──► new, newer ──► …
//! ```
//!
//! Until a deployment renews its authority for the first time there is no record, and the authority on the controllers' disks
//! is the one that counts. The record holds certificates. Keys stay on disks.

use std::sync::Arc;
use std::time::SystemTime;

use coax_api::FormerAuthority;
use coax_identity::{Authority, Certificate, Pin, Validity, certificate};
use serde::{Deserialize, Serialize};

use super::IdentityError;
use super::record::seconds;

/// Where the record is.
pub(super) const RECORD: &str = "/coax/identity/v1/authorities";
/// Which controller has which keys, by the names of controllers.
pub(super) const HOLDERS: &str = "/coax/identity/v1/authority-holder/";
/// Digits of a pin that people are shown.
const DIGITS: usize = 16;
/// Authorities that may count at a time: more than two only if the keys of some were lost.
const MOST: usize = 4;
/// Authorities that are remembered once they count no more.
const REMEMBERED: usize = 16;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Authorities {
    /// Those that count, the newest last.
    trusted: Vec<Counting>,
    /// Those that count no more, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<FormerAuthority>,
}

/// An authority that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counting {
    /// In PEM.
    certificate: String,
    /// Seconds since 1970.
    since: u64,
}

impl Authorities {
    /// Before the first renewal: the one on this controller's disk.
    pub(super) fn only(authority: &Authority) -> Result<Self, IdentityError> {
        let since = authority.validity()?.not_before;
        let trusted = vec![Counting {
            certificate: authority.certificate_pem(),
            since: seconds(since),
        }];
        let former = Vec::new();
        Ok(Self { trusted, former })
    }

    /// The certificates of those that count, the newest last.
    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, IdentityError> {
        let trusted = self.trusted.iter();
        let read = trusted.map(|it| certificate::from_pem(it.certificate.as_bytes()));
        Ok(read.collect::<Result<_, _>>()?)
    }

    /// Since when each of them counts.
    pub(super) fn since(&self) -> impl Iterator<Item = u64> {
        self.trusted.iter().map(|it| it.since)
    }

    /// Those that count no more.
    pub(super) fn former(&self) -> &[FormerAuthority] {
        &self.former
    }

    /// Whether more than one counts.
    pub(super) fn is_renewing(&self) -> bool {
        self.trusted.len() > 1
    }

    /// Whether no other one may be added.
    pub(super) fn is_full(&self) -> bool {
        self.trusted.len() >= MOST
    }

    /// Whether the deployment has, or had, an authority.
    pub(super) fn knows(&self, pin: Pin) -> Result<bool, IdentityError> {
        let text = pin.to_string();
        let counts = self.certificates()?.iter().any(|it| Pin::of(it) == pin);
        Ok(counts || self.former.iter().any(|it| it.pin == text))
    }

    /// The same, with one more that counts.
    #[must_use]
    pub(super) fn with(mut self, authority: &Authority, now: SystemTime) -> Self {
        self.trusted.push(Counting {
            certificate: authority.certificate_pem(),
            since: seconds(now),
        });
        self
    }

    /// The newest alone.
    pub(super) fn finished(self, now: SystemTime) -> Result<Self, IdentityError> {
        let certificates = self.certificates()?;
        let mut trusted = self.trusted;
        let newest = trusted.split_off(trusted.len().saturating_sub(1));
        let mut former = self.former;
        former.extend(
            certificates
                .iter()
                .take(trusted.len())
                .map(|it| FormerAuthority {
                    pin: Pin::of(it).to_string(),
                    ended: seconds(now),
                }),
        );
        former.drain(..former.len().saturating_sub(REMEMBERED));
        Ok(Self {
            trusted: newest,
            former,
        })
    }
}

/// What a controller says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    /// The pins of the authorities whose keys it has.
    pub(super) pins: Vec<String>,
}

/// The authorities that count, as this controller knows them, and their keys as far as it has them: at least one.
#[derive(Clone)]
pub struct Custody {
    trusted: Vec<Certificate>,
    oldest: Arc<Authority>,
    newer: Vec<Arc<Authority>>,
    /// Whether the controller is stopping.
    closed: bool,
}

impl Custody {
    /// Nothing but this one counts.
    pub(super) fn of(authority: Arc<Authority>) -> Self {
        Self {
            trusted: vec![authority.certificate().clone()],
            oldest: authority,
            newer: Vec::new(),
            closed: false,
        }
    }

    /// `keys` are in the order of what they are the keys of. `None`: there are none.
    pub(super) fn new(trusted: Vec<Certificate>, keys: Vec<Arc<Authority>>) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self {
            trusted,
            oldest: keys.next()?,
            newer: keys.collect(),
            closed: false,
        })
    }

    /// The certificates of the authorities that count, the newest last.
    pub fn trusted(&self) -> &[Certificate] {
        &self.trusted
    }

    /// The keys that this controller has, the newest last.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Arc<Authority>> {
        std::iter::once(&self.oldest).chain(&self.newer)
    }

    /// The newest of the authorities that this controller has the key of: what it signs with.
    pub fn authority(&self) -> &Arc<Authority> {
        self.newer.last().unwrap_or(&self.oldest)
    }

    /// The oldest of them: what it proves itself with to who does not say what he trusts.
    pub fn oldest(&self) -> &Arc<Authority> {
        &self.oldest
    }

    /// Whether more than one authority counts.
    pub fn is_renewing(&self) -> bool {
        self.trusted.len() > 1
    }

    /// Whether this controller signs with the newest of all that count.
    pub fn has_newest(&self) -> bool {
        self.trusted.last() == Some(self.authority().certificate())
    }

    /// Whether the controller is stopping.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The same of a controller that stops.
    #[must_use]
    pub(super) fn closed(&self) -> Self {
        Self {
            closed: true,
            ..self.clone()
        }
    }

    /// Whether the same authorities count and the same keys are there.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let pins = |custody: &Self| custody.keys().map(|it| it.pin()).collect::<Vec<_>>();
        self.trusted == other.trusted && pins(self) == pins(other)
    }
}

/// What people are shown of an authority.
pub(super) fn short(certificate: &Certificate) -> String {
    Pin::of(certificate)
        .to_string()
        .chars()
        .take(DIGITS)
        .collect()
}

/// The end of a certificate, in seconds since 1970.
pub(super) fn until(certificate: &Certificate) -> Result<u64, IdentityError> {
    Ok(seconds(Validity::of(certificate)?.not_after))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(hours: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 3600 * hours)
    }

    #[test]
    fn the_newest_alone_counts_in_the_end_and_the_others_are_remembered() {
        let [old, new, other] = [(); 3].map(|()| Authority::create(at(0)).unwrap());
        let record = Authorities::only(&old).unwrap();
        assert!(!record.is_renewing());
        let renewing = record.with(&new, at(1));
        assert!(renewing.is_renewing() && !renewing.is_full());
        let both = [old.certificate().clone(), new.certificate().clone()];
        assert_eq!(renewing.certificates().unwrap(), both);
        let finished = renewing.finished(at(2)).unwrap();
        assert_eq!(finished.certificates().unwrap(), both[1..]);
        let former = FormerAuthority {
            pin: old.pin().to_string(),
            ended: seconds(at(2)),
        };
        assert_eq!(finished.former(), [former]);
        for (authority, known) in [(&old, true), (&new, true), (&other, false)] {
            assert_eq!(finished.knows(authority.pin()).unwrap(), known);
        }
        let text = serde_json::to_string(&finished).unwrap();
        assert!(!text.contains("PRIVATE"), "{text}");
        assert_eq!(
            serde_json::from_str::<Authorities>(&text).unwrap(),
            finished
        );
    }

    #[test]
    fn a_controller_signs_with_the_newest_key_that_it_has() {
        let [old, new] = [(); 2].map(|()| Arc::new(Authority::create(at(0)).unwrap()));
        let trusted = || vec![old.certificate().clone(), new.certificate().clone()];
        let both = Custody::new(trusted(), vec![old.clone(), new.clone()]).unwrap();
        assert!(both.has_newest() && both.authority().pin() == new.pin());
        let behind = Custody::new(trusted(), vec![old.clone()]).unwrap();
        assert!(!behind.has_newest() && behind.authority().pin() == old.pin());
        assert!(!behind.is_same(&both) && both.is_same(&both.closed()));
        assert!(Custody::new(trusted(), Vec::new()).is_none());
    }
}
