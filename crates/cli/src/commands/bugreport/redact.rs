//! Taking secrets out of texts: tokens, private keys, passwords, by their form and by what they are called. Whatever goes
//! into a bug report passes here, wherever it comes from.
//!
//! It is a second lock. The first is that files which hold secrets are not read at all.

use serde_json::Value;

/// What stands where a secret was.
pub const REMOVED: &str = "[removed]";

/// Tokens of Coax and keys of backups, by what they begin with.
const TOKENS: [&str; 3] = ["coax-token-", "coax-join-", "age-secret-key-"];

/// What secrets are called, in lower case.
const NAMES: [&str; 17] = [
    "password",
    "passphrase",
    "passwd",
    "secret",
    "token",
    "authorization",
    "credential",
    "private_key",
    "private-key",
    "privatekey",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "pwd",
    "psk",
];

/// The text without secrets.
pub fn redact(text: &str) -> String {
    let text = keys(text);
    let text = tokens(&text);
    let text = bearers(&text);
    let text = in_addresses(&text);
    let mut clean = String::with_capacity(text.len());
    // How far a line is indented whose secret is in the lines below.
    let mut above: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indented = line.len() - line.trim_start_matches(' ').len();
        if above.is_some_and(|above| indented > above || line.trim().is_empty()) {
            continue;
        }
        let (line, is_below) = named(line);
        clean.push_str(&line);
        above = is_below.then_some(indented);
    }
    clean
}

/// Without private keys in PEM, also where JSON writes line ends as `\n`.
fn keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(BEGIN) {
        let (before, block) = rest.split_at(place);
        clean.push_str(before);
        let label = block[BEGIN.len()..].split("-----").next().unwrap_or("");
        if !label.contains("PRIVATE KEY") {
            clean.push_str(BEGIN);
            rest = &block[BEGIN.len()..];
            continue;
        }
        clean.push_str(REMOVED);
        let end = format!("-----END {label}-----");
        // One without an end goes to the end of the text.
        rest = block
            .find(&end)
            .map_or("", |place| &block[place + end.len()..]);
    }
    clean + rest
}

/// A value of JSON without secrets: texts as [`redact`] does it, and whatever texts are called like a secret.
pub fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text),
        // A key, line by line.
        Value::Array(items) if items.iter().any(begins_key) => items.iter_mut().for_each(remove),
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.to_ascii_lowercase();
                let is_secret = match field {
                    Value::String(_) | Value::Array(_) => NAMES.iter().any(|it| key.contains(it)),
                    // A number of something is told apart from a number that is a password.
                    Value::Number(_) => NAMES.contains(&key.as_str()),
                    _ => false,
                };
                match is_secret {
                    true => remove(field),
                    false => redact_json(field),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text in which a private key begins that ends in another one.
fn begins_key(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.contains("-----BEGIN ") && text.contains("PRIVATE KEY") && !text.contains("-----END ")
}

/// Takes all texts and numbers out of a value.
fn remove(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove),
        Value::Object(_) => redact_json(value),
        Value::String(_) | Value::Number(_) => *value = Value::from(REMOVED),
        Value::Null | Value::Bool(_) => {}
    }
}

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '/' | '=')
}

/// Without what follows `start`, as long as its characters are those of tokens.
fn without(text: &str, start: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    // Lower case has as many bytes: only ASCII is made lower.
    while let Some(place) = rest.to_ascii_lowercase().find(start) {
        let after = &rest[place + start.len()..];
        // `Bearer` is a word: what it announces stands behind any space.
        let found = match start.ends_with([' ', '\t']) {
            true => after.trim_start(),
            false => after,
        };
        let (before, found) = rest.split_at(rest.len() - found.len());
        clean.push_str(before);
        let end = found
            .find(|c| !is_token_character(c))
            .unwrap_or(found.len());
        if end > 0 {
            clean.push_str(REMOVED);
        }
        rest = &found[end..];
    }
    clean + rest
}

fn tokens(text: &str) -> String {
    TOKENS
        .iter()
        .fold(text.to_owned(), |text, start| without(&text, start))
}

fn bearers(text: &str) -> String {
    ["bearer ", "bearer\t", "basic ", "basic\t"]
        .iter()
        .fold(text.to_owned(), |text, start| without(&text, start))
}

/// Without `user:password` in `scheme://user:password@host`.
fn in_addresses(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("://") {
        let (before, after) = rest.split_at(place + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',' | '>' | '<'))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                clean.push_str(REMOVED);
                &after[at..]
            }
            None => after,
        };
    }
    clean + rest
}

/// A line without the values of what is called like a secret: `password: x`, `"token":"x"`, `--secret x`. And whether the value
/// is in the lines below.
fn named(line: &str) -> (String, bool) {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    let mut is_below = false;
    loop {
        let lower = rest.to_ascii_lowercase();
        let found = NAMES.iter().filter_map(|name| {
            let place = lower.find(name)?;
            Some((place, place + name.len()))
        });
        let Some((_, end)) = found.min() else {
            return (clean + rest, is_below);
        };
        let (before, after) = rest.split_at(end);
        clean.push_str(before);
        let word = clean.rsplit(char::is_whitespace).next();
        let is_flag = word.is_some_and(|word| word.starts_with("--"));
        let value = value(after, is_flag);
        clean.push_str(&value.kept);
        is_below |= value.is_below;
        rest = value.rest;
    }
}

