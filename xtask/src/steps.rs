//! Steps with a heading, a time each and a summary at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A run of steps, of which the first failure is the last.
pub struct Steps {
    total: usize,
    done: Vec<(String, Duration)>,
    warnings: Vec<String>,
    started: Instant,
}

impl Steps {
    /// A run of that many steps.
    pub fn new(total: usize) -> Self {
        Self {
            total,
            done: Vec::new(),
            warnings: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Runs one step. A step may return warnings: things that were left out and why.
    pub fn run(
        &mut self,
        name: &str,
        about: &str,
        work: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<()> {
        eprintln!("\n[{}/{}] {name}: {about}", self.done.len() + 1, self.total);
        let start = Instant::now();
        let outcome = work();
        let time = start.elapsed();
        match outcome {
            Ok(warnings) => {
                eprintln!("      {name} ok, {}", show(time));
                self.warnings.extend(warnings);
                self.done.push((name.to_owned(), time));
                Ok(())
            }
            Err(error) => {
                eprintln!("      {name} FAILED after {}", show(time));
                Err(error).with_context(|| {
                    format!("step {name} failed; `cargo xtask test {name}` runs it alone")
                })
            }
        }
    }

    /// The summary: one line, and one for each warning.
    pub fn summary(&self) -> String {
        let times: Vec<String> = self
            .done
            .iter()
            .map(|(name, time)| format!("{name} {}", show(*time)))
            .collect();
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&format!("WARNING: {warning}\n"));
        }
        text.push_str(&format!(
            "all {} steps ok in {} ({})",
            self.done.len(),
            show(self.started.elapsed()),
            times.join(", ")
        ));
        text
    }
}

/// A duration as people say it: `0.4 s`, `42 s`, `3 min 05 s`.
pub fn show(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 10 {
        format!("{:.1} s", time.as_secs_f64())
    } else if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_and_warns() {
        let mut steps = Steps::new(2);
        steps.run("a", "first", || Ok(Vec::new())).unwrap();
        steps
            .run("b", "second", || {
                Ok(vec![String::from("kernel 6.12 not run")])
            })
            .unwrap();
        let summary = steps.summary();
        assert!(summary.starts_with("WARNING: kernel 6.12 not run\nall 2 steps ok in "));
        assert!(summary.contains("(a ") && summary.contains(", b "));
    }

    #[test]
    fn a_failure_says_how_to_run_the_step_again() {
        let error = Steps::new(1)
            .run("deny", "x", || anyhow::bail!("a licence"))
            .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "step deny failed; `cargo xtask test deny` runs it alone: a licence"
        );
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(show(Duration::from_millis(420)), "0.4 s");
        assert_eq!(show(Duration::from_secs(42)), "42 s");
        assert_eq!(show(Duration::from_secs(185)), "3 min 05 s");
    }
}
