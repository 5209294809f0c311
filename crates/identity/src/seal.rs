//! Sealing a file under a passphrase: Argon2id (RFC 9106) makes a key of it, ChaCha20-Poly1305 (RFC 8439)
//! encrypts and authenticates.
//!
//! Each seal has a random salt, hence a key of its own that encrypts one message: its nonce may be zero.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::Error;
use crate::secret::random;

/// Bytes of memory, in KiB, that a file may ask for when it is opened.
const MOST_MEMORY: u32 = 1 << 20;
/// Passes over it.
const MOST_PASSES: u32 = 64;

/// How a passphrase becomes a key. Written beside what is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDerivation {
    /// Random, so that equal passphrases make different keys.
    pub salt: [u8; 16],
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

/// Why something sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another passphrase, or another content than was sealed.
    #[error("the passphrase is another one, or the content was changed")]
    Denied,
    /// It asks for more memory or time than any seal of this program does.
    #[error(
        "it asks for {memory} KiB of memory and {passes} passes, which no version of Coax does"
    )]
    Excessive {
        /// KiB.
        memory: u32,
        /// Passes.
        passes: u32,
    },
}

impl KeyDerivation {
    /// With a new salt, and the costs that RFC 9106 recommends where memory is scarce: 64 MiB, 3 passes.
    pub fn random() -> Result<Self, Error> {
        Ok(Self {
            salt: random()?,
            memory: 64 << 10,
            passes: 3,
        })
    }

    fn key(&self, passphrase: &[u8]) -> Result<LessSafeKey, OpenError> {
        let excessive = OpenError::Excessive {
            memory: self.memory,
            passes: self.passes,
        };
        if self.memory > MOST_MEMORY || self.passes > MOST_PASSES {
            return Err(excessive);
        }
        let params = Params::new(self.memory, self.passes, 1, Some(32)).map_err(|_| excessive)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, &mut key)
            .map_err(|_| excessive)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| OpenError::Denied)?;
        Ok(LessSafeKey::new(key))
    }

    /// Encrypts `content`. `beside` stays readable and cannot be changed either.
    pub fn seal(
        &self,
        passphrase: &[u8],
        beside: &[u8],
        mut content: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let key = self.key(passphrase).map_err(|_| Error::Seal)?;
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        key.seal_in_place_append_tag(nonce, Aad::from(beside), &mut content)
            .map_err(|_| Error::Seal)?;
        Ok(content)
    }

    /// Decrypts what [`KeyDerivation::seal`] made.
    pub fn open(
        &self,
        passphrase: &[u8],
        beside: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let key = self.key(passphrase)?;
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let mut content = sealed.to_vec();
        let length = key
            .open_in_place(nonce, Aad::from(beside), &mut content)
            .map_err(|_| OpenError::Denied)?
            .len();
        content.truncate(length);
        Ok(content)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cheap() -> KeyDerivation {
        KeyDerivation {
            memory: 8,
            passes: 1,
            ..KeyDerivation::random().unwrap()
        }
    }

    #[test]
    fn only_the_passphrase_opens_and_nothing_can_be_changed() {
        let derivation = cheap();
        let seal = |content: &[u8]| derivation.seal(b"correct horse", b"label", content.to_vec());
        let sealed = seal(b"the key of everything").unwrap();
        let open = |passphrase: &[u8], beside: &[u8], sealed: &[u8]| {
            derivation.open(passphrase, beside, sealed)
        };
        let opened = open(b"correct horse", b"label", &sealed).unwrap();
        assert_eq!(opened, b"the key of everything");
        assert!(!sealed.windows(7).any(|window| window == b"the key"));
        assert_eq!(
            open(b"wrong horse", b"label", &sealed),
            Err(OpenError::Denied)
        );
        assert_eq!(
            open(b"correct horse", b"other", &sealed),
            Err(OpenError::Denied)
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                open(b"correct horse", b"label", &changed),
                Err(OpenError::Denied)
            );
            assert_eq!(
                open(b"correct horse", b"label", &sealed[..at]),
                Err(OpenError::Denied)
            );
        }
        let other = cheap().seal(
            b"correct horse",
            b"label",
            b"the key of everything".to_vec(),
        );
        assert_ne!(other.unwrap(), sealed, "each seal has its own salt");
    }

    #[test]
    fn a_file_cannot_ask_for_all_memory() {
        let greedy = KeyDerivation {
            memory: u32::MAX,
            ..cheap()
        };
        let refused = greedy.open(b"x", b"", &[0; 32]).unwrap_err();
        assert!(matches!(refused, OpenError::Excessive { .. }));
    }
}
