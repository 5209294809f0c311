//! Why certificates, keys or their files cannot be used.

use std::io;
use std::path::PathBuf;

/// Why certificates, keys or their files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// `read`, `write` or `make`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold {wanted}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Bytes that are no certificate of a host of Coax.
    #[error("the certificate does not name a host of Coax: {0}")]
    Certificate(&'static str),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// A TLS configuration could not be made.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificates that a client is to trust are none.
    #[error("the authority's certificate cannot be used: {0}")]
    Authority(String),
    /// A passphrase could not be made into a key, or its key could not encrypt.
    #[error("the content cannot be sealed under this passphrase")]
    Seal,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}
