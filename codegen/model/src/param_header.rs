//! Which arguments a tool wants to see as headers (`x-mcp-header`, MCP 2026-07-28, custom headers from tool parameters),
//! and whether it may. A client over HTTP leaves out every tool that asks for something else.
//!
//! Headers are read and written by the engine, from calls.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::diagnostic::quoted;
use crate::json::{ITEM_DEPTH_MAX, Tree, TreeError};
use crate::json_schema::{self, Inner};
use crate::lock::Item;
use crate::plan::ParamHeader;

const ANNOTATION: &str = "x-mcp-header";

/// Why no client may be shown a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An annotation that the specification forbids.
    #[error("property {} {why}", quoted(property))]
    Annotation {
        /// The way to the property through the schema, such as `filter.region`.
        property: String,
        /// The end of a sentence that begins with the property.
        why: String,
    },
    /// Nobody can look for annotations in it.
    #[error("it nests deeper than {ITEM_DEPTH_MAX} levels")]
    Depth,
}

/// What one page of a server's tools says of the headers of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It asks for these, or for what it may not have.
    Here(Result<Vec<ParamHeader>, Violation>),
    /// It is not there. The cursor of the next page, if there is one.
    Behind(Option<String>),
}

/// The walk through one schema.
#[derive(Default)]
struct Walk {
    headers: Vec<ParamHeader>,
    violation: Option<Violation>,
}

/// The headers that a tool asks for, or the first annotation that the specification forbids.
pub(crate) fn headers(tool: &Item) -> Result<Vec<ParamHeader>, Violation> {
    let text = tool.json.as_str();
    // Hardly any tool asks: most need not be taken apart. In an escape it could hide.
    if !text.contains(ANNOTATION) && !text.contains(r"\u") {
        return Ok(Vec::new());
    }
    of_tree(&tool.json.tree())
}

/// What an answer to `tools/list` says of a tool; `None` of what is no such answer, or ambiguous. Other tools may be as they
/// like.
#[must_use]
pub fn listed(answer: &RawValue, tool: &str) -> Option<Listed> {
    // The answer, its result and the list in it.
    let answer = Tree::outline(answer, 3).ok()?;
    let result = answer.member("result")?;
    let Some(Tree::Array(tools)) = result.member("tools") else { return None };
    let is_it = |item: &&Tree<'_>| {
        let item = item.unfold_outline(1).ok();
        item.as_ref().and_then(|item| item.member("name")).and_then(Tree::string).is_some_and(|name| name == tool)
    };
    Some(match tools.iter().find(is_it).map(|item| item.unfold(ITEM_DEPTH_MAX)) {
        Some(Ok(item)) => Listed::Here(of_tree(&item)),
        Some(Err(TreeError::Depth)) => Listed::Here(Err(Violation::Depth)),
        Some(Err(TreeError::DuplicateKey(_))) => return None,
        None => Listed::Behind(result.member("nextCursor").and_then(Tree::string).map(Cow::into_owned)),
    })
}

fn of_tree(tool: &Tree<'_>) -> Result<Vec<ParamHeader>, Violation> {
    let mut walk = Walk::default();
    if let Some(schema) = tool.member("inputSchema") {
        walk.schema(schema, &[], true);
    }
    walk.violation.map_or(Ok(walk.headers), Err)
}

// === impl Walk ===

impl Walk {
    /// A schema; `reachable` when nothing but `properties` leads to it.
    fn schema<'t>(&mut self, schema: &'t Tree<'_>, path: &[&'t str], reachable: bool) {
        if self.violation.is_some() {
            return;
        }
        if let Some(annotation) = schema.member(ANNOTATION)
            && let Err(why) = self.annotation(annotation, schema, path, reachable && !path.is_empty())
        {
            let property = if path.is_empty() { "inputSchema".to_owned() } else { path.join(".") };
            self.violation = Some(Violation::Annotation { property, why });
        }
        let inside = |path: &[&'t str], name: &'t str| [path, &[name]].concat();
        for Inner { keyword, name, schema } in json_schema::inner(schema) {
            match (keyword, name) {
                ("properties", Some(name)) => self.schema(schema, &inside(path, name), reachable),
                (keyword, Some(name)) => self.schema(schema, &inside(&inside(path, keyword), name), false),
                (keyword, None) => self.schema(schema, &inside(path, keyword), false),
            }
        }
    }

    fn annotation(
        &mut self,
        annotation: &Tree<'_>,
        schema: &Tree<'_>,
        path: &[&str],
        reachable: bool,
    ) -> Result<(), String> {
        let Some(name) = annotation.string() else { return Err(format!("has an `{ANNOTATION}` that is not text")) };
        if name.is_empty() {
            return Err(format!("has an empty `{ANNOTATION}`"));
        }
        if let Some(bad) = name.chars().find(|c| !is_token_char(*c)) {
            return Err(format!("asks for a header with `{}` in its name, which no header has", bad.escape_debug()));
        }
        if !reachable {
            return Err("asks for a header, and is not reached through `properties` alone".to_owned());
        }
        if !is_primitive(schema) {
            return Err("asks for a header, and is not a string, an integer or a boolean".to_owned());
        }
        if self.headers.iter().any(|other| other.header.eq_ignore_ascii_case(&name)) {
            return Err(format!("asks for the header `Mcp-Param-{name}`, which another property asks for"));
        }
        let path = path.iter().map(|key| (*key).to_owned().into()).collect();
        self.headers.push(ParamHeader { header: name.into_owned().into(), path });
        Ok(())
    }
}

