//! What a user sees when a file cannot be read.

use super::*;
use crate::intent::Intent;
use crate::plan::plan;

fn refused(text: &str) -> (&'static str, String, Option<(usize, usize)>) {
    let error = StackFile::parse(text).unwrap_err();
    let place = error.place.map(|place| (place.line, place.column));
    (error.code, error.hint.unwrap_or(error.message), place)
}

#[test]
fn the_shortest_file_is_a_version_and_a_project() {
    let file = StackFile::parse("version: 1\nproject: shop\n").unwrap();
    assert_eq!(file, StackFile::empty("shop".parse().unwrap()));
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_known_one() {
    let text = "version: 1\nproject: shop\nnetworks:\n  web: { subnet: [10.0.0.0/24] }\n";
    let expected = (
        "unknown-field",
        "did you mean `subnets`?".to_owned(),
        Some((4, 10)),
    );
    assert_eq!(refused(text), expected);
    let (code, hint, _) = refused("version: 1\nproject: shop\nload_balancers: {}\n");
    assert_eq!(code, "unknown-field");
    assert_eq!(
        hint,
        "known here are: version, project, networks, ports, vteps, routers, groups, address_groups, \
         firewall, checks, moved"
    );
}

#[test]
fn a_missing_field_is_named() {
    let (code, hint, _) = refused("version: 1\nproject: shop\nports:\n  a: { host: hv1 }\n");
    assert_eq!((code, hint.as_str()), ("missing-field", "add `network: …`"));
}

#[test]
fn a_key_written_twice_is_refused() {
    let text = "version: 1\nproject: shop\nnetworks:\n  a: {}\n  a: {}\n";
    let (code, _, place) = refused(text);
    assert_eq!((code, place), ("duplicate-key", Some((5, 3))));
}

#[test]
fn a_bad_value_says_what_a_good_one_looks_like() {
    let text = "version: 1\nproject: shop\nnetworks:\n  a: { subnets: [10.0.0.0] }\n";
    let (code, message, place) = refused(text);
    assert_eq!((code, place), ("bad-value", Some((4, 18))));
    assert!(message.ends_with("10.10.1.0/24"), "{message}");
    let text = "version: 1\nproject: shop\nports:\n  a: { network: a, mac: 02:00 }\n";
    let (code, message, place) = refused(text);
    assert_eq!((code, place), ("bad-value", Some((4, 25))));
    assert!(message.contains("six pairs"), "{message}");
    let (_, message, place) = refused("version: 1\nproject: My_Shop\n");
    assert_eq!(place, Some((2, 10)));
    assert!(message.contains("try `my-shop`"), "{message}");
}

#[test]
fn broken_yaml_is_refused_where_it_breaks() {
    let (code, _, place) = refused("version: 1\nproject: [shop\n");
    assert_eq!(code, "syntax");
    assert!(place.is_some());
    assert_eq!(
        refused("version: 1\nproject: a\n---\nversion: 1\n").0,
        "several-documents"
    );
    assert!(StackFile::parse("").is_err());
}

#[test]
fn a_broken_rule_is_shown_in_the_text() {
    let text = "\
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24] }
ports:
  web-1: { network: wbe }
";
    let file = StackFile::parse(text).unwrap();
    let refusals = plan(&file, &Intent::default()).unwrap_err();
    let shown: Vec<String> = explain(&refusals, text)
        .iter()
        .map(|problem| problem.render("shop.yaml", text))
        .collect();
    let expected = "\
error: there is no network `wbe` in the file
 --> shop.yaml:6:21 (ports.web-1.network)
  |
6 |   web-1: { network: wbe }
  |                     ^
  = did you mean `web`?";
    assert_eq!(shown, [expected]);
}

#[test]
fn names_that_yaml_takes_for_numbers_or_truth_stay_names() {
    let text = "version: 1\nproject: 42\nnetworks:\n  on: {}\n  1e3: {}\n";
    let file = StackFile::parse(text).unwrap();
    assert_eq!(file.project.as_str(), "42");
    let names: Vec<&str> = file.networks.keys().map(Name::as_str).collect();
    assert_eq!(names, ["1e3", "on"]);
    let yaml = crate::to_yaml(&file).unwrap();
    assert_eq!(StackFile::parse(&yaml).unwrap(), file);
}
