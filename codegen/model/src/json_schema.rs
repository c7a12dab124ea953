//! JSON Schemas, as far as they are read: which schemas one holds. No value is held against one.

use crate::json::Tree;

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

/// A schema inside another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner<'t, 'a> {
    /// The keyword that holds it.
    pub(crate) keyword: &'t str,
    /// Its name there, if it has one.
    pub(crate) name: Option<&'t str>,
    pub(crate) schema: &'t Tree<'a>,
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
