//! `coax explain`: words, drop reasons and error codes, for those who run servers and for those who
//! run networks.

use crate::commands::Outcome;
use crate::error::CliError;
use crate::exit::Exit;
use crate::glossary::{self, Entry};
use crate::output::{Listed, Output};

/// Flags of `coax explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A word, a drop reason or the code of an error; nothing lists them all
    #[arg(value_name = "TERM")]
    pub term: Vec<String>,
}

/// Runs it.
pub fn run(args: &ExplainArgs, output: &Output) -> Outcome {
    if args.term.is_empty() {
        let entries: Vec<Entry> = glossary::entries().collect();
        output.list(&entries)?;
        return Ok(Exit::Done);
    }
    let word = args.term.join(" ");
    let Some(entry) = glossary::find(&word) else {
        let similar = glossary::similar(&word);
        return Err(CliError::UnknownWord { word, similar });
    };
    output.value(
        &entry,
        |it| vec![it.name.to_owned()],
        |it| people(it, output),
    )?;
    Ok(Exit::Done)
}

fn people(entry: &Entry, output: &Output) -> String {
    let width = output.prose_width();
    let mut text = format!("{} ({})\n", entry.name, entry.subject.name());
    text.push_str(&wrapped(entry.meaning, width, ""));
    if let Some(networking) = entry.networking {
        text.push_str(&wrapped(
            &format!("To network people: {networking}"),
            width,
            "",
        ));
    }
    if let Some(next) = entry.next {
        text.push_str(&format!("See: {next}\n"));
    }
    text
}

/// Breaks a text into lines of at most `width`, all but the first after `indent`.
pub fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count() + 1 + word.chars().count();
        if line.trim().is_empty() {
            line.push_str(word);
        } else if length <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("{indent}{word}"));
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

impl Listed for Entry {
    const PLURAL: &'static str = "words";
    const COLUMNS: &'static [&'static str] = &["TERM", "KIND"];
    const MORE: &'static [&'static str] = &["MEANING"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![self.name.to_owned(), self.subject.name().to_owned()];
        if wide {
            cells.push(self.meaning.to_owned());
        }
        cells
    }

    fn full_name(&self) -> String {
        self.name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_no_longer_than_the_terminal() {
        assert_eq!(
            wrapped("one two three four", 9, "  "),
            "one two\n  three\n  four\n"
        );
        assert_eq!(wrapped("one two", usize::MAX, ""), "one two\n");
    }
}
