//! Progress of something that takes a while: a bar on a terminal, one line per step elsewhere, and
//! nothing with `--quiet`. Always on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{Output, complain};

/// A bar, or lines.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    last: Option<(usize, usize)>,
}

impl Progress {
    /// Begins with a sentence.
    pub fn start(output: &Output, sentence: &str) -> Self {
        let terminal = console::Term::stderr().is_term();
        if output.quiet || !terminal {
            let progress = Self {
                bar: None,
                quiet: output.quiet,
                last: None,
            };
            progress.line(sentence);
            return progress;
        }
        let bar = ProgressBar::new(0);
        // A template that does not parse leaves the built-in look.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} hosts  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(sentence.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar: Some(bar),
            quiet: false,
            last: None,
        }
    }

    /// `done` of `all` are done.
    pub fn step(&mut self, done: usize, all: usize, remark: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(remark.to_owned());
        } else if self.last != Some((done, all)) && !remark.is_empty() {
            self.line(&format!("{done} of {all} hosts, {remark}"));
        }
        self.last = Some((done, all));
    }

    /// Ends with a sentence.
    pub fn end(self, sentence: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line(sentence);
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }
}
