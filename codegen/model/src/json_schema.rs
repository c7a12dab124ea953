//! JSON Schemas, as far as they are read: which schemas one holds, and which documents on the network it refers to. Nothing
//! is fetched, and no value is held against one.

use std::borrow::Cow;

use crate::json::Tree;
use crate::lock::Item;

/// Keywords that hold one schema, or a list of them.
const SCHEMAS: [&str; 16] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];
/// Keywords that hold schemas by name.
const NAMED_SCHEMAS: [&str; 6] =
    ["properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];
/// Keywords that refer to a schema.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Whoever reads schemas knows those that describe schemas, and fetches none.
const META_SCHEMAS: &str = "json-schema.org/";

/// A schema inside another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner<'t, 'a> {
    /// The keyword that holds it.
    pub(crate) keyword: &'t str,
    /// Its name there, if it has one.
    pub(crate) name: Option<&'t str>,
    pub(crate) schema: &'t Tree<'a>,
}

/// What the schemas of one document say of documents.
#[derive(Default)]
struct References<'a> {
    /// Which of them they are themselves.
    ids: Vec<Cow<'a, str>>,
    /// To which on the network they refer.
    remote: Vec<Cow<'a, str>>,
}

/// The schemas that a schema holds itself, as they stand there.
pub(crate) fn inner<'t, 'a>(schema: &'t Tree<'a>) -> Vec<Inner<'t, 'a>> {
    let mut found = Vec::new();
    for member in schema.members() {
        let keyword = member.key.as_ref();
        if NAMED_SCHEMAS.contains(&keyword) {
            let named = member.value.members().iter();
            found.extend(named.map(|named| Inner { keyword, name: Some(&named.key), schema: &named.value }));
        } else if SCHEMAS.contains(&keyword) {
            let schemas = match &member.value {
                Tree::Array(schemas) => schemas.as_slice(),
                schema => std::slice::from_ref(schema),
            };
            found.extend(schemas.iter().map(|schema| Inner { keyword, name: None, schema }));
        }
    }
    found
}

/// The documents on the network that the schemas of a tool refer to, in their order, each once.
pub(crate) fn remote_references(tool: &Item) -> Vec<String> {
    let text = tool.json.as_str();
    // Most tools refer to nothing and need not be taken apart. In an escape it could hide.
    if !["$ref", "Ref\"", r"\u"].iter().any(|part| text.contains(part)) {
        return Vec::new();
    }
    let tree = tool.json.tree();
    let mut remote: Vec<String> = Vec::new();
    for schema in ["inputSchema", "outputSchema"].into_iter().filter_map(|key| tree.member(key)) {
        let mut references = References::default();
        references.collect(schema, false);
        for document in references.remote.iter().filter(|document| !references.ids.contains(document)) {
            if !remote.iter().any(|known| known == document) {
                remote.push(document.to_string());
            }
        }
    }
    remote
}

// === impl References ===

impl<'a> References<'a> {
    /// Those of a schema and of what it holds; `based` when what is relative in it is relative to the network.
    fn collect(&mut self, schema: &Tree<'a>, based: bool) {
        let document = |key: &str| schema.member(key).and_then(Tree::string).map(without_fragment);
        let id = document("$id");
        let based = id.as_deref().and_then(scheme).map_or(based, is_fetched);
        self.ids.extend(id);
        for document in REFERENCES.iter().filter_map(|key| document(key)).filter(|document| !document.is_empty()) {
            let fetched = scheme(&document).map_or(based || document.starts_with("//"), is_fetched);
            if fetched && !is_meta_schema(&document) {
                self.remote.push(document);
            }
        }
        for inner in inner(schema) {
            self.collect(inner.schema, based);
        }
    }
}

fn without_fragment(reference: Cow<'_, str>) -> Cow<'_, str> {
    match (reference.find('#'), reference) {
        (None, reference) => reference,
        (Some(end), Cow::Borrowed(reference)) => Cow::Borrowed(&reference[..end]),
        (Some(end), Cow::Owned(reference)) => Cow::Owned(reference[..end].to_owned()),
    }
}

/// RFC 3986, 3.1
fn scheme(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let may_follow = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(may_follow)).then_some(scheme)
}

