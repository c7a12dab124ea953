//! What a tool takes of a model's context: an estimate, the same in every report. Which model reads it, and so how many
//! tokens it really is, nobody knows here.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::plan::Exposed;

/// Bytes of compact JSON a token, times two: over the tool definitions of published servers, 4.5 to 4.8 bytes were one
/// token of `o200k_base`; tokenizers of other models differ from it by a few percent.
const HALF_BYTES: usize = 9;

/// About how many tokens a client puts before its model for a tool: its name, description and input schema as compact
/// JSON. What else a list says of it is for the client.
#[must_use]
pub fn tokens(tool: &Exposed) -> usize {
    tokens_as(tool, &tool.name)
}

/// The same for a tool under another name.
#[must_use]
pub fn tokens_as(tool: &Exposed, name: &str) -> usize {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Read<'a> {
        #[serde(borrow)]
        description: Option<&'a RawValue>,
        #[serde(borrow)]
        input_schema: Option<&'a RawValue>,
    }
    // Every item is one object; one that were not would not be listed either.
    let read = serde_json::from_str(&tool.item).unwrap_or(Read { description: None, input_schema: None });
    let member = |key: &str, length: usize| key.len() + r#""":,"#.len() + length;
    let optional = |key, value: Option<&RawValue>| value.map_or(0, |value| member(key, value.get().len()));
    let bytes = member("name", name.len() + r#""""#.len())
        + optional("description", read.description)
        + optional("inputSchema", read.input_schema)
        + "{}".len();
    (bytes * 2).div_ceil(HALF_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(item: &str) -> usize {
        let exposed = Exposed {
            name: "math__add".to_owned(),
            upstream: "add".to_owned(),
            own: "add".to_owned(),
            origin: 0,
            backend: 0,
            team: None,
            item: item.to_owned(),
            alone: None,
            read_only: false,
            idempotent: false,
            fallbacks: Vec::new(),
        };
        tokens(&exposed)
    }

    #[test]
    fn name_description_and_input_schema_count_and_nothing_else() {
        // 21 bytes, and 5 for every 22 more.
        assert_eq!(estimate(r#"{"name":"math__add"}"#), 5);
        let described = estimate(r#"{"name":"math__add","description":"Adds two numbers, exactly"}"#);
        assert_eq!(described, 14);
        let noisy =
            r#"{"name":"math__add","description":"Adds two numbers, exactly","outputSchema":{"a":1},"_meta":{}}"#;
        assert_eq!(estimate(noisy), described);
        assert_eq!(estimate(r#"{"name":"math__add","inputSchema":{"type":"object"}}"#), 12);
    }
}
