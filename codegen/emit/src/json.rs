//! Edits of JSON text by whole members: what stays keeps its bytes, its order and its escapes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What becomes of a member.
pub(crate) enum Edit {
    Keep,
    Cut,
    /// It gets this value.
    Replace(String),
}

/// `object` with its members as `edit` has them by decoded key and raw value; unchanged, to the byte, if it keeps all.
pub(crate) fn edited(object: &str, edit: impl Fn(&str, &str) -> Edit) -> Result<Cow<'_, str>, serde_json::Error> {
    let Members(members) = serde_json::from_str(object)?;
    let (mut edited, mut left) = (false, Vec::with_capacity(members.len()));
    for (key, value) in &members {
        let name: String = serde_json::from_str(key.get())?;
        let edit = edit(&name, value.get());
        edited |= !matches!(edit, Edit::Keep);
        match edit {
            Edit::Keep => left.push(format!("{}:{}", key.get(), value.get())),
            Edit::Cut => {}
            Edit::Replace(value) => left.push(format!("{}:{value}", key.get())),
        }
    }
    Ok(if edited { Cow::Owned(format!("{{{}}}", left.join(","))) } else { Cow::Borrowed(object) })
}

/// Where the text of a member stands that is a string, between its quotes.
pub(crate) fn string_of(object: &str, key: &str) -> Option<Range<usize>> {
    let Members(members) = serde_json::from_str(object).ok()?;
    let is_key = |name: &RawValue| serde_json::from_str(name.get()).is_ok_and(|name: String| name == key);
    let (_, value) = members.iter().find(|(name, _)| is_key(name))?;
    let text = value.get().strip_prefix('"')?.strip_suffix('"')?;
    // The value was borrowed from the object: it lies in it.
    let start = text.as_ptr().addr() - object.as_ptr().addr();
    Some(start..start + text.len())
}

/// `text` as a JSON string, with its quotes.
pub(crate) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The members of one object in the order they stand there, keys and values as written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

// === impl Members ===

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(object: &str, cut: impl Fn(&str) -> bool) -> Result<Cow<'_, str>, serde_json::Error> {
        edited(object, |key, _| if cut(key) { Edit::Cut } else { Edit::Keep })
    }

    #[test]
    fn a_member_gets_another_value_where_it_stands() {
        let replace = |key: &str, value: &str| match key {
            "a" => Edit::Replace(format!("[{value}]")),
            _ => Edit::Keep,
        };
        assert_eq!(
            edited(r#"{"b":1.0,"\u0061": 2 ,"c":{"a":1}}"#, replace).unwrap(),
            r#"{"b":1.0,"\u0061":[2],"c":{"a":1}}"#
        );
    }

    #[test]
    fn a_member_is_cut_by_its_decoded_name_and_the_rest_keeps_its_bytes() {
        let check = |object, expect| assert_eq!(without(object, |key| key == "cut").unwrap(), expect);
        check(r#"{"b":1.0,"cut":{"x":[1,2]},"a":"\u00e9"}"#, r#"{"b":1.0,"a":"\u00e9"}"#);
        check(r#"{"cut":1,"b": { "k" : 1E2 } }"#, r#"{"b":{ "k" : 1E2 }}"#);
        check(r#"{"b":12345678901234567890123,"\u0063ut":null}"#, r#"{"b":12345678901234567890123}"#);
        check(r#"{"cut":1,"cut":2}"#, "{}");
        check(r#"{"a":{"cut":1}}"#, r#"{"a":{"cut":1}}"#);
    }

    #[test]
    fn an_object_that_keeps_every_member_is_not_touched() {
        let object = "{ \"b\" : 1.0,\"a\":\t2 }";
        assert!(matches!(without(object, |_| false), Ok(Cow::Borrowed(same)) if same == object));
    }

    #[test]
    fn the_text_of_a_member_is_found_where_it_stands() {
        let found = |object: &str| string_of(object, "name").map(|range| object[range].to_owned());
        assert_eq!(found(r#"{"x":{"name":"inner"},"name" : "a__b" }"#).as_deref(), Some("a__b"));
        assert_eq!(found(r#"{"name":"a\u005fb"}"#).as_deref(), Some(r"a\u005fb"));
        assert_eq!(found(r#"{"name":1}"#), None);
        assert_eq!(found(r#"{"title":"a"}"#), None);
    }

    #[test]
    fn text_that_is_no_object_is_refused() {
        for text in ["", "[]", "[\"a\",1]", "null", "{\"a\":1", "{\"a\":1}{}", "1"] {
            assert!(without(text, |_| false).is_err(), "{text}");
        }
    }
}
