//! The specification as a page for people: made from the same document, complete in itself, without scripts.

use std::fmt::Write;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::Value;

use super::openapi;
use super::rights::{Right, Scope, TABLE};

/// Nothing is fetched and nothing runs, whatever got into the text.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const STYLE: &str = ":root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
code { font-family: ui-monospace, monospace; font-size: 0.95em; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #8884; }
h3 { margin-top: 2.5rem; border-top: 1px solid #8888; padding-top: 0.5rem; }
nav ul { columns: 18rem; padding-left: 1.2rem; }
:target { outline: 2px solid #48f; outline-offset: 4px; }";

/// The same for readers
#[utoipa::path(get, path = "/docs", tag = "system", responses((status = 200, body = String, content_type = "text/html")))]
pub async fn docs() -> impl IntoResponse {
    // The document was made of plain values: it has a JSON form.
    let document = serde_json::to_value(openapi::document()).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, page(&document))
}

/// The page, in the form that is HTML and XML at once.
fn page(document: &Value) -> String {
    let mut out = String::new();
    let title = text(&document["info"], "title");
    let version = text(&document["info"], "version");
    put(
        &mut out,
        format_args!(
            "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head><meta charset=\"utf-8\" />\
             <meta name=\"viewport\" content=\"width=device-width\" /><title>{title} REST</title>\
             <style>{STYLE}</style></head>\n<body>\n<h1>{title} {version}: REST</h1>\n{}\
             <p>Programs read <a href=\"/openapi.json\">the same as an OpenAPI document</a>.</p>\n",
            described(&document["info"])
        ),
    );
    let tags = document["tags"].as_array().into_iter().flatten();
    let tags: Vec<(&str, &Value)> = tags
        .filter_map(|tag| Some((tag["name"].as_str()?, tag)))
        .collect();
    put(&mut out, format_args!("<nav><ul>\n"));
    for (name, _) in &tags {
        let name = escaped(name);
        put(
            &mut out,
            format_args!("<li><a href=\"#about-{name}\">{name}</a></li>\n"),
        );
    }
    put(
        &mut out,
        format_args!("<li><a href=\"#objects\">objects</a></li>\n</ul></nav>\n"),
    );
    for (name, tag) in tags {
        let shown = escaped(name);
        put(
            &mut out,
            format_args!(
                "<section id=\"about-{shown}\">\n<h2>{shown}</h2>\n{}",
                described(tag)
            ),
        );
        operations(&mut out, document, name);
        put(&mut out, format_args!("</section>\n"));
    }
    put(
        &mut out,
        format_args!("<section id=\"objects\">\n<h2>objects</h2>\n"),
    );
    for (name, schema) in members(&document["components"]["schemas"]) {
        object(&mut out, name, schema);
    }
    put(&mut out, format_args!("</section>\n</body>\n</html>\n"));
    out
}

/// All operations that carry a tag.
fn operations(out: &mut String, document: &Value, tag: &str) {
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let tags = operation["tags"].as_array().into_iter().flatten();
            if tags.into_iter().any(|it| it == tag) {
                one_operation(out, &method.to_uppercase(), path, operation);
            }
        }
    }
}

