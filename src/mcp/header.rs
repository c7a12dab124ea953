//! Values of `Mcp-Name` and `Mcp-Param-*`: plain where they can be, `=?base64?…?=` where they cannot (MCP 2026-07-28,
//! streamable HTTP, header encoding).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use only1mcp_model::plan::ParamHeader;

use super::json::{Kind, Value};
use super::path;

const PARAM: &[u8] = b"mcp-param-";
const PREFIX: &[u8] = b"=?base64?";
const SUFFIX: &[u8] = b"?=";
/// Up to here, 2^53, a real number is exactly one integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends `value` as a field value.
pub fn encode(value: &str, out: &mut Vec<u8>) {
    if is_plain(value.as_bytes()) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(STANDARD.encode(value).as_bytes());
    out.extend_from_slice(SUFFIX);
}

/// The value that a field value stands for; `None` when it is malformed. The marker is case-sensitive and decoded once.
#[must_use]
pub fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    match value.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
        None if value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) => {
            std::str::from_utf8(value).ok().map(Cow::Borrowed)
        }
        None => None,
    }
}

/// Whether a field of this name is `Mcp-Param-` with `header` behind it.
#[must_use]
pub fn is_param(name: &str, header: &str) -> bool {
    let behind = name.as_bytes().split_at_checked(PARAM.len());
    behind.is_some_and(|(prefix, rest)| {
        prefix.eq_ignore_ascii_case(PARAM) && rest.eq_ignore_ascii_case(header.as_bytes())
    })
}

/// Whether a field of this name is any `Mcp-Param-*`.
#[must_use]
pub fn is_any_param(name: &str) -> bool {
    name.as_bytes().get(..PARAM.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(PARAM))
}

/// What a field says of an argument, before it is encoded. `None` of one that has none: `null`, and what is no single
/// value.
#[must_use]
pub fn argument(source: &[u8], value: Value) -> Option<Cow<'_, str>> {
    match value.kind {
        Kind::String => value.text().map(|text| text.decode(source)),
        Kind::Number => std::str::from_utf8(value.span.of(source)).ok().map(decimal),
        Kind::Bool => std::str::from_utf8(value.span.of(source)).ok().map(Cow::Borrowed),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

/// The arguments of a call that a tool wants to see as fields: what stands behind `Mcp-Param-`, and the value. One that is
/// ambiguous is left out.
pub fn arguments<'a>(
    wanted: &'a [ParamHeader],
    source: &'a [u8],
    arguments: Option<Value>,
) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
    wanted.iter().filter_map(move |wanted| {
        let found = path::find(source, arguments?, &wanted.path).ok()?;
        Some((&*wanted.header, argument(source, found?)?))
    })
}

/// Whether a decoded field says what the argument is. Numbers are compared as such: `42.0` is 42.
#[must_use]
pub fn says(decoded: &str, source: &[u8], value: Value) -> bool {
    let decoded = if value.kind == Kind::Number { decimal(decoded) } else { Cow::Borrowed(decoded) };
    argument(source, value).is_some_and(|argument| argument == decoded)
}

/// An integer as its digits, however it was written; every other number as it was.
fn decimal(number: &str) -> Cow<'_, str> {
    if number.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        let exact = number.parse::<f64>().ok().filter(|real| real.fract() == 0.0 && real.abs() <= EXACT_MAX);
        let digits = number.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        return exact.filter(|_| digits).map_or(Cow::Borrowed(number), |real| Cow::Owned((real as i64).to_string()));
    }
    let whole = match number.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => number,
    };
    Cow::Borrowed(if whole == "-0" { "0" } else { whole })
}

fn is_plain(value: &[u8]) -> bool {
    let edges = value.first().zip(value.last());
    edges.is_none_or(|(first, last)| *first != b' ' && *last != b' ')
        && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for value in
            ["", "a", "math__add", " edge", "edge ", "naïve", "日本", "a\nb", "=?base64?YQ==?=", "\u{0}", "a b"]
        {
            let mut encoded = Vec::new();
            encode(value, &mut encoded);
            assert!(encoded.iter().all(|byte| matches!(byte, b' '..=b'~')), "{value:?}");
            assert_eq!(decode(&encoded).as_deref(), Some(value), "{encoded:?}");
        }
    }

    #[test]
    fn a_field_value_has_one_reading() {
        for (value, expected) in [
            ("plain", Some("plain")),
            ("=?base64?YWJj?=", Some("abc")),
            ("=?BASE64?YWJj?=", Some("=?BASE64?YWJj?=")),
            ("=?base64?YWJ?=", None),
            ("=?base64?YW=j?=", None),
            ("=?base64?YR==?=", None),
            ("=?base64?Y===?=", None),
            ("=?base64?/w==?=", None),
            ("=?base64?YQ==YQ==?=", None),
            ("na\u{ef}ve", None),
        ] {
            assert_eq!(decode(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }

    /// The value in a message.
    fn value(text: &str) -> (String, Value) {
        let source = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"name":{text}}}}}"#);
        let message = envelope::incoming(source.as_bytes()).expect("a message");
        let value = message.name.expect("it is there");
        (source, value)
    }

    #[test]
    fn an_argument_has_a_field_unless_it_is_no_single_value() {
        for (text, expected) in [
            (r#""eu""#, Some("eu")),
            (r#""a\u00e9\n""#, Some("aé\n")),
            (r#""""#, Some("")),
            ("42", Some("42")),
            ("-0", Some("0")),
            ("42.00", Some("42")),
            ("4.2e1", Some("42")),
            ("-1E3", Some("-1000")),
            ("9007199254740993", Some("9007199254740993")),
            ("9007199254740993.0", Some("9007199254740993")),
            ("1e400", Some("1e400")),
            ("0.5", Some("0.5")),
            ("true", Some("true")),
            ("false", Some("false")),
            ("null", None),
            ("[1]", None),
            (r#"{"a":1}"#, None),
        ] {
            let (source, value) = value(text);
            assert_eq!(argument(source.as_bytes(), value).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_field_says_what_an_argument_is_in_one_way_but_for_numbers() {
        for (field, text, expected) in [
            ("eu", r#""eu""#, true),
            ("EU", r#""eu""#, false),
            ("eu", r#""e\u0075""#, true),
            ("42", "42", true),
            ("42.0", "42", true),
            ("42", "42.0", true),
            ("4.2e1", "42", true),
            ("43", "42", false),
            ("042", "42", false),
            ("+42", "42", false),
            ("42.", "42", false),
            ("", "0", false),
            ("9007199254740992", "9007199254740993", false),
            ("42.0", r#""42""#, false),
            ("true", "true", true),
            ("1", "true", false),
            ("True", "true", false),
            ("", "null", false),
            ("null", "null", false),
            ("[1]", "[1]", false),
        ] {
            let (source, value) = value(text);
            assert_eq!(says(field, source.as_bytes(), value), expected, "{field} {text}");
        }
    }
}
