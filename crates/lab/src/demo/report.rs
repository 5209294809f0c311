//! What the demo found: per point the checks with what was measured and what was wanted, for people
//! as a table and for machines as JSON.

use std::fmt::Display;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// One measured thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What it is, in words.
    pub what: String,
    /// What was found.
    pub measured: String,
    /// What it had to be; empty for what is only told.
    pub wanted: String,
    /// Whether it is so.
    pub passed: bool,
}

/// The checks of a point, as they are collected.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Adds a check.
    pub fn check(
        &mut self,
        what: impl Into<String>,
        measured: impl Display,
        wanted: impl Display,
        passed: bool,
    ) {
        self.0.push(Check {
            what: what.into(),
            measured: measured.to_string(),
            wanted: wanted.to_string(),
            passed,
        });
    }

    /// Adds a check of a number that must be that number.
    pub fn equal<T: PartialEq + Display>(
        &mut self,
        what: impl Into<String>,
        measured: T,
        wanted: T,
    ) {
        let passed = measured == wanted;
        self.check(what, measured, wanted, passed);
    }

    /// Adds a check of a number that may not be larger.
    pub fn at_most(&mut self, what: impl Into<String>, measured: f64, limit: f64, unit: &str) {
        let shown = format!("{measured:.1} {unit}");
        self.check(
            what,
            shown,
            format!("≤ {limit:.0} {unit}"),
            measured <= limit,
        );
    }

    /// Tells something that nothing is wanted of.
    pub fn tell(&mut self, what: impl Into<String>, measured: impl Display) {
        self.check(what, measured, "", true);
    }
}

/// One point of the main job.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// Its number.
    pub number: u8,
    /// What it is about.
    pub title: &'static str,
    /// Whether all of it is as it should be.
    pub passed: bool,
    /// What was measured.
    pub checks: Checks,
    /// Why the point could not be carried out, if it could not.
    pub error: Option<String>,
    /// The figures for machines.
    pub details: serde_json::Value,
    /// How long it took.
    pub seconds: f64,
}

/// Everything that the demo found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of Coax.
    pub version: &'static str,
    /// The kernel.
    pub kernel: String,
    /// Processors of the machine.
    pub processors: usize,
    /// Whether every point passed.
    pub passed: bool,
    /// The points.
    pub points: Vec<Point>,
    /// How long it took.
    pub seconds: f64,
}

impl Point {
    /// The point as a table with a headline.
    pub fn render(&self) -> String {
        let mark = if self.passed { "passed" } else { "FAILED" };
        let mut text = format!(
            "{}. {}: {mark} ({:.1} s)\n",
            self.number, self.title, self.seconds
        );
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "what", "measured", "wanted"]);
        for check in &self.checks.0 {
            let mark = match (check.passed, check.wanted.is_empty()) {
                (true, true) => "",
                (true, false) => "ok",
                (false, _) => "NO",
            };
            table.add_row([mark, &check.what, &check.measured, &check.wanted]);
        }
        if !self.checks.0.is_empty() {
            for line in table.lines() {
                text.push_str(&format!("  {}\n", line.trim_end()));
            }
        }
        if let Some(error) = &self.error {
            text.push_str(&format!("   could not be carried out: {error}\n"));
        }
        text
    }
}

impl Report {
    /// The last lines: point by point, and the verdict.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for point in &self.points {
            let mark = if point.passed { "ok" } else { "NO" };
            text.push_str(&format!("  {mark}  {}. {}\n", point.number, point.title));
        }
        let passed = self.points.iter().filter(|point| point.passed).count();
        text.push_str(&format!(
            "{passed} of {} points passed in {:.0} s (Coax {}, Linux {}, {} processors)\n",
            self.points.len(),
            self.seconds,
            self.version,
            self.kernel,
            self.processors
        ));
        text
    }
}
