//! What the plane reports, and what it does with connections that come along.

use coax_tables::RuleCounters;
use coax_vswitch::MemoryDataPlane;

use super::*;

#[test]
fn rules_are_reported_by_name_and_only_those_that_decided() {
    let mut plane = MemoryDataPlane::new();
    let counters = RuleCounters {
        hits: 5,
        last_hit: 0,
    };
    plane.set_rule_counters(2, counters);
    // The counters of a rule that nobody knows any more are nobody's.
    plane.set_rule_counters(9, counters);
    let rule = |name: &str, number| ("shop".to_owned(), format!("shop/{name}"), number);
    let request = ReportRequest {
        request_id: 1,
        slots: Vec::new(),
        revision: 7,
        problems: Vec::new(),
        requests: Vec::new(),
        rules: vec![rule("ssh", 1), rule("web", 2)],
        measures: Box::default(),
    };
    let report = host_report("hv1", &plane, &mut Measuring::default(), &request).unwrap();
    let hits: Vec<(&str, u64)> = report
        .rules
        .iter()
        .map(|it| (it.rule.as_str(), it.hits))
        .collect();
    assert_eq!(hits, [("shop/web", 5)]);
}
