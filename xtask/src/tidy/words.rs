//! No path of somebody's machine, nothing left for later, no test switched off.

use super::Problem;

/// Folders that exist on one machine only. Split, so that this file passes its own check.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Marks of work that was put off.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// The check.
pub fn check(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut found = |what: String| problems.push(Problem::new(path, index + 1, what));
        for machine_path in MACHINE_PATHS.iter().filter(|place| has_path(line, place)) {
            found(format!("{machine_path}… is a path of one machine"));
        }
        for mark in UNFINISHED.iter().filter(|mark| has_word(line, mark)) {
            found(format!("{mark}: do it, or write an issue"));
        }
        if path.ends_with(".rs") && line.trim_start().starts_with(concat!("#[ig", "nore")) {
            found(String::from("a test that is switched off"));
        }
    }
    problems
}

/// An absolute path: nothing before it that would make it part of a longer one.
fn has_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~/}>*".contains(c))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        // A mark that ends with a bracket is followed by anything.
        !before.is_some_and(is_part) && (word.ends_with('(') || !after.is_some_and(is_part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> usize {
        check("a.rs", line).len()
    }

    #[test]
    fn machine_paths_are_found_but_not_every_folder_of_that_name() {
        assert_eq!(found(&format!("let x = \"{}main\";", MACHINE_PATHS[0])), 1);
        assert_eq!(found(&format!("{}.cargo/bin", MACHINE_PATHS[1])), 1);
        assert_eq!(
            found(&format!("https://example.org{}x", MACHINE_PATHS[2])),
            0
        );
        assert_eq!(found("the work/root of /workshop/ and /homes/"), 0);
    }

    #[test]
    fn work_put_off_is_found() {
        for mark in UNFINISHED {
            assert_eq!(found(&format!("x {mark} y")), 1, "{mark}");
        }
        assert_eq!(found("TODOS and XXXL and my_todo"), 0);
    }

    #[test]
    fn tests_switched_off_are_found() {
        assert_eq!(found(&format!("    {}]", concat!("#[ig", "nore"))), 1);
    }
}
