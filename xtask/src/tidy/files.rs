//! Every Rust file says at its top what it is about, and none is longer than 800 lines.

use super::Problem;
use super::source::Source;

/// No file is longer than this, whatever the ratchet says.
pub const MOST_LINES: usize = 800;

/// The check.
pub fn check(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !source.text.starts_with("//!") {
        let what = "starts with `//!` and what the file is about: the first line of every file";
        problems.push(Problem::new(&source.path, 1, what));
    }
    if source.length() > MOST_LINES {
        let what = format!("{} lines, and {MOST_LINES} are the most", source.length());
        problems.push(Problem::new(&source.path, source.length(), what));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documented_file_of_800_lines_is_fine() {
        let text = format!("//! About.\n{}", "x\n".repeat(MOST_LINES - 1));
        assert!(check(&Source::new("a.rs", &text)).is_empty());
    }

    #[test]
    fn missing_docs_and_too_many_lines_are_found() {
        let problems = check(&Source::new("a.rs", &"x\n".repeat(MOST_LINES + 1)));
        assert_eq!(problems.len(), 2);
        assert!(problems[1].what.starts_with("801 lines"));
    }
}
