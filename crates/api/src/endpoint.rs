//! Where the controller's REST interface is: a Unix socket, TLS, or plain TCP on the loopback address.
//!
//! Invariant: what leaves the machine is encrypted. An address of another machine without TLS cannot be
//! expressed.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A place that the controller listens on and clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP on a loopback address.
    Loopback(SocketAddr),
    /// TLS, `ADDRESS:PORT` or `NAME:PORT`.
    Tls(String),
}

/// Why a string is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither a path nor an address.
    #[error(
        "`{0}` is neither unix:PATH nor https://ADDRESS:PORT nor an address like 127.0.0.1:7480"
    )]
    Malformed(String),
    /// An address that others can reach.
    #[error(
        "{0} is not a loopback address: what leaves the machine is encrypted, so write https://{0}"
    )]
    NotLoopback(SocketAddr),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(EndpointError::Malformed(text.to_owned()));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        if let Some(address) = text.strip_prefix("https://") {
            let address = address.trim_end_matches('/');
            let port = address.rsplit_once(':').and_then(|(host, port)| {
                let named = !host.is_empty() && !host.contains(['/', '@']);
                named.then(|| port.parse::<u16>().ok()).flatten()
            });
            return match port {
                Some(_) => Ok(Self::Tls(address.to_owned())),
                None => Err(EndpointError::Malformed(text.to_owned())),
            };
        }
        let address = text
            .strip_prefix("http://")
            .unwrap_or(text)
            .trim_end_matches('/');
        let address: SocketAddr = match address.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}").parse(),
            None => address.parse(),
        }
        .map_err(|_| EndpointError::Malformed(text.to_owned()))?;
        if address.ip().is_loopback() {
            Ok(Self::Loopback(address))
        } else {
            Err(EndpointError::NotLoopback(address))
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Loopback(address) => write!(out, "http://{address}"),
            Self::Tls(address) => write!(out, "https://{address}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sockets_loopback_and_tls_are_accepted() {
        for (text, shown) in [
            (
                "unix:/run/coax/controller.sock",
                "unix:/run/coax/controller.sock",
            ),
            (
                "/run/coax/controller.sock",
                "unix:/run/coax/controller.sock",
            ),
            ("127.0.0.1:7480", "http://127.0.0.1:7480"),
            ("http://127.8.9.1:7480/", "http://127.8.9.1:7480"),
            ("http://localhost:1", "http://127.0.0.1:1"),
            ("[::1]:7480", "http://[::1]:7480"),
            ("https://192.0.2.1:7480/", "https://192.0.2.1:7480"),
            ("https://[2001:db8::1]:1", "https://[2001:db8::1]:1"),
            (
                "https://coax.example.org:7480",
                "https://coax.example.org:7480",
            ),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(shown.parse::<Endpoint>().unwrap(), endpoint);
        }
    }

    #[test]
    fn what_would_leave_the_machine_in_the_clear_is_refused() {
        for text in [
            "0.0.0.0:7480",
            "[::]:7480",
            "192.0.2.1:80",
            "[2001:db8::1]:80",
        ] {
            assert!(
                matches!(text.parse::<Endpoint>(), Err(EndpointError::NotLoopback(_))),
                "{text}"
            );
        }
        for text in [
            "",
            "unix:",
            "localhost",
            "example.org:80",
            "127.0.0.1",
            "https://127.0.0.1",
            "https://:1",
            "https://a/b:1",
        ] {
            assert!(
                matches!(text.parse::<Endpoint>(), Err(EndpointError::Malformed(_))),
                "{text}"
            );
        }
    }
}
