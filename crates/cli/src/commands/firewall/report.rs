//! What `coax firewall suggest` and `audit` print.

use coax_api::flows::Flow;
use coax_api::{FirewallAudit, SuggestedRule, Suggestions};

use crate::commands::Outcome;
use crate::commands::drops::warn_of;
use crate::output::{Listed, Output};

/// Suggested rules as lines of a stack file.
pub(super) fn suggestions(found: &Suggestions, output: &Output) -> Outcome {
    let names = |found: &Suggestions| found.rules.iter().map(|rule| rule.name.clone()).collect();
    output.value(found, names, |found| yaml(&found.rules))?;
    let project = &found.project;
    match found.rules.len() {
        0 => output.say(&format!(
            "no rules: nothing is known that the default of {project} refuses"
        )),
        rules => output.say(&format!(
            "{rules} rules for {} flows: put those that you want behind the others in the file of {project}",
            found.flows
        )),
    }
    if !found.closed.is_empty() {
        let closed = found.closed.len();
        output.say(&format!(
            "{closed} flows are refused by rules and stay refused: `coax flows --project {project} --not --verdict allow`"
        ));
    }
    say_lost(found.lost, output);
    Ok(warn_of(&found.missing, output))
}

fn say_lost(lost: u64, output: &Output) {
    if lost > 0 {
        output.say(&format!(
            "{lost} decisions were not noted and may be missing here"
        ));
    }
}

fn yaml(rules: &[SuggestedRule]) -> String {
    if rules.is_empty() {
        return String::new();
    }
    let lines = rules.iter().map(|rule| {
        let [from, to, allow] = [&rule.from, &rule.to, &rule.allow].map(|list| flow_list(list));
        format!(
            "    - {{ name: {}, from: {from}, to: {to}, allow: {allow} }}\n",
            rule.name
        )
    });
    format!("firewall:\n  rules:\n{}", lines.collect::<String>())
}

/// A list in one line. What has a colon in it is no plain word of YAML.
fn flow_list(list: &[String]) -> String {
    let items = list.iter().map(|item| match item.contains(':') {
        true => format!("\"{item}\""),
        false => item.clone(),
    });
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// What the firewall does in vain, and what it would refuse.
pub(super) fn audit(found: &FirewallAudit, output: &Output) -> Outcome {
    output.value(
        found,
        |found| found.idle.iter().map(|idle| idle.rule.clone()).collect(),
        |found| people(found, output),
    )?;
    say_lost(found.lost, output);
    Ok(warn_of(&found.missing, output))
}

fn people(found: &FirewallAudit, output: &Output) -> String {
    let mut text = match found.would_refuse.len() {
        0 => "Nothing passes that would be refused without audit mode.\n".to_owned(),
        flows => format!("{flows} flows pass that would be refused without audit mode:\n\n"),
    };
    let rows = found.would_refuse.iter().map(|flow| flow.cells(false));
    text.push_str(&output.table(Flow::COLUMNS, rows));
    if !found.idle.is_empty() {
        text.push_str("\nRules that can never decide:\n\n");
        let rows = found.idle.iter().map(|idle| {
            let why = match idle.shadowed_by.as_slice() {
                [] => "it names nobody".to_owned(),
                by => format!("decided before by {}", by.join(", ")),
            };
            vec![idle.rule.clone(), why]
        });
        text.push_str(&output.table(&["RULE", "WHY"], rows));
    }
    let others = found.never_hit.iter().filter(|rule| {
        let mut idle = found.idle.iter();
        !idle.any(|idle| idle.rule == **rule)
    });
    let others: Vec<&str> = others.map(String::as_str).collect();
    if !others.is_empty() {
        text.push_str("\nRules that decided nothing so far:\n\n");
        for rule in others {
            text.push_str(&format!("{rule}\n"));
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_lines_that_a_stack_file_takes() {
        let rule = |name: &str, from: &[&str], to: &str| SuggestedRule {
            name: name.into(),
            from: from.iter().map(|it| (*it).to_owned()).collect(),
            to: vec![to.into()],
            allow: vec!["tcp/443".into(), "icmpv6/128".into()],
        };
        let rules = [
            rule("web-to-db", &["group/web", "fd00:7::1"], "group/db"),
            rule("outside-to-web", &["network/outside"], "192.0.2.7"),
        ];
        let text = yaml(&rules);
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "    - { name: web-to-db, from: [group/web, \"fd00:7::1\"], to: [group/db], allow: [tcp/443, icmpv6/128] }"
        );
        let file = format!("version: 1\nproject: shop\n{text}");
        let read = coax_model::File::parse(&file);
        assert!(read.is_ok(), "{file}");
        assert_eq!(yaml(&[]), "");
    }
}
