//! Join tokens: what an administrator carries from the controller to a machine that is to become a
//! host. A token is one word of letters, digits, `-` and `_`, so that a double click selects it.
//!
//! ```text
//! coax-join-BASE64URL( version 1 · secret 16 · pin 32 · text of the host 1+n · texts of the controllers 1+n each · checksum 4 )
//! ```
//!
//! The pin makes the machine talk to the deployment's controller and to nobody else, before it says
//! the secret. The checksum tells a mistyped or cut-off token from one that the controller refuses.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coax_model::HostName;

use crate::Certificate;
use crate::secret::{Secret, hex, sha256};

const PREFIX: &str = "coax-join-";
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

/// The SHA-256 of an authority's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// The pin of a certificate.
    pub fn of(certificate: &Certificate) -> Self {
        Self(sha256(certificate))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

/// What a join token holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What the controller knows it by.
    pub secret: Secret,
    /// The authority of the deployment.
    pub pin: Pin,
    /// The name that the host gets; the machine's own if there is none.
    pub host: Option<HostName>,
    /// Where controllers take agents: `ADDRESS:PORT`, at least one.
    pub controllers: Vec<String>,
}

/// Why a text is not a join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not look like one.
    #[error("this is no join token: they begin with `{PREFIX}`")]
    Foreign,
    /// It was cut off or mistyped.
    #[error("the join token is not complete: a character is missing or wrong")]
    Damaged,
    /// A later version of Coax made it.
    #[error("the join token is of version {0}, which this version of Coax does not know")]
    Version(u8),
}

impl fmt::Display for JoinToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.secret.as_bytes());
        bytes.extend_from_slice(&self.pin.0);
        put(&mut bytes, self.host.as_ref().map_or("", HostName::as_str));
        for controller in &self.controllers {
            put(&mut bytes, controller);
        }
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(&checksum[..CHECKSUM]);
        write!(out, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Appends a text with its length; names and addresses are shorter than 256 bytes.
fn put(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(text);
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let body = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(TokenError::Foreign)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| TokenError::Damaged)?;
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM>()
            .ok_or(TokenError::Damaged)?;
        if sha256(content)[..CHECKSUM] != *checksum {
            return Err(TokenError::Damaged);
        }
        let (&version, content) = content.split_first().ok_or(TokenError::Damaged)?;
        if version != VERSION {
            return Err(TokenError::Version(version));
        }
        read(content).ok_or(TokenError::Damaged)
    }
}

fn read(content: &[u8]) -> Option<JoinToken> {
    let (secret, content) = content.split_first_chunk::<{ Secret::LENGTH }>()?;
    let (pin, mut content) = content.split_first_chunk::<32>()?;
    let host = match take(&mut content)? {
        "" => None,
        name => Some(name.parse().ok()?),
    };
    let mut controllers = Vec::new();
    while !content.is_empty() {
        controllers.push(take(&mut content)?.to_owned());
    }
    (!controllers.is_empty()).then_some(JoinToken {
        secret: Secret::from_bytes(*secret),
        pin: Pin(*pin),
        host,
        controllers,
    })
}

fn take<'a>(content: &mut &'a [u8]) -> Option<&'a str> {
    let (&length, rest) = content.split_first()?;
    let (text, rest) = rest.split_at_checked(length.into())?;
    *content = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            secret: Secret::from_bytes([7; Secret::LENGTH]),
            pin: Pin([9; 32]),
            host: Some("hv2".parse().unwrap()),
            controllers: vec!["192.0.2.1:7450".into(), "[2001:db8::1]:7450".into()],
        }
    }

    #[test]
    fn a_token_is_one_word_and_comes_back() {
        let text = token().to_string();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(text.chars().all(word), "{text}");
        assert_eq!(text.parse::<JoinToken>().unwrap(), token());
        assert_eq!(format!("  {text}\n").parse::<JoinToken>().unwrap(), token());
        let nameless = JoinToken {
            host: None,
            ..token()
        };
        assert_eq!(nameless.to_string().parse::<JoinToken>().unwrap(), nameless);
    }

    #[test]
    fn every_wrong_character_and_every_cut_is_noticed() {
        let text = token().to_string();
        for place in PREFIX.len()..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(wrong.parse::<JoinToken>(), Err(TokenError::Damaged));
            assert!(text[..place].parse::<JoinToken>().is_err());
        }
        assert_eq!("hv2".parse::<JoinToken>(), Err(TokenError::Foreign));
    }

    proptest! {
        #[test]
        fn noise_is_refused(noise in any::<Vec<u8>>()) {
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&noise));
            prop_assert!(text.parse::<JoinToken>().is_err());
            // Also behind a checksum that is right.
            let mut bytes = noise;
            let checksum = sha256(&bytes);
            bytes.extend_from_slice(&checksum[..CHECKSUM]);
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes));
            if let Ok(token) = text.parse::<JoinToken>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
