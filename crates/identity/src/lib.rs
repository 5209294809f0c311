//! Who is who: the certificates of a deployment, the tokens by which machines join it, and the TLS
//! that every stream between machines is wrapped in.
//!
//! ```text
//!   authority.key ── signs ──► controller's certificate   (names: controller.coax, its addresses)
//!                    signs ──► a host's certificate       (name: coax://host/hv1/ENROLMENT)
//!   join tokens ── pin ─────► the authority's certificate, carry a secret that works once
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`authority`] | the deployment's certification authority: what it signs, and for how long |
//! | [`certificate`] | what a certificate says: a host, an enrolment, a time |
//! | [`credentials`] | key, certificate and authorities of a host, in memory and in one file |
//! | [`token`] | join tokens as text |
//! | [`user_token`] | users' tokens as text |
//! | [`secret`] | random secrets, and the hashes that are kept of them |
//! | [`seal`] | encryption under a passphrase, for backups |
//! | [`tls`] | configurations for both ends of a stream |
//! | [`file`] | files that only their owner reads, replaced whole |
//!
//! Invariants:
//!
//! - There is no configuration without verification. A client knows the authority, or its hash from
//!   a token; nothing else makes a client.
//! - Times are arguments. Nothing here reads a clock.
//! - Keys are ECDSA P-256, made where they are used, and never leave that machine; but for the
//!   authority's: in a backup, sealed, and to a machine that becomes a controller, over TLS that its token pins.

pub mod authority;
pub mod certificate;
pub mod credentials;
mod error;
pub mod file;
pub mod seal;
pub mod secret;
pub mod tls;
pub mod token;
pub mod user_token;

pub use authority::Authority;
pub use certificate::{Enrolment, HostIdentity, Validity};
pub use credentials::{CertificateRequest, Credentials};
pub use error::Error;
pub use secret::{Secret, SecretHash};
pub use token::{ControllerToken, JoinToken, Pin, PinError, TokenError};
pub use user_token::{UserToken, UserTokenError};

/// DER of a certificate.
pub type Certificate = rustls::pki_types::CertificateDer<'static>;