fn is_fetched(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn is_meta_schema(document: &str) -> bool {
    document.split_once("://").is_some_and(|(_, place)| place.starts_with(META_SCHEMAS))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::lock::{Answers, Section};
    use crate::plan::{Stdio, Transport};
    use crate::revision::Revision;

    fn remote(input: &str, output: &str) -> Vec<String> {
        let raw = |text: String| RawValue::from_string(text).expect("a test writes JSON");
        let (section, _) = Section::new(&Answers {
            transport: &Transport::Stdio(Stdio::default()),
            revision: Revision::LEGACY,
            greeting: &raw(r#"{"capabilities":{}}"#.to_owned()),
            tools: &[raw(format!(r#"{{"tools":[{{"name":"a","inputSchema":{input},"outputSchema":{output}}}]}}"#))],
            prompts: &[],
            resources: &[],
            templates: &[],
        })
        .expect("a section");
        remote_references(&section.tools[0])
    }

    #[test]
    fn references_to_the_network_are_found_wherever_a_schema_may_stand() {
        let reference = r#"{"$ref":"https://a.example/b.json#/c"}"#;
        for schema in [
            reference.to_owned(),
            r#"{"$dynamicRef":"https://a.example/b.json"}"#.to_owned(),
            r#"{"\u0024ref":"https:\/\/a.example/b.json"}"#.to_owned(),
            format!(r#"{{"properties":{{"p":{reference}}}}}"#),
            format!(r#"{{"items":[true,{reference}]}}"#),
            format!(r#"{{"if":{{"not":{{"anyOf":[{{}},{reference}]}}}}}}"#),
            format!(r##"{{"$ref":"#/$defs/d","$defs":{{"d":{{"additionalProperties":{reference}}}}}}}"##),
            r#"{"$id":"https://a.example/x.json","not":{"$ref":"https://a.example/b.json"}}"#.to_owned(),
        ] {
            for (input, output) in [(&*schema, "{}"), ("true", &*schema), (&*schema, &*schema)] {
                assert_eq!(remote(input, output), ["https://a.example/b.json"], "{schema}");
            }
        }
        let relative = r#"{"$id":"http://a.example/x.json","items":{"$ref":"b.json"},"not":{"$ref":"//c.example/d"}}"#;
        assert_eq!(remote(relative, r#"{"$ref":"//e.example"}"#), ["b.json", "//c.example/d", "//e.example"]);
    }

    #[test]
    fn what_stands_in_the_schema_itself_and_what_is_no_reference_is_not_remote() {
        for schema in [
            r##"{"$ref":"#/$defs/d","$dynamicRef":"#d","$defs":{"d":{"$anchor":"d"}}}"##,
            r#"{"$ref":"b.json"}"#,
            r#"{"$ref":"urn:example:b","not":{"$ref":"file:///b.json"}}"#,
            r#"{"$id":"urn:example:a","$ref":"b.json"}"#,
            r#"{"$id":"https://a.example/x","not":{"$id":"urn:example:a","$ref":"b.json"}}"#,
            // What is bundled has a name of its own.
            r##"{"$ref":"https://a.example/b#/c","$defs":{"b":{"$id":"https://a.example/b"}}}"##,
            r##"{"$id":"https://a.example/x","$ref":"b.json","$defs":{"b":{"$id":"b.json#"}}}"##,
            r##"{"$schema":"https://a.example/s","$ref":"http://json-schema.org/draft-07/schema#"}"##,
            r#"{"$ref":"https://json-schema.org/draft/2020-12/schema"}"#,
            // A property of that name, and values.
            r#"{"properties":{"$ref":{"type":"string"}},"required":["$ref"]}"#,
            r#"{"default":{"$ref":"https://a.example/b"},"enum":[{"$ref":"https://a.example/b"}],"$ref":7}"#,
            r#"{"const":{"$ref":"https://a.example/b"},"examples":[{"$ref":"https://a.example/b"}]}"#,
        ] {
            assert_eq!(remote(schema, schema), [""; 0], "{schema}");
        }
    }
}
