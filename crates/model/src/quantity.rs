//! Quantities with a unit, as users write them: packets per second, times.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::written::{Short, text_form};

/// Packets per second: a number from 1, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRate(Option<NonZeroU32>);

/// A text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no rate: write packets per second, from 1, or `unlimited`")]
pub struct RateError {
    /// What was written.
    pub text: String,
}

impl PacketRate {
    /// No limit.
    pub const UNLIMITED: Self = Self(None);

    /// A limit in packets per second; 0 stands for none.
    pub const fn limit(packets: u32) -> Self {
        Self(NonZeroU32::new(packets))
    }

    /// Packets per second, if there is a limit.
    pub fn get(self) -> Option<u32> {
        self.0.map(NonZeroU32::get)
    }
}

impl FromStr for PacketRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text.parse() {
            Ok(packets) => Ok(Self(Some(packets))),
            Err(_) if text == "unlimited" => Ok(Self::UNLIMITED),
            Err(_) => Err(RateError { text: text.into() }),
        }
    }
}

impl fmt::Display for PacketRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(packets) => fmt::Display::fmt(&packets, f),
            None => f.write_str("unlimited"),
        }
    }
}

/// A number stays one in JSON and YAML.
impl Serialize for PacketRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(packets) => packets.serialize(serializer),
            None => serializer.collect_str(self),
        }
    }
}

impl Short for PacketRate {
    fn of_word(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: RateError| error.to_string())
    }

    fn of_number(packets: u64) -> Result<Self, String> {
        Self::of_word(&packets.to_string())
    }
}

impl<'de> Deserialize<'de> for PacketRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::written::word(deserializer)
    }
}

/// A text is no time, or one that is too short or too long.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no time from {least} s to {most} s: write 90s, 30m, 12h or 7d")]
pub struct TimeError {
    /// What was written.
    pub text: String,
    /// The shortest that is allowed, in seconds.
    pub least: u32,
    /// The longest that is allowed, in seconds.
    pub most: u32,
}

/// Reads `90s`, `30m`, `12h`, `7d` or a number of seconds.
fn seconds(text: &str, least: u32, most: u32) -> Result<u32, TimeError> {
    let error = || TimeError {
        text: text.into(),
        least,
        most,
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    let seconds: u32 = number.parse().map_err(|_| error())?;
    let seconds = seconds.checked_mul(unit).ok_or_else(error)?;
    if (least..=most).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(error())
    }
}

macro_rules! time {
    ($(#[$doc:meta])* $name:ident, $least:literal..=$most:literal, $default:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The time in seconds.
            pub const fn seconds(self) -> u32 {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl FromStr for $name {
            type Err = TimeError;

            fn from_str(text: &str) -> Result<Self, TimeError> {
                seconds(text, $least, $most).map(Self)
            }
        }

        /// In the largest unit that leaves no rest.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    time if time % 86_400 == 0 => write!(f, "{}d", time / 86_400),
                    time if time % 3600 == 0 => write!(f, "{}h", time / 3600),
                    time if time % 60 == 0 => write!(f, "{}m", time / 60),
                    time => write!(f, "{time}s"),
                }
            }
        }

        text_form!($name);
    };
}

time! {
    /// How long DHCP promises an address: a minute to a month, a day by default.
    LeaseTime, 60..=2_592_000, 86_400
}

time! {
    /// How long a guard shuts a port: a second to a day, half a minute by default.
    ShutTime, 1..=86_400, 30
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown_in_the_largest_unit() {
        let shown = |text: &str| text.parse::<LeaseTime>().map(|time| time.to_string());
        assert_eq!(shown("90s").unwrap(), "90s");
        assert_eq!(shown("3600").unwrap(), "1h");
        assert_eq!(shown("48h").unwrap(), "2d");
        for text in ["", "1s", "31d", "1w", "h", "99999999999s", "-5s"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
