//! Where the etcd is that controllers share, as users write it.

use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "etcd://";

/// The members of an etcd cluster, `HOST:PORT` each: `etcd://10.0.0.1:2379,10.0.0.2:2379`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAddresses(pub Vec<String>);

/// Why a text is no [`EtcdAddresses`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no etcd: write it like etcd://192.0.2.1:2379,192.0.2.2:2379")]
pub struct EtcdAddressesError(String);

impl FromStr for EtcdAddresses {
    type Err = EtcdAddressesError;

    fn from_str(text: &str) -> Result<Self, EtcdAddressesError> {
        let wrong = || EtcdAddressesError(text.to_owned());
        let list = text.strip_prefix(SCHEME).ok_or_else(wrong)?;
        let addresses: Vec<String> = list.split(',').map(str::to_owned).collect();
        if addresses.iter().all(|address| is_complete(address)) {
            Ok(Self(addresses))
        } else {
            Err(wrong())
        }
    }
}

/// Whether a text has the shape of `HOST:PORT`.
pub(crate) fn is_complete(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl fmt::Display for EtcdAddresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}", self.0.join(","))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_etcd_are_complete_and_come_back() {
        let text = "etcd://10.0.0.1:2379,[fd00::1]:2379";
        let read: EtcdAddresses = text.parse().unwrap();
        assert_eq!(read.0, ["10.0.0.1:2379", "[fd00::1]:2379"]);
        assert_eq!(read.to_string(), text);
        for wrong in [
            "",
            "10.0.0.1:2379",
            "etcd://",
            "etcd://host",
            "etcd://:1",
            "etcd://a:1,",
        ] {
            assert!(wrong.parse::<EtcdAddresses>().is_err(), "{wrong}");
        }
    }
}
