//! Records of hosts and invitations, and what they decide. Times come in, nothing goes out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coax_api::{InvitationKind, ListedInvitation};
use coax_identity::{Enrolment, HostIdentity, Pin};
use coax_model::HostName;
use serde::{Deserialize, Serialize};

/// How long a token that is used or has expired is remembered, so that whoever tries it again is told
/// what became of it.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// A host that joined and was not removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    enrolment: String,
    /// The pin of the authority that its certificate is of, as far as that matters: hosts that joined before authorities were
    /// renewed do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<String>,
}

impl HostRecord {
    /// A host whose certificates carry this enrolment.
    pub fn new(enrolment: Enrolment, authority: Option<Pin>) -> Self {
        Self {
            enrolment: enrolment.to_string(),
            authority: authority.map(|pin| pin.to_string()),
        }
    }

    /// The same host with a certificate of this authority; nothing if that is known, or the host is another one.
    pub(super) fn of_authority(self, enrolment: Enrolment, pin: &str) -> Option<Self> {
        let same = self.enrolment == enrolment.to_string();
        let news = same && self.authority.as_deref() != Some(pin);
        news.then(|| Self {
            authority: Some(pin.to_owned()),
            ..self
        })
    }
}

/// A join token, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The only name that it may be used for; any name that no host has if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Seconds since 1970.
    expires: u64,
    /// Who used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_by: Option<String>,
    /// Who made it; those of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
}

impl Invitation {
    /// One that was not used yet.
    pub fn new(host: Option<&HostName>, expires: SystemTime, by: &str) -> Self {
        Self {
            host: host.map(ToString::to_string),
            expires: seconds(expires),
            used_by: None,
            created_by: Some(by.to_owned()),
        }
    }

    /// What may be told of it.
    pub fn view(self, kind: InvitationKind, name: String, now: SystemTime) -> ListedInvitation {
        ListedInvitation {
            name,
            kind,
            expired: self.expires <= seconds(now),
            host: self.host,
            expires: self.expires,
            used_by: self.used_by,
            created_by: self.created_by,
        }
    }

    /// It, used up.
    #[must_use]
    pub fn used_by(&self, by: String) -> Self {
        Self {
            used_by: Some(by),
            ..self.clone()
        }
    }

    /// Whether nobody needs to be told about it any more.
    pub fn is_outdated(&self, now: SystemTime) -> bool {
        seconds(now) > self.expires.saturating_add(REMEMBERED.as_secs())
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Why a machine may not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    /// No such token was given out, or it was taken back, or it is so old that it is forgotten.
    #[error(
        "this token was not made by this deployment, or was withdrawn, or expired more than a week ago"
    )]
    Unknown,
    /// It came too late.
    #[error("this token has expired")]
    Expired,
    /// Somebody was faster.
    #[error("this token was used already: {by} joined with it")]
    Used {
        /// The host or controller that joined.
        by: String,
    },
    /// The token is for another name.
    #[error("this token is for {invited}, not for {asked}")]
    OtherName {
        /// The name that the token is for.
        invited: String,
        /// The name that was asked for.
        asked: HostName,
    },
    /// The token leaves the name open, and a host has it.
    #[error("there is a host {host} already; only a token that names it lets it join anew")]
    NameTaken {
        /// The host.
        host: HostName,
    },
    /// What came with the token is no request for a certificate.
    #[error("the certificate request cannot be used")]
    BadRequest,
    /// The name is none.
    #[error("`{0}` cannot be the name of a host")]
    BadName(String),
    /// The address is none.
    #[error("hosts cannot reach a controller there: the address is to be ADDRESS:PORT")]
    BadAddress,
}

impl NotJoined {
    /// In one word, for counters.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Used { .. } => "used",
            Self::OtherName { .. } => "other-name",
            Self::NameTaken { .. } => "name-taken",
            Self::BadRequest | Self::BadName(_) | Self::BadAddress => "bad-request",
        }
    }
}

/// Decides whether an invitation counts now, whatever it is for.
pub fn usable(invitation: Option<&Invitation>, now: SystemTime) -> Result<&Invitation, NotJoined> {
    let invitation = invitation.ok_or(NotJoined::Unknown)?;
    if let Some(by) = &invitation.used_by {
        return Err(NotJoined::Used { by: by.clone() });
    }
    match seconds(now) >= invitation.expires {
        true => Err(NotJoined::Expired),
        false => Ok(invitation),
    }
}

