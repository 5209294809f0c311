//! What an error looks like on the terminal.

use coax_api::{ClientError, Problem};

use super::CliError;
use crate::stack::{Mistake, Source};

impl CliError {
    /// What the user reads on stderr.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Api(ClientError::Refused(problem)) => return problems(problem, colour),
            Self::BadFile { file, mistakes } => return mistakes_in(file, mistakes, colour),
            _ => {}
        }
        let mut text = headline(self.code(), &without_numbers(&self.to_string()), colour);
        for (label, line) in [("why", self.why()), ("next", self.next())] {
            if let Some(line) = line {
                text.push_str(&remark(label, &line, colour));
            }
        }
        text
    }
}

/// A problem of the controller with all that came along with it.
fn problems(problem: &Problem, colour: bool) -> String {
    let all = std::iter::once(problem).chain(&problem.more);
    all.map(|problem| {
        let mut text = headline(&problem.code, &problem.message, colour);
        if let Some(field) = &problem.field {
            text.push_str(&remark("field", field, colour));
        }
        if !problem.hint.is_empty() {
            text.push_str(&remark("next", &problem.hint, colour));
        }
        text
    })
    .collect::<Vec<_>>()
    .join("\n")
}

/// Without the numbers of the system's errors, which say nothing that the words before do not.
fn without_numbers(message: &str) -> String {
    match message.split_once(" (os error ") {
        Some((before, after)) => {
            let after = after.split_once(')').map_or("", |(_, after)| after);
            format!("{before}{}", without_numbers(after))
        }
        None => message.to_owned(),
    }
}

/// The mistakes of a file, each with its line and a caret.
fn mistakes_in(source: &Source, mistakes: &[Mistake], colour: bool) -> String {
    mistakes
        .iter()
        .map(|it| headline(&it.code, &it.message, colour) + &source.point_at(it))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `error[code]: message`.
pub fn headline(code: &str, message: &str, colour: bool) -> String {
    let mark = console::style(format!("error[{code}]:"))
        .red()
        .bold()
        .force_styling(colour);
    format!("{mark} {message}\n")
}

/// An indented line below a headline.
pub fn remark(label: &str, text: &str, colour: bool) -> String {
    let mark = console::style(format!("{label}:"))
        .cyan()
        .force_styling(colour);
    format!("  {mark} {text}\n")
}
