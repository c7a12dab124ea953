//! The value at the end of a path of keys, inside a part of a message that was scanned before. Which part that is, and
//! what the message means, stands in [`super::envelope`].

use super::json::{Cursor, Fault, Kind, Span, Value};

/// A key on the way stands twice, or what it leads to holds half a surrogate pair: readers may not agree on the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value is ambiguous")]
pub struct Ambiguous;

/// The value that keys lead to, each inside of what the one before has led to; `None` where one is not there, or not in
/// an object.
///
/// # Errors
/// See [`Ambiguous`].
pub fn find(source: &[u8], object: Value, path: &[impl AsRef<str>]) -> Result<Option<Value>, Ambiguous> {
    let mut found = object;
    for key in path {
        match member(source, found, key.as_ref().as_bytes())? {
            Some(value) => found = value,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

fn member(source: &[u8], object: Value, key: &[u8]) -> Result<Option<Value>, Ambiguous> {
    if object.kind != Kind::Object {
        return Ok(None);
    }
    let Some(mut cursor) = Cursor::new(object.span.of(source)) else { return Ok(None) };
    let mut members = cursor.open()?;
    let mut found = None;
    while members.next(&mut cursor)? {
        // What is no text is no key of a schema.
        let same = match members.escaped {
            true => members.decoded_key(&cursor).is_ok_and(|decoded| decoded.as_bytes() == key),
            false => members.key == key,
        };
        if !same {
            cursor.value()?;
        } else if found.replace(cursor.decided()?).is_some() {
            return Err(Ambiguous);
        }
    }
    let start = object.span.start;
    let within = |span: Span| Span { start: start + span.start, end: start + span.end };
    Ok(found.map(|value| Value { span: within(value.span), ..value }))
}

impl From<Fault> for Ambiguous {
    /// The whole was scanned before: all that is left to go wrong is a surrogate.
    fn from(_: Fault) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope;

    /// What `path` leads to in `params.arguments`.
    fn found(arguments: &str, path: &[&str]) -> Result<Option<String>, Ambiguous> {
        let source = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"arguments":{arguments}}}}}"#);
        let message = envelope::incoming(source.as_bytes()).expect("a message");
        let value = find(source.as_bytes(), message.arguments.expect("arguments"), path)?;
        Ok(value.map(|value| String::from_utf8_lossy(value.span.of(source.as_bytes())).into_owned()))
    }

    #[test]
    fn a_path_leads_through_objects_to_a_value_as_written() {
        for (arguments, path, expected) in [
            (r#"{"a":1}"#, &["a"][..], Some("1")),
            (r#"{ "b" : {"a":0} , "a" : 1.50 }"#, &["a"], Some("1.50")),
            (r#"{"x":[{"a":2}],"a":{"b":{"c":"d e"}}}"#, &["a", "b", "c"], Some(r#""d e""#)),
            (r#"{"\u0061":true}"#, &["a"], Some("true")),
            (r#"{"é":null}"#, &["é"], Some("null")),
            (r#"{"a":{"b":1}}"#, &["a"], Some(r#"{"b":1}"#)),
            (r#"{"a":"\u00e9"}"#, &["a"], Some(r#""\u00e9""#)),
            (r#"{"\ud800":1,"a":2}"#, &["a"], Some("2")),
            (r#"{"a":1}"#, &["b"], None),
            (r#"{"a":{"b":1}}"#, &["b"], None),
            (r#"{"a":[{"b":1}]}"#, &["a", "b"], None),
            (r#"{"a":"b"}"#, &["a", "b"], None),
            ("{}", &["a"], None),
            ("null", &["a"], None),
        ] {
            assert_eq!(found(arguments, path), Ok(expected.map(str::to_owned)), "{arguments} {path:?}");
        }
    }

    #[test]
    fn what_readers_may_not_agree_on_is_no_value() {
        for (arguments, path) in [
            (r#"{"a":1,"a":1}"#, &["a"][..]),
            (r#"{"a":1,"\u0061":2}"#, &["a"]),
            (r#"{"a":{"b":1},"a":{}}"#, &["a", "b"]),
            (r#"{"a":"\ud800"}"#, &["a"]),
        ] {
            assert_eq!(found(arguments, path), Err(Ambiguous), "{arguments}");
        }
        assert_eq!(found(r#"{"a":1,"a":1,"b":2}"#, &["b"]), Ok(Some("2".to_owned())));
    }
}
