//! The JSON Schemas by which editors complete and explain topologies and overlays: what `crate::topology` defines,
//! written down. What a schema cannot say is left to the checks.

use crate::decode::Decode;
use crate::lock::Json;
use crate::overlay::Overlay;
use crate::topology::Topology;

/// The schema of a topology, as a file.
#[must_use]
pub fn topology() -> String {
    file(&Topology::schema())
}

/// The schema of an overlay, as a file.
#[must_use]
pub fn overlay() -> String {
    file(&Overlay::schema())
}

/// Draft 7 is what editors for YAML know best.
fn file(schema: &str) -> String {
    let head = r#"{"$schema":"http://json-schema.org/draft-07/schema#","#;
    let mut out = String::new();
    Json::composed(head.to_owned() + &schema[1..]).tree().write_pretty(&mut out, 0);
    out.push('\n');
    out
}
