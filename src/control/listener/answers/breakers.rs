//! The circuit breakers of all endpoints. How a server fares is told with the server.

use serde_json::{Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::petition::Petition;
use super::super::told::Told;
use super::servers::{self, Report};
use super::window::Window;
use crate::upstream::Standing;

pub(in super::super) fn list(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let all = reports(endpoints, asked)?;
    let standings =
        all.iter().flat_map(|server| server.standings().into_iter().map(|standing| (server.name(), standing)));
    Ok(Told::json(&Window::of(asked)?.cut(standings, |(server, standing)| breaker(server, &standing))))
}

/// Closes every circuit that is open or half open.
pub(in super::super) fn reset(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let closed: usize = reports(endpoints, asked)?.iter().map(Report::close_circuits).sum();
    Ok(Told::json(&json!({ "closed": closed })))
}

/// The server that is asked for, or all of them.
fn reports<'e>(endpoints: &'e Endpoints, asked: &Petition) -> Result<Vec<Report<'e>>, Declined> {
    match asked.parameter("server") {
        Some(name) => Ok(vec![servers::find(&endpoints.facts, name)?]),
        None => Ok(servers::all(&endpoints.facts).collect()),
    }
}

fn breaker(server: &str, Standing { name, breaking, .. }: &Standing) -> Value {
    json!({ "server": server, "endpoint": name, "breaker": breaking.as_str(), "open_ms": breaking.open_ms() })
}
