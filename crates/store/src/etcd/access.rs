//! Where an etcd is, what one proves to it, and why it or we refuse.
//!
//! There are two ways to reach an etcd, and no third: over TLS, with certificates at both ends; or without, on loopback only,
//! where whoever could listen is on the machine already.

use std::net::IpAddr;
use std::path::PathBuf;

/// An etcd, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAccess {
    /// Its members, `HOST:PORT` each.
    pub members: Vec<String>,
    /// What is proved and trusted; none: no TLS, and loopback only.
    pub credentials: Option<EtcdCredentials>,
}

impl EtcdAccess {
    /// Without TLS.
    pub fn plain(members: Vec<String>) -> Self {
        Self {
            members,
            credentials: None,
        }
    }
}

/// The files with which one gets into an etcd. They are read for each connection, so whoever renews a certificate replaces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdCredentials {
    /// The certificates, in PEM, by which those of the members are signed.
    pub cacert: PathBuf,
    /// Our certificate in PEM, with those between it and etcd's authority behind it.
    pub cert: PathBuf,
    /// Its key in PEM.
    pub key: PathBuf,
    /// Whom etcd is to take us for, where the certificate alone does not say it.
    pub login: Option<EtcdLogin>,
}

/// A user of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdLogin {
    /// The name.
    pub user: String,
    /// The file whose first line is the password.
    pub password: PathBuf,
}

/// Why a client and an etcd do not come together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No TLS to another machine.
    #[error(
        "etcd at {address} is not on this machine, and without TLS whoever is in between reads and changes everything"
    )]
    Plain {
        /// The member.
        address: String,
    },
    /// A file is not there, or does not hold what it should.
    #[error("{} cannot be used to get into etcd: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The other end does not prove to be the etcd.
    #[error("what answers at {address} does not prove to be the etcd: {reason}")]
    Untrusted {
        /// The member.
        address: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// etcd does not take our certificate.
    #[error("etcd at {address} does not take the certificate in {}: {reason}", path.display())]
    NotTrusted {
        /// The member.
        address: String,
        /// Our certificate.
        path: PathBuf,
        /// What is known of why.
        reason: String,
    },
    /// etcd lets in whoever comes.
    #[error(
        "etcd at {address} asks for no certificate: whoever reaches it reads and changes everything"
    )]
    Unguarded {
        /// The member.
        address: String,
    },
    /// Wrong password, or no such user.
    #[error("etcd does not know the user `{user}` with the password in {}", path.display())]
    Password {
        /// The user.
        user: String,
        /// The password's file.
        path: PathBuf,
    },
    /// etcd asks who we are, beyond the certificate.
    #[error(
        "etcd asks for a user, and neither a name with a password nor a certificate's common name says one"
    )]
    NoUser,
    /// A user for an etcd that knows none.
    #[error("etcd does not ask for users: the password of `{user}` protects nothing")]
    NoUsers {
        /// The user.
        user: String,
    },
    /// The user may not do what we need.
    #[error("etcd does not allow {who} to read and write the keys that begin with /coax/")]
    Forbidden {
        /// Whom it took us for.
        who: String,
    },
}

/// Whether what is sent to `HOST:PORT` stays on this machine.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = host(address);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// The host in `HOST:PORT`.
pub(super) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for near in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
        ] {
            assert!(is_loopback(near), "{near}");
        }
        for far in [
            "10.0.0.1:1",
            "[fd00::1]:1",
            "0.0.0.0:1",
            "[::]:1",
            "localhost.example.org:1",
            "127.0.0.1.example.org:1",
        ] {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