fn one_operation(out: &mut String, method: &str, path: &str, operation: &Value) {
    put(
        out,
        format_args!(
            "<article id=\"{}\">\n<h3><code>{method} {}</code></h3>\n<p><strong>{}</strong></p>\n{}<p>For {}.</p>\n",
            text(operation, "operationId"),
            escaped(path),
            text(operation, "summary"),
            described(operation),
            who(method, path),
        ),
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows = parameters.map(|parameter| {
        let required = match parameter["required"].as_bool() {
            Some(true) => "required, ",
            _ => "",
        };
        [
            format!("<code>{}</code>", text(parameter, "name")),
            format!(
                "{required}in the {}, {}",
                text(parameter, "in"),
                kind(&parameter["schema"])
            ),
            text(parameter, "description"),
        ]
    });
    table(out, rows);
    if let Some(body) = operation.get("requestBody") {
        put(
            out,
            format_args!(
                "<p>Takes {}. {}</p>\n",
                contents(body),
                text(body, "description")
            ),
        );
    }
    let rows = members(&operation["responses"]).map(|(status, response)| {
        [
            format!("<code>{}</code>", escaped(status)),
            contents(response),
            text(response, "description"),
        ]
    });
    table(out, rows);
    put(out, format_args!("</article>\n"));
}

/// Who may ask for it.
fn who(method: &str, path: &str) -> String {
    let rule = TABLE
        .iter()
        .find(|rule| rule.method == method && rule.path == path);
    let Some(rule) = rule else {
        return "nobody".to_owned();
    };
    let role = match rule.right {
        Right::See => "viewers",
        Right::Operate => "operators",
        Right::Edit => "editors",
        Right::Administer => "admins",
    };
    match rule.scope {
        Scope::Public => "everybody, without a token".to_owned(),
        Scope::Own => format!("{role}; a token of one project sees that project"),
        Scope::Project => format!("{role} of the project"),
        Scope::Network if rule.right == Right::See => {
            "everybody whose token is not for one project".to_owned()
        }
        Scope::Network => "the network team, and admins of the whole deployment".to_owned(),
        Scope::Deployment => format!("{role} of the whole deployment"),
    }
}

/// What a body may be.
fn contents(body: &Value) -> String {
    let kinds = members(&body["content"]).map(|(media, content)| {
        format!(
            "{} as <code>{}</code>",
            kind(&content["schema"]),
            escaped(media)
        )
    });
    let kinds: Vec<String> = kinds.collect();
    if kinds.is_empty() {
        return "nothing".to_owned();
    }
    kinds.join(", or ")
}

fn object(out: &mut String, name: &str, schema: &Value) {
    let shown = escaped(name);
    put(
        out,
        format_args!(
            "<article id=\"object-{shown}\">\n<h3>{shown}</h3>\n{}",
            described(schema)
        ),
    );
    if schema.get("properties").is_none() {
        put(out, format_args!("<p>{}</p>\n", kind(schema)));
    }
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let rows = members(&schema["properties"]).map(|(field, property)| {
        let may_lack = match required.contains(&field) {
            true => "",
            false => ", may be absent",
        };
        [
            format!("<code>{}</code>", escaped(field)),
            format!("{}{may_lack}", kind(property)),
            text(property, "description"),
        ]
    });
    table(out, rows);
    put(out, format_args!("</article>\n"));
}

/// What a schema takes, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#object-{name}\">{name}</a>");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(all) = schema[choice].as_array() {
            let all: Vec<String> = all.iter().map(kind).collect();
            return all.join(if choice == "allOf" { " and " } else { " or " });
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str);
        let values: Vec<String> = values
            .map(|value| format!("<code>{}</code>", escaped(value)))
            .collect();
        return values.join(", ");
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let words = types.into_iter().map(|it| match it {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => {
                format!("object whose values are {}", kind(values))
            }
            _ => fields(schema),
        },
        other => escaped(other),
    });
    let words: Vec<String> = words.collect();
    match words.is_empty() {
        true => "anything".to_owned(),
        false => words.join(" or "),
    }
}

/// An object that has no name of its own.
fn fields(schema: &Value) -> String {
    let fields = members(&schema["properties"]);
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("<code>{}</code>: {}", escaped(name), kind(value)))
        .collect();
    match fields.is_empty() {
        true => "object".to_owned(),
        false => format!("object with {}", fields.join(", ")),
    }
}

fn table(out: &mut String, rows: impl Iterator<Item = [String; 3]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    put(out, format_args!("<table>\n"));
    for [first, second, third] in rows {
        put(
            out,
            format_args!(
                "<tr><th scope=\"row\">{first}</th><td>{second}</td><td>{third}</td></tr>\n"
            ),
        );
    }
    put(out, format_args!("</table>\n"));
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

/// A description as paragraphs.
fn described(value: &Value) -> String {
    let text = value["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").filter(|it| !it.trim().is_empty());
    paragraphs
        .map(|it| format!("<p>{}</p>\n", marked(it)))
        .collect()
}

/// A member that is text, for people.
fn text(value: &Value, member: &str) -> String {
    marked(value[member].as_str().unwrap_or_default())
}

/// Text with what stands in backticks as code.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(index, part)| match index % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
