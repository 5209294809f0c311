//! What a certificate says about its bearer.
//!
//! A host's certificate carries one name, the URI `coax://host/NAME/ENROLMENT` (RFC 5280 section
//! 4.2.1.6). The enrolment is a random number that the controller gave when the host joined and that
//! renewed certificates keep. So forgetting a host's enrolment revokes all its certificates at once,
//! and a host that joins again under the same name is another one: no lists of revoked certificates.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coax_model::HostName;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;

use crate::secret::{hex, random};
use crate::{Certificate, Error};

const SCHEME: &str = "coax://host/";

/// One time that a host joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Enrolment([u8; 8]);

impl Enrolment {
    /// A new one.
    pub fn random() -> Result<Self, Error> {
        random().map(Self)
    }
}

impl fmt::Display for Enrolment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

impl FromStr for Enrolment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = Error::Certificate("its enrolment has not 16 hexadecimal digits");
        let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        match u64::from_str_radix(text, 16) {
            Ok(number) if text.len() == 16 && text.chars().all(digits) => {
                Ok(Self(number.to_be_bytes()))
            }
            _ => Err(wrong),
        }
    }
}

/// When a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub not_before: SystemTime,
    /// Until then.
    pub not_after: SystemTime,
}

impl Validity {
    /// When a certificate should be replaced: after two thirds of its life, so that the last third is
    /// there for a controller that is away.
    pub fn renewal(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before);
        self.not_before + life.unwrap_or_default() * 2 / 3
    }

    /// Whether it has run out.
    pub fn is_over(&self, now: SystemTime) -> bool {
        now > self.not_after
    }

    /// Reads it from a certificate.
    pub fn of(certificate: &Certificate) -> Result<Self, Error> {
        let (_, read) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| Error::Certificate("it is not in DER"))?;
        let validity = read.validity();
        Ok(Self {
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        })
    }
}

/// A certificate as text (RFC 7468).
pub fn to_pem(certificate: &Certificate) -> String {
    crate::credentials::pem("CERTIFICATE", certificate)
}

/// A certificate from its text.
pub fn from_pem(text: &[u8]) -> Result<Certificate, Error> {
    Certificate::from_pem_slice(text).map_err(|_| Error::Certificate("it is not in PEM"))
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}

/// Who a host's certificate says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// The host.
    pub host: HostName,
    /// The time that it joined.
    pub enrolment: Enrolment,
    /// When the certificate counts.
    pub validity: Validity,
}

impl HostIdentity {
    /// The name that stands in the certificate.
    pub fn uri(host: &HostName, enrolment: Enrolment) -> String {
        format!("{SCHEME}{host}/{enrolment}")
    }

    /// Reads it from a certificate whose signature was checked.
    pub fn of(certificate: &Certificate) -> Result<Self, Error> {
        let (_, read) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| Error::Certificate("it is not in DER"))?;
        let names = read
            .subject_alternative_name()
            .ok()
            .flatten()
            .ok_or(Error::Certificate("it has no subject alternative name"))?;
        let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
            return Err(Error::Certificate("it has other names than one URI"));
        };
        let (host, enrolment) = uri
            .strip_prefix(SCHEME)
            .and_then(|path| path.split_once('/'))
            .ok_or(Error::Certificate("its URI is of another kind"))?;
        Ok(Self {
            host: host
                .parse()
                .map_err(|_| Error::Certificate("its host is no name of a host"))?,
            enrolment: enrolment.parse()?,
            validity: Validity::of(certificate)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn enrolments_are_written_in_one_way_only() {
        let enrolment = Enrolment::random().unwrap();
        let text = enrolment.to_string();
        assert_eq!(text.parse::<Enrolment>().unwrap(), enrolment);
        for other in [
            text.to_uppercase() + "F",
            format!("+{}", &text[1..]),
            text[1..].to_owned(),
            String::new(),
        ] {
            assert!(other.parse::<Enrolment>().is_err(), "{other}");
        }
    }

    #[test]
    fn the_last_third_of_its_life_is_for_renewing() {
        let day = Duration::from_secs(86_400);
        let validity = Validity {
            not_before: UNIX_EPOCH,
            not_after: UNIX_EPOCH + 90 * day,
        };
        assert_eq!(validity.renewal(), UNIX_EPOCH + 60 * day);
        assert!(!validity.is_over(UNIX_EPOCH + 90 * day));
        assert!(validity.is_over(UNIX_EPOCH + 91 * day));
    }
}
