//! Results of checks as a JUnit report, as CI systems read it: one suite for each project, one test case
//! for each check, its probes in `system-out`.

use std::collections::BTreeMap;
use std::fmt::Write;

use coax_api::{CheckResult, ProbeResult, ProbeState};

/// The report.
pub fn report(results: &[CheckResult]) -> String {
    let mut suites: BTreeMap<&str, Vec<&CheckResult>> = BTreeMap::new();
    for result in results {
        suites.entry(&result.project).or_default().push(result);
    }
    let all: Vec<&CheckResult> = results.iter().collect();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"coax check\" {}>\n",
        totals(&all)
    );
    for (project, results) in suites {
        let name = escaped(project);
        text += &format!("  <testsuite name=\"{name}\" {}>\n", totals(&results));
        for result in results {
            text += &case(&name, result);
        }
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn totals(results: &[&CheckResult]) -> String {
    let count = |state| results.iter().filter(|it| it.state == state).count();
    let milliseconds = results.iter().map(|it| it.milliseconds).sum();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
        results.len(),
        count(ProbeState::Failed),
        count(ProbeState::Unknown),
        count(ProbeState::Skipped),
        seconds(milliseconds)
    )
}

fn case(project: &str, result: &CheckResult) -> String {
    let mut text = format!(
        "    <testcase classname=\"{project}\" name=\"{}\" time=\"{}\">\n",
        escaped(&result.title),
        seconds(result.milliseconds)
    );
    let sentence = escaped(&result.sentence);
    let worst = result.probes.iter().find(|it| it.state == result.state);
    let cause = worst.map_or("check", |it| it.cause.as_str());
    let cause = escaped(if cause.is_empty() { "check" } else { cause });
    match result.state {
        ProbeState::Passed => {}
        ProbeState::Skipped => {
            text += &format!("      <skipped message=\"{sentence}\"/>\n");
        }
        ProbeState::Failed => {
            text += &format!(
                "      <failure message=\"{sentence}\" type=\"{cause}\">{sentence}</failure>\n"
            );
        }
        ProbeState::Unknown => {
            text += &format!(
                "      <error message=\"{sentence}\" type=\"{cause}\">{sentence}</error>\n"
            );
        }
    }
    let lines = result.probes.iter().map(line).chain(result.notes.clone());
    let lines: Vec<String> = lines.map(|line| escaped(&line)).collect();
    if !lines.is_empty() {
        text += &format!("      <system-out>{}</system-out>\n", lines.join("\n"));
    }
    text + "    </testcase>\n"
}

fn line(probe: &ProbeResult) -> String {
    format!(
        "{} to {}, {} over {}: {}",
        probe.from, probe.to, probe.traffic, probe.family, probe.summary
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Text for attributes and elements. What XML 1.0 has no characters for becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Writing to a string does not fail.
            '\n' | '\t' => drop(write!(escaped, "&#{};", u32::from(character))),
            '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            other if other.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escaped("a<b> & \"c\"\u{1}\n"),
            "a&lt;b&gt; &amp; &quot;c&quot;?&#10;"
        );
        assert_eq!(seconds(1042), "1.042");
    }
}
