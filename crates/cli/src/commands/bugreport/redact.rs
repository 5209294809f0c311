//! Taking secrets out of texts: tokens, private keys, passwords, by their form and by what they are called. Whatever goes
//! into a bug report passes here, wherever it comes from.
//!
//! It is a second lock. The first is that files which hold secrets are not read at all.

use serde_json::Value;

/// What stands where a secret was.
pub const REMOVED: &str = "[removed]";

/// Tokens of Coax, by what they begin with.
const TOKENS: [&str; 2] = ["coax-token-", "coax-join-"];

/// What secrets are called, in lower case.
const NAMES: [&str; 10] = [
    "password",
    "passphrase",
    "passwd",
    "secret",
    "token",
    "authorization",
    "credential",
    "private_key",
    "private-key",
    "api_key",
];

/// The text without secrets.
pub fn redact(text: &str) -> String {
    let text = keys(text);
    let text = tokens(&text);
    let text = bearers(&text);
    let text = in_addresses(&text);
    let lines = text.split_inclusive('\n').map(named);
    lines.collect()
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

/// A value of JSON without secrets: texts as [`redact`] does it, and whatever text is called like a secret.
pub fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text),
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.to_ascii_lowercase();
                match field {
                    Value::String(text) if NAMES.iter().any(|name| key.contains(name)) => {
                        REMOVED.clone_into(text);
                    }
                    field => redact_json(field),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
        let (before, found) = rest.split_at(place + start.len());
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
    let text = without(text, TOKENS[0]);
    without(&text, TOKENS[1])
}

fn bearers(text: &str) -> String {
    without(&without(text, "bearer "), "basic ")
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

/// A line without the values of what is called like a secret: `password: x`, `"token":"x"`, `--secret=x`.
fn named(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    loop {
        let lower = rest.to_ascii_lowercase();
        let found = NAMES.iter().filter_map(|name| {
            let place = lower.find(name)?;
            Some((place, place + name.len()))
        });
        let Some((_, end)) = found.min() else {
            return clean + rest;
        };
        let (before, after) = rest.split_at(end);
        clean.push_str(before);
        let (kept, after) = value(after);
        clean.push_str(&kept);
        rest = after;
    }
}

/// What follows a name: what is kept of it, and the rest of the line.
fn value(after: &str) -> (String, &str) {
    let name = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        .unwrap_or(after.len());
    let quoted = after[name..].trim_start_matches(['"', '\'', ' ']);
    if !quoted.starts_with([':', '=']) {
        return (after[..name].to_owned(), &after[name..]);
    }
    let value = quoted[1..].trim_start_matches(' ');
    let start = after.len() - value.len();
    let length = match value.chars().next() {
        // Tables and lists have names of their own inside.
        None | Some('{' | '[' | '\n') => return (after[..start].to_owned(), value),
        Some(quote @ ('"' | '\'')) => {
            let rest = &value[quoted_length(value, quote)..];
            return (format!("{}{quote}{REMOVED}{quote}", &after[..start]), rest);
        }
        Some(_) => {
            let end = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']');
            let end = value.find(end).unwrap_or(value.len());
            // What was taken out for its form ends with its bracket.
            let bracket = value[end..].starts_with(']') && value[..end].ends_with("[removed");
            end + usize::from(bracket)
        }
    };
    let kept = format!("{}{REMOVED}", &after[..start]);
    (kept, &value[length..])
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
    fn secrets_are_gone_by_form_and_by_name() {
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
                "COAX_TOKEN=coax-token-AAAA".to_owned(),
                "COAX_TOKEN=[removed]",
            ),
            (
                "authorization: Bearer abc.def==".to_owned(),
                "authorization: [removed] [removed]",
            ),
            (
                "said Bearer abc.def==!".to_owned(),
                "said Bearer [removed]!",
            ),
            (
                "etcd: https://root:hunter2@10.0.0.1:2379/x".to_owned(),
                "etcd: https://[removed]@10.0.0.1:2379/x",
            ),
            (
                "password: hunter2 # mine".to_owned(),
                "password: [removed] # mine",
            ),
            (
                r#"{"Passphrase" : "hun\"ter", "a": 1}"#.to_owned(),
                r#"{"Passphrase" : "[removed]", "a": 1}"#,
            ),
            (
                "x --client-secret=hunter2 y".to_owned(),
                "x --client-secret=[removed] y",
            ),
            (
                r#"{"secrets":{"a":"b"},"token_id":7}"#.to_owned(),
                r#"{"secrets":{"a":"b"},"token_id":[removed]}"#,
            ),
        ] {
            assert_eq!(redact(&text), clean, "{text}");
        }
    }

    #[test]
    fn json_stays_json() {
        let mut value = serde_json::json!({
            "token": "abc", "count_of_tokens": 7, "said": ["Bearer abc.def", KEY],
            "secrets": { "a": null, "name": "web" },
        });
        redact_json(&mut value);
        let clean = serde_json::json!({
            "token": "[removed]", "count_of_tokens": 7, "said": ["Bearer [removed]", "[removed]"],
            "secrets": { "a": null, "name": "web" },
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
