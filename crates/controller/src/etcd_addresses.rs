//! Where the etcd is that controllers share, as users write it.

use std::fmt;
use std::str::FromStr;

use coax_store::EtcdAccess;

/// How addresses begin of an etcd over TLS, as those of `etcdctl --endpoints` do.
const SECURED: &str = "https://";
/// And those of one without. The second is ours: it says that this is an etcd, and is what is printed.
const PLAIN: [&str; 2] = ["http://", "etcd://"];

/// The members of an etcd cluster: `https://10.0.0.1:2379,https://10.0.0.2:2379`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAddresses {
    /// `HOST:PORT` each.
    pub members: Vec<String>,
    /// Whether they are reached over TLS.
    pub secured: bool,
}

/// Why a text is no [`EtcdAddresses`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdAddressesError {
    /// It is something else.
    #[error("`{0}` is no etcd: write it like https://192.0.2.1:2379,https://192.0.2.2:2379")]
    Shape(String),
    /// Some with TLS, some without.
    #[error("`{0}` mixes addresses with and without TLS")]
    Mixed(String),
    /// A password would be shown wherever the address is.
    #[error(
        "an address of etcd holds no user: name it with `--store-user`, its password is in a file"
    )]
    User,
}

impl FromStr for EtcdAddresses {
    type Err = EtcdAddressesError;

    fn from_str(text: &str) -> Result<Self, EtcdAddressesError> {
        if text.contains('@') {
            return Err(EtcdAddressesError::User);
        }
        let wrong = || EtcdAddressesError::Shape(text.to_owned());
        let mut secured = None;
        let mut members = Vec::new();
        for part in text.split(',') {
            let plain = PLAIN.iter().find_map(|scheme| part.strip_prefix(scheme));
            let (own, address) = match (part.strip_prefix(SECURED), plain) {
                (Some(address), _) => (Some(true), address),
                (None, Some(address)) => (Some(false), address),
                (None, None) => (secured, part),
            };
            if secured.is_some() && secured != own {
                return Err(EtcdAddressesError::Mixed(text.to_owned()));
            }
            secured = own;
            // As others print it.
            let address = address.strip_suffix('/').unwrap_or(address);
            if !is_complete(address) {
                return Err(wrong());
            }
            members.push(address.to_owned());
        }
        let secured = secured.ok_or_else(wrong)?;
        Ok(Self { members, secured })
    }
}

/// Whether a text has the shape of `HOST:PORT`.
pub(crate) fn is_complete(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
    })
}

impl fmt::Display for EtcdAddresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, plain] = PLAIN;
        let scheme = if self.secured { SECURED } else { plain };
        for (number, member) in self.members.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(out, "{comma}{scheme}{member}")?;
        }
        Ok(())
    }
}

impl From<&EtcdAccess> for EtcdAddresses {
    fn from(access: &EtcdAccess) -> Self {
        Self {
            members: access.members.clone(),
            secured: access.credentials.is_some(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> EtcdAddresses {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_etcd_are_complete_and_come_back() {
        let etcd = read("https://10.0.0.1:2379,https://[fd00::1]:2379/");
        assert_eq!(etcd.members, ["10.0.0.1:2379", "[fd00::1]:2379"]);
        assert!(etcd.secured);
        assert_eq!(
            etcd.to_string(),
            "https://10.0.0.1:2379,https://[fd00::1]:2379"
        );
        assert_eq!(read("https://10.0.0.1:2379,[fd00::1]:2379"), etcd);
        let plain = read("http://a:1,b:2");
        assert!(!plain.secured);
        assert_eq!(plain.to_string(), "etcd://a:1,etcd://b:2");
        assert_eq!(read("etcd://a:1,b:2"), plain);
        for wrong in [
            "",
            "10.0.0.1:2379",
            "https://",
            "https://host",
            "etcd://:1",
            "etcd://a:1,",
            "https://a:1/path:2",
            "https://a:1,etcd://b:1",
            "etcd://a:1,https://b:1",
            "https://root:secret@a:1",
        ] {
            let error = wrong.parse::<EtcdAddresses>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
