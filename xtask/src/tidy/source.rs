//! A Rust file with its comments and literals blanked out, so that checks see only code.
//!
//! The blanked text has the same length and the same lines as the original. This is a lexer of
//! sixty lines instead of a parser, because xtask is the first thing a stranger compiles.

/// A Rust file.
pub struct Source {
    /// Its path from the top of the repository.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Its text with comments and the contents of literals replaced by spaces.
    pub code: String,
}

impl Source {
    /// Reads a file's text.
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    /// How many lines it has.
    pub fn length(&self) -> usize {
        self.text.lines().count()
    }

    /// The line, counted from 1, of a byte of `code`.
    pub fn line_of(&self, offset: usize) -> usize {
        1 + self
            .code
            .bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
    }

    /// Where this word stands in the code.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.code.as_bytes();
        self.code
            .match_indices(word)
            .map(|(offset, _)| offset)
            .filter(move |&offset| {
                let before = offset.checked_sub(1).and_then(|index| bytes.get(index));
                let after = bytes.get(offset + word.len());
                ![before, after]
                    .into_iter()
                    .flatten()
                    .any(|&byte| is_word(byte))
            })
    }
}

/// Whether this byte can be part of a name.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment_end(bytes, at);
        if let Some(end) = end {
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end.unwrap_or(at + 1);
    }
    // Whole literals and comments became spaces, so what is left is the UTF-8 it was.
    String::from_utf8(code).unwrap_or_default()
}

/// Where the comment or literal that starts here ends, if one does.
fn literal_or_comment_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest[0] {
        b'/' if rest.starts_with(b"//") => Some(at + find(rest, b"\n").unwrap_or(rest.len())),
        b'/' if rest.starts_with(b"/*") => Some(at + block_comment(rest)),
        b'"' => Some(at + string(rest)),
        b'r' if at == 0 || !is_prefix_of_name(bytes, at) => {
            raw_string(rest).map(|length| at + length)
        }
        b'\'' => character(rest).map(|length| at + length),
        _ => None,
    }
}

/// Whether the `r` here ends a longer name; `br"` and `cr"` are raw strings too.
fn is_prefix_of_name(bytes: &[u8], at: usize) -> bool {
    let before = bytes[at - 1];
    let alone = at < 2 || !is_word(bytes[at - 2]);
    is_word(before) && !(matches!(before, b'b' | b'c') && alone)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let start = 2 + hashes;
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    Some(find(&rest[start..], &close).map_or(rest.len(), |length| start + length + close.len()))
}

/// A character literal's length; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return find(rest.get(3..)?, b"'").map(|length| 3 + length + 1);
    }
    let text = std::str::from_utf8(rest.get(1..rest.len().min(6))?);
    let valid = match &text {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).ok()?,
    };
    let length = valid.chars().next()?.len_utf8();
    (rest.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let code = Source::new("a.rs", text).code;
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        code
    }

    /// What is left, without the blanks.
    fn left(text: &str) -> String {
        code(text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blank() {
        assert_eq!(left("a // b { }\nc"), "a c");
        assert_eq!(left("a /* x /* y\n */ { */ b"), "a b");
        assert_eq!(left(r#"f("{ \" }", 1)"#), "f( , 1)");
        assert_eq!(left("let x = r#\"\"{\"#;"), "let x = ;");
        assert_eq!(left("br\"{\\\" + var\"{\" + 1"), "b + var + 1");
        assert_eq!(left("a '{' '\\'' '\\u{7b}' 'é' b"), "a b");
    }

    #[test]
    fn lifetimes_and_raw_names_stay() {
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(code("let r#fn = r;"), "let r#fn = r;");
    }

    #[test]
    fn unfinished_text_does_not_panic() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'", "'\\", "b'", "\"\\"] {
            assert_eq!(code(text).len(), text.len());
        }
    }

    #[test]
    fn words_are_whole_words_of_code() {
        let source = Source::new("a.rs", "unsafe fn x() { not_unsafe(\"unsafe\") } // unsafe");
        assert_eq!(source.words("unsafe").collect::<Vec<_>>(), [0]);
        let source = Source::new("a.rs", "a\nb\nunsafe");
        assert_eq!(
            source
                .words("unsafe")
                .map(|at| source.line_of(at))
                .collect::<Vec<_>>(),
            [3]
        );
    }
}
