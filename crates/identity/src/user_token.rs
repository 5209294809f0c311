//! Users' tokens as text: like join tokens one word, with a secret, and with the pin of the authority,
//! so that whoever has a token needs nothing else to know the right controller.
//!
//! ```text
//! coax-token-BASE64URL( version 1 · secret 16 · pin 32 · checksum 4 )
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Secret, sha256};
use crate::token::Pin;

const PREFIX: &str = "coax-token-";
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

/// What a user proves himself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToken {
    /// What the controller knows it by.
    pub secret: Secret,
    /// The authority of the deployment.
    pub pin: Pin,
}

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no token of Coax, or a part of it is missing: they begin with `{PREFIX}`")]
pub struct UserTokenError;

impl fmt::Display for UserToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.secret.as_bytes());
        bytes.extend_from_slice(&self.pin.0);
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(&checksum[..CHECKSUM]);
        write!(out, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for UserToken {
    type Err = UserTokenError;

    fn from_str(text: &str) -> Result<Self, UserTokenError> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(UserTokenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| UserTokenError)?;
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(UserTokenError)?;
        let (version, content) = content.split_first().ok_or(UserTokenError)?;
        let (secret, pin) = content
            .split_first_chunk::<{ Secret::LENGTH }>()
            .ok_or(UserTokenError)?;
        let pin = pin.try_into().map_err(|_| UserTokenError)?;
        let token = Self {
            secret: Secret::from_bytes(*secret),
            pin: Pin(pin),
        };
        let whole = &bytes[..bytes.len() - CHECKSUM];
        let right = *version == VERSION && sha256(whole)[..CHECKSUM] == *checksum;
        right.then_some(token).ok_or(UserTokenError)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_comes_back_and_a_wrong_character_is_noticed() {
        let token = UserToken {
            secret: Secret::from_bytes([3; Secret::LENGTH]),
            pin: Pin([5; 32]),
        };
        let text = token.to_string();
        assert_eq!(text.parse::<UserToken>().unwrap(), token);
        for place in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(wrong.parse::<UserToken>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_refused(noise in any::<Vec<u8>>()) {
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(noise));
            prop_assert!(text.parse::<UserToken>().is_err());
        }
    }
}