/// Whether a schema is of types that a header can hold. `null` is one: such a value is sent as no header.
fn is_primitive(schema: &Tree<'_>) -> bool {
    let is_type = |tree: &Tree<'_>, names: &[&str]| tree.string().is_some_and(|name| names.contains(&name.as_ref()));
    let primitive = |tree: &Tree<'_>| is_type(tree, &["string", "integer", "boolean"]);
    match schema.member("type") {
        Some(Tree::Array(types)) => {
            types.iter().any(primitive) && types.iter().all(|each| primitive(each) || is_type(each, &["null"]))
        }
        Some(one) => primitive(one),
        None => false,
    }
}

/// RFC 9110, 5.6.2
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str) -> Option<(String, String)> {
        let raw = RawValue::from_string(schema.to_owned()).expect("a test writes JSON");
        let mut walk = Walk::default();
        walk.schema(&Tree::read(&raw, 32).expect("a flat schema"), &[], true);
        walk.violation.map(|found| match found {
            Violation::Annotation { property, why } => (property, why),
            Violation::Depth => unreachable!("its depth was looked at before"),
        })
    }

    /// A schema with these members of `properties`.
    fn properties(members: &str) -> Option<(String, String)> {
        check(&format!(r#"{{"type":"object","properties":{{{members}}}}}"#))
    }

    #[test]
    fn primitive_properties_at_any_depth_may_be_headers() {
        for members in [
            r#""a":{"type":"string","x-mcp-header":"Region"}"#,
            r#""a":{"type":"integer","x-mcp-header":"A"},"b":{"type":"boolean","x-mcp-header":"B"}"#,
            r#""a":{"type":["string","null"],"x-mcp-header":"A"}"#,
            r#""a":{"type":"object","properties":{"b":{"type":"string","x-mcp-header":"!#$%&'*+-.^_`|~9"}}}"#,
            r#""x-mcp-header":{"type":"number"}"#,
            r#""a":{"type":"object","default":{"x-mcp-header":""},"enum":[{"x-mcp-header":7}]}"#,
        ] {
            assert_eq!(properties(members), None, "{members}");
        }
    }

    #[test]
    fn a_tool_is_found_on_the_page_that_has_it() {
        let page = |tools: &str, rest: &str| {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":{tools}{rest}}}}}"#);
            listed(&RawValue::from_string(answer).expect("a test writes JSON"), "a\"b")
        };
        let of = |schema: &str| page(&format!(r#"[{{"name":"x"}},{{"inputSchema":{schema},"name":"a\u0022b"}}]"#), "");
        assert_eq!(of(r#"{"type":"object"}"#), Some(Listed::Here(Ok(Vec::new()))));
        let wanted = ParamHeader { header: "A".into(), path: vec!["p".into()].into() };
        let own = of(r#"{"properties":{"p":{"type":"string","x-mcp-header":"A"}}}"#);
        assert_eq!(own, Some(Listed::Here(Ok(vec![wanted]))));
        let Some(Listed::Here(Err(refused))) = of(r#"{"properties":{"p":{"type":"number","x-mcp-header":"A"}}}"#)
        else {
            unreachable!("a number is no header")
        };
        assert_eq!(refused.to_string(), "property `p` asks for a header, and is not a string, an integer or a boolean");
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(of(&deep), Some(Listed::Here(Err(Violation::Depth))));
        assert_eq!(page(&format!(r#"[{{"name":"x","inputSchema":{deep}}}]"#), ""), Some(Listed::Behind(None)));
        assert_eq!(of(r#"{"type":"object","type":"object"}"#), None);
        assert_eq!(page("[]", ""), Some(Listed::Behind(None)));
        assert_eq!(page("[]", r#","nextCursor":"\u0041""#), Some(Listed::Behind(Some("A".to_owned()))));
        assert_eq!(page("{}", ""), None);
    }

    #[test]
    fn every_other_annotation_is_a_violation() {
        let primitive = "is not a string, an integer or a boolean";
        let reached = "is not reached through `properties` alone";
        for (members, property, why) in [
            (r#""a":{"type":"number","x-mcp-header":"A"}"#, "a", primitive),
            (r#""a":{"x-mcp-header":"A"}"#, "a", primitive),
            (r#""a":{"type":["string","array"],"x-mcp-header":"A"}"#, "a", primitive),
            (r#""a":{"type":["null"],"x-mcp-header":"A"}"#, "a", primitive),
            (r#""a":{"type":"string","x-mcp-header":""}"#, "a", "has an empty"),
            (r#""a":{"type":"string","x-mcp-header":7}"#, "a", "is not text"),
            (r#""a":{"type":"string","x-mcp-header":"A\r\nHost: b"}"#, "a", "`\\r` in its name"),
            (r#""a":{"type":"string","x-mcp-header":"A b"}"#, "a", "` ` in its name"),
            (r#""a":{"type":"string","x-mcp-header":"é"}"#, "a", "`é` in its name"),
            (
                r#""a":{"type":"string","x-mcp-header":"A"},"b":{"properties":{"c":{"type":"string","x-mcp-header":"a"}}}"#,
                "b.c",
                "another property asks for",
            ),
            (r#""a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}"#, "a.items", reached),
            (r#""a":{"anyOf":[{"type":"string","x-mcp-header":"A"}]}"#, "a.anyOf", reached),
            (r#""a":{"if":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}"#, "a.if.b", reached),
        ] {
            let (found, reason) = properties(members).expect(members);
            assert_eq!(found, property, "{members}");
            assert!(reason.contains(why), "{members}: {reason}");
        }
        assert_eq!(check(r#"{"type":"string","x-mcp-header":"A"}"#).expect("the root").0, "inputSchema");
        let defined = check(r#"{"$defs":{"r":{"type":"string","x-mcp-header":"A"}}}"#);
        assert_eq!(defined.expect("a definition").0, "$defs.r");
    }
}
