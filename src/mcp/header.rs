//! Values of `Mcp-Name` and `Mcp-Param-*`: plain where they can be, `=?base64?…?=` where they cannot (MCP 2026-07-28,
//! streamable HTTP, header encoding).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &[u8] = b"=?base64?";
const SUFFIX: &[u8] = b"?=";

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

fn is_plain(value: &[u8]) -> bool {
    let edges = value.first().zip(value.last());
    edges.is_none_or(|(first, last)| *first != b' ' && *last != b' ')
        && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
