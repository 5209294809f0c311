//! Queries in paths, RFC 3986 section 3.4.

use serde::Serialize;

/// A path with what `params` gives as its query; what is not given is left out.
pub(super) fn path(of: &str, params: &impl Serialize) -> String {
    // Parameters are plain values: they have a JSON form.
    let fields = serde_json::to_value(params).unwrap_or_default();
    let given = fields.as_object().into_iter().flatten();
    let given = given.map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", encoded(&text))
    });
    let given: Vec<String> = given.collect();
    match given.is_empty() {
        true => of.to_owned(),
        false => format!("{of}?{}", given.join("&")),
    }
}

/// Text as the value of a parameter.
pub(super) fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:!,".contains(&byte);
    let bytes = value.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::FlowParams;

    #[test]
    fn a_query_holds_what_is_given_and_hides_what_would_end_it() {
        let params = FlowParams {
            from: Some("!network/shop/web,fd00::/64".into()),
            rule: Some("a&b".into()),
            last: Some(5),
            follow: true,
            ..FlowParams::default()
        };
        assert_eq!(
            path("/v1/flows", &params),
            "/v1/flows?follow=true&from=!network/shop/web,fd00::/64&last=5&rule=a%26b"
        );
        assert_eq!(path("/v1/flows", &FlowParams::default()), "/v1/flows");
        assert_eq!(encoded("a-Z.0_~"), "a-Z.0_~");
        assert_eq!(encoded("für A & B?"), "f%C3%BCr%20A%20%26%20B%3F");
    }
}
