//! No function is longer than 70 lines, from its `fn` to its last brace.

use super::Problem;
use super::source::{Source, is_word};

const MOST_LINES: usize = 70;

/// The check.
pub fn check(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for start in source.words("fn") {
        let Some((name, end)) = function(&source.code, start) else {
            continue;
        };
        let first = source.line_of(start);
        let lines = source.line_of(end) - first + 1;
        if lines > MOST_LINES {
            let what = format!("function {name} has {lines} lines, and {MOST_LINES} are the most");
            problems.push(Problem::new(&source.path, first, what));
        }
    }
    problems
}

/// The name of the function that starts at this `fn`, and where its body ends. A function type has no
/// name, a declaration no body.
fn function(code: &str, start: usize) -> Option<(&str, usize)> {
    let signature = code[start + 2..].trim_start();
    let length = signature.bytes().take_while(|&byte| is_word(byte)).count();
    if length == 0 {
        return None;
    }
    let name_at = code.len() - signature.len();
    let name = &code[name_at..name_at + length];
    let mut inside = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(name_at + length) {
        match byte {
            b'(' | b'[' => inside += 1,
            b')' | b']' => inside = inside.saturating_sub(1),
            b';' if inside == 0 => return None,
            b'{' if inside == 0 => return Some((name, closing_brace(code, offset)?)),
            _ => {}
        }
    }
    None
}

fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(offset),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_lines(lines: usize) -> String {
        format!(
            "impl X {{\n    fn long(a: [u8; 3]) -> u8 {{\n{}    }}\n}}\n",
            "        x();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn seventy_lines_are_fine_and_one_more_is_not() {
        assert!(check(&Source::new("a.rs", &of_lines(70))).is_empty());
        let problems = check(&Source::new("a.rs", &of_lines(71)));
        assert_eq!(
            problems,
            [Problem::new(
                "a.rs",
                2,
                "function long has 71 lines, and 70 are the most"
            )]
        );
    }

    #[test]
    fn braces_in_literals_do_not_count() {
        let text = of_lines(60).replacen("x();", "x(\"}\", '{', /* } */ '}');", 1);
        assert!(check(&Source::new("a.rs", &text)).is_empty());
    }

    #[test]
    fn declarations_and_function_types_are_no_functions() {
        let text = format!(
            "trait T {{ fn a(&self); }}\ntype F = fn(u8);\n{}",
            "// x\n".repeat(100)
        );
        assert!(check(&Source::new("a.rs", &text)).is_empty());
    }

    #[test]
    fn inner_functions_are_measured_too() {
        let text = format!("fn outer() {{\n{}}}", of_lines(71).replace("impl X {", "{"));
        assert_eq!(check(&Source::new("a.rs", &text)).len(), 2);
    }
}
