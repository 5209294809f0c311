//! `unsafe` is only in the kernel programs and in the crate that loads them, and each use says above
//! it why it is sound (`// SAFETY:`, or `# Safety` in the docs of an unsafe function).

use super::Problem;
use super::source::Source;

const ALLOWED: [&str; 2] = ["ebpf/", "crates/vswitch/"];

/// The check.
pub fn check(source: &Source) -> Vec<Problem> {
    let allowed = ALLOWED.iter().any(|folder| source.path.starts_with(folder));
    let lines: Vec<&str> = source.text.lines().collect();
    let mut problems = Vec::new();
    for offset in source.words("unsafe") {
        let line = source.line_of(offset);
        if is_attribute(&source.code, offset) {
            continue;
        }
        if !allowed {
            let what = format!("`unsafe` is only allowed in {}", ALLOWED.join(" and "));
            problems.push(Problem::new(&source.path, line, what));
        } else if !is_explained(&lines, line) {
            let what = "`unsafe` without `// SAFETY:` above it, saying why it is sound";
            problems.push(Problem::new(&source.path, line, what));
        }
    }
    problems
}

/// `#[unsafe(no_mangle)]` names a symbol and runs nothing.
fn is_attribute(code: &str, offset: usize) -> bool {
    code[..offset].ends_with("#[") && code[offset..].starts_with("unsafe(")
}

/// Whether the line, or the comments and attributes right above its statement, say why.
fn is_explained(lines: &[&str], line: usize) -> bool {
    let says_why = |text: &str| text.contains("SAFETY:") || text.contains("# Safety");
    let above = lines[..line - 1].iter().rev().map(|text| text.trim_start());
    // A statement may begin a few lines above its `unsafe`; a blank line or another statement's end does not.
    let mut code_lines = 0;
    for text in above.clone() {
        if text.starts_with("//") || text.starts_with("#[") {
            if says_why(text) {
                return true;
            }
        } else {
            code_lines += 1;
            if code_lines > 3 || text.is_empty() || text.ends_with([';', '}']) {
                break;
            }
        }
    }
    lines.get(line - 1).is_some_and(|text| says_why(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn other_crates_may_not() {
        let text = "// SAFETY: fine.\nunsafe { f() }\n";
        assert_eq!(found("crates/wire/src/lib.rs", text), 1);
        assert_eq!(found("crates/vswitch/src/lib.rs", text), 0);
        assert_eq!(found("ebpf/src/main.rs", text), 0);
    }

    #[test]
    fn the_reason_stands_above_the_statement() {
        let explained =
            "// SAFETY: the map outlives\n// the program.\nlet a =\n    unsafe { f() };\n";
        assert_eq!(found("ebpf/a.rs", explained), 0);
        assert_eq!(
            found(
                "ebpf/a.rs",
                "/// # Safety\n/// Valid.\n#[inline]\npub unsafe fn f() {}\n"
            ),
            0
        );
        assert_eq!(found("ebpf/a.rs", "unsafe { f() }\n"), 1);
        assert_eq!(
            found(
                "ebpf/a.rs",
                "// SAFETY: x.\nunsafe { f() };\nunsafe { g() };\n"
            ),
            1
        );
        assert_eq!(found("ebpf/a.rs", "// SAFETY: x.\n\nunsafe { g() }\n"), 1);
    }

    #[test]
    fn words_and_attributes_are_no_unsafe_code() {
        assert_eq!(
            found("crates/wire/a.rs", "// unsafe\n#![deny(unsafe_code)]\n"),
            0
        );
        assert_eq!(
            found("ebpf/a.rs", "#[unsafe(no_mangle)]\nstatic A: u8 = 0;\n"),
            0
        );
    }
}
