//! docs/conformance/ tells the truth: every test that it names exists, every row has what it needs,
//! and its table of contents counts rightly. `BLESS=1` writes that table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const LEVELS: [&str; 4] = ["MUST", "SHOULD", "MAY", "described"];
const STATUSES: [&str; 4] = ["met", "partly", "not yet", "not claimed"];
const JUDGES: [&str; 15] = [
    "kernel vxlan",
    "kernel stack",
    "netfilter",
    "tshark",
    "tcpdump",
    "etherparse",
    "scapy",
    "udhcpc",
    "dhclient",
    "dhcpcd",
    "networkd",
    "rdisc6",
    "dig",
    "dhcproto",
    "hickory-proto",
];

/// Where tests beside outside judges are.
const JUDGED: [&str; 2] = [
    "crates/bench/tests/interop",
    "crates/services/tests/clients",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    title: String,
    about: String,
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    standard: String,
    section: String,
    level: String,
    text: String,
    status: String,
    #[serde(default)]
    why: String,
    positive: Vec<String>,
    negative: Vec<String>,
    judge: Vec<String>,
}

impl Row {
    fn is_claimed(&self) -> bool {
        matches!(self.status.as_str(), "met" | "partly")
    }

    fn tests(&self) -> impl Iterator<Item = &String> {
        self.positive.iter().chain(&self.negative)
    }

    /// What is wrong with the row by itself.
    fn faults(&self) -> Vec<&'static str> {
        let known = |list: &[&str], value: &str| list.contains(&value);
        let judged = self.judge.iter().all(|judge| known(&JUDGES, judge)) && !self.judge.is_empty();
        let unjudged = self.judge == ["none"];
        let texts = [&self.standard, &self.section, &self.text];
        let tested = !self.positive.is_empty() && !self.negative.is_empty();
        let faults = [
            (!known(&LEVELS, &self.level), "unknown level"),
            (!known(&STATUSES, &self.status), "unknown status"),
            (texts.iter().any(|text| text.is_empty()), "an empty text"),
            (
                self.status != "met" && self.why.is_empty(),
                "no word on why it is not met",
            ),
            (self.is_claimed() && !tested, "claimed without tests"),
            (self.is_claimed() && !judged, "claimed without a judge"),
            (
                !self.is_claimed() && !unjudged,
                "a judge of what is not claimed",
            ),
        ];
        let found = faults.into_iter().filter(|(is_fault, _)| *is_fault);
        found.map(|(_, what)| what).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn ledgers() -> BTreeMap<String, Ledger> {
    let folder = root().join("docs/conformance");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let ledger = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            found.insert(name, ledger);
        }
    }
    assert!(found.len() >= 5, "ledgers: {}", found.len());
    found
}

/// Names of the test functions in a source file: those that follow an attribute ending in `test`.
fn tests_in(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(rest) = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ")
            && marked
        {
            names.extend(rest.split('(').next().map(str::to_owned));
            marked = false;
        }
    }
    names
}

#[test]
fn every_row_has_what_it_needs() {
    let mut ids = BTreeSet::new();
    for (name, ledger) in ledgers() {
        assert!(
            !ledger.title.is_empty() && !ledger.about.is_empty(),
            "{name}"
        );
        for row in &ledger.row {
            assert!(ids.insert(row.id.clone()), "{name}: two rows {}", row.id);
            let faults = row.faults();
            assert!(faults.is_empty(), "{name}: {}: {faults:?}", row.id);
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, ledger) in ledgers() {
        for row in &ledger.row {
            for test in row.tests() {
                let (path, function) = test.split_once("::").unwrap();
                let tests = known.entry(path.to_owned()).or_insert_with(|| {
                    let text = std::fs::read_to_string(root().join(path));
                    tests_in(&text.unwrap_or_else(|error| panic!("{name}: {path}: {error}")))
                });
                let id = &row.id;
                assert!(tests.contains(function), "{name}: {id}: no test {test}");
            }
        }
    }
}

/// A test beside an outside judge that no row names would be worth nothing to a reader of the rows.
#[test]
fn every_test_with_a_judge_is_named() {
    let ledgers = ledgers();
    let rows = ledgers.values().flat_map(|ledger| &ledger.row);
    let named: BTreeSet<&String> = rows.flat_map(Row::tests).collect();
    for folder in JUDGED {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            for test in tests_in(&std::fs::read_to_string(&path).unwrap()) {
                let name = format!("{folder}/{file}::{test}");
                assert!(named.contains(&name), "no row names {name}");
            }
        }
    }
}

#[test]
fn the_table_of_contents_counts_rightly() {
    const HEAD: &str = "| file | subject | met | partly | not yet | not claimed |\n\
                        | --- | --- | --- | --- | --- | --- |\n";
    let mut table = HEAD.to_owned();
    for (name, ledger) in ledgers() {
        let count = |status: &&str| {
            ledger
                .row
                .iter()
                .filter(|row| row.status == *status)
                .count()
        };
        let counts: Vec<_> = STATUSES
            .iter()
            .map(|status| count(status).to_string())
            .collect();
        table += &format!(
            "| [{name}]({name}) | {} | {} |\n",
            ledger.title,
            counts.join(" | ")
        );
    }
    let path = root().join("docs/conformance/README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let start = text.find(HEAD).expect("the head of the table");
    let end = start + text[start..].find("\n\n").expect("the end of the table") + 1;
    if std::env::var_os("BLESS").is_some() {
        let text = [&text[..start], &table, &text[end..]].concat();
        std::fs::write(path, text).unwrap();
    } else {
        assert_eq!(text[start..end], table, "BLESS=1 writes it anew");
    }
}

#[test]
fn rows_that_lack_something_are_found() {
    let row = |status: &str, why: &str, tests: &[&str], judge: &str| Row {
        id: "id".into(),
        standard: "RFC 1".into(),
        section: "1".into(),
        level: "MUST".into(),
        text: "text".into(),
        status: status.into(),
        why: why.into(),
        positive: tests.iter().map(|test| (*test).to_owned()).collect(),
        negative: tests.iter().map(|test| (*test).to_owned()).collect(),
        judge: vec![judge.into()],
    };
    assert!(row("met", "", &["a::b"], "tshark").faults().is_empty());
    assert!(row("not yet", "later", &[], "none").faults().is_empty());
    for faulty in [
        row("met", "", &[], "tshark"),
        row("met", "", &["a::b"], "none"),
        row("met", "", &["a::b"], "me"),
        row("partly", "", &["a::b"], "tshark"),
        row("not claimed", "", &[], "none"),
        row("not claimed", "why", &[], "tshark"),
        row("perhaps", "why", &["a::b"], "tshark"),
    ] {
        assert!(!faulty.faults().is_empty(), "{}", faulty.status);
    }
    let source = "#[test]\nfn a() {}\nfn b() {}\n#[tokio::test(x)]\nasync fn c() {}";
    assert_eq!(tests_in(source), ["a", "c"].map(String::from).into());
}