/// What follows the name of a secret.
struct Followed<'a> {
    /// What is kept of it.
    kept: String,
    /// What follows the value.
    rest: &'a str,
    /// The value is in the lines below (YAML 1.2, section 8).
    is_below: bool,
}

fn value(after: &str, is_flag: bool) -> Followed<'_> {
    let name = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        .unwrap_or(after.len());
    let separator = after[name..].trim_start_matches(['\\', '"', '\'', ' ', '\t']);
    let value = match separator.strip_prefix([':', '=']) {
        Some(value) => value.trim_start_matches([' ', '\t']),
        None if is_flag && after[name..].starts_with([' ', '\t']) => separator,
        None => {
            return Followed {
                kept: after[..name].to_owned(),
                rest: &after[name..],
                is_below: false,
            };
        }
    };
    let kept = &after[..after.len() - value.len()];
    match value.chars().next() {
        // Tables and lists have names of their own inside.
        None | Some('{' | '[' | '\n') => Followed {
            kept: kept.to_owned(),
            rest: value,
            is_below: !value.starts_with(['{', '[']),
        },
        Some(quote @ ('"' | '\'')) => Followed {
            kept: format!("{kept}{quote}{REMOVED}{quote}"),
            rest: &value[quoted_length(value, quote)..],
            is_below: false,
        },
        // It may have spaces, so it ends with its line.
        Some(first) => Followed {
            kept: format!("{kept}{REMOVED}"),
            rest: value.find('\n').map_or("", |end| &value[end..]),
            is_below: matches!(first, '|' | '>'),
        },
    }
}

/// How long a text in quotes is, with them.
fn quoted_length(value: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, c) in value.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return place + 1,
            _ => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----";

    #[test]
    fn secrets_are_gone_by_form() {
        for (text, clean) in [
            (format!("a\n{KEY}\nb"), "a\n[removed]\nb"),
            (
                format!("key: '{}'", KEY.replace('\n', "\\n")),
                "key: '[removed]'",
            ),
            (
                "cut -----BEGIN EC PRIVATE KEY-----\nMIG".to_owned(),
                "cut [removed]",
            ),
            (
                "join coax-join-AbC_d-9 now".to_owned(),
                "join coax-join-[removed] now",
            ),
            (
                "coax init --join coax-join-controller-AbC_d-9 now".to_owned(),
                "coax init --join coax-join-[removed] now",
            ),
            (
                "COAX_TOKEN=coax-token-AAAA".to_owned(),
                "COAX_TOKEN=[removed]",
            ),
            (
                "authorization: Bearer abc.def==".to_owned(),
                "authorization: [removed]",
            ),
            (
                "said Bearer abc.def==!".to_owned(),
                "said Bearer [removed]!",
            ),
            (
                "etcd: https://root:hunter2@10.0.0.1:2379/x".to_owned(),
                "etcd: https://[removed]@10.0.0.1:2379/x",
            ),
        ] {
            assert_eq!(redact(&text), clean, "{text}");
        }
    }

    #[test]
    fn secrets_are_gone_by_name() {
        for (text, clean) in [
            ("password: hunter2 # mine", "password: [removed]"),
            (
                "passphrase: correct horse, battery\nb: c",
                "passphrase: [removed]\nb: c",
            ),
            (
                "  password: |\n    hunter2\n\n    more\n  b: c",
                "  password: [removed]\n  b: c",
            ),
            ("secret:\n  hunter2\nb: c", "secret:\nb: c"),
            (
                r#"body="{\"password\":\"hunter2\"}""#,
                r#"body="{\"password\":[removed]"#,
            ),
            (
                "coax backup --passphrase hunter2 x",
                "coax backup --passphrase [removed]",
            ),
            ("said Bearer \t abc.def==!", "said Bearer \t [removed]!"),
            ("AGE-SECRET-KEY-1QQQ", "AGE-SECRET-KEY-[removed]"),
            ("x-api-key=abc; psk = def", "x-api-key=[removed]"),
            (
                r#"{"Passphrase" : "hun\"ter", "a": 1}"#,
                r#"{"Passphrase" : "[removed]", "a": 1}"#,
            ),
            ("x --client-secret=hunter2 y", "x --client-secret=[removed]"),
            (
                r#"{"secrets":{"a":"b"},"token_id":7}"#,
                r#"{"secrets":{"a":"b"},"token_id":[removed]"#,
            ),
        ] {
            assert_eq!(redact(text), clean, "{text}");
        }
    }

    #[test]
    fn json_stays_json() {
        let mut value = serde_json::json!({
            "token": "abc", "count_of_tokens": 7, "said": ["Bearer abc.def", KEY],
            "secrets": { "a": null, "name": "web" }, "password": 12345, "tokens": ["abc", ["def"]],
            "lines": ["-----BEGIN EC PRIVATE KEY-----", "MIG", "-----END EC PRIVATE KEY-----"],
        });
        redact_json(&mut value);
        let clean = serde_json::json!({
            "token": "[removed]", "count_of_tokens": 7, "said": ["Bearer [removed]", "[removed]"],
            "secrets": { "a": null, "name": "web" }, "password": "[removed]",
            "tokens": ["[removed]", ["[removed]"]], "lines": ["[removed]", "[removed]", "[removed]"],
        });
        assert_eq!(value, clean);
    }

    #[test]
    fn all_else_stays() {
        for text in [
            "networks:\n  web: { subnets: [10.10.1.0/24] }\n",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "see https://example.org/tokens, `coax token list` shows tokens\n",
            "the secret of it is that it works\n",
            "http://[fd00::1]:80/ and päßwörter\n",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