/// Decides whether a machine may join as `host`, and says what becomes of the invitation then.
pub fn accept(
    invitation: Option<&Invitation>,
    host: &HostName,
    enrolled: bool,
    now: SystemTime,
) -> Result<Invitation, NotJoined> {
    let invitation = usable(invitation, now)?;
    match &invitation.host {
        Some(invited) if invited != host.as_str() => Err(NotJoined::OtherName {
            invited: invited.clone(),
            asked: host.clone(),
        }),
        None if enrolled => Err(NotJoined::NameTaken { host: host.clone() }),
        _ => Ok(invitation.used_by(host.to_string())),
    }
}

/// Why the bearer of a certificate may not speak for its host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// There is no such host (any more), or it joined again since.
    #[error("{host} was removed, or has joined again with another key")]
    Revoked {
        /// The host.
        host: HostName,
    },
    /// The certificate is of an authority that counts no more.
    #[error(
        "the deployment's authority was renewed while {host} was away, and its certificate is of the old one: \
         `coax host invite {host}` on a controller and `coax join --again TOKEN` there give it a new one; its ports go on forwarding"
    )]
    FormerAuthority {
        /// The host.
        host: HostName,
    },
    /// The certificate has run out while the connection was open.
    #[error("the certificate of {host} has run out")]
    Expired {
        /// The host.
        host: HostName,
    },
}

impl NotAdmitted {
    /// In one word, for counters.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Revoked { .. } => "revoked",
            Self::Expired { .. } => "expired",
            Self::FormerAuthority { .. } => "former-authority",
        }
    }
}

/// Decides whether the bearer of a certificate may speak for its host.
pub fn admit(
    record: Option<&HostRecord>,
    identity: &HostIdentity,
    now: SystemTime,
) -> Result<(), NotAdmitted> {
    let host = identity.host.clone();
    if identity.validity.is_over(now) {
        return Err(NotAdmitted::Expired { host });
    }
    match record {
        Some(record) if record.enrolment == identity.enrolment.to_string() => Ok(()),
        _ => Err(NotAdmitted::Revoked { host }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use coax_identity::Validity;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> SystemTime {
        UNIX_EPOCH + HOUR * hours
    }

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[test]
    fn a_token_works_once_in_time_and_for_its_name() {
        let invitation = Invitation::new(Some(&host("hv1")), at(24), "root");
        let accepted = |invitation: &Invitation, name: &str, hours| {
            accept(Some(invitation), &host(name), false, at(hours))
        };
        let used = accepted(&invitation, "hv1", 23).unwrap();
        assert_eq!(
            accepted(&used, "hv1", 23),
            Err(NotJoined::Used { by: "hv1".into() })
        );
        assert_eq!(accepted(&invitation, "hv1", 24), Err(NotJoined::Expired));
        let other = accepted(&invitation, "hv2", 1);
        assert_eq!(other.unwrap_err().outcome(), "other-name");
        assert_eq!(
            accept(None, &host("hv1"), false, at(1)),
            Err(NotJoined::Unknown)
        );
    }

    #[test]
    fn a_token_without_a_name_takes_over_no_host() {
        let open = Invitation::new(None, at(24), "root");
        accept(Some(&open), &host("hv1"), false, at(1)).unwrap();
        let taken = accept(Some(&open), &host("hv1"), true, at(1));
        assert_eq!(taken.unwrap_err().outcome(), "name-taken");
        // One that names the host is meant for just that.
        let named = Invitation::new(Some(&host("hv1")), at(24), "root");
        accept(Some(&named), &host("hv1"), true, at(1)).unwrap();
    }

    #[test]
    fn only_the_last_enrolment_of_a_host_counts_and_only_in_time() {
        let (old, new) = (Enrolment::random().unwrap(), Enrolment::random().unwrap());
        let identity = |enrolment| HostIdentity {
            host: host("hv1"),
            enrolment,
            validity: Validity {
                not_before: at(0),
                not_after: at(10),
            },
        };
        let record = HostRecord::new(new, None);
        assert_eq!(admit(Some(&record), &identity(new), at(5)), Ok(()));
        for (record, enrolment, hours, outcome) in [
            (Some(&record), old, 5, "revoked"),
            (None, new, 5, "revoked"),
            (Some(&record), new, 11, "expired"),
        ] {
            let refused = admit(record, &identity(enrolment), at(hours)).unwrap_err();
            assert_eq!(refused.outcome(), outcome);
        }
    }

    #[test]
    fn tokens_are_forgotten_a_week_after_they_expire() {
        let invitation = Invitation::new(None, at(24), "root");
        assert!(!invitation.is_outdated(at(24 + 7 * 24)));
        assert!(invitation.is_outdated(at(25 + 7 * 24)));
    }
}
