//! The digest of a piece of JSON, in which the members of an object may stand in any order: enough to tell whether two
//! requests are the same without keeping either.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// What digests are made with: secret, so that nobody can look for two pieces of JSON with the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys([RandomState; 2]);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest([u64; 2]);

/// What a value is, in front of it.
#[derive(Hash)]
enum Tag {
    Nothing,
    Text,
    Bool,
    Unsigned,
    Signed,
    Float,
    Array,
    Member,
    Object,
    Unread,
}

// === impl Keys ===

impl Keys {
    /// That of a piece of JSON; of what nests too deep to be read, that of its bytes.
    pub(super) fn digest(&self, json: &[u8]) -> Digest {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        self.deserialize(&mut deserializer).unwrap_or_else(|_too_deep| self.of(Tag::Unread, json))
    }

    fn of(&self, tag: Tag, value: impl Hash) -> Digest {
        let all = (tag, value);
        Digest(self.0.each_ref().map(|key| key.hash_one(&all)))
    }
}

impl<'de> DeserializeSeed<'de> for &Keys {
    type Value = Digest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Digest, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Keys {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Digest, E> {
        Ok(self.of(Tag::Nothing, ()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Digest, E> {
        Ok(self.of(Tag::Bool, value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Digest, E> {
        Ok(self.of(Tag::Unsigned, value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Digest, E> {
        Ok(self.of(Tag::Signed, value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Digest, E> {
        Ok(self.of(Tag::Float, value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Digest, E> {
        Ok(self.of(Tag::Text, value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Digest, A::Error> {
        let mut so_far = self.of(Tag::Array, ());
        while let Some(item) = items.next_element_seed(self)? {
            so_far = self.of(Tag::Array, (so_far, item));
        }
        Ok(so_far)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Digest, A::Error> {
        let (mut sum, mut count) = ([0_u64; 2], 0_u64);
        while let Some(name) = members.next_key_seed(self)? {
            let Digest(member) = self.of(Tag::Member, (name, members.next_value_seed(self)?));
            // A sum does not depend on the order.
            sum = [sum[0].wrapping_add(member[0]), sum[1].wrapping_add(member[1])];
            count += 1;
        }
        Ok(self.of(Tag::Object, (sum, count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_value_has_the_same_digest_and_another_one_has_another() {
        let keys = Keys::default();
        let deep = |inner: &str| "[".repeat(200) + inner + &"]".repeat(200);
        for (one, other, same) in [
            (r#"{"a":1,"b":[2,{"c":null,"d":"e"}]}"#, r#"{ "b": [2, {"d":"\u0065","c":null}], "a": 1 }"#, true),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            (r#"{"a":1}"#, r#"{"a":1.0}"#, false),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, false),
            (r#"{"a":-1}"#, r#"{"a":-1}"#, true),
            (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#, false),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            ("[1,2]", "[2,1]", false),
            ("[[1],2]", "[[1,2]]", false),
            ("[]", "{}", false),
            ("[true]", "[false]", false),
            (&deep("1"), &deep("1"), true),
            (&deep("1"), &deep("2"), false),
        ] {
            assert_eq!(keys.digest(one.as_bytes()) == keys.digest(other.as_bytes()), same, "{one} {other}");
        }
        assert_ne!(Keys::default().digest(b"1"), keys.digest(b"1"), "they are secret");
    }
}
