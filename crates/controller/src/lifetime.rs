//! Times as users write them where they are long: `90d`, `24h`, `30m`, `20s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The units, largest first: seconds and letter.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
/// The longest that makes sense.
const LONGEST: u64 = 3650 * 86_400;

/// How long something counts; between a second and ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(Duration);

/// Why a text is not a [`Lifetime`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time up to ten years; write it like 90d, 24h, 30m or 20s")]
pub struct LifetimeError(String);

impl Lifetime {
    /// So many seconds; at least one.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(if seconds == 0 { 1 } else { seconds }))
    }

    /// It as a duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Lifetime {
    fn from(time: Duration) -> Self {
        Self::from_secs(time.as_secs())
    }
}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        let wrong = || LifetimeError(text.to_owned());
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let (scale, _) = UNITS
            .iter()
            .find(|(_, letter)| *letter == unit)
            .ok_or_else(wrong)?;
        let digits = text.trim_end_matches(unit);
        let seconds = digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*scale))
            .filter(|seconds| (1..=LONGEST).contains(seconds));
        seconds.map(Self::from_secs).ok_or_else(wrong)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let unit = UNITS
            .iter()
            .find(|(scale, _)| seconds.is_multiple_of(*scale));
        match unit {
            Some((scale, letter)) => write!(out, "{}{letter}", seconds / scale),
            None => write!(out, "{seconds}s"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, seconds) in [
            ("90d", 90 * 86_400),
            ("36h", 129_600),
            ("20s", 20),
            ("1m", 60),
        ] {
            let lifetime: Lifetime = text.parse().unwrap();
            assert_eq!(lifetime.get().as_secs(), seconds);
            assert_eq!(lifetime.to_string(), text);
        }
        for wrong in [
            "",
            "d",
            "0s",
            "5",
            "-1d",
            "1 d",
            "1w",
            "4000d",
            "99999999999999999999s",
            "1ds",
        ] {
            assert!(wrong.parse::<Lifetime>().is_err(), "{wrong}");
        }
    }
}
