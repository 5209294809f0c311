//! What `coax explain` knows: the words of Coax in the language of those who run servers and of those
//! who run networks, the drop reasons, the causes that traces name, and the codes of errors.
//!
//! Invariant: each entry is found by exactly one name; every drop reason is an entry, because the
//! reasons are taken from the data plane's own list.

mod causes;
mod codes;
mod etcd_codes;
mod finding_codes;
mod history_codes;
mod identity_codes;
mod watch_codes;
mod words;
mod zone_codes;

use coax_model::nearest;
use coax_tables::DropReason;
use serde::Serialize;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A word of Coax.
    Word,
    /// Why a frame was dropped.
    DropReason,
    /// Why a traced packet does not arrive, where no stage dropped it.
    TraceCause,
    /// The code of an error.
    ErrorCode,
}

impl Subject {
    /// What it is called in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::DropReason => "drop reason",
            Self::TraceCause => "cause of a trace",
            Self::ErrorCode => "error code",
        }
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What is explained.
    pub name: &'static str,
    /// What it is.
    pub subject: Subject,
    /// What it means, in the language of those who run servers.
    pub meaning: &'static str,
    /// What those who run networks call it, or would add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking: Option<&'static str>,
    /// The command to go on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<&'static str>,
}

/// All entries: words, drop reasons, causes of traces, error codes.
pub fn entries() -> impl Iterator<Item = Entry> {
    let drops = DropReason::ALL.iter().map(|reason| Entry {
        name: reason.name(),
        subject: Subject::DropReason,
        meaning: reason.hint(),
        networking: None,
        next: Some("coax drops"),
    });
    words::WORDS
        .iter()
        .copied()
        .chain(drops)
        .chain(causes::CAUSES.iter().copied())
        .chain(codes::CODES.iter().copied())
        .chain(history_codes::CODES.iter().copied())
        .chain(watch_codes::CODES.iter().copied())
        .chain(zone_codes::CODES.iter().copied())
        .chain(identity_codes::CODES.iter().copied())
        .chain(etcd_codes::CODES.iter().copied())
        .chain(finding_codes::CODES.iter().copied())
}

/// The entry of that name; case and the difference between blank, `_` and `-` do not count, and the
/// plural will do.
pub fn find(name: &str) -> Option<Entry> {
    let wanted = canonical(name);
    let is = |entry: &Entry, wanted: &str| canonical(entry.name) == wanted;
    entries().find(|entry| is(entry, &wanted)).or_else(|| {
        entries().find(|entry| wanted.strip_suffix('s').is_some_and(|it| is(entry, it)))
    })
}

/// The name that was probably meant.
pub fn similar(name: &str) -> Option<String> {
    let names: Vec<String> = entries().map(|entry| canonical(entry.name)).collect();
    nearest(&canonical(name), names.iter().map(String::as_str)).map(str::to_owned)
}

fn canonical(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '_'], "-")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let mut seen = BTreeSet::new();
        for entry in entries() {
            assert!(
                seen.insert(canonical(entry.name)),
                "`{}` is explained twice",
                entry.name
            );
        }
    }

    #[test]
    fn every_drop_reason_is_explained() {
        for reason in DropReason::ALL {
            assert_eq!(find(reason.name()).unwrap().subject, Subject::DropReason);
        }
    }

    #[test]
    fn names_are_found_as_people_type_them() {
        assert_eq!(find("VTEP").unwrap().name, "vtep");
        assert_eq!(find("vteps").unwrap().name, "vtep");
        assert_eq!(find("unknown unicast").unwrap().name, "unknown-unicast");
        assert_eq!(find("zebra"), None);
        assert_eq!(similar("netwrok").unwrap(), "network");
    }
}
