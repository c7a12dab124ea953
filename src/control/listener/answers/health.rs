//! Whether the process runs, whether clients may be sent to it, how its servers fare.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::petition::Petition;
use super::super::told::Told;
use super::servers;

pub(in super::super) fn health(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let facts = &endpoints.facts;
    Ok(Told::json(&json!({
        "ready": reasons(endpoints).is_empty(),
        "reasons": reasons(endpoints),
        "servers": servers::all(facts).map(|server| server.health()).collect::<Vec<_>>(),
    })))
}

/// That somebody answers is the answer.
pub(in super::super) fn live(_: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    Ok(Told::json(&json!({ "live": true })))
}

/// Nobody answers before every worker accepts clients: what remains is whether they still do.
pub(in super::super) fn ready(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let reasons = reasons(endpoints);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Told::json(&json!({ "ready": reasons.is_empty(), "reasons": reasons })).of(status))
}

/// Why no clients are to be sent here.
fn reasons(endpoints: &Endpoints) -> Vec<Value> {
    let draining = endpoints.facts.is_draining();
    let reason = || json!({ "kind": "draining", "message": "the gateway stops: it accepts no more connections" });
    draining.then(reason).into_iter().collect()
}
