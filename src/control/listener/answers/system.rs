//! What runs here, since when, built from what; and how its children fare.

use serde_json::{Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::petition::Petition;
use super::super::timestamp;
use super::super::told::Told;
use crate::upstream::Patient;

pub(in super::super) fn system(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let facts = &*endpoints.facts;
    let (spec, (at, since)) = (facts.spec, facts.started);
    Ok(Told::json(&json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "topology": { "name": spec.name, "digest": facts.topology_digest() },
        "lock": { "digest": facts.lock_digest() },
        "started_at": timestamp::rfc3339(at),
        "uptime_seconds": since.elapsed().as_secs(),
        "workers": facts.counts.len(),
        "listeners": { "mcp": facts.mcp_url, "admin": format!("http://{}", facts.address) },
        "backends": spec.backends.len(),
        "tools": spec.tools.len(),
        "prompts": spec.prompts.len(),
        "resources": spec.resources.len(),
        "children": facts.children().map(|own| child(&own)).collect::<Vec<_>>(),
    })))
}

/// How one child fares.
pub(super) fn child(child: &Patient) -> Value {
    let vitals = child.vitals();
    json!({
        "backend": child.backend(),
        "instance": child.instance(),
        "state": vitals.state.as_str(),
        "generation": vitals.generation,
        "pid": vitals.pid,
        "last_end": vitals.last_end.as_deref(),
        "stderr": vitals.stderr.iter().map(|line| &**line).collect::<Vec<_>>(),
    })
}
