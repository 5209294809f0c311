//! Join tokens: what an administrator carries from the controller to a machine that is to become a
//! host or another controller. A token is one word of letters, digits, `-` and `_`, so that a double click selects it.
//!
//! ```text
//! coax-join-BASE64URL( version 1 · secret 16 · pin 32 · text of the host 1+n · texts of the controllers 1+n each · checksum 4 )
//! coax-join-controller-BASE64URL( version 1 · secret 16 · pin 32 · texts of the controllers 1+n each · checksum 4 )
//! ```
//!
//! The two are told apart by what they begin with, and the version keeps what follows `coax-join-` of a host's token from
//! being `controller-`. Whatever hides texts that begin with `coax-join-` hides both.
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
const CONTROLLER_PREFIX: &str = "coax-join-controller-";
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

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(PinError);
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * place..2 * place + 2];
            let read = u8::from_str_radix(digits, 16).map_err(|_| PinError)?;
            *byte = read;
        }
        // One way of writing it: no signs, no capitals.
        let pin = Self(bytes);
        (pin.to_string() == text).then_some(pin).ok_or(PinError)
    }
}

/// A text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin has 64 hexadecimal digits")]
pub struct PinError;

impl fmt::Display for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

/// What the join token of a host holds.
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

/// What the join token of a controller holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerToken {
    /// What the controllers know it by.
    pub secret: Secret,
    /// The authority of the deployment.
    pub pin: Pin,
    /// Where to ask: `ADDRESS:PORT`, at least one.
    pub controllers: Vec<String>,
}

/// Why a text is not the join token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not look like one.
    #[error("this is no join token: they begin with `{PREFIX}`")]
    Foreign,
    /// It was cut off or mistyped.
    #[error("the join token is not complete: a character is missing or wrong")]
    Damaged,
    /// It is for something else than what it was given to.
    #[error("this token makes a controller of a machine, not a host")]
    ForController,
    /// The same the other way round.
    #[error("this token makes a host of a machine, not a controller")]
    ForHost,
    /// A later version of Coax made it.
    #[error("the join token is of version {0}, which this version of Coax does not know")]
    Version(u8),
}

impl fmt::Display for JoinToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_ref().map_or("", HostName::as_str);
        let texts = [host].into_iter();
        let controllers = self.controllers.iter().map(String::as_str);
        let text = written(PREFIX, &self.secret, self.pin, texts.chain(controllers));
        out.write_str(&text)
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.starts_with(CONTROLLER_PREFIX) {
            return Err(TokenError::ForController);
        }
        let mut parts = read(text.strip_prefix(PREFIX).ok_or(TokenError::Foreign)?)?;
        if parts.texts.is_empty() {
            return Err(TokenError::Damaged);
        }
        let host = match parts.texts.remove(0).as_str() {
            "" => None,
            name => Some(name.parse().map_err(|_| TokenError::Damaged)?),
        };
        let controllers = parts.controllers()?;
        Ok(Self {
            secret: parts.secret,
            pin: parts.pin,
            host,
            controllers,
        })
    }
}

impl fmt::Display for ControllerToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controllers = self.controllers.iter().map(String::as_str);
        let text = written(CONTROLLER_PREFIX, &self.secret, self.pin, controllers);
        out.write_str(&text)
    }
}

impl FromStr for ControllerToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let body = text.strip_prefix(CONTROLLER_PREFIX);
        let body = body.ok_or(match text.starts_with(PREFIX) {
            true => TokenError::ForHost,
            false => TokenError::Foreign,
        })?;
        let mut parts = read(body)?;
        let controllers = parts.controllers()?;
        Ok(Self {
            secret: parts.secret,
            pin: parts.pin,
            controllers,
        })
    }
}

/// A token as text.
fn written<'a>(
    prefix: &str,
    secret: &Secret,
    pin: Pin,
    texts: impl Iterator<Item = &'a str>,
) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(secret.as_bytes());
    bytes.extend_from_slice(&pin.0);
    texts.for_each(|text| put(&mut bytes, text));
    let checksum = sha256(&bytes);
    bytes.extend_from_slice(&checksum[..CHECKSUM]);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Appends a text with its length; names and addresses are shorter than 256 bytes.
fn put(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(text);
}

/// What tokens of both kinds hold.
struct Parts {
    secret: Secret,
    pin: Pin,
    texts: Vec<String>,
}

impl Parts {
    /// The texts that are left: where controllers are.
    fn controllers(&mut self) -> Result<Vec<String>, TokenError> {
        let controllers = std::mem::take(&mut self.texts);
        match controllers.is_empty() {
            true => Err(TokenError::Damaged),
            false => Ok(controllers),
        }
    }
}

/// Reads what follows the prefix.
fn read(body: &str) -> Result<Parts, TokenError> {
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
    parts(content).ok_or(TokenError::Damaged)
}

fn parts(content: &[u8]) -> Option<Parts> {
    let (secret, content) = content.split_first_chunk::<{ Secret::LENGTH }>()?;
    let (pin, mut content) = content.split_first_chunk::<32>()?;
    let mut texts = Vec::new();
    while !content.is_empty() {
        texts.push(take(&mut content)?.to_owned());
    }
    Some(Parts {
        secret: Secret::from_bytes(*secret),
        pin: Pin(*pin),
        texts,
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

    #[test]
    fn a_token_is_for_one_thing() {
        let controller = ControllerToken {
            secret: Secret::from_bytes([7; Secret::LENGTH]),
            pin: Pin([9; 32]),
            controllers: token().controllers,
        };
        let text = controller.to_string();
        assert_eq!(text.parse::<ControllerToken>().unwrap(), controller);
        assert_eq!(text.parse::<JoinToken>(), Err(TokenError::ForController));
        let host = token().to_string();
        assert_eq!(host.parse::<ControllerToken>(), Err(TokenError::ForHost));
        // What is in one is not taken for the other either.
        let mixed = host.replace(PREFIX, CONTROLLER_PREFIX);
        let read: ControllerToken = mixed.parse().unwrap();
        assert_eq!(read.controllers[0], "hv2");
        for place in CONTROLLER_PREFIX.len()..text.len() {
            assert!(text[..place].parse::<ControllerToken>().is_err());
        }
    }

    #[test]
    fn a_pin_is_written_in_one_way_only() {
        let pin = Pin([0x0a; 32]);
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for other in [
            "0a".repeat(31),
            "0A".repeat(32),
            "+a".repeat(32),
            "ää".repeat(16),
        ] {
            assert_eq!(other.parse::<Pin>(), Err(PinError));
        }
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
                prop_assert_eq!(&token.to_string(), &text);
            }
            let text = text.replace(PREFIX, CONTROLLER_PREFIX);
            if let Ok(token) = text.parse::<ControllerToken>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
