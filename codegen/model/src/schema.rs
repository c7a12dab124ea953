//! The JSON Schemas by which editors complete and explain topologies and overlays: what `crate::topology` defines,
//! written down. What a schema cannot say is left to the checks.

use crate::decode::Decode;
use crate::json::token;
use crate::lock::Json;
use crate::overlay::Overlay;
use crate::topology::Topology;

/// The schema of a topology, as a file.
#[must_use]
pub fn topology() -> String {
    file("only1mcp topology", &Topology::schema())
}

/// The schema of an overlay, as a file.
#[must_use]
pub fn overlay() -> String {
    file("only1mcp overlay", &Overlay::schema())
}

/// Draft 7 is what editors for YAML know best.
fn file(title: &str, schema: &str) -> String {
    let title = token(title);
    let head = format!(r#"{{"$schema":"http://json-schema.org/draft-07/schema#","title":{title},"#);
    let mut out = String::new();
    Json::composed(head + &schema[1..]).tree().write_pretty(&mut out, 0);
    out.push('\n');
    out
}
