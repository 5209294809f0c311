//! Users: tokens as they are kept, and who a request comes from.

use std::time::SystemTime;

use coax_api::{Role, Token};
use coax_identity::{Secret, SecretHash, UserToken};
use coax_model::Name;
use coax_store::{KeyValue, Outcome, Transaction};
use serde::{Deserialize, Serialize};

use super::record::seconds;
use super::{ATTEMPTS, Identities, IdentityError, read};
use crate::audit::{Recording, put, unchanged};

const TOKENS: &str = "/coax/identity/v1/token/";
/// Put whenever a token is made: two controllers do not give one name to two.
const MADE: &str = "/coax/identity/v1/tokens-made";

/// Who a request comes from, and what he may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of his token, or of the local user.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// Where; `None`: everywhere.
    pub project: Option<Name>,
}

impl Caller {
    /// The bearer of a token for all projects.
    pub fn everywhere(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            role,
            project: None,
        }
    }

    /// Whoever opens the local socket: its owner, who could read the authority's key as well.
    pub fn local(uid: u32) -> Self {
        Self {
            name: match uid {
                0 => "root".to_owned(),
                uid => format!("uid {uid}"),
            },
            role: Role::Admin,
            project: None,
        }
    }
}

/// A token, as it is kept: under the hash of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TokenRecord {
    name: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<Name>,
    expires: u64,
    created_by: String,
}

impl TokenRecord {
    /// What the audit log says of it.
    fn sentence(&self, verb: &str) -> String {
        let place = self.project.as_ref().map_or("all projects", Name::as_str);
        format!(
            "{verb} token {}, {} of {place}",
            self.name,
            self.role.name()
        )
    }

    fn view(self, now: SystemTime) -> Token {
        Token {
            expired: self.expires <= seconds(now),
            name: self.name,
            role: self.role,
            project: self.project.map(|project| project.to_string()),
            expires: self.expires,
            created_by: self.created_by,
        }
    }
}

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: Name,
    /// What its bearer may do.
    pub role: Role,
    /// Where.
    pub project: Option<Name>,
    /// Until when.
    pub expires: SystemTime,
}

/// Why a token is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// Nobody made it, or it was deleted.
    #[error("the token is not known: it was deleted, or it is of another deployment")]
    Unknown,
    /// It came too late.
    #[error("the token has expired")]
    Expired,
}

impl NotKnown {
    /// In one word, for counters.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Unknown => "unknown-token",
            Self::Expired => "expired-token",
        }
    }
}

impl Identities {
    /// Who has this token.
    pub fn caller(
        &self,
        secret: &Secret,
        now: SystemTime,
    ) -> Result<Result<Caller, NotKnown>, IdentityError> {
        let Some(item) = self.get(&token_key(secret.hash()))? else {
            return Ok(Err(NotKnown::Unknown));
        };
        let record: TokenRecord = read(&item)?;
        if record.expires <= seconds(now) {
            return Ok(Err(NotKnown::Expired));
        }
        Ok(Ok(Caller {
            name: record.name,
            role: record.role,
            project: record.project,
        }))
    }

    /// Makes a token. `None`: there is one of that name.
    pub fn make_token(
        &self,
        new: NewToken,
        by: &Caller,
        now: SystemTime,
        recording: &Recording,
    ) -> Result<Option<(UserToken, Token)>, IdentityError> {
        let token = UserToken {
            secret: Secret::random()?,
            pin: self.authority().pin(),
        };
        let record = TokenRecord {
            name: new.name.to_string(),
            role: new.role,
            project: new.project,
            expires: seconds(new.expires),
            created_by: by.name.clone(),
        };
        let key = token_key(token.secret.hash());
        for _ in 0..ATTEMPTS {
            let made = self.get(MADE)?;
            if self.tokens_named(&record.name)?.next().is_some() {
                return Ok(None);
            }
            let transaction = Transaction {
                compares: vec![unchanged(MADE, made.as_ref())],
                operations: vec![put(&key, &record), put(MADE, &record.name)],
            };
            let sentence = record.sentence("creates");
            if let Outcome::Done(_) = self.change(&transaction, sentence, recording)? {
                return Ok(Some((token, record.view(now))));
            }
        }
        Err(IdentityError::Contended)
    }

