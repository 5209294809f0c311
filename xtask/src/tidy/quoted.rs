//! Every `coax …` and `cargo xtask …` command quoted in a document exists, with its options.
//!
//! Read are fenced blocks, line by line, and code spans. `lab up|down` stands for both. The tree of
//! commands is what `--help` says, so that it cannot differ from the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Problem;
use crate::commands;
use crate::process::Cmd;

/// Who knows what `coax WORDS --help` says.
pub trait Help {
    /// The help text of this subcommand.
    fn of(&mut self, words: &[String]) -> Result<String>;
}

/// Asks the binary, once for each subcommand.
pub struct BuiltHelp {
    binary: PathBuf,
    known: BTreeMap<Vec<String>, String>,
}

impl BuiltHelp {
    /// Will ask this binary.
    pub fn new(binary: &Path) -> Self {
        Self {
            binary: binary.to_path_buf(),
            known: BTreeMap::new(),
        }
    }
}

impl Help for BuiltHelp {
    fn of(&mut self, words: &[String]) -> Result<String> {
        if let Some(text) = self.known.get(words) {
            return Ok(text.clone());
        }
        let text = Cmd::new(&self.binary)
            .args(words)
            .arg("--help")
            .captured()?;
        self.known.insert(words.to_vec(), text.clone());
        Ok(text)
    }
}

/// The check of one document.
pub fn check(path: &str, text: &str, help: &mut dyn Help) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (line, command) in quoted(text) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let fault = match words.as_slice() {
            ["cargo", "xtask", rest @ ..] => xtask_fault(rest),
            ["coax", rest @ ..] => coax_fault(rest, help)?,
            _ => None,
        };
        problems.extend(fault.map(|fault| Problem::new(path, line, fault)));
    }
    Ok(problems)
}

/// The commands that a document quotes, each with its line.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.extend(command(line).map(|command| (index + 1, command)));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(
                spans
                    .filter_map(command)
                    .map(|command| (index + 1, command)),
            );
        }
    }
    found
}

/// The command on a line, without a prompt, `sudo` or what follows it.
fn command(line: &str) -> Option<&str> {
    let mut line = line.trim();
    for prefix in ["$ ", "# ", "sudo "] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    if !line.starts_with("coax ") && !line.starts_with("cargo xtask ") {
        return None;
    }
    // A pipe has spaces around it; `up|down` has none.
    let ends = [" | ", " && ", " || ", "; ", " # ", " > ", " & "];
    let end = ends
        .iter()
        .filter_map(|end| line.find(end))
        .min()
        .unwrap_or(line.len());
    Some(line[..end].trim_end())
}

fn xtask_fault(words: &[&str]) -> Option<String> {
    let names = words.first().filter(|word| is_subcommand(word))?;
    let unknown = names
        .split('|')
        .find(|name| commands::find(name).is_none())?;
    Some(format!("`cargo xtask {unknown}` does not exist"))
}

fn coax_fault(words: &[&str], help: &mut dyn Help) -> Result<Option<String>> {
    let mut path: Vec<String> = Vec::new();
    let mut text = help.of(&path)?;
    let mut words = words.iter().peekable();
    while let Some(names) = words.next_if(|word| is_subcommand(word)) {
        let known = subcommands(&text);
        if known.is_empty() {
            break;
        }
        if let Some(unknown) = names.split('|').find(|name| !known.contains(name)) {
            return Ok(Some(format!(
                "`coax {}` does not exist",
                [path.join(" "), unknown.into()].join(" ").trim()
            )));
        }
        path.extend(names.split('|').next().map(str::to_owned));
        text = help.of(&path)?;
    }
    let options = words
        .filter(|word| word.starts_with("--"))
        .map(|word| option_name(word));
    let unknown = options
        .into_iter()
        .find(|option| option.len() > 2 && !has_option(&text, option));
    Ok(unknown.map(|option| format!("`coax {}` has no option {option}", path.join(" "))))
}

fn is_subcommand(word: &str) -> bool {
    let letter = |byte: u8| {
        byte.is_ascii_lowercase() || byte == b'-' || byte == b'|' || byte.is_ascii_digit()
    };
    word.bytes().all(letter) && !word.starts_with('-')
}

fn option_name(word: &str) -> &str {
    word.split(['=', '[', ']', ',', '`']).next().unwrap_or(word)
}

fn has_option(help: &str, option: &str) -> bool {
    help.split([' ', ',', '=', '\n', '[', ']', '<'])
        .any(|word| word == option)
}

/// The names under "Commands:" in a help text.
fn subcommands(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct FixedHelp;

    impl Help for FixedHelp {
        fn of(&mut self, words: &[String]) -> Result<String> {
            let text = match words.join(" ").as_str() {
                "" => "Coax\n\nCommands:\n  lab    Labs\n  apply  Apply a file\n\nOptions:\n  -h\n",
                "lab" => {
                    "Labs\n\nCommands:\n  up    Start\n  down  Stop\n          more\n\nOptions:\n"
                }
                "apply" => "Options:\n  -f, --file <FILE>  the file\n      --dry-run[=X]\n",
                _ => "Options:\n      --name <NAME>\n",
            };
            Ok(String::from(text))
        }
    }

    fn faults(text: &str) -> Vec<String> {
        check("README.md", text, &mut FixedHelp)
            .unwrap()
            .iter()
            .map(Problem::to_string)
            .collect()
    }

    #[test]
    fn existing_commands_are_fine() {
        let text = "Type `coax lab up FILE` or `coax lab up|down`.\n```\n$ coax apply -f x --dry-run | cat\n\
            sudo cargo xtask test\n# coax lab up --name a && coax nonsense\n```\n`coax` alone, `coax …` too.\n";
        assert_eq!(faults(text), [] as [String; 0]);
    }

    #[test]
    fn unknown_commands_and_options_are_found() {
        assert_eq!(
            faults("a\n`coax lap up`"),
            ["README.md:2: `coax lap` does not exist"]
        );
        assert_eq!(
            faults("`coax lab up|dwon x`"),
            ["README.md:1: `coax lab dwon` does not exist"]
        );
        assert_eq!(
            faults("    coax apply --fill=x"),
            ["README.md:1: `coax apply` has no option --fill"]
        );
        assert_eq!(
            faults("`cargo xtask tset`"),
            ["README.md:1: `cargo xtask tset` does not exist"]
        );
    }

    #[test]
    fn prose_is_not_a_command() {
        assert_eq!(
            faults("coax lap is not code, and neither is `the coax lap`."),
            [] as [String; 0]
        );
    }
}