    /// All tokens, or those of one project, by name.
    pub fn tokens(
        &self,
        project: Option<&Name>,
        now: SystemTime,
    ) -> Result<Vec<Token>, IdentityError> {
        let mut tokens = Vec::new();
        for item in self.range(TOKENS)? {
            let record: TokenRecord = read(&item)?;
            if project.is_none() || record.project.as_ref() == project {
                tokens.push(record.view(now));
            }
        }
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tokens)
    }

    /// Deletes a token, if it is one of `project` (`None`: whichever). Its bearer is nobody from then on.
    pub fn delete_token(
        &self,
        name: &str,
        project: Option<&Name>,
        now: SystemTime,
        recording: &Recording,
    ) -> Result<Option<Token>, IdentityError> {
        for _ in 0..ATTEMPTS {
            let Some((item, record)) = self
                .tokens_named(name)?
                .find(|(_, record)| project.is_none() || record.project.as_ref() == project)
            else {
                return Ok(None);
            };
            let unchanged = unchanged(&item.key, Some(&item));
            let transaction = Transaction::new().when(unchanged).delete(item.key);
            let sentence = record.sentence("deletes");
            if let Outcome::Done(_) = self.change(&transaction, sentence, recording)? {
                return Ok(Some(record.view(now)));
            }
        }
        Err(IdentityError::Contended)
    }

    fn tokens_named(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = (KeyValue, TokenRecord)>, IdentityError> {
        let mut found = Vec::new();
        for item in self.range(TOKENS)? {
            let record: TokenRecord = read(&item)?;
            if record.name == name {
                found.push((item, record));
            }
        }
        Ok(found.into_iter())
    }
}

fn token_key(hash: SecretHash) -> String {
    format!("{TOKENS}{hash}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use coax_identity::Authority;
    use coax_store::{Memory, Store};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn tokens_are_kept_as_hashes_and_count_until_they_expire_or_are_deleted() {
        let now = UNIX_EPOCH + 20_000 * DAY;
        let store = Arc::new(Memory::new());
        let authority = Authority::create(now).unwrap();
        let identities = Identities::new(store.clone(), authority, DAY);
        let new = |name: &str, project: Option<&str>| NewToken {
            name: name.parse().unwrap(),
            role: Role::Editor,
            project: project.map(|project| project.parse().unwrap()),
            expires: now + DAY,
        };
        let (root, recording) = (Caller::local(0), Recording::default());
        let (token, _) = identities
            .make_token(new("ci", Some("shop")), &root, now, &recording)
            .unwrap()
            .unwrap();
        assert!(
            identities
                .make_token(new("ci", None), &root, now, &recording)
                .unwrap()
                .is_none()
        );
        let text = token.to_string();
        for item in store.range(b"").unwrap().items {
            let kept = [item.key, item.value].concat();
            let secret = token.secret.as_bytes();
            assert!(!kept.windows(secret.len()).any(|window| window == secret));
        }
        let token: UserToken = text.parse().unwrap();
        let caller = identities.caller(&token.secret, now).unwrap().unwrap();
        assert_eq!((caller.name.as_str(), caller.role), ("ci", Role::Editor));
        let late = identities.caller(&token.secret, now + DAY).unwrap();
        assert_eq!(late, Err(NotKnown::Expired));
        // One project's admin does not delete another's tokens.
        let (shop, lab) = ("shop".parse().unwrap(), "lab".parse().unwrap());
        assert!(
            identities
                .delete_token("ci", Some(&lab), now, &recording)
                .unwrap()
                .is_none()
        );
        assert_eq!(identities.tokens(Some(&lab), now).unwrap().len(), 0);
        assert_eq!(identities.tokens(Some(&shop), now).unwrap().len(), 1);
        assert!(
            identities
                .delete_token("ci", Some(&shop), now, &recording)
                .unwrap()
                .is_some()
        );
        let gone = identities.caller(&token.secret, now).unwrap();
        assert_eq!(gone, Err(NotKnown::Unknown));
        // What was refused is no change.
        let log = identities.entries(10).unwrap();
        let changes: Vec<&str> = log
            .iter()
            .flat_map(|it| &it.changes)
            .map(|it| &**it)
            .collect();
        assert_eq!(
            changes,
            [
                "creates token ci, editor of shop",
                "deletes token ci, editor of shop"
            ]
        );
    }
}
